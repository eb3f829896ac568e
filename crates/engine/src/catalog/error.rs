//! What can be wrong with a catalog, and with the settings a user gives.

use std::collections::BTreeMap;
use std::fmt;

use proximity_domain::names::CatalogId;

use super::offered::CatalogProblem;

/// Something wrong with one file or folder of a catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The file says something that is not allowed. The text names file, line and column, and shows
    /// the place.
    #[error("{text}")]
    Invalid {
        /// The file.
        file: String,
        /// Line, from 1, of the first problem, if it has a place.
        line: Option<u64>,
        /// Column, from 1.
        column: Option<u64>,
        /// All problems, for people.
        text: String,
    },
    /// The file is of a newer format.
    #[error("{file} has format {found}, this version knows up to {supported}")]
    Newer {
        /// The file.
        file: String,
        /// The format it says it has.
        found: u64,
        /// The newest format this version reads.
        supported: u64,
    },
    /// The id is not the name of the entry's folder.
    #[error("{file}: the id is {id}, but the folder is called {folder}")]
    WrongFolder {
        /// The file.
        file: String,
        /// The entry's id.
        id: CatalogId,
        /// The folder's name.
        folder: String,
    },
    /// Two entries have the same id.
    #[error("{file}: there is another {id} in {other}")]
    Twice {
        /// The file that came second.
        file: String,
        /// The id.
        id: CatalogId,
        /// The file that came first.
        other: String,
    },
    /// An entry has the id of a shipped one, which nothing takes the place of unless the configuration leaves that out.
    #[error(
        "{file}: {id} is an entry of the program ({other}), and nothing takes its place unless catalog_leave_out names it"
    )]
    Shadows {
        /// The file.
        file: String,
        /// The id.
        id: CatalogId,
        /// The shipped file.
        other: String,
    },
    /// The configuration leaves out a shipped entry that there is not.
    #[error("catalog_leave_out: the program has no entry {id}")]
    NotShipped {
        /// The id.
        id: CatalogId,
    },
    /// A file or folder could not be read.
    #[error("cannot read {file}: {reason}")]
    Unreadable {
        /// The file or folder.
        file: String,
        /// Why.
        reason: String,
    },
}

impl CatalogError {
    /// As what was left out is told.
    pub(super) fn as_problem(&self) -> CatalogProblem {
        let place = match self {
            Self::Invalid { file, .. }
            | Self::Newer { file, .. }
            | Self::WrongFolder { file, .. }
            | Self::Twice { file, .. }
            | Self::Shadows { file, .. }
            | Self::Unreadable { file, .. } => file.as_str(),
            Self::NotShipped { .. } => "catalog_leave_out",
        };
        let message = match self {
            Self::Unreadable { reason, .. } => format!("it cannot be read: {reason}"),
            other => other.to_string(),
        };
        let message = message
            .strip_prefix(&format!("{place}: "))
            .unwrap_or(&message);
        CatalogProblem {
            place: place.to_owned(),
            message: message.to_owned(),
        }
    }
}

/// Everything that is wrong with a catalog of which all has to be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogErrors(pub Vec<CatalogError>);

impl fmt::Display for CatalogErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            let gap = if n == 0 { "" } else { "\n" };
            write!(f, "{gap}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CatalogErrors {}

/// What is wrong with the settings of a request: setting → reason. Never holds a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingErrors(BTreeMap<String, String>);

impl SettingErrors {
    pub(super) fn one(setting: &str, reason: String) -> Self {
        Self(BTreeMap::from([(setting.to_owned(), reason)]))
    }

    pub(super) fn add(&mut self, setting: &str, reason: String) {
        self.0.insert(setting.to_owned(), reason);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Setting → reason.
    #[must_use]
    pub fn fields(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl fmt::Display for SettingErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (setting, reason)) in self.0.iter().enumerate() {
            let gap = if n == 0 { "" } else { "; " };
            write!(f, "{gap}{setting} {reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingErrors {}
