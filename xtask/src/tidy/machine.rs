//! Paths of the machine somebody worked on have no place in the repository.

use super::Finding;
use super::rust_text::line_of;
use super::tree::Tree;
use crate::place::Place;

/// Folders right below the root that are the same on every machine, so that naming them tells nothing.
const EVERYWHERE: &[&str] = &["", "root", "tmp", "srv", "opt", "home", "mnt"];

/// The paths that would tell where this checkout lies, and whose home this is.
pub(crate) fn telling_paths(place: &Place) -> Vec<String> {
    let parent = place.root().parent().map(std::path::Path::to_path_buf);
    parent
        .into_iter()
        .chain(place.home.clone())
        .map(|path| format!("{}/", path.display().to_string().trim_end_matches('/')))
        .filter(|path| !EVERYWHERE.contains(&path.trim_matches('/')))
        .collect()
}

/// Looks for these paths in every file.
pub(crate) fn check(tree: &Tree, telling: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        for path in telling {
            findings.extend(file.text.match_indices(path.as_str()).map(|(at, _)| {
                Finding::fault(
                    &file.path,
                    line_of(&file.text, at),
                    format!("{path} is a path of this machine; make it relative"),
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
    fn a_path_of_this_machine_is_a_fault() {
        let telling = ["/home/ada/src/".to_owned()];
        let tree = Tree::of(&[
            ("a.md", "fine\nsee /home/ada/src/notes\n"),
            ("b.md", "/var/lib"),
        ]);
        let found = check(&tree, &telling);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path.as_str(), found[0].line), ("a.md", 2));
    }
}
