//! The catalog as a whole: the shipped entries and those of folders the operator names.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use proximity_domain::names::CatalogId;

use super::check::Origin;
use super::embed::SHIPPED;
use super::entry::CatalogEntry;
use super::error::{CatalogError, CatalogErrors};
use super::parse;

/// A larger file is no recipe.
const MAX_FILE_BYTES: u64 = 256 * 1024;
/// Entries an extra folder may have.
const MAX_ENTRIES: usize = 1000;
/// The file inside an entry's folder.
const FILE_NAME: &str = "app.yaml";

/// All apps that can be deployed, by id.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    entries: BTreeMap<CatalogId, CatalogEntry>,
}

impl Catalog {
    /// The shipped entries and those in `extra_folders`, each `<folder>/<id>/app.yaml`. Reads files,
    /// so it may block for a moment; meant for the start of the program.
    ///
    /// # Errors
    /// [`CatalogErrors`] with everything that is wrong, in all files.
    pub fn load(extra_folders: &[PathBuf]) -> Result<Self, CatalogErrors> {
        let mut errors = Vec::new();
        let mut found: Vec<(String, CatalogEntry)> = Vec::new();
        for (file, text) in SHIPPED {
            match parse::entry(file, text, Origin::Shipped) {
                Ok(entry) => found.push(((*file).to_owned(), entry)),
                Err(error) => errors.push(error),
            }
        }
        for folder in extra_folders {
            for outcome in read_folder(folder) {
                match outcome {
                    Ok(entry) => found.push(entry),
                    Err(error) => errors.push(error),
                }
            }
        }
        let entries = unite(found, &mut errors);
        if errors.is_empty() {
            Ok(Self { entries })
        } else {
            Err(CatalogErrors(errors))
        }
    }

    /// An entry.
    #[must_use]
    pub fn get(&self, id: &CatalogId) -> Option<&CatalogEntry> {
        self.entries.get(id)
    }

    /// All entries, ordered by id.
    pub fn entries(&self) -> impl Iterator<Item = &CatalogEntry> {
        self.entries.values()
    }
}

fn unite(
    found: Vec<(String, CatalogEntry)>,
    errors: &mut Vec<CatalogError>,
) -> BTreeMap<CatalogId, CatalogEntry> {
    let mut files: BTreeMap<CatalogId, String> = BTreeMap::new();
    let mut entries = BTreeMap::new();
    for (file, entry) in found {
        let id = entry.id.clone();
        if let Some(other) = files.get(&id) {
            errors.push(CatalogError::Twice {
                file,
                id,
                other: other.clone(),
            });
            continue;
        }
        files.insert(id.clone(), file);
        entries.insert(id, entry);
    }
    entries
}

fn read_folder(folder: &Path) -> Vec<Result<(String, CatalogEntry), CatalogError>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return vec![Err(unreadable(folder, &error.to_string()))],
    };
    let folders: Result<Vec<PathBuf>, std::io::Error> = entries
        .take(MAX_ENTRIES + 1)
        .map(|entry| entry.map(|entry| entry.path()))
        .collect();
    let mut folders = match folders {
        Ok(folders) => folders,
        Err(error) => return vec![Err(unreadable(folder, &error.to_string()))],
    };
    if folders.len() > MAX_ENTRIES {
        return vec![Err(unreadable(
            folder,
            &format!("it has more than {MAX_ENTRIES} entries"),
        ))];
    }
    folders.sort();
    folders
        .iter()
        .filter(|path| path.is_dir())
        .map(|path| read_entry(path))
        .collect()
}

fn read_entry(folder: &Path) -> Result<(String, CatalogEntry), CatalogError> {
    let path = folder.join(FILE_NAME);
    let file = path.display().to_string();
    let text = read_bounded(&path).map_err(|reason| unreadable(&path, &reason))?;
    let entry = parse::entry(&file, &text, Origin::Extra)?;
    let name = folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    if entry.id.as_str() != name {
        return Err(CatalogError::WrongFolder {
            file,
            id: entry.id,
            folder: name,
        });
    }
    Ok((file, entry))
}

fn read_bounded(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| error.to_string())?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(format!("it is larger than {MAX_FILE_BYTES} bytes"));
    }
    Ok(text)
}

fn unreadable(path: &Path, reason: &str) -> CatalogError {
    CatalogError::Unreadable {
        file: path.display().to_string(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
