//! What the catalog offers, where each entry of it comes from, and what was left out. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use proximity_domain::entries::{Described, rank};
use proximity_domain::names::{CatalogId, CommitId, SourceName};
use proximity_store::entry_sources::{EntryRevision, TakenFile};
use sha2::{Digest, Sha256};

use super::embed::VERIFIED;
use super::entry::CatalogEntry;

/// Digits of a commit that people read.
const DIGITS: usize = 12;

/// An entry, with where it comes from.
#[derive(Debug, Clone)]
pub struct Offered {
    /// The entry.
    pub entry: Arc<CatalogEntry>,
    /// Where it comes from.
    pub origin: EntryOrigin,
    /// What its file says, which an app that is made from it keeps.
    pub revision: EntryRevision,
}

impl Offered {
    /// It is part of the program, and was seen to work in a real container.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.origin == EntryOrigin::Shipped && VERIFIED.contains(&self.entry.id.as_str())
    }

    /// How well it fits what is looked for; `None`: not at all.
    #[must_use]
    pub fn rank(&self, search: &str) -> Option<u32> {
        let entry = &self.entry;
        let described = Described {
            id: entry.id.as_str(),
            name: &entry.name,
            summary: &entry.summary,
            description: &entry.description,
            category: &entry.category,
            tags: &entry.tags,
        };
        rank(search, described)
    }
}

/// What a text says, with what stands for it.
#[must_use]
pub fn revision_of(text: &str) -> EntryRevision {
    EntryRevision {
        hash: hex::encode(Sha256::digest(text.as_bytes())),
        text: text.to_owned(),
    }
}

/// Where an entry comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryOrigin {
    /// It is part of the program.
    Shipped,
    /// A folder that the configuration names.
    Folder(PathBuf),
    /// A commit of a repository that a person took.
    Source {
        /// The source.
        name: SourceName,
        /// The commit.
        commit: CommitId,
    },
}

impl EntryOrigin {
    /// `shipped`, `folder:PATH` or `source:NAME`.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Shipped => "shipped".to_owned(),
            Self::Folder(folder) => format!("folder:{}", folder.display()),
            Self::Source { name, .. } => format!("source:{name}"),
        }
    }
}

/// As people read where a file of a repository is.
pub(crate) fn place_in(name: &SourceName, commit: &CommitId, path: &str) -> String {
    let commit = commit.as_str();
    let commit = commit.get(..DIGITS).unwrap_or(commit);
    format!("{name}@{commit}:{path}")
}

/// Something that is not in the catalog, and why. What else there is is used all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogProblem {
    /// The file or folder.
    pub place: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for CatalogProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Where a catalog is read from, beside the entries that are part of the program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogPlaces {
    /// Folders of the operator; each entry is `FOLDER/ID/app.yaml`.
    pub folders: Vec<PathBuf>,
    /// Shipped entries that are left out, so that another one may have the id.
    pub leave_out: Vec<CatalogId>,
}

/// What a person took of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenEntries {
    /// The source.
    pub source: SourceName,
    /// The commit.
    pub commit: CommitId,
    /// Its files.
    pub files: Vec<TakenFile>,
}

/// How many entries there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogStats {
    /// Of all of them.
    pub entries: usize,
    /// Of each category.
    pub categories: BTreeMap<String, usize>,
    /// From each place, by [`EntryOrigin::label`].
    pub origins: BTreeMap<String, usize>,
    /// Of those that were seen to work.
    pub verified: usize,
    /// Of what was left out.
    pub problems: usize,
}
