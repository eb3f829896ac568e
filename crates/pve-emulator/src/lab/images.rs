//! The lab's registry of OCI images: a folder with one OCI layout per repository.
//!
//! `DIR/docker.io/library/nginx/` (`oci-layout`, `index.json`, `blobs/`) is the repository `docker.io/library/nginx`; its tags
//! are the `org.opencontainers.image.ref.name` of the index's entries.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::LabError;
use crate::core::{Registry, RegistryImage};
use crate::oci::{self, MOST_DOCUMENT_BYTES};

/// Deeper than this no repository lies.
const DEEPEST: usize = 8;
/// More repositories than this are no registry of a lab.
const MOST_REPOSITORIES: usize = 1_000;
const TAG: &str = "org.opencontainers.image.ref.name";

/// Reads all repositories below a folder.
///
/// # Errors
/// A folder or document cannot be read, or is not what it should be.
pub fn read(root: &Path) -> Result<Registry, LabError> {
    let mut registry = Registry::new();
    let mut folders = vec![(root.to_owned(), String::new(), 0)];
    while let Some((folder, name, depth)) = folders.pop() {
        if folder.join("oci-layout").is_file() {
            registry.insert(name.clone(), repository(&folder)?);
        }
        if registry.len() > MOST_REPOSITORIES {
            let text = format!(
                "{} holds more than {MOST_REPOSITORIES} repositories",
                root.display()
            );
            return Err(LabError::Refused(text));
        }
        if depth < DEEPEST {
            folders.extend(
                below(&folder, &name)?
                    .into_iter()
                    .map(|(path, name)| (path, name, depth + 1)),
            );
        }
    }
    Ok(registry)
}

fn below(folder: &Path, name: &str) -> Result<Vec<(PathBuf, String)>, LabError> {
    let what = || format!("read {}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(LabError::io(what()))? {
        let entry = entry.map_err(LabError::io(what()))?;
        let part = entry.file_name().to_string_lossy().into_owned();
        if part != "blobs" && entry.path().is_dir() {
            let name = if name.is_empty() {
                part
            } else {
                format!("{name}/{part}")
            };
            found.push((entry.path(), name));
        }
    }
    Ok(found)
}

fn document(path: &Path) -> Result<Value, LabError> {
    let what = || format!("read {}", path.display());
    let mut text = String::new();
    let file = File::open(path).map_err(LabError::io(what()))?;
    file.take(MOST_DOCUMENT_BYTES)
        .read_to_string(&mut text)
        .map_err(LabError::io(what()))?;
    serde_json::from_str(&text).map_err(|error| LabError::BadState {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

fn repository(
    folder: &Path,
) -> Result<std::collections::BTreeMap<String, RegistryImage>, LabError> {
    let index_path = folder.join("index.json");
    let index = document(&index_path)?;
    let find = |digest: &str| document(&folder.join(oci::blob(digest)?)).ok();
    let mut tags = std::collections::BTreeMap::new();
    for entry in index["manifests"].as_array().into_iter().flatten() {
        let Some(tag) = entry["annotations"][TAG].as_str() else {
            continue;
        };
        let Some(image) = oci::image(entry, &find) else {
            return Err(LabError::BadState {
                path: index_path,
                reason: format!("the image of the tag {tag} is not whole"),
            });
        };
        let found = RegistryImage {
            size_bytes: oci::size_bytes(entry, &find),
            config_digest: oci::config_digest(entry, &find).unwrap_or_default(),
            image,
        };
        tags.insert(tag.to_owned(), found);
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn repositories_and_tags_are_read_out_of_their_folders() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("docker.io/library/web");
        let blobs = folder.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).unwrap();
        let write = |path: PathBuf, value: Value| std::fs::write(path, value.to_string()).unwrap();
        write(
            folder.join("oci-layout"),
            json!({"imageLayoutVersion": "1.0.0"}),
        );
        write(
            folder.join("index.json"),
            json!({"manifests": [
                {"digest": "sha256:aa", "size": 5, "annotations": {TAG: "1.0"}}, {"digest": "sha256:aa", "size": 5},
            ]}),
        );
        write(
            blobs.join("aa"),
            json!({"config": {"digest": "sha256:cc", "size": 10}, "layers": [{"digest": "sha256:11", "size": 100}]}),
        );
        write(
            blobs.join("cc"),
            json!({"config": {"Cmd": ["httpd"], "Env": ["A=1"]}}),
        );
        let registry = read(root.path()).unwrap();
        let image = &registry["docker.io/library/web"]["1.0"];
        assert_eq!(image.size_bytes, 115);
        assert_eq!(image.config_digest, "sha256:cc");
        assert_eq!(image.image.entrypoint.as_deref(), Some("httpd"));
        assert_eq!(registry.len(), 1);

        std::fs::remove_file(blobs.join("cc")).unwrap();
        assert!(
            read(root.path())
                .unwrap_err()
                .to_string()
                .contains("not whole")
        );
    }
}
