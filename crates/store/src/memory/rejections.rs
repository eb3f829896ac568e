//! Content of apps that nothing applies by itself.

use proximity_domain::names::Hostname;
use proximity_domain::time::Timestamp;

use super::state::State;
use crate::error::StoreError;
use crate::journal::Act;
use crate::records::Actor;
use crate::rejections::{
    FORGOTTEN, FORGOTTEN_KEPT, NewRejection, REJECTED, REJECTED_KEPT, RejectedRevision, details,
    none, rejected, told,
};

impl State {
    pub(crate) fn reject_revisions(
        &mut self,
        new: &[NewRejection],
        by: &str,
        actor: &Actor,
        now: Timestamp,
    ) -> Vec<RejectedRevision> {
        let mut anew = Vec::new();
        for one in new {
            let key = (one.name.clone(), one.spec_hash.clone());
            let Some(row) = rejected(self.rejected.get(&key), one, by, now) else {
                continue;
            };
            self.replace_rejected(&row);
            self.rejected.put(key, row.clone());
            let app = self.app_by_hostname(row.name.as_str()).map(|app| app.id);
            self.add_event(&told(&row, app), app, None, now);
            let act = Act::request(REJECTED, row.name.as_str(), details(&row));
            self.add_audit(actor, act, now);
            anew.push(row);
        }
        self.clear_rejected();
        anew
    }

    pub(crate) fn unreject_revision(
        &mut self,
        name: &Hostname,
        spec_hash: Option<&str>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<RejectedRevision, StoreError> {
        let all = self.rejected.values();
        let meant = all.filter(|row| {
            let is_meant = spec_hash.is_none_or(|meant| meant == row.spec_hash);
            row.name == *name && row.is_in_force() && is_meant
        });
        let mut meant: Vec<RejectedRevision> = meant.cloned().collect();
        meant.sort_by(|a, b| (a.at, &a.spec_hash).cmp(&(b.at, &b.spec_hash)));
        for row in &meant {
            self.forget_rejected(name, &row.spec_hash, now);
            let act = Act::request(FORGOTTEN, name.as_str(), details(row));
            self.add_audit(actor, act, now);
        }
        let last = meant.pop().ok_or_else(|| none(name))?;
        Ok(RejectedRevision {
            forgotten_at: Some(now),
            ..last
        })
    }

    /// That this content was rejected counts no more.
    pub(crate) fn forget_rejected(&mut self, name: &Hostname, spec_hash: &str, now: Timestamp) {
        let key = (name.clone(), spec_hash.to_owned());
        if self
            .rejected
            .get(&key)
            .is_some_and(RejectedRevision::is_in_force)
            && let Some(row) = self.rejected.row(&key)
        {
            row.forgotten_at = Some(now);
        }
    }

    /// Other content of its name that the same has rejected goes.
    fn replace_rejected(&mut self, new: &RejectedRevision) {
        let all = self.rejected.values();
        let others = all.filter(|row| {
            row.name == new.name && row.by == new.by && row.spec_hash != new.spec_hash
        });
        let keys = others.map(|row| (row.name.clone(), row.spec_hash.clone()));
        let keys: Vec<(Hostname, String)> = keys.collect();
        for key in keys {
            self.rejected.remove(&key);
        }
    }

    pub(crate) fn all_rejected(&self) -> Vec<RejectedRevision> {
        self.rejected.values().cloned().collect()
    }

    pub(crate) fn rejected_content(
        &self,
        name: &Hostname,
        spec_hash: &str,
    ) -> Option<RejectedRevision> {
        let key = (name.clone(), spec_hash.to_owned());
        self.rejected.get(&key).cloned()
    }

    fn clear_rejected(&mut self) {
        let all = self.rejected.values();
        let (mut count, mut past) = (Vec::new(), Vec::new());
        for row in all {
            let key = (row.name.clone(), row.spec_hash.clone());
            match row.forgotten_at {
                None => count.push((row.at, key)),
                Some(at) => past.push((at, key)),
            }
        }
        for (mut rows, kept) in [(count, REJECTED_KEPT), (past, FORGOTTEN_KEPT)] {
            rows.sort_unstable();
            let beyond = rows.len().saturating_sub(kept as usize);
            for (_, key) in rows.into_iter().take(beyond) {
                self.rejected.remove(&key);
            }
        }
    }
}
