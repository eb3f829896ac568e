//! Entries of the catalog in repositories: read when a person asks, and used once a person took them.

use proximity_domain::names::CommitId;
use proximity_store::entry_sources::{EntrySourceRecord, TakenFile};

use super::checkout::{AGAIN, Checkout};
use super::trouble::Halt;
use crate::catalog::{CatalogProblem, place_in, revision_of};
use crate::engine::Engine;
use crate::error::EngineError;

/// What a repository has now.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The newest commit of its branch.
    pub(crate) commit: CommitId,
    /// The files of its entries, right or not.
    pub(crate) files: Vec<TakenFile>,
    /// Files that are not even read as text.
    pub(crate) problems: Vec<CatalogProblem>,
}

impl Engine {
    /// What a repository with entries has now. Nothing is kept.
    ///
    /// # Errors
    /// The repository cannot be read, has no entry, or too many; its commit is not signed as it has to be.
    pub(crate) async fn fetch_entries(
        &self,
        source: &EntrySourceRecord,
    ) -> Result<Fetched, EngineError> {
        let checkout = Checkout::open_entries(self, source).await;
        let checkout = checkout.map_err(asked_once)?;
        let fetched = checkout.entries().await.map_err(asked_once)?;
        drop(checkout);
        let (commit, mut files) = (fetched.commit, Vec::new());
        let place = |path: &str| place_in(&source.name, &commit, path);
        let passed_over = fetched.passed_over.iter();
        let mut problems: Vec<CatalogProblem> = passed_over
            .map(|(path, why)| CatalogProblem {
                place: place(path),
                message: why.clone(),
            })
            .collect();
        for (path, bytes) in fetched.files {
            match String::from_utf8(bytes) {
                // Databases take every text but one with a NUL.
                Ok(text) if !text.contains('\0') => files.push(TakenFile {
                    path,
                    revision: revision_of(&text),
                }),
                Ok(_) | Err(_) => problems.push(CatalogProblem {
                    place: place(&path),
                    message: "it is no text in UTF-8".to_owned(),
                }),
            }
        }
        Ok(Fetched {
            commit,
            files,
            problems,
        })
    }
}

/// Nobody looks again by himself at what a person asks for.
fn asked_once(halt: Halt) -> Halt {
    match halt {
        Halt::Trouble(mut trouble) => {
            if let Some(hint) = trouble.why.hint.strip_suffix(AGAIN) {
                trouble.why.hint = hint.to_owned();
            }
            Halt::Trouble(trouble)
        }
        Halt::Store(_) => halt,
    }
}
