//! First suspicions: each is told once until its guest is seen again, and many at once as one. What is left of many when only few
//! are missing any more is told of guest by guest, once.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::event::EventKind;
use proximity_domain::ids::GuestId;
use proximity_domain::names::HostLabel;
use proximity_domain::observe::{Sighting, Suspicion};
use proximity_domain::time::Timestamp;
use proximity_store::effects::NewEvent;
use proximity_store::observation::{KeptSuspicion, SuspicionChange, WatchedGuest};
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

/// What was told of a guest that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) how: Told,
    /// Since when it was missing, as the event says.
    pub(super) since: Timestamp,
}

/// Guests that were told of as missing and were not seen since. A node that comes and goes makes no new event each time. Kept
/// in memory: after a restart what was not seen since is on record as a suspicion.
#[derive(Debug, Clone, Default)]
pub(super) struct Suspected(BTreeMap<GuestId, Mention>);

impl Suspected {
    /// What a look shows of a guest. One that is seen is told of anew when it is missing again; what is told of it now is given: a
    /// machine that has its number is told of elsewhere.
    pub(super) fn look(
        &mut self,
        sight: Sighting<'_>,
        label: &HostLabel,
        guest: &WatchedGuest,
        kept: Option<KeptSuspicion>,
    ) -> Option<NewEvent> {
        if matches!(sight, Sighting::Unknown | Sighting::Missing) {
            return None;
        }
        let mention = self.0.remove(&guest.watched.guest);
        match sight {
            Sighting::Here(_) | Sighting::Elsewhere(..) => again(label, guest, mention, kept),
            Sighting::Machine(_) | Sighting::Unknown | Sighting::Missing => None,
        }
    }

    /// These were told of.
    pub(super) fn told(&mut self, guests: &[(GuestId, Mention)]) {
        if self.0.len() + guests.len() > REMEMBERED {
            self.0.clear();
        }
        self.0.extend(guests.iter().copied().take(REMEMBERED));
    }

    fn of(&self, missed: &Missed<'_>) -> Option<Mention> {
        self.0.get(&missed.id()).copied()
    }
}

/// A guest that a complete look misses.
#[derive(Clone, Copy)]
pub(super) struct Missed<'a> {
    /// Its host entry.
    pub(super) label: &'a HostLabel,
    pub(super) guest: &'a WatchedGuest,
    /// Since when, by what is on record.
    pub(super) since: Timestamp,
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
    pub(super) told: Vec<(GuestId, Mention)>,
}

impl<'a> Missed<'a> {
    /// One with this suspicion.
    pub(super) fn of(label: &'a HostLabel, guest: &'a WatchedGuest, suspicion: &Suspicion) -> Self {
        Self {
            label,
            guest,
            since: suspicion.since,
        }
    }

    fn id(&self) -> GuestId {
        self.guest.watched.guest
    }

    fn event(&self, mention: Mention) -> NewEvent {
        let kind = match mention.how {
            Told::Alone => EventKind::OrphanSuspected,
            Told::AmongMany => EventKind::OrphanAmongMany,
        };
        lasting(kind, self.label, self.guest, mention.since)
    }

    fn warn(&self) {
        let place = named(self.label.as_str(), &self.guest.watched.place);
        let (app, status) = (&self.guest.hostname, self.guest.status.label());
        tracing::warn!(%app, status, "SUSPECTED ORPHAN: {place} is missing from a complete list");
    }
}

/// What is told of a guest that is missing since then, or was.
fn lasting(kind: EventKind, label: &HostLabel, guest: &WatchedGuest, since: Timestamp) -> NewEvent {
    let mut body = told(label, guest);
    body["since"] = json!(since);
    NewEvent { kind, body }
}

/// What is told of a guest that is seen again, if it was told of by itself: by what is remembered, else by what is on record.
fn again(
    label: &HostLabel,
    guest: &WatchedGuest,
    mention: Option<Mention>,
    kept: Option<KeptSuspicion>,
) -> Option<NewEvent> {
    let on_record = kept.map(|kept| Mention {
        how: if kept.among_many {
            Told::AmongMany
        } else {
            Told::Alone
        },
        since: kept.suspicion.since,
    });
    let told = mention.or(on_record)?;
    match told.how {
        Told::Alone => {
            let kind = EventKind::GuestSeenAgain;
            Some(lasting(kind, label, guest, told.since))
        }
        Told::AmongMany => None,
    }
}

impl Telling {
    /// A suspicion begins. `before`: what was told of its guest already; `now`: how it is told of.
    fn begin(&mut self, first: &First<'_>, before: Option<Mention>, now: Told) {
        let missed = &first.missed;
        let is_new = before.is_none_or(|before| before.how != now);
        let mention = Mention {
            how: now,
            since: before.map_or(missed.since, |before| before.since),
        };
        let event = is_new.then(|| missed.event(mention));
        if is_new && now == Told::Alone {
            missed.warn();
        }
        self.told.push((missed.id(), mention));
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
        let mention = Mention {
            how: Told::Alone,
            since: missed.since,
        };
        self.told.push((missed.id(), mention));
        self.changes.push(SuspicionChange::ToldAlone {
            guest: missed.id(),
            app: missed.guest.watched.app,
            event: missed.event(mention),
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
    let new = new.filter(|one| suspected.of(&one.missed).is_none());
    let new: Vec<&First<'_>> = new.collect();
    let as_one = are_too_many && new.len() > 1;
    let mut telling = Telling::default();
    for one in first {
        let before = suspected.of(&one.missed);
        let now = match before.map(|before| before.how) {
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
    use proximity_domain::observe::{ListedPower, Watched};
    use uuid::Uuid;

    use super::*;

    const HERE: Sighting<'static> = Sighting::Here(ListedPower::Running);

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
            since: Timestamp(1),
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

    #[test]
    fn its_end_is_told_of_one_that_was_told_of_by_itself_with_the_same_moment() {
        let (label, guest): (HostLabel, _) = ("lab".parse().unwrap(), guest(1));
        let kept = |among_many| {
            let suspicion = Suspicion::begun(Timestamp(9));
            Some(KeptSuspicion {
                suspicion,
                among_many,
            })
        };
        let told = |how| {
            let since = Timestamp(5);
            Some(Mention { how, since })
        };
        let again = |mention, kept| again(&label, &guest, mention, kept);
        let event = again(told(Told::Alone), kept(false)).unwrap();
        assert_eq!(event.kind, EventKind::GuestSeenAgain);
        assert_eq!(event.body["since"], json!(5), "as it was told");
        let after_a_restart = again(None, kept(false)).unwrap();
        assert_eq!(after_a_restart.body["since"], json!(9));
        let silent = again(told(Told::Alone), None);
        assert!(silent.is_some(), "its node was off in between");
        assert_eq!(again(told(Told::AmongMany), kept(true)), None);
        assert_eq!(again(None, kept(true)), None);
        assert_eq!(again(None, None), None);
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
        suspected.look(HERE, &"lab".parse().unwrap(), &guest(5), None);
        assert_eq!(step(&[5], &[1, 2, 3, 4], &mut suspected, true), joins);
    }
}
