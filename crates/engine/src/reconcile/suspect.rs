//! First suspicions: each is told once until its guest is seen again, and many at once as one. What is left of many when only few
//! are missing any more is told of guest by guest, once.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::event::EventKind;
use proximity_domain::ids::GuestId;
use proximity_domain::names::HostLabel;
use proximity_domain::observe::Suspicion;
use proximity_store::effects::NewEvent;
use proximity_store::observation::{SuspicionChange, WatchedGuest};
use serde_json::json;

use super::missing::told;
use super::named;

/// So many host names are told of many at once.
const NAMED: usize = 20;
/// Of so many guests it is remembered at most that they were told of.
const REMEMBERED: usize = 4096;

/// How a guest was told of as missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// By an event of its own.
    Alone,
    /// With others, as one.
    AmongMany,
}

/// Guests that were told of as missing and were not seen since. A node that comes and goes makes no new event each time. Kept
/// in memory: after a restart what is still missing is on record as a suspicion.
#[derive(Debug, Clone, Default)]
pub(super) struct Suspected(BTreeMap<GuestId, Told>);

impl Suspected {
    /// It was seen: when it is missing again, that is told again.
    pub(super) fn seen(&mut self, guest: GuestId) {
        if !self.0.is_empty() {
            self.0.remove(&guest);
        }
    }

    /// These were told of.
    pub(super) fn told(&mut self, guests: &[(GuestId, Told)]) {
        if self.0.len() + guests.len() > REMEMBERED {
            self.0.clear();
        }
        self.0.extend(guests.iter().copied().take(REMEMBERED));
    }

    fn how(&self, missed: &Missed<'_>) -> Option<Told> {
        self.0.get(&missed.id()).copied()
    }
}

/// A guest that a complete look misses.
#[derive(Clone, Copy)]
pub(super) struct Missed<'a> {
    /// Its host entry.
    pub(super) label: &'a HostLabel,
    pub(super) guest: &'a WatchedGuest,
}

/// One that it misses for the first time.
pub(super) struct First<'a> {
    pub(super) missed: Missed<'a>,
    pub(super) suspicion: Suspicion,
}

/// What is written of what is missing, and what is remembered of it once it is.
#[derive(Debug, Default)]
pub(super) struct Telling {
    pub(super) changes: Vec<SuspicionChange>,
    pub(super) told: Vec<(GuestId, Told)>,
}

impl Missed<'_> {
    fn id(&self) -> GuestId {
        self.guest.watched.guest
    }

    fn event(&self, how: Told) -> NewEvent {
        NewEvent {
            kind: match how {
                Told::Alone => EventKind::OrphanSuspected,
                Told::AmongMany => EventKind::OrphanAmongMany,
            },
            body: told(self.label, self.guest),
        }
    }

    fn warn(&self) {
        let place = named(self.label.as_str(), &self.guest.watched.place);
        let (app, status) = (&self.guest.hostname, self.guest.status.label());
        tracing::warn!(%app, status, "SUSPECTED ORPHAN: {place} is missing from a complete list");
    }
}

impl Telling {
    /// A suspicion begins. `before`: how its guest was told of already; `now`: how it is told of.
    fn begin(&mut self, first: &First<'_>, before: Option<Told>, now: Told) {
        let missed = &first.missed;
        let event = (before != Some(now)).then(|| missed.event(now));
        if event.is_some() && now == Told::Alone {
            missed.warn();
        }
        self.told.push((missed.id(), now));
        self.changes.push(SuspicionChange::Begun {
            guest: missed.id(),
            app: missed.guest.watched.app,
            suspicion: first.suspicion,
            event,
            among_many: now == Told::AmongMany,
        });
    }

    /// One of many is told of by itself.
    fn leave_the_many(&mut self, missed: &Missed<'_>) {
        missed.warn();
        self.told.push((missed.id(), Told::Alone));
        self.changes.push(SuspicionChange::ToldAlone {
            guest: missed.id(),
            app: missed.guest.watched.app,
            event: missed.event(Told::Alone),
        });
    }
}

/// What is written of `first` suspicions, and of `others` that are on record as told of among many. Where more are missing than
/// the mass brake lets by people are told of all of them by one event, and the log has one of each for whoever follows its app;
/// else each is told of by itself.
pub(super) fn tell(
    first: &[First<'_>],
    others: &[Missed<'_>],
    suspected: &Suspected,
    are_too_many: bool,
) -> Telling {
    let new = first.iter();
    let new = new.filter(|one| suspected.how(&one.missed).is_none());
    let new: Vec<&First<'_>> = new.collect();
    let as_one = are_too_many && new.len() > 1;
    let mut telling = Telling::default();
    for one in first {
        let before = suspected.how(&one.missed);
        let now = match before {
            Some(Told::Alone) => Told::Alone,
            Some(Told::AmongMany) if are_too_many => Told::AmongMany,
            None if as_one => Told::AmongMany,
            Some(Told::AmongMany) | None => Told::Alone,
        };
        telling.begin(one, before, now);
    }
    if as_one {
        let event = many(&new);
        telling.changes.push(SuspicionChange::Told { event });
    }
    if !are_too_many {
        for missed in others {
            telling.leave_the_many(missed);
        }
    }
    telling
}

fn many(new: &[&First<'_>]) -> NewEvent {
    let labels = new.iter().map(|one| one.missed.label.as_str());
    let hosts: BTreeSet<&str> = labels.collect();
    let names = new.iter().map(|one| one.missed.guest.hostname.as_str());
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

#[cfg(test)]
mod tests {
    use proximity_domain::app::StatusLabel;
    use proximity_domain::guest::ContainerRef;
    use proximity_domain::ids::{AppId, HostId};
    use proximity_domain::observe::Watched;
    use proximity_domain::time::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn guest(n: u32) -> WatchedGuest {
        WatchedGuest {
            watched: Watched {
                guest: GuestId(Uuid::from_u128(u128::from(n))),
                app: AppId(Uuid::from_u128(u128::from(1000 + n))),
                place: ContainerRef {
                    host: HostId(Uuid::from_u128(1)),
                    node: "pve1".parse().unwrap(),
                    vmid: (100 + n).try_into().unwrap(),
                },
                confirmed: true,
            },
            adopted: false,
            hostname: format!("web-{n}").parse().unwrap(),
            status: StatusLabel::Running,
            operation: None,
        }
    }

    /// What is written and remembered when these begin to be missing, beside others that are on record as among many.
    fn step(
        begin: &[u32],
        others: &[u32],
        suspected: &mut Suspected,
        are_too_many: bool,
    ) -> Vec<(EventKind, Option<AppId>)> {
        let label: HostLabel = "lab".parse().unwrap();
        let guests: Vec<WatchedGuest> = begin.iter().chain(others).copied().map(guest).collect();
        let missed = guests.iter().map(|guest| Missed {
            label: &label,
            guest,
        });
        let missed: Vec<Missed<'_>> = missed.collect();
        let (begun, others) = missed.split_at(begin.len());
        let first = begun.iter().map(|missed| First {
            missed: *missed,
            suspicion: Suspicion::begun(Timestamp(1)),
        });
        let first: Vec<First<'_>> = first.collect();
        let telling = tell(&first, others, suspected, are_too_many);
        suspected.told(&telling.told);
        let told = telling
            .changes
            .into_iter()
            .filter_map(|change| match change {
                SuspicionChange::Begun { app, event, .. } => Some((event?.kind, Some(app))),
                SuspicionChange::ToldAlone { app, event, .. } => Some((event.kind, Some(app))),
                SuspicionChange::Told { event } => Some((event.kind, None)),
                SuspicionChange::Counted { .. } | SuspicionChange::Ended { .. } => None,
            });
        told.collect()
    }

    fn of(kind: EventKind, guests: &[u32]) -> Vec<(EventKind, Option<AppId>)> {
        let apps = guests.iter().map(|n| guest(*n).watched.app);
        apps.map(|app| (kind, Some(app))).collect()
    }

    #[test]
    fn many_are_one_event_and_each_hears_of_its_own() {
        let mut suspected = Suspected::default();
        let all = [1, 2, 3, 4, 5];
        let mut expected = of(EventKind::OrphanAmongMany, &all);
        expected.push((EventKind::OrphansSuspected, None));
        assert_eq!(step(&all, &[], &mut suspected, true), expected);
        assert_eq!(step(&[], &all, &mut suspected, true), []);
        // A node that comes and goes: their suspicions begin anew.
        assert_eq!(step(&all, &[], &mut suspected, true), []);
    }

    #[test]
    fn what_is_left_of_many_is_told_of_by_itself_once() {
        let mut suspected = Suspected::default();
        step(&[1, 2, 3, 4, 5], &[], &mut suspected, true);
        let alone = |guests: &[u32]| of(EventKind::OrphanSuspected, guests);
        assert_eq!(step(&[], &[5], &mut suspected, false), alone(&[5]));
        // The record says no more that it is among many, nor does the memory where its suspicion begins anew.
        assert_eq!(step(&[5], &[], &mut suspected, false), []);
        assert_eq!(step(&[5], &[], &mut suspected, true), []);
        // Of one whose suspicion ended with the others' the memory knows.
        assert_eq!(step(&[4], &[], &mut suspected, false), alone(&[4]));
        assert_eq!(step(&[4], &[], &mut suspected, false), []);
    }

    /// Nothing is in memory: what is on record as among many is told of, and nothing else.
    #[test]
    fn a_restart_loses_none_that_is_left() {
        let mut suspected = Suspected::default();
        let left = of(EventKind::OrphanSuspected, &[2, 3]);
        assert_eq!(step(&[], &[2, 3], &mut suspected, false), left);
    }

    #[test]
    fn one_that_joins_the_many_has_an_event_of_its_own() {
        let mut suspected = Suspected::default();
        step(&[1, 2, 3, 4], &[], &mut suspected, true);
        let joins = of(EventKind::OrphanSuspected, &[5]);
        assert_eq!(step(&[5], &[1, 2, 3, 4], &mut suspected, true), joins);
        suspected.seen(guest(5).watched.guest);
        assert_eq!(step(&[5], &[1, 2, 3, 4], &mut suspected, true), joins);
    }
}
