//! Sources of documents: branches of repositories, what is done with what they say, and what is known of them.

use proximity_domain::event::EventKind;
use proximity_domain::ids::SourceId;
use proximity_domain::names::{BranchName, RepositoryPath, SourceName};
use proximity_domain::source::{
    MOST_SOURCES, RepositoryUrl, Sight, SourcePolicy, SourceState, Told, told as told_of,
};
use proximity_domain::time::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::{Act, add_audit, add_event};
use crate::records::Actor;
use crate::row::each;
use crate::source_rows::{by_id, by_name, insert, opened, source, write_sight};
use crate::sql::query;
use crate::store::{Reader, Store};

/// A source that is to be recorded.
#[derive(Debug, Clone)]
pub struct NewSource {
    /// Row id, drawn by the caller.
    pub id: SourceId,
    /// Its name.
    pub name: SourceName,
    /// The repository.
    pub url: RepositoryUrl,
    /// The branch that counts.
    pub branch: BranchName,
    /// The folder or file with the documents; `None` = the whole repository.
    pub path: Option<RepositoryPath>,
    /// Seconds from one look to the next.
    pub every_s: u32,
    /// What is done with what differs.
    pub policy: SourcePolicy,
    /// Apps that no document names are removed.
    pub prune: bool,
    /// Who may sign commits, as OpenSSH lists allowed signers; `None` = commits need no signature.
    pub signers: Option<String>,
    /// The account whose apps it is about; `None` = all.
    pub owner: Option<String>,
    /// What nudges are signed with, and what the repository is read with.
    pub secrets: SourceSecrets,
}

/// Secrets of a source. Sealed at rest.
#[derive(Debug, Clone)]
pub struct SourceSecrets {
    /// What nudges are signed with.
    pub hook: SecretString,
    /// What the repository is read with, in the engine's form; `None` = it is open to everybody.
    pub credential: Option<SecretString>,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRecord {
    /// Row id.
    pub id: SourceId,
    /// Its name.
    pub name: SourceName,
    /// The repository.
    pub url: RepositoryUrl,
    /// The branch that counts.
    pub branch: BranchName,
    /// The folder or file with the documents; `None` = the whole repository.
    pub path: Option<RepositoryPath>,
    /// Seconds from one look to the next.
    pub every_s: u32,
    /// What is done with what differs.
    pub policy: SourcePolicy,
    /// Apps that no document names are removed.
    pub prune: bool,
    /// Who may sign commits; `None` = commits need no signature.
    pub signers: Option<String>,
    /// The account whose apps it is about; `None` = all.
    pub owner: Option<String>,
    /// It is read with a key or a token.
    pub has_credential: bool,
    /// When it was added.
    pub made_at: Timestamp,
    /// By whom: the account in whose name its plans are made and applied.
    pub made_by: String,
    /// What is known of it.
    pub sight: Sight,
    /// Counts who said that there may be something new.
    pub nudges: i64,
}

impl SourceRecord {
    /// In whose name it acts.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor {
            account: self.made_by.clone(),
            token: None,
            request: None,
        }
    }
}

/// By which names what people do to sources is audited.
pub(crate) const ADDED: &str = "source.add";
pub(crate) const REMOVED: &str = "source.remove";

impl Store {
    /// Records a source; it is due at once.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if there is one of this name; [`StoreError::IllegalTransition`] if there are as many as may be, or if one
    /// of them prunes, or this one would beside others: what no document *of it* names are the apps of all others.
    pub async fn add_source(
        &self,
        new: &NewSource,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<SourceRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.add_source(new, actor, now));
        }
        let sealer = &self.shared.sealer;
        self.write(async |tx| {
            let rows = query("SELECT * FROM sources ORDER BY name")
                .fetch_all(&mut *tx)
                .await?;
            may_add(&each(&rows, source)?, new)?;
            let record = recorded(new, actor, now);
            insert(tx, sealer, &record, &new.secrets).await?;
            let act = Act::request(ADDED, new.name.as_str(), details(&record));
            add_audit(tx, actor, act, now).await?;
            Ok(record)
        })
        .await
    }

    /// Forgets a source. What was applied of it stays.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn remove_source(
        &self,
        name: &SourceName,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.remove_source(name, actor, now));
        }
        self.write(async |tx| {
            by_name(tx, name).await?;
            query("DELETE FROM sources WHERE name = $1")
                .bind(name.as_str())
                .execute(&mut *tx)
                .await?;
            let act = Act::request(REMOVED, name.as_str(), json!({}));
            add_audit(tx, actor, act, now).await
        })
        .await
    }

    /// There may be something new: the source is looked at sooner than it would be. `anew`: and what was done with the commit before is
    /// done anew.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn nudge_source(
        &self,
        name: &SourceName,
        anew: bool,
        now: Timestamp,
    ) -> Result<SourceRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.nudge_source(name, anew, now));
        }
        self.write(async |tx| {
            let record = nudged(by_name(tx, name).await?, anew, now);
            query("UPDATE sources SET due_at = $2, nudges = $3, state = $4 WHERE name = $1")
                .bind(name.as_str())
                .bind(record.sight.due_at.0)
                .bind(record.nudges)
                .bind(record.sight.state.label())
                .execute(&mut *tx)
                .await?;
            Ok(record)
        })
        .await
    }

    /// Records what a look has shown, with what is told of that. `seen` is the record that the look began with: where somebody said
    /// meanwhile that there may be something new, it is looked at again soon; where somebody asked for it to be done anew, it is; and where
    /// another look was recorded meanwhile, that one stands, unless this one began an apply.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the source was removed meanwhile.
    pub async fn note_source(
        &self,
        seen: &SourceRecord,
        sight: &Sight,
        now: Timestamp,
    ) -> Result<SourceRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.note_source(seen, sight, now));
        }
        self.write(async |tx| {
            let before = by_id(tx, seen.id).await?;
            let after = noted(&before, seen, sight, now);
            write_sight(tx, &after).await?;
            for event in events(&before, &after) {
                add_event(tx, &event, None, None, now).await?;
            }
            Ok(after)
        })
        .await
    }
}

impl Reader {
    /// All sources by name, without their secrets.
    ///
    /// # Errors
    /// The database's.
    pub async fn sources(&self) -> Result<Vec<SourceRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.all_sources()));
        }
        let rows = query("SELECT * FROM sources ORDER BY name LIMIT 1000")
            .fetch_all(self.named("sources"))
            .await?;
        each(&rows, source)
    }

    /// The source of this name.
    ///
    /// # Errors
    /// The database's.
    pub async fn source(&self, name: &SourceName) -> Result<Option<SourceRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.source(name)));
        }
        let row = query("SELECT * FROM sources WHERE name = $1")
            .bind(name.as_str())
            .fetch_optional(self.named("source"))
            .await?;
        row.as_ref().map(source).transpose()
    }

    /// The secrets of the source of this name.
    ///
    /// # Errors
    /// The database's; [`StoreError::Damaged`] if they do not open.
    pub async fn source_secrets(
        &self,
        name: &SourceName,
    ) -> Result<Option<SourceSecrets>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.source_secrets(name)));
        }
        let row = query("SELECT id, hook_sealed, credential_sealed FROM sources WHERE name = $1")
            .bind(name.as_str())
            .fetch_optional(self.named("source_secrets"))
            .await?;
        row.map(|row| opened(&self.shared.sealer, &row)).transpose()
    }
}

/// Whether a source may come beside these.
pub(crate) fn may_add(there: &[SourceRecord], new: &NewSource) -> Result<(), StoreError> {
    if there.iter().any(|one| one.name == new.name) {
        let id = new.name.to_string();
        return Err(StoreError::Exists { what: "source", id });
    }
    if there.len() >= MOST_SOURCES {
        let what = format!("there are {MOST_SOURCES} sources already, and no more may be");
        return Err(StoreError::IllegalTransition { what });
    }
    let prunes = there.iter().find(|one| one.prune);
    if let Some(one) = prunes.or_else(|| there.first().filter(|_| new.prune)) {
        let what = format!(
            "a source that prunes removes every app that its documents do not name, so it has to be the only one, and {} is there",
            one.name
        );
        return Err(StoreError::IllegalTransition { what });
    }
    Ok(())
}

/// What is recorded of a new one.
pub(crate) fn recorded(new: &NewSource, actor: &Actor, now: Timestamp) -> SourceRecord {
    SourceRecord {
        id: new.id,
        name: new.name.clone(),
        url: new.url.clone(),
        branch: new.branch.clone(),
        path: new.path.clone(),
        every_s: new.every_s,
        policy: new.policy,
        prune: new.prune,
        signers: new.signers.clone(),
        owner: new.owner.clone(),
        has_credential: new.secrets.credential.is_some(),
        made_at: now,
        made_by: actor.account.clone(),
        sight: Sight::new(now),
        nudges: 0,
    }
}

/// What the audit says of one.
pub(crate) fn details(record: &SourceRecord) -> Value {
    json!({
        "url": record.url,
        "branch": record.branch,
        "path": record.path,
        "policy": record.policy,
        "prune": record.prune,
        "signed": record.signers.is_some(),
    })
}

pub(crate) fn nudged(mut before: SourceRecord, anew: bool, now: Timestamp) -> SourceRecord {
    before.nudges = before.nudges.saturating_add(1);
    match anew {
        true => before.sight = before.sight.asked(now),
        false => before.sight.due_at = before.sight.nudged(now),
    }
    before
}

pub(crate) fn noted(
    before: &SourceRecord,
    seen: &SourceRecord,
    sight: &Sight,
    now: Timestamp,
) -> SourceRecord {
    // Another server that shares the database has looked meanwhile. What it saw stands, but for an apply that was begun here: that one is
    // followed, or its end would never be known, and it would be begun again.
    let is_late = before.sight.looked_at != seen.sight.looked_at;
    if is_late && sight.state != SourceState::Applying {
        return before.clone();
    }
    let mut sight = sight.clone();
    if before.nudges != seen.nudges {
        // Whoever asked for more than a look is not answered by one that had begun before.
        let (was, is) = (seen.sight.state, before.sight.state);
        let is_anew = is == SourceState::New && was != is;
        match is_anew {
            true => sight = sight.asked(now),
            false => sight.due_at = sight.nudged(now),
        }
    }
    SourceRecord {
        sight,
        ..before.clone()
    }
}

/// What is told of a look.
pub(crate) fn events(before: &SourceRecord, after: &SourceRecord) -> Vec<NewEvent> {
    let sight = &after.sight;
    let told = told_of(&before.sight, sight).into_iter();
    let told = told.map(|told| NewEvent {
        kind: match told {
            Told::Failed => EventKind::SourceFailed,
            Told::Recovered => EventKind::SourceRecovered,
            Told::Waits => EventKind::SourceWaits,
            Told::Applied => EventKind::SourceApplied,
        },
        body: json!({
            "source": after.name,
            "branch": after.branch,
            "commit": sight.commit,
            "state": sight.state,
            "plan": sight.plan,
            "apply": sight.apply,
            "problem": sight.why.as_ref().map(|why| &why.code),
            "message": sight.why.as_ref().map(|why| &why.message),
        }),
    });
    told.collect()
}

pub(crate) fn no_source(id: impl ToString) -> StoreError {
    StoreError::NotFound {
        what: "source",
        id: id.to_string(),
    }
}
