//! Sources of documents.

use proximity_domain::names::SourceName;
use proximity_domain::source::Sight;
use proximity_domain::time::Timestamp;
use serde_json::json;

use super::state::{KeptSource, State};
use crate::error::StoreError;
use crate::journal::Act;
use crate::records::Actor;
use crate::sources::{
    ADDED, NewSource, REMOVED, SourceRecord, SourceSecrets, details, events, may_add, no_source,
    noted, nudged, recorded,
};

impl State {
    pub(crate) fn add_source(
        &mut self,
        new: &NewSource,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<SourceRecord, StoreError> {
        may_add(&self.all_sources(), new)?;
        let record = recorded(new, actor, now);
        let kept = KeptSource {
            record: record.clone(),
            secrets: new.secrets.clone(),
        };
        self.sources.put(new.name.clone(), kept);
        let act = Act::request(ADDED, new.name.as_str(), details(&record));
        self.add_audit(actor, act, now);
        Ok(record)
    }

    pub(crate) fn remove_source(
        &mut self,
        name: &SourceName,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if !self.sources.contains_key(name) {
            return Err(no_source(name));
        }
        self.sources.remove(name);
        let act = Act::request(REMOVED, name.as_str(), json!({}));
        self.add_audit(actor, act, now);
        Ok(())
    }

    pub(crate) fn nudge_source(
        &mut self,
        name: &SourceName,
        anew: bool,
        now: Timestamp,
    ) -> Result<SourceRecord, StoreError> {
        let kept = self.sources.row(name).ok_or_else(|| no_source(name))?;
        kept.record = nudged(kept.record.clone(), anew, now);
        Ok(kept.record.clone())
    }

    pub(crate) fn note_source(
        &mut self,
        seen: &SourceRecord,
        sight: &Sight,
        now: Timestamp,
    ) -> Result<SourceRecord, StoreError> {
        // A name is given anew: what was looked at is known by its id.
        let before = self.source(&seen.name).filter(|one| one.id == seen.id);
        let before = before.ok_or_else(|| no_source(seen.id))?;
        let after = noted(&before, seen, sight, now);
        if let Some(kept) = self.sources.row(&seen.name) {
            kept.record = after.clone();
        }
        for event in events(&before, &after) {
            self.add_event(&event, None, None, now);
        }
        Ok(after)
    }

    pub(crate) fn all_sources(&self) -> Vec<SourceRecord> {
        let all = self.sources.values();
        all.map(|kept| kept.record.clone()).collect()
    }

    pub(crate) fn source(&self, name: &SourceName) -> Option<SourceRecord> {
        self.sources.get(name).map(|kept| kept.record.clone())
    }

    pub(crate) fn source_secrets(&self, name: &SourceName) -> Option<SourceSecrets> {
        self.sources.get(name).map(|kept| kept.secrets.clone())
    }
}
