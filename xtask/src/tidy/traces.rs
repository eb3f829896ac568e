//! The emulator answers by rules: no source may know a recording by its name.

use super::Finding;
use super::rust_text::{line_of, words};
use super::tree::Tree;

const FOLDER: &str = "fixtures/pve-traces/";

/// Looks for the names of recordings in the string literals of the product.
///
/// A name of one word (`clone`, `config`) is also an ordinary word of the API and cannot be told
/// from one; those with a hyphen can.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let names: Vec<&str> = tree
        .paths
        .iter()
        .filter_map(|path| path.strip_prefix(FOLDER)?.strip_suffix(".json"))
        .filter(|name| name.contains('-'))
        .chain(std::iter::once("pve-traces"))
        .collect();
    let mut findings = Vec::new();
    for (file, rust) in tree.rust() {
        if !file.path.starts_with("crates/") || !file.path.contains("/src/") || file.is_test() {
            continue;
        }
        for name in &names {
            findings.extend(words(&rust.strings, name).map(|at| {
                Finding::fault(
                    &file.path,
                    line_of(&rust.strings, at),
                    format!("names the recording {name:?}; behave by rule, not by recording"),
                )
            }));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_knows_a_recording_is_a_fault() {
        let recording = ("fixtures/pve-traces/lock-running.json", "{}");
        let count = |path, text| check(&Tree::of(&[recording, (path, text)])).len();
        let knows = "const A: &str = \"lock-running\";";
        assert_eq!(count("crates/pve-emulator/src/a.rs", knows), 1);
        assert_eq!(count("crates/pve-emulator/tests/a.rs", knows), 0);
        assert_eq!(
            count("crates/pve-emulator/src/a.rs", "// as in lock-running"),
            0
        );
        let reads = "const A: &str = \"../fixtures/pve-traces/x.json\";";
        assert_eq!(count("crates/pve-emulator/src/a.rs", reads), 1);
    }
}
