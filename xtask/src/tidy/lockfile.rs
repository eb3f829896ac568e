//! Every dependency comes from the one registry, with its checksum.

use super::Finding;
use super::tree::Tree;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// One `[[package]]` of the lock file.
#[derive(Debug, Default)]
struct Locked<'a> {
    line: usize,
    name: &'a str,
    source: Option<&'a str>,
    has_checksum: bool,
}

/// Reads Cargo.lock.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(file) = tree.files.iter().find(|file| file.path == "Cargo.lock") else {
        return vec![Finding::fault(
            "Cargo.lock",
            0,
            "is missing; commit it, builds are --locked",
        )];
    };
    packages(&file.text)
        .iter()
        .filter_map(|package| {
            let name = package.name;
            let source = package.source?;
            if source != REGISTRY {
                let text = format!("{name} comes from {source}; only the public registry is used");
                return Some(Finding::fault(&file.path, package.line, text));
            }
            (!package.has_checksum).then(|| {
                let text = format!("{name} has no checksum; let cargo write the file anew");
                Finding::fault(&file.path, package.line, text)
            })
        })
        .collect()
}

fn packages(lock: &str) -> Vec<Locked<'_>> {
    let mut packages: Vec<Locked<'_>> = Vec::new();
    for (at, line) in lock.lines().enumerate() {
        if line == "[[package]]" {
            packages.push(Locked {
                line: at + 1,
                ..Locked::default()
            });
        }
        let (Some(package), Some((key, value))) = (packages.last_mut(), line.split_once(" = "))
        else {
            continue;
        };
        let value = value.trim_matches('"');
        match key {
            "name" => package.name = value,
            "source" => package.source = Some(value),
            "checksum" => package.has_checksum = true,
            _ => {}
        }
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\
        source = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"00\"\n\n\
        [[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n";

    fn count(lock: &str) -> usize {
        check(&Tree::of(&[("Cargo.lock", lock)])).len()
    }

    #[test]
    fn other_sources_and_missing_checksums_are_faults() {
        assert_eq!(count(GOOD), 0);
        assert_eq!(
            count(&GOOD.replace("registry+https://github.com/rust-lang", "git+https://x.y")),
            1
        );
        assert_eq!(count(&GOOD.replace("checksum = \"00\"\n", "")), 1);
        assert_eq!(check(&Tree::default()).len(), 1);
    }
}
