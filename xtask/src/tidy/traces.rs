//! The emulator answers by rules: no source may know a recording by its name.

use super::Finding;
use super::rust_text::{line_of, words};
use super::tree::Tree;

const FOLDER: &str = "fixtures/pve-traces/";

const EMULATOR: &str = "crates/pve-emulator/";

/// Looks for the names of recordings in the string literals of the product, and of all that the
/// emulator consists of: its tests and the program that replays recordings too.
///
/// A name of one word (`clone`, `config`) is also an ordinary word of the API. In the emulator it is told
/// from one by what follows: `.json`, or the number of a step.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let names: Vec<&str> = tree
        .paths
        .iter()
        .filter_map(|path| path.strip_prefix(FOLDER)?.strip_suffix(".json"))
        // What recordings build on is none.
        .filter(|name| !name.starts_with('_'))
        .collect();
    let mut findings = Vec::new();
    for (file, rust) in tree.rust() {
        let emulator = file.path.starts_with(EMULATOR);
        let product =
            file.path.starts_with("crates/") && file.path.contains("/src/") && !file.is_test();
        for forbidden in forbidden(&names, emulator, product) {
            findings.extend(words(&rust.strings, &forbidden).map(|at| {
                Finding::fault(
                    &file.path,
                    line_of(&rust.strings, at),
                    format!("names the recording {forbidden:?}; behave by rule, not by recording"),
                )
            }));
        }
    }
    findings
}

/// What the literals of a file must not contain.
fn forbidden(names: &[&str], emulator: bool, product: bool) -> Vec<String> {
    let mut found = Vec::new();
    for name in names {
        if name.contains('-') && (emulator || product) {
            found.push((*name).to_owned());
        } else if emulator {
            found.push(format!("{name}.json"));
            found.push(format!("{name} step"));
        }
    }
    if product {
        found.push("pve-traces".to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_knows_a_recording_is_a_fault() {
        let recording = ("fixtures/pve-traces/lock-running.json", "{}");
        let simple = ("fixtures/pve-traces/clone.json", "{}");
        let base = ("fixtures/pve-traces/_base-all.json", "{}");
        let count = |path, text| check(&Tree::of(&[recording, simple, base, (path, text)])).len();
        let knows = "const A: &str = \"lock-running\";";
        assert_eq!(count("crates/pve-emulator/src/a.rs", knows), 1);
        assert_eq!(count("crates/server/src/a.rs", knows), 1);
        assert_eq!(count("crates/pve-emulator/tests/a.rs", knows), 1);
        assert_eq!(count("crates/pve-emulator/examples/a/b.rs", knows), 1);
        assert_eq!(
            count("crates/pve/tests/a.rs", knows),
            0,
            "picks what to parse"
        );
        assert_eq!(
            count("crates/pve-emulator/src/a.rs", "// as in lock-running"),
            0
        );
        let reads = "const A: &str = \"../fixtures/pve-traces/x.json\";";
        assert_eq!(count("crates/pve-emulator/src/a.rs", reads), 1);
        assert_eq!(count("crates/pve-emulator/tests/a.rs", reads), 0);
        for (text, findings) in [
            ("const A: &str = \"/nodes/a/lxc/1/clone\";", 0),
            ("const A: &str = \"_base-all.json\";", 0),
            ("const A: &str = \"clone.json\";", 1),
            ("const A: &str = \"clone step 3\";", 1),
        ] {
            assert_eq!(
                count("crates/pve-emulator/src/a.rs", text),
                findings,
                "{text}"
            );
        }
    }
}
