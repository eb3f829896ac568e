//! The entries that are part of the program. A test compares the list with the folder.

/// The file's path inside the project and its text, ordered by path.
pub(super) const SHIPPED: &[(&str, &str)] = &[(
    "catalog/nginx/app.yaml",
    include_str!("../../../../catalog/nginx/app.yaml"),
)];

/// Ids of those of which a deploy in a real container was seen to answer.
pub(super) const VERIFIED: &[&str] = &["nginx"];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{SHIPPED, VERIFIED};

    #[test]
    fn every_entry_of_the_folder_is_shipped_and_no_other() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut found: Vec<String> = std::fs::read_dir(root.join("catalog"))
            .unwrap()
            .map(|folder| folder.unwrap().file_name().into_string().unwrap())
            .map(|folder| format!("catalog/{folder}/app.yaml"))
            .collect();
        found.sort();
        let shipped: Vec<&str> = SHIPPED.iter().map(|(path, _)| *path).collect();
        assert_eq!(shipped, found);
        for (path, text) in SHIPPED {
            assert_eq!(*text, std::fs::read_to_string(root.join(path)).unwrap());
        }
        let is_shipped = |id: &&str| shipped.contains(&format!("catalog/{id}/app.yaml").as_str());
        assert!(VERIFIED.iter().all(is_shipped));
    }
}
