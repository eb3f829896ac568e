//! First suspicions: each is told once until its guest is seen again, and many at once as one.

use std::collections::BTreeSet;

use proximity_domain::event::EventKind;
use proximity_domain::ids::GuestId;
use proximity_domain::observe::Suspicion;
use proximity_store::effects::NewEvent;
use proximity_store::observation::{SuspicionChange, WatchedGuest};
use serde_json::json;

use super::missing::told;
use super::{Seen, named};

/// So many host names are told of many at once.
const NAMED: usize = 20;
/// Of so many guests it is remembered at most that they were told of.
const REMEMBERED: usize = 4096;

/// Guests that were told of as missing and were not seen since. A node that comes and goes makes no new event each time. Kept
/// in memory: after a restart what is still missing is on record as a suspicion.
#[derive(Debug, Clone, Default)]
pub(super) struct Suspected(BTreeSet<GuestId>);

impl Suspected {
    /// It was seen: when it is missing again, that is told again.
    pub(super) fn seen(&mut self, guest: GuestId) {
        if !self.0.is_empty() {
            self.0.remove(&guest);
        }
    }

    /// These were told of.
    pub(super) fn told(&mut self, first: &[First<'_>]) {
        if self.0.len() + first.len() > REMEMBERED {
            self.0.clear();
        }
        let guests = first.iter().map(First::id);
        self.0.extend(guests.take(REMEMBERED));
    }

    fn is_new(&self, first: &First<'_>) -> bool {
        !self.0.contains(&first.id())
    }
}

/// A guest that a complete look misses for the first time.
pub(super) struct First<'a> {
    pub(super) cluster: &'a Seen,
    pub(super) guest: &'a WatchedGuest,
    pub(super) suspicion: Suspicion,
}

impl First<'_> {
    fn id(&self) -> GuestId {
        self.guest.watched.guest
    }

    fn begun(&self, event: Option<NewEvent>) -> SuspicionChange {
        SuspicionChange::Begun {
            guest: self.id(),
            app: self.guest.watched.app,
            suspicion: self.suspicion,
            event,
        }
    }

    fn event(&self) -> NewEvent {
        NewEvent {
            kind: EventKind::OrphanSuspected,
            body: told(self.cluster, self.guest),
        }
    }

    fn warn(&self) {
        let place = named(
            self.cluster.site.host.label.as_str(),
            &self.guest.watched.place,
        );
        let (app, status) = (&self.guest.hostname, self.guest.status.label());
        tracing::warn!(%app, status, "SUSPECTED ORPHAN: {place} is missing from a complete list");
    }
}

/// What is written of first suspicions. Where more are missing than the mass brake lets by they are told as one event.
pub(super) fn begin(
    first: &[First<'_>],
    suspected: &Suspected,
    are_too_many: bool,
) -> Vec<SuspicionChange> {
    let new: Vec<&First<'_>> = first.iter().filter(|one| suspected.is_new(one)).collect();
    let as_one = are_too_many && new.len() > 1;
    let mut changes = Vec::with_capacity(first.len() + 1);
    for one in first {
        let is_told = !as_one && suspected.is_new(one);
        changes.push(one.begun(is_told.then(|| one.event())));
    }
    if as_one {
        changes.push(SuspicionChange::Told { event: many(&new) });
    } else {
        for one in new {
            one.warn();
        }
    }
    changes
}

fn many(new: &[&First<'_>]) -> NewEvent {
    let labels = new.iter().map(|one| one.cluster.site.host.label.as_str());
    let hosts: BTreeSet<&str> = labels.collect();
    let names = new.iter().map(|one| one.guest.hostname.as_str());
    let names: Vec<&str> = names.take(NAMED).collect();
    tracing::warn!(
        count = new.len(),
        "SUSPECTED ORPHAN: {} containers are missing from complete lists at once, first of all {}",
        new.len(),
        names.join(", ")
    );
    NewEvent {
        kind: EventKind::OrphansSuspected,
        body: json!({ "count": new.len(), "hosts": hosts, "hostnames": names }),
    }
}
