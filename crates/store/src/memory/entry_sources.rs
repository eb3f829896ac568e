//! Repositories with entries of the catalog, what was taken of them, and the texts that apps are made from.

use proximity_domain::ids::SourceId;
use proximity_domain::names::{CommitId, SourceName};
use proximity_domain::time::Timestamp;
use secrecy::SecretString;
use serde_json::json;

use super::state::{KeptEntrySource, State};
use crate::entry_sources::{
    ADDED, EntryRevision, EntrySourceRecord, NewEntrySource, REMOVED, TAKEN, TakenFile, details,
    may_add, recorded, taken, told,
};
use crate::error::StoreError;
use crate::journal::Act;
use crate::records::Actor;
use crate::sources::no_source;

impl State {
    pub(crate) fn add_entry_source(
        &mut self,
        new: &NewEntrySource,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<EntrySourceRecord, StoreError> {
        may_add(&self.all_entry_sources(), new)?;
        let record = recorded(new, actor, now);
        let kept = KeptEntrySource {
            record: record.clone(),
            credential: new.credential.clone(),
            files: Vec::new(),
        };
        self.entry_sources.put(new.name.clone(), kept);
        let act = Act::request(ADDED, new.name.as_str(), details(&record));
        self.add_audit(actor, act, now);
        Ok(record)
    }

    pub(crate) fn remove_entry_source(
        &mut self,
        name: &SourceName,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if !self.entry_sources.contains_key(name) {
            return Err(no_source(name));
        }
        self.entry_sources.remove(name);
        let act = Act::request(REMOVED, name.as_str(), json!({}));
        self.add_audit(actor, act, now);
        Ok(())
    }

    pub(crate) fn take_entries(
        &mut self,
        seen: &EntrySourceRecord,
        commit: &CommitId,
        files: &[TakenFile],
        actor: &Actor,
        now: Timestamp,
    ) -> Result<EntrySourceRecord, StoreError> {
        let before = self.entry_source(&seen.name);
        let before = before.ok_or_else(|| no_source(&seen.name))?;
        let after = taken(&before, seen, commit, actor, now)?;
        for file in files {
            self.keep_entry_revision(&file.revision);
        }
        if let Some(kept) = self.entry_sources.row(&seen.name) {
            kept.record = after.clone();
            kept.files = files.to_vec();
            kept.files.sort_by(|a, b| a.path.cmp(&b.path));
        }
        let act = Act::request(TAKEN, seen.name.as_str(), told(&before, commit, files));
        self.add_audit(actor, act, now);
        Ok(after)
    }

    /// Keeps a text, unless it is kept already.
    pub(crate) fn keep_entry_revision(&mut self, revision: &EntryRevision) {
        if !self.entry_revisions.contains_key(&revision.hash) {
            let text = revision.text.clone();
            self.entry_revisions.put(revision.hash.clone(), text);
        }
    }

    pub(crate) fn all_entry_sources(&self) -> Vec<EntrySourceRecord> {
        let all = self.entry_sources.values();
        all.map(|kept| kept.record.clone()).collect()
    }

    pub(crate) fn entry_source(&self, name: &SourceName) -> Option<EntrySourceRecord> {
        let kept = self.entry_sources.get(name)?;
        Some(kept.record.clone())
    }

    pub(crate) fn entry_source_credential(
        &self,
        name: &SourceName,
    ) -> Result<Option<SecretString>, StoreError> {
        let kept = self.entry_sources.get(name);
        let kept = kept.ok_or_else(|| no_source(name))?;
        Ok(kept.credential.clone())
    }

    pub(crate) fn entry_source_files(&self, id: SourceId) -> Vec<TakenFile> {
        let mut all = self.entry_sources.values();
        let kept = all.find(|kept| kept.record.id == id);
        kept.map(|kept| kept.files.clone()).unwrap_or_default()
    }

    pub(crate) fn entry_revision(&self, hash: &str) -> Option<EntryRevision> {
        let text = self.entry_revisions.get(hash)?;
        Some(EntryRevision {
            hash: hash.to_owned(),
            text: text.clone(),
        })
    }
}
