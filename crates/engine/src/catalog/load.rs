//! The catalog as a whole: the shipped entries, those of folders the operator names, and those that were taken of repositories.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use proximity_domain::names::CatalogId;
use proximity_store::entry_sources::EntryRevision;

use super::check::Origin;
use super::embed::SHIPPED;
use super::entry::CatalogEntry;
use super::error::{CatalogError, CatalogErrors};
use super::lint::{self, Code, EntryProblem};
use super::offered::{
    CatalogPlaces, CatalogProblem, CatalogStats, EntryOrigin, Offered, TakenEntries, place_in,
    revision_of,
};
use super::parse;

/// A larger file is no recipe.
pub(crate) const MAX_FILE_BYTES: u64 = 256 * 1024;
/// Entries an extra folder, or a repository, may have.
pub(crate) const MAX_ENTRIES: usize = 1000;
/// The file inside an entry's folder.
pub(crate) const FILE_NAME: &str = "app.yaml";

/// All apps that can be deployed, by id.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    entries: BTreeMap<CatalogId, Arc<Offered>>,
    problems: Vec<CatalogProblem>,
    places: CatalogPlaces,
}

impl Catalog {
    /// The shipped entries and those in `extra_folders`, each `<folder>/<id>/app.yaml`, all of which have to be right. Reads files,
    /// so it may block for a moment.
    ///
    /// # Errors
    /// [`CatalogErrors`] with everything that is wrong, in all files.
    pub fn load(extra_folders: &[PathBuf]) -> Result<Self, CatalogErrors> {
        let places = CatalogPlaces {
            folders: extra_folders.to_vec(),
            leave_out: Vec::new(),
        };
        let (catalog, errors) = Self::gather(&places, &[]);
        if errors.is_empty() {
            Ok(catalog)
        } else {
            Err(CatalogErrors(errors))
        }
    }

    /// Everything that is right in these places; of an id that is there more than once the shipped entry, else that of the folder that is
    /// named first, else that of the source whose name comes first. What is left out is told by [`Catalog::problems`]. Reads files, so it
    /// may block for a moment.
    #[must_use]
    pub fn read(places: &CatalogPlaces, taken: &[TakenEntries]) -> Self {
        let (catalog, errors) = Self::gather(places, taken);
        let problems = errors.iter().map(CatalogError::as_problem).collect();
        Self {
            problems,
            ..catalog
        }
    }

    /// An entry.
    #[must_use]
    pub fn get(&self, id: &CatalogId) -> Option<&CatalogEntry> {
        self.entries.get(id).map(|offered| &*offered.entry)
    }

    /// An entry, with where it comes from.
    #[must_use]
    pub fn offered(&self, id: &CatalogId) -> Option<&Arc<Offered>> {
        self.entries.get(id)
    }

    /// All entries, ordered by id.
    pub fn entries(&self) -> impl Iterator<Item = &CatalogEntry> {
        self.entries.values().map(|offered| &*offered.entry)
    }

    /// All entries with where they come from, ordered by id.
    pub fn all(&self) -> impl Iterator<Item = &Offered> {
        self.entries.values().map(|offered| &**offered)
    }

    /// The entries in which each word of this text is somewhere, those that fit best first and else ordered by id.
    #[must_use]
    pub fn search(&self, text: &str) -> Vec<&Offered> {
        let ranked = self.all().filter_map(|one| Some((one.rank(text)?, one)));
        let mut found: Vec<(u32, &Offered)> = ranked.collect();
        // What is the same stays in its order.
        found.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        found.into_iter().map(|(_, one)| one).collect()
    }

    /// What was left out, and why.
    #[must_use]
    pub fn problems(&self) -> &[CatalogProblem] {
        &self.problems
    }

    /// Where it was read from.
    #[must_use]
    pub fn places(&self) -> &CatalogPlaces {
        &self.places
    }

    /// How many entries there are.
    #[must_use]
    pub fn stats(&self) -> CatalogStats {
        let mut stats = CatalogStats {
            entries: self.entries.len(),
            problems: self.problems.len(),
            ..CatalogStats::default()
        };
        for one in self.all() {
            let category = one.entry.category.clone();
            *stats.categories.entry(category).or_default() += 1;
            *stats.origins.entry(one.origin.label()).or_default() += 1;
            stats.verified += usize::from(one.is_verified());
        }
        stats
    }

    fn gather(places: &CatalogPlaces, taken: &[TakenEntries]) -> (Self, Vec<CatalogError>) {
        let mut errors = Vec::new();
        let mut found = Vec::new();
        for (file, text) in SHIPPED {
            match found_in(file, text, EntryOrigin::Shipped) {
                Ok(one) if places.leave_out.contains(&one.offered.entry.id) => {}
                Ok(one) => found.push(one),
                Err(error) => errors.push(error),
            }
        }
        for id in &places.leave_out {
            let file = shipped_file(id);
            if !SHIPPED.iter().any(|(shipped, _)| *shipped == file) {
                errors.push(CatalogError::NotShipped { id: id.clone() });
            }
        }
        let of_folders = places.folders.iter().flat_map(|folder| read_folder(folder));
        for outcome in of_folders.chain(taken.iter().flat_map(read_taken)) {
            match outcome {
                Ok(one) => found.push(one),
                Err(error) => errors.push(error),
            }
        }
        let catalog = Self {
            entries: unite(found, &mut errors),
            problems: Vec::new(),
            places: places.clone(),
        };
        (catalog, errors)
    }
}

/// An entry of a place that is read.
struct Found {
    /// As errors call it.
    file: String,
    offered: Offered,
}

fn found_in(file: &str, text: &str, origin: EntryOrigin) -> Result<Found, CatalogError> {
    let checks = match origin {
        EntryOrigin::Shipped => Origin::Shipped,
        EntryOrigin::Folder(_) | EntryOrigin::Source { .. } => Origin::Extra,
    };
    let entry = parse::entry(file, text, checks)?;
    Ok(Found {
        file: file.to_owned(),
        offered: Offered {
            entry: Arc::new(entry),
            origin,
            revision: revision_of(text),
        },
    })
}

/// The file of a shipped entry.
fn shipped_file(id: &CatalogId) -> String {
    format!("catalog/{id}/{FILE_NAME}")
}

fn unite(found: Vec<Found>, errors: &mut Vec<CatalogError>) -> BTreeMap<CatalogId, Arc<Offered>> {
    let mut files: BTreeMap<CatalogId, (String, bool)> = BTreeMap::new();
    let mut entries = BTreeMap::new();
    for Found { file, offered } in found {
        let id = offered.entry.id.clone();
        if let Some((other, is_shipped)) = files.get(&id) {
            let other = other.clone();
            errors.push(match is_shipped {
                true => CatalogError::Shadows { file, id, other },
                false => CatalogError::Twice { file, id, other },
            });
            continue;
        }
        let is_shipped = offered.origin == EntryOrigin::Shipped;
        files.insert(id.clone(), (file, is_shipped));
        entries.insert(id, Arc::new(offered));
    }
    entries
}

/// The entries of what was taken.
fn read_taken(taken: &TakenEntries) -> Vec<Result<Found, CatalogError>> {
    let files = taken.files.iter().map(|one| {
        let origin = EntryOrigin::Source {
            name: taken.source.clone(),
            commit: taken.commit.clone(),
        };
        let place = place_in(&taken.source, &taken.commit, &one.path);
        let found = found_in(&place, &one.revision.text, origin)?;
        in_its_folder(found, folder_in(&one.path))
    });
    files.collect()
}

/// An entry that an app was made from, as it was kept.
pub(crate) fn kept(revision: &EntryRevision) -> Result<CatalogEntry, CatalogError> {
    parse::entry("the entry that was kept", &revision.text, Origin::Extra)
}

/// The name of the folder that a file of a repository is in.
fn folder_in(path: &str) -> &str {
    let (folder, _) = path.rsplit_once('/').unwrap_or(("", path));
    folder.rsplit('/').next().unwrap_or(folder)
}

/// The name of its folder is the id of an entry.
fn in_its_folder(found: Found, folder: &str) -> Result<Found, CatalogError> {
    let id = found.offered.entry.id.clone();
    if id.as_str() == folder {
        return Ok(found);
    }
    Err(CatalogError::WrongFolder {
        file: found.file,
        id,
        folder: folder.to_owned(),
    })
}

/// What tells whether files of these folders were changed: path, size and time of each.
#[must_use]
pub(crate) fn look_of(folders: &[PathBuf]) -> Vec<(PathBuf, Option<(u64, SystemTime)>)> {
    let mut look = Vec::new();
    for folder in folders {
        let files = folders_in(folder).unwrap_or_default();
        look.push((folder.clone(), None));
        look.extend(files.into_iter().map(|folder| {
            let file = folder.join(FILE_NAME);
            let about = std::fs::metadata(&file).ok();
            let seen = about.and_then(|about| Some((about.len(), about.modified().ok()?)));
            (file, seen)
        }));
    }
    look
}

fn read_folder(folder: &Path) -> Vec<Result<Found, CatalogError>> {
    let read = |path: &PathBuf| read_entry(folder, path);
    match folders_in(folder) {
        Ok(folders) => folders.iter().map(read).collect(),
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

/// All that is wrong with the text of one entry, which is called `file`; with `shipped` by the rules for those that are part of the program.
/// Nothing is read, and the name of a folder is not known.
#[must_use]
pub fn lint_text(file: &str, text: &str, shipped: bool) -> Vec<EntryProblem> {
    let origin = match shipped {
        true => Origin::Shipped,
        false => Origin::Extra,
    };
    if let Some(reason) = unfit(text) {
        return vec![EntryProblem::of_file(file, Code::Unreadable, &reason)];
    }
    match checked(file, text, origin) {
        Ok(_) => Vec::new(),
        Err(problems) => problems,
    }
}

/// The entry, or all that is wrong with its text.
fn checked(file: &str, text: &str, origin: Origin) -> Result<CatalogEntry, Vec<EntryProblem>> {
    let problems = lint::lint(file, text, origin);
    if !problems.is_empty() {
        return Err(problems);
    }
    // The loader has the last word.
    parse::entry(file, text, origin).map_err(|error| {
        let problem = EntryProblem::of_file(file, Code::BadValue, &error.to_string());
        vec![problem]
    })
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
    let entry = match checked(&file, &text, Origin::Extra) {
        Ok(entry) => entry,
        Err(problems) => return linted.problems.extend(problems),
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

/// The entry in a folder `path` of `place`.
fn read_entry(place: &Path, path: &Path) -> Result<Found, CatalogError> {
    let file = path.join(FILE_NAME);
    let about = std::fs::metadata(&file).map_err(|error| unreadable(&file, &error.to_string()))?;
    // To open a pipe would wait for a writer, and with it every other look at the catalog.
    if !about.is_file() {
        return Err(unreadable(&file, "it is no file"));
    }
    let text = read_bounded(&file).map_err(|reason| unreadable(&file, &reason))?;
    let origin = EntryOrigin::Folder(place.to_owned());
    let found = found_in(&file.display().to_string(), &text, origin)?;
    let folder = path.file_name().unwrap_or_default();
    in_its_folder(found, &folder.to_string_lossy())
}

fn read_bounded(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| error.to_string())?;
    match unfit(&text) {
        Some(reason) => Err(reason),
        None => Ok(text),
    }
}

/// Why a text is none of an entry, whatever it says.
fn unfit(text: &str) -> Option<String> {
    if text.len() as u64 > MAX_FILE_BYTES {
        return Some(format!("it is larger than {MAX_FILE_BYTES} bytes"));
    }
    // An app keeps the text of its entry, and databases take every text but one with a NUL.
    text.contains('\0')
        .then(|| "it is no text: it has a NUL".to_owned())
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
