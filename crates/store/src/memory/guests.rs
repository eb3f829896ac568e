//! Identity rows: recorded before the create call, confirmed once, never deleted.

use proximity_domain::guest::NativeGuest;
use proximity_domain::ids::{AppId, GuestId, HostId, OperationId, Vmid};
use proximity_domain::names::{NodeName, Volid};
use proximity_domain::recorded::RecordedGuest;
use proximity_domain::time::Timestamp;

use super::apps::no_app;
use super::state::{Guest, State};
use crate::effects::{GuestChange, NewEvent};
use crate::error::StoreError;
use crate::guests::not_adopted;
use crate::identities::GuestLooks;
use crate::views::PastGuest;

impl State {
    /// Applies one change that `operation` makes to a guest of `app`.
    pub(crate) fn change_guest(
        &mut self,
        change: GuestChange,
        app: AppId,
        operation: OperationId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match change {
            GuestChange::Insert(guest) => {
                if guest.app != app || guest.created_by != operation {
                    let what = format!("guest {} is of another app or operation", guest.id);
                    return Err(StoreError::IllegalTransition { what });
                }
                if guest.place.vmid != guest.identity.vmid {
                    let what = format!("guest {} has two VMIDs", guest.id);
                    return Err(StoreError::IllegalTransition { what });
                }
                self.insert_guest(guest.into(), now)
            }
            GuestChange::Confirm {
                guest,
                rootfs_volid,
            } => self.confirm_guest(guest, rootfs_volid, app),
            GuestChange::Moved { guest, node } => self.move_guest(guest, node, app),
            GuestChange::Released { guest } => {
                let found = self.guest_row(guest, app);
                let found = found.filter(|g| g.guest.adopted().is_some());
                let found = found.ok_or_else(|| not_adopted(guest))?;
                found.gone_at.get_or_insert(now);
                Ok(())
            }
            GuestChange::Gone { guest } => {
                let found = self.guest_row(guest, app).ok_or_else(|| no_guest(guest))?;
                found.gone_at.get_or_insert(now);
                Ok(())
            }
        }
    }

    /// A guest was seen on another node, while no operation works on its app.
    pub(crate) fn guest_moved(
        &mut self,
        app: AppId,
        guest: GuestId,
        node: &NodeName,
        event: &NewEvent,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let live = self.live_app(app).ok_or_else(|| no_app(app))?;
        if let Some(operation) = live.operation {
            return Err(StoreError::Busy { app, operation });
        }
        self.move_guest(guest, node.clone(), app)?;
        self.add_event(event, Some(app), None, now);
        Ok(())
    }

    pub(crate) fn insert_guest(
        &mut self,
        guest: RecordedGuest,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let place = guest.place();
        let mark = |g: &RecordedGuest| g.native().map(|native| native.identity.mark);
        let twin = self.guests.values().any(|known| {
            let there = known.guest.place();
            let same_place = (there.host, there.vmid) == (place.host, place.vmid);
            let same_mark = mark(&guest).is_some() && mark(&known.guest) == mark(&guest);
            known.guest.id() == guest.id() || same_mark || (same_place && known.gone_at.is_none())
        });
        if twin || self.is_templates(place.host, place.vmid) {
            let id = format!("{} (VMID {})", guest.id(), place.vmid);
            return Err(StoreError::Exists { what: "guest", id });
        }
        let fresh = Guest {
            recorded_at: now,
            gone_at: None,
            guest,
            learned: None,
            accepted: None,
            looks: GuestLooks::default(),
            interfaces: None,
        };
        self.guests.put(fresh.guest.id(), fresh);
        Ok(())
    }

    fn confirm_guest(&mut self, id: GuestId, volid: Volid, app: AppId) -> Result<(), StoreError> {
        let refused = StoreError::IllegalTransition {
            what: format!(
                "guest {id} cannot be confirmed with {volid}: it is gone, or another volume is recorded"
            ),
        };
        let Some(found) = self.guest_row(id, app) else {
            return Err(refused);
        };
        let known = found.guest.rootfs_volid();
        if found.gone_at.is_some() || known.is_some_and(|known| *known != volid) {
            return Err(refused);
        }
        // The volume of an adopted guest is recorded from the first.
        if let RecordedGuest::Native(native) = &mut found.guest {
            native.identity.rootfs_volid = Some(volid);
        }
        Ok(())
    }

    fn move_guest(&mut self, id: GuestId, node: NodeName, app: AppId) -> Result<(), StoreError> {
        let found = self.guest_row(id, app).filter(|g| g.gone_at.is_none());
        let found = found.ok_or_else(|| no_guest(id))?;
        found.guest.place_mut().node = node.clone();
        if let Some(app) = self.apps.row(&app) {
            app.asked.node = node;
        }
        Ok(())
    }

    /// A guest of `app`, to change.
    fn guest_row(&mut self, id: GuestId, app: AppId) -> Option<&mut Guest> {
        let guest = self.guests.row(&id)?;
        (guest.guest.app() == app).then_some(guest)
    }

    pub(crate) fn guests_of_app(&self, app: AppId) -> Vec<NativeGuest> {
        natives(self.recorded_of_app(app))
    }

    pub(crate) fn guests_on_host(&self, host: HostId) -> Vec<NativeGuest> {
        natives(self.recorded_on_host(host))
    }

    pub(crate) fn recorded_of_app(&self, app: AppId) -> Vec<RecordedGuest> {
        let mut found: Vec<&Guest> = self.present().filter(|g| g.guest.app() == app).collect();
        found.sort_by_key(|guest| (guest.recorded_at, guest.guest.id()));
        found.into_iter().map(Guest::known).collect()
    }

    pub(crate) fn past_guests(&self, app: AppId) -> Vec<PastGuest> {
        let of_app = self.guests.values().filter(|g| g.guest.app() == app);
        let mut found: Vec<&Guest> = of_app.collect();
        found.sort_by_key(|guest| (guest.recorded_at, guest.guest.id()));
        let past = |guest: &Guest| PastGuest {
            place: guest.guest.place().clone(),
            gone_at: guest.gone_at,
        };
        found.into_iter().map(past).collect()
    }

    pub(crate) fn recorded_on_host(&self, host: HostId) -> Vec<RecordedGuest> {
        let on_host = self.present().filter(|g| g.guest.place().host == host);
        let mut found: Vec<RecordedGuest> = on_host.map(Guest::known).collect();
        found.sort_by_key(|guest| guest.place().vmid);
        found
    }

    pub(crate) fn recorded_at(&self, host: HostId, vmid: Vmid) -> Option<RecordedGuest> {
        let mut present = self.present();
        let found = present.find(|g| {
            let place = g.guest.place();
            (place.host, place.vmid) == (host, vmid)
        });
        found.map(Guest::known)
    }

    pub(crate) fn is_held(&self, host: HostId, vmid: Vmid) -> bool {
        let of_guest = self.present().any(|g| {
            let place = g.guest.place();
            (place.host, place.vmid) == (host, vmid)
        });
        of_guest || self.is_templates(host, vmid)
    }

    /// Guests that are not gone.
    pub(crate) fn present(&self) -> impl Iterator<Item = &Guest> {
        self.guests.values().filter(|guest| guest.gone_at.is_none())
    }
}

fn natives(guests: Vec<RecordedGuest>) -> Vec<NativeGuest> {
    let native = |guest| match guest {
        RecordedGuest::Native(native) => Some(native),
        RecordedGuest::Adopted(_) => None,
    };
    guests.into_iter().filter_map(native).collect()
}

fn no_guest(guest: GuestId) -> StoreError {
    let id = guest.to_string();
    StoreError::NotFound { what: "guest", id }
}
