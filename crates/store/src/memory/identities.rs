//! Identities that changed, and when a guest was verified or missed last.

use proximity_domain::identity::{Learned, Shown};
use proximity_domain::ids::{AppId, GuestId};
use proximity_domain::recorded::RecordedGuest;
use proximity_domain::time::Timestamp;

use super::apps::no_app;
use super::state::{Guest, State};
use crate::alarms::{AlarmKey, AlarmKind};
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::identities::{Accepted, GuestLooks, no_guest, refuse_at_work, refuse_unmarked};
use crate::journal::Act;

impl Guest {
    /// As it is known now: what a person accepted takes the place of what it was born with.
    pub(crate) fn known(&self) -> RecordedGuest {
        let mut guest = self.guest.clone();
        guest.set_learned(self.learned.clone());
        if let Some(accepted) = &self.accepted {
            guest.accept(accepted);
        }
        guest
    }
}

impl State {
    pub(crate) fn note_verified(&mut self, guests: &[GuestId], now: Timestamp) -> Vec<GuestId> {
        let mut noted = guests.to_vec();
        noted.retain(|guest| self.put_verified(*guest, now));
        noted
    }

    /// False if the guest is gone, or complete lists are without it.
    fn put_verified(&mut self, guest: GuestId, now: Timestamp) -> bool {
        if self.suspicions.contains_key(&guest) {
            return false;
        }
        let row = self.guests.row(&guest);
        let Some(row) = row.filter(|row| row.gone_at.is_none()) else {
            return false;
        };
        row.looks = GuestLooks {
            verified_at: Some(now),
            missed_at: None,
        };
        true
    }

    pub(crate) fn learn_identity(
        &mut self,
        guest: GuestId,
        app: AppId,
        shown: Option<&Shown>,
        event: &NewEvent,
        now: Timestamp,
    ) -> bool {
        let row = self.guests.row(&guest);
        let row = row.filter(|row| row.gone_at.is_none() && row.guest.app() == app);
        let Some(row) = row else { return false };
        if shown.is_none() && row.learned.is_none() {
            return false;
        }
        row.learned = shown.cloned().map(|shown| Learned { shown, at: now });
        self.add_event(event, Some(app), None, now);
        true
    }

    pub(crate) fn accept_identity(
        &mut self,
        accepted: &Accepted,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (id, guest) = (accepted.app, accepted.guest);
        let app = self.live_app(id).ok_or_else(|| no_app(id))?;
        if let Some(operation) = app.operation {
            refuse_at_work(&self.existing(operation)?)?;
        }
        refuse_unmarked(&accepted.shown)?;
        let row = self.guests.row(&guest);
        let row = row.filter(|row| row.gone_at.is_none() && row.guest.app() == id);
        let row = row.ok_or_else(|| no_guest(guest))?;
        row.learned = None;
        row.accepted = Some(accepted.shown.clone());
        self.put_verified(guest, now);
        let keys: Vec<AlarmKey> = self.alarms.keys().copied().collect();
        for key in keys {
            if key.guest == guest && key.kind == AlarmKind::Conflict {
                self.alarms.remove(&key);
            }
        }
        self.add_event(&accepted.event, Some(id), None, now);
        let target = id.to_string();
        let act = Act::request("app.reidentify", &target, accepted.event.body.clone());
        self.add_audit(&accepted.actor, act, now);
        Ok(())
    }

    pub(crate) fn guest_looks(&self, guest: GuestId) -> GuestLooks {
        let row = self.guests.get(&guest);
        row.map(|row| row.looks).unwrap_or_default()
    }
}
