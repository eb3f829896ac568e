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
            let Some(row) = rejected(self.rejected.get(&one.name), one, by, now) else {
                continue;
            };
            self.rejected.put(row.name.clone(), row.clone());
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
        actor: &Actor,
        now: Timestamp,
    ) -> Result<RejectedRevision, StoreError> {
        let before = self.rejected.get(name).filter(|row| row.is_in_force());
        let before = before.cloned().ok_or_else(|| none(name))?;
        self.forget_rejected(name, now);
        let act = Act::request(FORGOTTEN, name.as_str(), details(&before));
        self.add_audit(actor, act, now);
        Ok(RejectedRevision {
            forgotten_at: Some(now),
            ..before
        })
    }

    /// Whatever was rejected of this name counts no more.
    pub(crate) fn forget_rejected(&mut self, name: &Hostname, now: Timestamp) {
        if self
            .rejected
            .get(name)
            .is_some_and(RejectedRevision::is_in_force)
            && let Some(row) = self.rejected.row(name)
        {
            row.forgotten_at = Some(now);
        }
    }

    pub(crate) fn all_rejected(&self) -> Vec<RejectedRevision> {
        self.rejected.values().cloned().collect()
    }

    fn clear_rejected(&mut self) {
        let all = self.rejected.values();
        let (mut count, mut past) = (Vec::new(), Vec::new());
        for row in all {
            match row.forgotten_at {
                None => count.push((row.at, row.name.clone())),
                Some(at) => past.push((at, row.name.clone())),
            }
        }
        for (mut rows, kept) in [(count, REJECTED_KEPT), (past, FORGOTTEN_KEPT)] {
            rows.sort_unstable();
            let beyond = rows.len().saturating_sub(kept as usize);
            for (_, name) in rows.into_iter().take(beyond) {
                self.rejected.remove(&name);
            }
        }
    }
}
