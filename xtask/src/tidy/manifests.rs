//! Every crate takes lints, version and licence from the workspace.

use super::Finding;
use super::tree::Tree;

/// What each manifest of a crate has to say, by section.
const REQUIRED: &[(&str, &str)] = &[
    ("[lints]", "workspace = true"),
    ("[package]", "version.workspace = true"),
    ("[package]", "edition.workspace = true"),
    ("[package]", "rust-version.workspace = true"),
    ("[package]", "license.workspace = true"),
    ("[package]", "publish.workspace = true"),
];

/// Tables whose entries come from the workspace, so that there is one version of each.
const DEPENDENCIES: &[&str] = &[
    "[dependencies]",
    "[dev-dependencies]",
    "[build-dependencies]",
];

/// Reads the manifests of the crates; the workspace's own has no `[package]`.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let manifests = tree
        .files
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml") && !file.path.contains("/tests/"));
    for file in manifests {
        let lines: Vec<(usize, &str, &str)> = sectioned(&file.text).collect();
        for (section, wanted) in REQUIRED {
            if !lines
                .iter()
                .any(|(_, at, line)| at == section && line == wanted)
            {
                let text = format!("`{wanted}` is missing in {section}");
                findings.push(Finding::fault(&file.path, 0, text));
            }
        }
        findings.extend(
            lines
                .iter()
                .filter(|(_, section, line)| DEPENDENCIES.contains(section) && line.contains('='))
                .filter(|(_, _, line)| !line.contains("workspace = true") && !is_continuation(line))
                .map(|(number, _, line)| {
                    let text = format!("`{line}`: pin it in the workspace and take it from there");
                    Finding::fault(&file.path, *number, text)
                }),
        );
    }
    findings
}

/// A line inside an inline table that was broken over several lines.
fn is_continuation(line: &str) -> bool {
    line.starts_with(['"', ']', '}'])
}

/// Each line with its number and the section it stands in.
fn sectioned(text: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    let mut section = "";
    text.lines().enumerate().filter_map(move |(at, line)| {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.starts_with('[') {
            section = line;
            return None;
        }
        (!line.is_empty()).then_some((at + 1, section, line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"x\"\nversion.workspace = true\n\
        edition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\n\
        publish.workspace = true\n\n[lints]\nworkspace = true\n\n[dependencies]\n\
        serde.workspace = true\ntokio = { workspace = true, optional = true }\n";

    fn count(text: &str) -> usize {
        check(&Tree::of(&[("crates/x/Cargo.toml", text)])).len()
    }

    #[test]
    fn lints_and_versions_come_from_the_workspace() {
        assert_eq!(count(GOOD), 0);
        assert_eq!(count(&GOOD.replace("[lints]\nworkspace = true\n", "")), 1);
        assert_eq!(
            count(&GOOD.replace("serde.workspace = true", "serde = \"1\"")),
            1
        );
        assert_eq!(
            count(&GOOD.replace("license.workspace = true\n", "license = \"MIT\"\n")),
            1
        );
    }
}
