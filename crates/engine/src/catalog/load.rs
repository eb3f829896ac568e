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
use super::lint::{self, Code, EntryProblem};
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
    match folders_in(folder) {
        Ok(folders) => folders.iter().map(|path| read_entry(path)).collect(),
        Err(error) => vec![Err(error)],
    }
}

/// The folders inside a folder, by name.
fn folders_in(folder: &Path) -> Result<Vec<PathBuf>, CatalogError> {
    let entries =
        std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error.to_string()))?;
    let paths: Result<Vec<PathBuf>, std::io::Error> = entries
        .take(MAX_ENTRIES + 1)
        .map(|entry| entry.map(|entry| entry.path()))
        .collect();
    let mut paths = paths.map_err(|error| unreadable(folder, &error.to_string()))?;
    if paths.len() > MAX_ENTRIES {
        let reason = format!("it has more than {MAX_ENTRIES} entries");
        return Err(unreadable(folder, &reason));
    }
    paths.sort();
    paths.retain(|path| path.is_dir());
    Ok(paths)
}

/// What a look at files of entries showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Linted {
    /// Files that were looked at.
    pub files: usize,
    /// What is wrong with them, in the order of the files.
    pub problems: Vec<EntryProblem>,
}

/// Looks at entries as an operator's own catalog would have them, and tells all that is wrong. Each path is a file, the folder of
/// an entry, or a folder of such folders. Reads files, so it may block for a moment.
#[must_use]
pub fn lint_entries(paths: &[PathBuf]) -> Linted {
    let mut linted = Linted::default();
    let mut ids = BTreeMap::new();
    for path in paths {
        match files_of(path) {
            Ok(files) => {
                for file in files {
                    lint_file(&file, &mut ids, &mut linted);
                }
            }
            Err(error) => linted.problems.push(as_problem(path, &error)),
        }
    }
    linted
}

fn as_problem(path: &Path, error: &CatalogError) -> EntryProblem {
    let file = path.display().to_string();
    let message = match error {
        CatalogError::Unreadable { reason, .. } => format!("it cannot be read: {reason}"),
        other => other.to_string(),
    };
    EntryProblem::of_file(&file, Code::Unreadable, &message)
}

/// The files that a path stands for.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, CatalogError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let own = path.join(FILE_NAME);
    if own.exists() {
        return Ok(vec![own]);
    }
    let folders = folders_in(path)?;
    if folders.is_empty() {
        let reason = format!("it has neither {FILE_NAME} nor folders with one");
        return Err(unreadable(path, &reason));
    }
    Ok(folders
        .iter()
        .map(|folder| folder.join(FILE_NAME))
        .collect())
}

/// `ids` has the file of each id that was seen before.
fn lint_file(path: &Path, ids: &mut BTreeMap<CatalogId, String>, linted: &mut Linted) {
    let file = path.display().to_string();
    linted.files += 1;
    let text = match read_bounded(path) {
        Ok(text) => text,
        Err(reason) => {
            let error = unreadable(path, &reason);
            return linted.problems.push(as_problem(path, &error));
        }
    };
    let problems = lint::lint(&file, &text, Origin::Extra);
    if !problems.is_empty() {
        return linted.problems.extend(problems);
    }
    let entry = match parse::entry(&file, &text, Origin::Extra) {
        Ok(entry) => entry,
        // The loader has the last word.
        Err(error) => {
            let problem = EntryProblem::of_file(&file, Code::BadValue, &error.to_string());
            return linted.problems.push(problem);
        }
    };
    let tell = |code, message: String| lint::at(&file, &text, "id", code, &message);
    if let Some(folder) = folder_of(path).filter(|folder| *folder != entry.id.as_str()) {
        let message = format!("the id is {}, but the folder is called {folder}", entry.id);
        linted.problems.push(tell(Code::WrongFolder, message));
    }
    let other = ids.insert(entry.id.clone(), file.clone());
    if let Some(other) = other.filter(|other| *other != file) {
        let message = format!("there is another {} in {other}", entry.id);
        linted.problems.push(tell(Code::Twice, message));
    }
}

/// The name of the folder that an entry's file is in; a file of another name is in none.
fn folder_of(path: &Path) -> Option<String> {
    let whole = path.canonicalize().ok()?;
    let folder = whole
        .parent()
        .filter(|_| whole.ends_with(FILE_NAME))?
        .file_name()?;
    Some(folder.to_string_lossy().into_owned())
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
