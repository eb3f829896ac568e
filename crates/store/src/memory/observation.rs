//! What the reconciler and the janitor keep and write.

use proximity_domain::app::StatusEvent;
use proximity_domain::event::EventKind;
use proximity_domain::failure::Failure;
use proximity_domain::ids::{AppId, GuestId, HostId, OperationId};
use proximity_domain::janitor::Pulse;
use proximity_domain::observe::{Suspicion, Watched};
use proximity_domain::operation::{OperationEvent, OperationState};
use proximity_domain::time::Timestamp;
use serde_json::json;

use super::apps::no_app;
use super::state::{App, Guest, State};
use crate::apply::is_transitional;
use crate::diagnosis::Transitional;
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::Act;
use crate::observation::{
    BrakeChange, BrakeRecord, KeptSuspicion, SuspicionChange, WatchedGuest, release_act,
};
use crate::orphans::{Ending, OrphanFound};
use crate::power::{ReadPower, SeenPower, refuse_unresolvable, resolved};
use crate::records::{Actor, AppRecord, LogLevel};
use crate::views::{ArchiveFilter, ArchivedApp, ArchivedBy};

impl State {
    pub(crate) fn watched_guests(&self, host: HostId) -> Vec<WatchedGuest> {
        let on_host = self
            .present()
            .filter(|guest| guest.guest.place().host == host);
        by_number(on_host.filter_map(|guest| self.watched(guest)))
    }

    /// Of all clusters, by VMID.
    pub(crate) fn all_watched(&self) -> Vec<WatchedGuest> {
        by_number(self.present().filter_map(|guest| self.watched(guest)))
    }

    /// Nothing of an app that is not live.
    fn watched(&self, guest: &Guest) -> Option<WatchedGuest> {
        let guest = &guest.guest;
        let app = self.apps.get(&guest.app()).filter(|app| app.is_live())?;
        Some(WatchedGuest {
            watched: Watched {
                guest: guest.id(),
                app: guest.app(),
                place: guest.place().clone(),
                confirmed: guest.is_confirmed(),
            },
            adopted: guest.adopted().is_some(),
            hostname: app.asked.hostname.clone(),
            status: app.status.label(),
            operation: self.live_operation(guest.app()),
        })
    }

    /// The live operation of an app, and whether it waits for a person.
    fn live_operation(&self, app: AppId) -> Option<(OperationId, bool)> {
        let id = *self.live.get(&app)?;
        let state = &self.operations.get(&id)?.record.state;
        Some((id, matches!(state, OperationState::Stuck { .. })))
    }

    pub(crate) fn all_suspicions(&self) -> Vec<(GuestId, KeptSuspicion)> {
        let all = self.suspicions.iter();
        all.map(|(guest, kept)| (*guest, *kept)).collect()
    }

    pub(crate) fn change_suspicions(&mut self, changes: &[SuspicionChange], now: Timestamp) {
        for change in changes {
            match change {
                SuspicionChange::Begun {
                    guest,
                    app,
                    suspicion,
                    event,
                    among_many,
                } => {
                    if self.put_suspicion(*guest, *suspicion, Some(*among_many)) {
                        if let Some(row) = self.guests.row(guest) {
                            row.looks.missed_at = Some(now);
                        }
                        if let Some(event) = event {
                            self.add_event(event, Some(*app), None, now);
                        }
                    }
                }
                SuspicionChange::ToldAlone { guest, app, event } => {
                    if self.leave_the_many(*guest) {
                        self.add_event(event, Some(*app), None, now);
                    }
                }
                SuspicionChange::Told { event } => self.add_event(event, None, None, now),
                SuspicionChange::Counted { guest, suspicion } => {
                    self.put_suspicion(*guest, *suspicion, None);
                }
                SuspicionChange::Ended { guest, event } => {
                    self.suspicions.remove(guest);
                    if let Some((app, event)) = event
                        && self.is_present(*guest)
                    {
                        self.add_event(event, Some(*app), None, now);
                    }
                }
            }
        }
    }

    fn is_present(&self, guest: GuestId) -> bool {
        let known = self.guests.get(&guest);
        known.is_some_and(|known| known.gone_at.is_none())
    }

    fn put_suspicion(
        &mut self,
        guest: GuestId,
        suspicion: Suspicion,
        among_many: Option<bool>,
    ) -> bool {
        let present = self.is_present(guest);
        if present {
            let before = self.suspicions.get(&guest);
            let before = before.is_some_and(|before| before.among_many);
            let kept = KeptSuspicion {
                suspicion,
                among_many: among_many.unwrap_or(before),
            };
            self.suspicions.put(guest, kept);
        }
        present
    }

    fn leave_the_many(&mut self, guest: GuestId) -> bool {
        let Some(kept) = self.suspicions.get(&guest).copied() else {
            return false;
        };
        if kept.among_many {
            let alone = KeptSuspicion {
                among_many: false,
                ..kept
            };
            self.suspicions.put(guest, alone);
        }
        kept.among_many
    }

    pub(crate) fn mass_brake(&self) -> BrakeRecord {
        self.brake.get(&()).copied().unwrap_or_default()
    }

    pub(crate) fn change_brake(&mut self, change: &BrakeChange, now: Timestamp) {
        let before = self.mass_brake();
        let after = before.after(change, now);
        self.brake.put((), after);
        match change {
            BrakeChange::Stops { event, .. } => self.add_event(event, None, None, now),
            BrakeChange::Ends { event } => {
                if before.stopped.is_some() {
                    self.add_event(event, None, None, now);
                }
            }
            BrakeChange::Released {
                event,
                details,
                actor,
            } => {
                self.add_event(event, None, None, now);
                self.add_audit(actor, release_act(details), now);
            }
            BrakeChange::ReleasedInPart { details, actor } => {
                self.add_audit(actor, release_act(details), now);
            }
        }
    }

    pub(crate) fn live_apps(&self) -> impl Iterator<Item = AppId> {
        let live = self.apps.values().filter(|app| app.is_live());
        live.map(|app| app.asked.id)
    }

    pub(crate) fn count_live(&self) -> u64 {
        count(self.apps.values().filter(|app| app.is_live()))
    }

    pub(crate) fn count_orphans_after(&self, moment: Timestamp) -> u64 {
        let archived = self.apps.values().filter_map(|app| app.archived.as_ref());
        let is_gone = |by: ArchivedBy| matches!(by, ArchivedBy::Reconciler | ArchivedBy::Person);
        count(archived.filter(|a| is_gone(a.by) && a.archived_at > moment))
    }

    pub(crate) fn list_archived(&self, filter: &ArchiveFilter) -> Vec<ArchivedApp> {
        let archived = self.apps.values().filter_map(|app| app.archived.as_ref());
        let meant = |a: &&ArchivedApp| {
            let (owner, name) = (filter.owner.as_ref(), filter.hostname.as_deref());
            owner.is_none_or(|owner| a.record.owner == *owner)
                && name.is_none_or(|name| a.record.hostname.as_str() == name)
        };
        let mut found: Vec<&ArchivedApp> = archived.filter(meant).collect();
        found.sort_by_key(|a| std::cmp::Reverse((a.archived_at, a.record.id)));
        if let Some(before) = filter.before {
            let at = self.archived_app(before).map(|a| (a.archived_at, before));
            found.retain(|a| at.is_some_and(|at| (a.archived_at, a.record.id) < at));
        }
        let rows = usize::try_from(filter.rows()).unwrap_or(usize::MAX);
        found.into_iter().take(rows).cloned().collect()
    }

    pub(crate) fn archive_orphan(
        &mut self,
        orphan: &OrphanFound,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(stuck) = self.still_judged(orphan) else {
            return Ok(false);
        };
        self.end_record(orphan, stuck, Ending::proven(), now)?;
        Ok(true)
    }

    /// Whether it is as it was judged; with its stuck operation, if it has one.
    pub(crate) fn still_judged(&self, orphan: &OrphanFound) -> Option<Option<OperationId>> {
        let app = self.live_app(orphan.app)?;
        let operation = self.live_operation(orphan.app);
        let worked_on = operation.is_some_and(|(_, stuck)| !stuck);
        let of_app = self
            .present()
            .filter(|guest| guest.guest.app() == orphan.app);
        let mut guests: Vec<GuestId> = of_app.map(|guest| guest.guest.id()).collect();
        guests.sort_unstable();
        let as_judged = app.status.label() == orphan.status
            && operation.map(|(id, _)| id) == orphan.operation
            && guests == orphan.guests;
        (as_judged && !worked_on).then(|| operation.map(|(id, _)| id))
    }

    /// Ends the record of what was found to be as it was judged.
    pub(crate) fn end_record(
        &mut self,
        orphan: &OrphanFound,
        stuck: Option<OperationId>,
        ending: Ending,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(id) = stuck {
            self.give_up(id, &ending.given_up, &orphan.actor, now)?;
        }
        for guest in &orphan.guests {
            self.suspicions.remove(guest);
            if let Some(row) = self.guests.row(guest) {
                row.gone_at = Some(now);
            }
        }
        self.add_app_line(orphan.level, &orphan.line, orphan.app, now);
        self.add_event(&orphan.event, Some(orphan.app), None, now);
        let target = orphan.app.to_string();
        let act = Act::request(ending.action, &target, orphan.event.body.clone());
        self.add_audit(&orphan.actor, act, now);
        let rest = Some(self.rest_ms);
        self.archive(orphan.app, ending.by, rest, now)
    }

    fn give_up(
        &mut self,
        id: OperationId,
        why: &Failure,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let operation = self.existing(id)?;
        self.advance(&operation, OperationEvent::Abandoned, now)?;
        let body = json!({ "failure": why });
        let event = NewEvent {
            kind: EventKind::OperationAbandoned,
            body: body.clone(),
        };
        self.add_event(&event, Some(operation.app), Some(id), now);
        let target = id.to_string();
        self.add_audit(
            actor,
            Act::request("operation.abandon", &target, body).of(id),
            now,
        );
        Ok(())
    }

    pub(crate) fn transitional_apps(&self) -> Vec<Transitional> {
        let live = self.apps.values().filter(|app| app.is_live());
        let mut found: Vec<Transitional> = live.filter_map(|app| self.transitional(app)).collect();
        found.sort_by_key(|app| (app.since, app.app));
        found
    }

    fn transitional(&self, app: &App) -> Option<Transitional> {
        let (id, status) = (app.asked.id, app.status.label());
        let operation = self.live.get(&id).copied();
        let record = operation.and_then(|id| Some(&self.operations.get(&id)?.record));
        let pulse = match record {
            None => Pulse::None,
            Some(record) => match (&record.state, &record.lease) {
                (OperationState::Stuck { .. }, _) => Pulse::Stuck,
                (_, Some((_, until))) => Pulse::Leased { until: *until },
                (_, None) => Pulse::Waiting,
            },
        };
        is_transitional(status).then(|| Transitional {
            app: id,
            hostname: app.asked.hostname.clone(),
            status,
            since: app.status_changed_at,
            operation,
            pulse,
        })
    }

    pub(crate) fn mark_stuck(
        &mut self,
        seen: &Transitional,
        why: Failure,
        event: &NewEvent,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let app = self.apps.get(&seen.app).filter(|app| app.is_live());
        let still = app.and_then(|app| self.transitional(app));
        if still.as_ref() != Some(seen) {
            return Ok(false);
        }
        let app = self.live_app(seen.app).ok_or_else(|| no_app(seen.app))?;
        self.add_app_line(LogLevel::Error, &why.message, seen.app, now);
        let status = app.status.next(StatusEvent::Failed(why, now));
        let status = status.map_err(|e| StoreError::IllegalTransition {
            what: e.to_string(),
        })?;
        self.set_status(seen.app, &status, seen.operation, now)?;
        self.add_event(event, Some(seen.app), seen.operation, now);
        Ok(true)
    }

    pub(crate) fn follow_powers(
        &mut self,
        seen: &[SeenPower],
        now: Timestamp,
    ) -> Result<Vec<AppId>, StoreError> {
        let mut followed = Vec::new();
        for seen in seen.iter().filter(|seen| seen.from != seen.to) {
            let Some(record) = self.live_app(seen.app) else {
                continue;
            };
            if record.operation.is_some() || record.status != seen.from.status() {
                continue;
            }
            self.set_status(seen.app, &seen.to.status(), None, now)?;
            followed.push(seen.app);
        }
        Ok(followed)
    }

    pub(crate) fn resolve_app(
        &mut self,
        id: AppId,
        power: ReadPower,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<AppRecord, StoreError> {
        let app = self.live_app(id).ok_or_else(|| no_app(id))?;
        refuse_unresolvable(&app)?;
        self.set_status(id, &power.status(), None, now)?;
        let event = resolved(&app, power);
        self.add_event(&event, Some(id), None, now);
        let target = id.to_string();
        self.add_audit(actor, Act::request("app.resolve", &target, event.body), now);
        self.live_app(id).ok_or_else(|| no_app(id))
    }
}

fn by_number(guests: impl Iterator<Item = WatchedGuest>) -> Vec<WatchedGuest> {
    let mut guests: Vec<WatchedGuest> = guests.collect();
    guests.sort_by_key(|guest| guest.watched.place.vmid);
    guests
}

fn count<T>(of: impl Iterator<Item = T>) -> u64 {
    u64::try_from(of.count()).unwrap_or(u64::MAX)
}
