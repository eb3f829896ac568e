//! What is told of containers whose identity is not clear: once, and its end once, also over a restart.

use proximity_domain::event::EventKind;
use proximity_domain::guest::{Conflict, ContainerRef};
use proximity_domain::names::HostLabel;
use proximity_domain::time::Timestamp;
use proximity_store::alarms::{Alarm, AlarmKey, AlarmKind};
use proximity_store::effects::NewEvent;
use proximity_store::observation::WatchedGuest;
use serde_json::json;

use super::watch::Alarms;
use super::{Reconciler, Site};
use crate::error::EngineError;
use crate::saga::{Guard, is_off};

/// That what has the number of a guest is not that guest.
pub(super) fn in_conflict(name: &str, guest: &WatchedGuest, conflict: &Conflict) -> String {
    format!(
        "{name} is not the container of {}: {conflict}",
        guest.hostname
    )
}

fn conflict_of(guest: &WatchedGuest) -> AlarmKey {
    AlarmKey {
        guest: guest.watched.guest,
        kind: AlarmKind::Conflict,
        host: guest.watched.place.host,
        vmid: guest.watched.place.vmid,
    }
}

impl Reconciler {
    /// What has a guest's number is not that guest: told once until that ends.
    pub(super) async fn raise_conflict(
        &self,
        site: &Site,
        guest: &WatchedGuest,
        why: &str,
        alarms: &Alarms,
        now: Timestamp,
    ) -> Result<(), EngineError> {
        // Also a commit that writes nothing wakes everybody who waits for commits.
        if alarms.contains_key(&conflict_of(guest)) && !is_off(Guard::Quiet) {
            return Ok(());
        }
        let event = NewEvent {
            kind: EventKind::GuestConflicted,
            body: json!({
                "app": guest.watched.app,
                "hostname": guest.hostname,
                "host": site.host.label,
                "vmid": guest.watched.place.vmid,
                "why": why,
                "since": now,
            }),
        };
        let alarm = Alarm {
            key: conflict_of(guest),
            why: why.to_owned(),
            since: now,
        };
        let app = guest.watched.app;
        if is_off(Guard::Quiet) {
            return Ok(self.store.tell(&event, app, now).await?);
        }
        if self.store.raise_alarm(&alarm, app, &event).await? {
            tracing::error!(
                severity = "critical",
                app = %guest.hostname,
                "IDENTITY CONFLICT: {why}; no call is made on it until a person has looked"
            );
        }
        Ok(())
    }

    /// A guest was identified: its conflict is over, if there was one.
    pub(super) async fn end_conflict(
        &self,
        site: &Site,
        guest: &WatchedGuest,
        alarms: &Alarms,
        now: Timestamp,
    ) -> Result<(), EngineError> {
        let key = conflict_of(guest);
        let Some(alarm) = alarms.get(&key) else {
            return Ok(());
        };
        let event = NewEvent {
            kind: EventKind::GuestConflictEnded,
            body: json!({
                "app": guest.watched.app,
                "hostname": guest.hostname,
                "host": site.host.label,
                "vmid": guest.watched.place.vmid,
                "since": alarm.since,
            }),
        };
        let told = Some((guest.watched.app, &event));
        if self.store.end_alarm(&key, told, now).await? {
            tracing::info!(app = %guest.hostname, "the container is the app's again: the conflict is over");
        }
        Ok(())
    }

    /// Another container bears a guest's mark: told once until that ends.
    pub(super) async fn raise_twin(
        &self,
        site: &Site,
        guest: &WatchedGuest,
        twin: &ContainerRef,
        alarms: &Alarms,
        now: Timestamp,
    ) -> Result<(), EngineError> {
        let key = AlarmKey {
            guest: guest.watched.guest,
            kind: AlarmKind::Twin,
            host: twin.host,
            vmid: twin.vmid,
        };
        if alarms.contains_key(&key) {
            return Ok(());
        }
        let (host, own) = (&site.host.label, guest.watched.place.vmid);
        let why = format!(
            "container {host}/{}/{} bears the mark of {}, whose container is {own}: a clone or a restored backup of it; \
             it gets no call of ours",
            twin.node, twin.vmid, guest.hostname
        );
        let event = NewEvent {
            kind: EventKind::GuestTwinFound,
            body: json!({
                "app": guest.watched.app,
                "hostname": guest.hostname,
                "host": host,
                "vmid": twin.vmid,
                "node": twin.node,
                "why": why,
                "since": now,
            }),
        };
        let alarm = Alarm {
            key,
            why: why.clone(),
            since: now,
        };
        let app = guest.watched.app;
        if self.store.raise_alarm(&alarm, app, &event).await? {
            tracing::warn!(app = %guest.hostname, "TWO CONTAINERS WITH ONE MARK: {why}");
        }
        Ok(())
    }

    /// The other container that bore a guest's mark is not listed any more, or bears it no more.
    pub(super) async fn end_twin(
        &self,
        host: &HostLabel,
        guest: &WatchedGuest,
        alarm: &Alarm,
    ) -> Result<(), EngineError> {
        let vmid = alarm.key.vmid;
        let event = NewEvent {
            kind: EventKind::GuestTwinGone,
            body: json!({
                "app": guest.watched.app,
                "hostname": guest.hostname,
                "host": host,
                "vmid": vmid,
                "since": alarm.since,
            }),
        };
        let told = Some((guest.watched.app, &event));
        let now = self.clock.now();
        if self.store.end_alarm(&alarm.key, told, now).await? {
            tracing::info!(app = %guest.hostname, %vmid, "the other container with its mark is gone, or bears it no more");
        }
        Ok(())
    }
}
