//! `/api/catalog-sources`: repositories with entries of the catalog. What they have is shown as what differs, and used once a person took it.

use std::collections::BTreeMap;

use proximity_domain::entries::{EntryChange, changes};
use proximity_domain::ids::SourceId;
use proximity_domain::names::{BranchName, CommitId, RepositoryPath, SourceName};
use proximity_domain::source::RepositoryUrl;
use proximity_store::entry_sources::{EntrySourceRecord, NewEntrySource, TakenFile};
use proximity_store::error::StoreError;
use proximity_store::records::Actor;
use serde_json::Value;

use super::sources::{SourceCredential, check_text, check_way, parsed, sealable};
use crate::catalog::{CatalogProblem, tree};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::sources::Fetched;

/// A request for a repository with entries.
#[derive(Debug, Clone)]
pub struct AddEntrySource {
    /// Its name.
    pub name: String,
    /// The repository.
    pub url: String,
    /// The branch; `main` when absent.
    pub branch: Option<String>,
    /// The folder with the entries; the root of the repository when absent.
    pub path: Option<String>,
    /// Who may sign commits, as OpenSSH lists allowed signers; commits need no signature when absent.
    pub signers: Option<String>,
    /// What the repository is read with; it is open to everybody when absent.
    pub credential: Option<SourceCredential>,
}

/// What taking the newest commit of a repository would change in the catalog. Nothing is changed by looking.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryUpdate {
    /// The source, with what was taken of it before.
    pub source: EntrySourceRecord,
    /// The commit.
    pub commit: CommitId,
    /// Entries that differ, by path.
    pub entries: Vec<EntryDifference>,
    /// How many are the same.
    pub same: usize,
    /// What would be left out of the catalog then and is not now, and why.
    pub problems: Vec<CatalogProblem>,
}

/// What becomes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryFate {
    /// It is there for the first time.
    New,
    /// It says something else.
    Changed,
    /// It is not there any more.
    Gone,
}

impl EntryFate {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::New, Self::Changed, Self::Gone];

    /// Stable text.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Gone => "gone",
        }
    }
}

/// An entry that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryDifference {
    /// Its file, from the root of the repository.
    pub path: String,
    /// What becomes of it.
    pub fate: EntryFate,
    /// Its version before; `None` = none, or none that can be read.
    pub version_before: Option<String>,
    /// Its version from then on; the same.
    pub version: Option<String>,
    /// Fields of one that is changed.
    pub changes: Vec<EntryChange>,
    /// Fields that differ beyond those.
    pub left_out: usize,
}

impl Engine {
    /// Records a repository with entries. Nothing of it is read or used yet.
    ///
    /// # Errors
    /// A value that breaks its rule; a name that is taken.
    pub async fn add_entry_source(
        &self,
        actor: &Actor,
        request: AddEntrySource,
    ) -> Result<EntrySourceRecord, EngineError> {
        let parts = &self.inner.parts;
        let id = SourceId(parts.ids.uuid());
        let new = checked(request, id, parts.limits.sources.allow_files)?;
        let now = self.now();
        Ok(self.store().add_entry_source(&new, actor, now).await?)
    }

    /// Forgets a repository with entries; its entries leave the catalog. Apps that were made from one go on with what it said.
    ///
    /// # Errors
    /// There is none of this name.
    pub async fn remove_entry_source(
        &self,
        actor: &Actor,
        name: &SourceName,
    ) -> Result<(), EngineError> {
        let now = self.now();
        self.store().remove_entry_source(name, actor, now).await?;
        self.reload_catalog().await?;
        Ok(())
    }

    /// Reads the newest commit of a repository, and says what taking it would change. Nothing is kept.
    ///
    /// # Errors
    /// There is none of this name; the repository cannot be read, or has no entries; its commit is not signed as it has to be.
    pub async fn entry_update(&self, name: &SourceName) -> Result<EntryUpdate, EngineError> {
        let source = self.entry_source(name).await?;
        let fetched = Box::pin(self.fetch_entries(&source)).await?;
        self.update_of(source, &fetched).await
    }

    /// Takes a commit of a repository: its entries are those of the catalog from now on. It has to be the newest one still, so that nothing
    /// is taken that was not shown.
    ///
    /// # Errors
    /// Those of [`Engine::entry_update`]; the branch has another commit by now; something else was taken meanwhile.
    pub async fn take_entries(
        &self,
        actor: &Actor,
        name: &SourceName,
        commit: &CommitId,
    ) -> Result<EntryUpdate, EngineError> {
        let source = self.entry_source(name).await?;
        let fetched = Box::pin(self.fetch_entries(&source)).await?;
        if fetched.commit != *commit {
            let what = format!(
                "the branch {} of the source {name} is at commit {} by now, and not at {commit}",
                source.branch, fetched.commit
            );
            return Err(StoreError::IllegalTransition { what }.into());
        }
        let mut update = self.update_of(source, &fetched).await?;
        let (store, now) = (self.store(), self.now());
        let taken = store
            .take_entries(&update.source, commit, &fetched.files, actor, now)
            .await?;
        update.source = taken;
        self.reload_catalog().await?;
        Ok(update)
    }

    async fn entry_source(&self, name: &SourceName) -> Result<EntrySourceRecord, EngineError> {
        let source = self.store().entry_source(name).await?;
        source.ok_or_else(|| EngineError::NotFound {
            what: "source",
            name: name.to_string(),
        })
    }

    async fn update_of(
        &self,
        source: EntrySourceRecord,
        fetched: &Fetched,
    ) -> Result<EntryUpdate, EngineError> {
        let before = self.store().entry_source_files(source.id).await?;
        let would_be = self.catalog_with(&source, fetched).await?;
        let now = self.catalog();
        let mut problems = fetched.problems.clone();
        let later = would_be.problems().iter();
        problems.extend(later.filter(|one| !now.problems().contains(one)).cloned());
        let (entries, same) = differences(&before, &fetched.files);
        Ok(EntryUpdate {
            commit: fetched.commit.clone(),
            source,
            entries,
            same,
            problems,
        })
    }
}

/// What differs between the files of two commits, and how many are the same.
fn differences(before: &[TakenFile], after: &[TakenFile]) -> (Vec<EntryDifference>, usize) {
    let mut by_path: BTreeMap<&str, (Option<&TakenFile>, Option<&TakenFile>)> = BTreeMap::new();
    for file in before {
        by_path.entry(&file.path).or_default().0 = Some(file);
    }
    for file in after {
        by_path.entry(&file.path).or_default().1 = Some(file);
    }
    let all = by_path.len();
    let differ: Vec<EntryDifference> = by_path
        .into_iter()
        .filter_map(|(path, (before, after))| difference(path, before, after))
        .collect();
    let same = all - differ.len();
    (differ, same)
}

fn difference(
    path: &str,
    before: Option<&TakenFile>,
    after: Option<&TakenFile>,
) -> Option<EntryDifference> {
    if before.map(|file| &file.revision.hash) == after.map(|file| &file.revision.hash) {
        return None;
    }
    let text = |file: Option<&TakenFile>| file.and_then(|file| tree(&file.revision.text));
    let (was, is) = (text(before), text(after));
    let fate = match (before, after) {
        (None, _) => EntryFate::New,
        (Some(_), None) => EntryFate::Gone,
        (Some(_), Some(_)) => EntryFate::Changed,
    };
    let (changes, left_out) = match (fate, &was, &is) {
        (EntryFate::Changed, Some(was), Some(is)) => changes(was, is),
        _ => (Vec::new(), 0),
    };
    Some(EntryDifference {
        path: path.to_owned(),
        fate,
        version_before: version(was.as_ref()),
        version: version(is.as_ref()),
        changes,
        left_out,
    })
}

fn version(entry: Option<&Value>) -> Option<String> {
    let version = entry?.get("version")?;
    Some(match version.as_str() {
        Some(text) => text.to_owned(),
        None => version.to_string(),
    })
}

fn checked(
    request: AddEntrySource,
    id: SourceId,
    allows_files: bool,
) -> Result<NewEntrySource, EngineError> {
    let name: SourceName = parsed("name", &request.name)?;
    let url: RepositoryUrl = parsed("url", &request.url)?;
    let branch = request.branch.as_deref().unwrap_or("main");
    let branch: BranchName = parsed("branch", branch)?;
    let path = request.path.as_deref().map(|path| parsed("path", path));
    let path: Option<RepositoryPath> = path.transpose()?;
    if let Some(signers) = &request.signers {
        check_text("signers", signers)?;
    }
    let credential = request.credential.as_ref();
    check_way(url.scheme(), credential, allows_files)?;
    Ok(NewEntrySource {
        id,
        name,
        url,
        branch,
        path,
        signers: request.signers,
        credential: request.credential.as_ref().map(sealable).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::revision_of;

    fn file(path: &str, text: &str) -> TakenFile {
        TakenFile {
            path: path.to_owned(),
            revision: revision_of(text),
        }
    }

    #[test]
    fn what_differs_is_told_by_entry_and_field() {
        let before = [
            file("a/app.yaml", "version: '1'\nport: 80\n"),
            file("b/app.yaml", "version: '1'\n"),
            file("c/app.yaml", "version: '7'\n"),
        ];
        let after = [
            file("a/app.yaml", "version: '2'\nport: 80\n"),
            file("b/app.yaml", "version: '1'\n"),
            file("d/app.yaml", "version: 3\n"),
        ];
        let (told, same) = differences(&before, &after);
        assert_eq!(same, 1);
        let short: Vec<(&str, &str, Option<&str>, Option<&str>)> = told
            .iter()
            .map(|one| {
                let (was, is) = (one.version_before.as_deref(), one.version.as_deref());
                (one.path.as_str(), one.fate.label(), was, is)
            })
            .collect();
        let expected = [
            ("a/app.yaml", "changed", Some("1"), Some("2")),
            ("c/app.yaml", "gone", Some("7"), None),
            ("d/app.yaml", "new", None, Some("3")),
        ];
        assert_eq!(short, expected);
        assert_eq!(told[0].changes.len(), 1);
        assert_eq!(told[0].changes[0].path, "version");
    }

    #[test]
    fn a_file_that_is_no_yaml_differs_without_fields() {
        let (told, _) = differences(
            &[file("a/app.yaml", "version: 1\n")],
            &[file("a/app.yaml", "{\n")],
        );
        assert_eq!(told[0].fate, EntryFate::Changed);
        assert_eq!((told[0].changes.len(), &told[0].version), (0, &None));
    }
}
