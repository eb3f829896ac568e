//! Repositories with entries of the catalog, what was taken of them, and the texts that apps are made from.

use std::collections::BTreeMap;

use proximity_domain::entries::MOST_ENTRY_SOURCES;
use proximity_domain::ids::SourceId;
use proximity_domain::names::{BranchName, CommitId, RepositoryPath, SourceName};
use proximity_domain::source::RepositoryUrl;
use proximity_domain::time::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::error::StoreError;
use crate::journal::{Act, add_audit};
use crate::records::Actor;
use crate::row::{Columns, each};
use crate::seal::{Place, Sealer};
use crate::sources::no_source;
use crate::sql::{Row, Tx, query};
use crate::store::{Reader, Store};

/// A repository with entries that is to be recorded.
#[derive(Debug, Clone)]
pub struct NewEntrySource {
    /// Row id, drawn by the caller.
    pub id: SourceId,
    /// Its name.
    pub name: SourceName,
    /// The repository.
    pub url: RepositoryUrl,
    /// The branch that is asked for something newer.
    pub branch: BranchName,
    /// The folder with the entries; `None` = the whole repository.
    pub path: Option<RepositoryPath>,
    /// Who may sign commits, as OpenSSH lists allowed signers; `None` = commits need no signature.
    pub signers: Option<String>,
    /// What it is read with, in the engine's form; `None` = it is open to everybody. Sealed at rest.
    pub credential: Option<SecretString>,
}

/// A repository with entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntrySourceRecord {
    /// Row id.
    pub id: SourceId,
    /// Its name.
    pub name: SourceName,
    /// The repository.
    pub url: RepositoryUrl,
    /// The branch that is asked for something newer.
    pub branch: BranchName,
    /// The folder with the entries; `None` = the whole repository.
    pub path: Option<RepositoryPath>,
    /// Who may sign commits; `None` = commits need no signature.
    pub signers: Option<String>,
    /// It is read with a key or a token.
    pub has_credential: bool,
    /// When it was added.
    pub made_at: Timestamp,
    /// By whom.
    pub made_by: String,
    /// What is used of it; `None` = nothing yet.
    pub taken: Option<Taken>,
}

/// The commit that a person took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The commit.
    pub commit: CommitId,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
}

/// The file of an entry, as it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenFile {
    /// From the root of the repository.
    pub path: String,
    /// What it says.
    pub revision: EntryRevision,
}

/// What an entry says: its text, and the SHA-256 of that in hexadecimal digits, which stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRevision {
    /// Stands for the text.
    pub hash: String,
    /// The text.
    pub text: String,
}

/// By which names what people do to such sources is audited.
pub(crate) const ADDED: &str = "entry_source.add";
pub(crate) const REMOVED: &str = "entry_source.remove";
pub(crate) const TAKEN: &str = "entry_source.take";

const CREDENTIAL: &str = "credential_sealed";

impl Store {
    /// Records a repository with entries. Nothing of it is used before something is taken.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if there is one of this name; [`StoreError::IllegalTransition`] if there are as many as may be.
    pub async fn add_entry_source(
        &self,
        new: &NewEntrySource,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<EntrySourceRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.add_entry_source(new, actor, now));
        }
        let sealer = &self.shared.sealer;
        self.write(async |tx| {
            let rows = query("SELECT * FROM entry_sources ORDER BY name")
                .fetch_all(&mut *tx)
                .await?;
            may_add(&each(&rows, source)?, new)?;
            let record = recorded(new, actor, now);
            insert(tx, sealer, &record, new.credential.as_ref()).await?;
            let act = Act::request(ADDED, new.name.as_str(), details(&record));
            add_audit(tx, actor, act, now).await?;
            Ok(record)
        })
        .await
    }

    /// Forgets a repository with entries, and what was taken of it. Texts that apps were made from stay.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn remove_entry_source(
        &self,
        name: &SourceName,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.remove_entry_source(name, actor, now));
        }
        self.write(async |tx| {
            let record = by_name(tx, name).await?;
            forget_files(tx, &record).await?;
            query("DELETE FROM entry_sources WHERE name = $1")
                .bind(name.as_str())
                .execute(&mut *tx)
                .await?;
            let act = Act::request(REMOVED, name.as_str(), json!({}));
            add_audit(tx, actor, act, now).await
        })
        .await
    }

    /// Takes what a commit says in place of what was taken before. `seen` is the record that this was decided from.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the source is not there any more; [`StoreError::IllegalTransition`] if something else was taken meanwhile.
    pub async fn take_entries(
        &self,
        seen: &EntrySourceRecord,
        commit: &CommitId,
        files: &[TakenFile],
        actor: &Actor,
        now: Timestamp,
    ) -> Result<EntrySourceRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.take_entries(seen, commit, files, actor, now));
        }
        self.write(async |tx| {
            let before = by_name(tx, &seen.name).await?;
            let after = taken(&before, seen, commit, actor, now)?;
            forget_files(tx, &before).await?;
            for file in files {
                keep(tx, &file.revision, now).await?;
                query("INSERT INTO entry_source_files (source_id, path, hash) VALUES ($1, $2, $3)")
                    .bind(before.id.to_string())
                    .bind(&file.path)
                    .bind(&file.revision.hash)
                    .execute(&mut *tx)
                    .await?;
            }
            query("UPDATE entry_sources SET commit_id = $2, taken_at = $3, taken_by = $4 WHERE id = $1")
                .bind(before.id.to_string())
                .bind(commit.as_str())
                .bind(now.0)
                .bind(&actor.account)
                .execute(&mut *tx)
                .await?;
            let act = Act::request(TAKEN, seen.name.as_str(), told(&before, commit, files));
            add_audit(tx, actor, act, now).await?;
            Ok(after)
        })
        .await
    }

    /// Keeps what an entry says, so that an app can be moved to it.
    ///
    /// # Errors
    /// The database's.
    pub async fn keep_entry_revision(
        &self,
        revision: &EntryRevision,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| {
                state.keep_entry_revision(revision);
                Ok(())
            });
        }
        self.write(async |tx| keep(tx, revision, now).await).await
    }
}

impl Reader {
    /// All repositories with entries by name, without their secrets.
    ///
    /// # Errors
    /// The database's.
    pub async fn entry_sources(&self) -> Result<Vec<EntrySourceRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.all_entry_sources()));
        }
        let rows = query("SELECT * FROM entry_sources ORDER BY name LIMIT 1000")
            .fetch_all(self.named("entry_sources"))
            .await?;
        let mut sources = each(&rows, source)?;
        // What a database takes for the order of texts is its own.
        sources.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(sources)
    }

    /// The repository with entries of this name.
    ///
    /// # Errors
    /// The database's.
    pub async fn entry_source(
        &self,
        name: &SourceName,
    ) -> Result<Option<EntrySourceRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.entry_source(name)));
        }
        let row = query("SELECT * FROM entry_sources WHERE name = $1")
            .bind(name.as_str())
            .fetch_optional(self.named("entry_source"))
            .await?;
        row.as_ref().map(source).transpose()
    }

    /// What a repository with entries is read with; none if it is open to everybody.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Damaged`] if it does not open.
    pub async fn entry_source_credential(
        &self,
        name: &SourceName,
    ) -> Result<Option<SecretString>, StoreError> {
        if let Some(model) = self.model() {
            return model.read(|state| state.entry_source_credential(name));
        }
        let row = query("SELECT id, credential_sealed FROM entry_sources WHERE name = $1")
            .bind(name.as_str())
            .fetch_optional(self.named("entry_source_credential"))
            .await?;
        let row = row.ok_or_else(|| no_source(name))?;
        let (id, sealed) = (row.text("id")?, row.text_opt(CREDENTIAL)?);
        let sealer = &self.shared.sealer;
        sealed
            .map(|sealed| sealer.unseal(place(&id), &sealed))
            .transpose()
    }

    /// The files that were taken of a repository with entries, by path.
    ///
    /// # Errors
    /// The database's.
    pub async fn entry_source_files(&self, id: SourceId) -> Result<Vec<TakenFile>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.entry_source_files(id)));
        }
        let rows = query(
            "SELECT f.path, f.hash, r.content FROM entry_source_files f \
             JOIN entry_revisions r ON r.hash = f.hash WHERE f.source_id = $1",
        )
        .bind(id.to_string())
        .fetch_all(self.named("entry_source_files"))
        .await?;
        let mut files = each(&rows, file)?;
        // What a database takes for the order of texts is its own.
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// The text that this hash stands for, if it was kept.
    ///
    /// # Errors
    /// The database's.
    pub async fn entry_revision(&self, hash: &str) -> Result<Option<EntryRevision>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.entry_revision(hash)));
        }
        let row = query("SELECT hash, content FROM entry_revisions WHERE hash = $1")
            .bind(hash)
            .fetch_optional(self.named("entry_revision"))
            .await?;
        row.as_ref().map(revision).transpose()
    }
}

/// Keeps a text, unless it is kept already.
pub(crate) async fn keep(
    tx: &mut Tx,
    revision: &EntryRevision,
    now: Timestamp,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO entry_revisions (hash, content, kept_at) VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING",
    )
    .bind(&revision.hash)
    .bind(&revision.text)
    .bind(now.0)
    .execute(tx)
    .await?;
    Ok(())
}

async fn forget_files(tx: &mut Tx, record: &EntrySourceRecord) -> Result<(), StoreError> {
    query("DELETE FROM entry_source_files WHERE source_id = $1")
        .bind(record.id.to_string())
        .execute(tx)
        .await?;
    Ok(())
}

async fn by_name(tx: &mut Tx, name: &SourceName) -> Result<EntrySourceRecord, StoreError> {
    let row = query("SELECT * FROM entry_sources WHERE name = $1").bind(name.as_str());
    let row = row.fetch_optional(tx).await?;
    source(&row.ok_or_else(|| no_source(name))?)
}

async fn insert(
    tx: &mut Tx,
    sealer: &Sealer,
    record: &EntrySourceRecord,
    credential: Option<&SecretString>,
) -> Result<(), StoreError> {
    let id = record.id.to_string();
    let credential = credential
        .map(|secret| sealer.seal(place(&id), secret.expose_secret()))
        .transpose()?;
    query(
        "INSERT INTO entry_sources (id, name, url, branch, path, signers, credential_sealed, made_at, made_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&id)
    .bind(record.name.as_str())
    .bind(record.url.as_str())
    .bind(record.branch.as_str())
    .bind(record.path.as_ref().map(|path| path.as_str().to_owned()))
    .bind(record.signers.clone())
    .bind(credential)
    .bind(record.made_at.0)
    .bind(&record.made_by)
    .execute(tx)
    .await?;
    Ok(())
}

fn place(id: &str) -> Place<'_> {
    Place {
        table: "entry_sources",
        id,
        column: CREDENTIAL,
    }
}

fn source(row: &Row) -> Result<EntrySourceRecord, StoreError> {
    let commit: Option<CommitId> = row.parsed_opt("commit_id")?;
    let taken = match commit {
        Some(commit) => Some(Taken {
            commit,
            at: row.moment("taken_at")?,
            by: row.text("taken_by")?,
        }),
        None => None,
    };
    Ok(EntrySourceRecord {
        id: row.parsed("id")?,
        name: row.parsed("name")?,
        url: row.parsed("url")?,
        branch: row.parsed("branch")?,
        path: row.parsed_opt("path")?,
        signers: row.text_opt("signers")?,
        has_credential: row.text_opt(CREDENTIAL)?.is_some(),
        made_at: row.moment("made_at")?,
        made_by: row.text("made_by")?,
        taken,
    })
}

fn file(row: &Row) -> Result<TakenFile, StoreError> {
    Ok(TakenFile {
        path: row.text("path")?,
        revision: revision(row)?,
    })
}

fn revision(row: &Row) -> Result<EntryRevision, StoreError> {
    Ok(EntryRevision {
        hash: row.text("hash")?,
        text: row.text("content")?,
    })
}

/// Whether a repository may come beside these.
pub(crate) fn may_add(there: &[EntrySourceRecord], new: &NewEntrySource) -> Result<(), StoreError> {
    if there.iter().any(|one| one.name == new.name) {
        let id = new.name.to_string();
        return Err(StoreError::Exists { what: "source", id });
    }
    if there.len() >= MOST_ENTRY_SOURCES {
        let what = format!("there are {MOST_ENTRY_SOURCES} sources already, and no more may be");
        return Err(StoreError::IllegalTransition { what });
    }
    Ok(())
}

/// What is recorded of a new one.
pub(crate) fn recorded(new: &NewEntrySource, actor: &Actor, now: Timestamp) -> EntrySourceRecord {
    EntrySourceRecord {
        id: new.id,
        name: new.name.clone(),
        url: new.url.clone(),
        branch: new.branch.clone(),
        path: new.path.clone(),
        signers: new.signers.clone(),
        has_credential: new.credential.is_some(),
        made_at: now,
        made_by: actor.account.clone(),
        taken: None,
    }
}

/// The record once a commit is taken.
pub(crate) fn taken(
    before: &EntrySourceRecord,
    seen: &EntrySourceRecord,
    commit: &CommitId,
    actor: &Actor,
    now: Timestamp,
) -> Result<EntrySourceRecord, StoreError> {
    // A name is given anew: what was looked at is known by its id.
    if before.id != seen.id {
        return Err(no_source(&seen.name));
    }
    if before.taken != seen.taken {
        let what = format!(
            "something else of the source {} was taken since it was looked at",
            seen.name
        );
        return Err(StoreError::IllegalTransition { what });
    }
    Ok(EntrySourceRecord {
        taken: Some(Taken {
            commit: commit.clone(),
            at: now,
            by: actor.account.clone(),
        }),
        ..before.clone()
    })
}

/// What the audit says of one.
pub(crate) fn details(record: &EntrySourceRecord) -> Value {
    json!({
        "url": record.url,
        "branch": record.branch,
        "path": record.path,
        "signed": record.signers.is_some(),
    })
}

/// What the audit says of what was taken: which text each file has.
pub(crate) fn told(before: &EntrySourceRecord, commit: &CommitId, files: &[TakenFile]) -> Value {
    let was = before.taken.as_ref().map(|taken| &taken.commit);
    let files: BTreeMap<&str, &str> = files
        .iter()
        .map(|file| (file.path.as_str(), file.revision.hash.as_str()))
        .collect();
    json!({ "from": was, "commit": commit, "files": files })
}
