//! One test command: what the README says is what the checking machine runs.

use super::Finding;
use super::tree::Tree;

const COMMAND: &str = "cargo xtask test";

/// Compares `.ci/run` with the README.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let last_line = |path: &str| -> Option<&str> {
        let file = tree.files.iter().find(|file| file.path == path)?;
        file.text.lines().rev().find(|line| !line.trim().is_empty())
    };
    let mut findings = Vec::new();
    if last_line(".ci/run") != Some(&format!("exec {COMMAND}")) {
        let text = format!("has to end with `exec {COMMAND}`, and do nothing else");
        findings.push(Finding::fault(".ci/run", 0, text));
    }
    let readme = tree.files.iter().find(|file| file.path == "README.md");
    if !readme.is_some_and(|file| file.text.lines().any(|line| line == COMMAND)) {
        let text = format!("has to show the test command, `{COMMAND}`, on a line of its own");
        findings.push(Finding::fault("README.md", 0, text));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_different_commands_are_a_fault() {
        let count = |ci, readme| check(&Tree::of(&[(".ci/run", ci), ("README.md", readme)])).len();
        let (ci, readme) = (
            "#!/bin/sh\nexec cargo xtask test\n",
            "```sh\ncargo xtask test\n```\n",
        );
        assert_eq!(count(ci, readme), 0);
        assert_eq!(
            count("#!/bin/sh\nexec cargo xtask test --only fmt\n", readme),
            1
        );
        assert_eq!(count(ci, "run `make test`\n"), 1);
        assert_eq!(check(&Tree::default()).len(), 2);
    }
}
