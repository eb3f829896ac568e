//! Rounds of the slow sweep: when one is due, over what, and what is on record when it begins.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use proximity_domain::ids::{AppId, GuestId, HostId, Vmid};
use proximity_domain::mark::Mark;
use proximity_domain::recorded::RecordedGuest;
use proximity_store::alarms::AlarmKind;
use proximity_store::drifts::DesiredDrift;
use proximity_store::guards::GuardedApp;
use proximity_store::observation::WatchedGuest;

use super::Reconciler;
use super::sweep::SweepReport;
use super::watch::{Alarms, read_alarms};
use crate::error::EngineError;

/// So long from the end of one round to the beginning of one that follows at once, and until containers that came into doubt since are
/// looked at.
pub(super) const DOUBT: Duration = Duration::from_secs(60);

/// What is on record when a round begins.
pub(super) struct Round {
    /// Each by itself: the nodes of a tree are half empty, and the entries large.
    pub(super) guests: BTreeMap<GuestId, Box<(WatchedGuest, RecordedGuest)>>,
    pub(super) marks: BTreeMap<Mark, GuestId>,
    pub(super) alarms: Alarms,
    /// Where containers are that were told of as twins.
    pub(super) twins: BTreeSet<(HostId, Vmid)>,
    pub(super) guards: BTreeMap<AppId, GuardedApp>,
    /// Apps of which documents want something.
    pub(super) desired: BTreeSet<AppId>,
    /// What was told of those whose containers are otherwise.
    pub(super) drifts: BTreeMap<AppId, DesiredDrift>,
}

impl Round {
    /// A guest that was on record.
    pub(super) fn guest(&self, id: GuestId) -> Option<(&WatchedGuest, &RecordedGuest)> {
        let guest = self.guests.get(&id)?;
        Some((&guest.0, &guest.1))
    }
}

/// What a round came to.
#[derive(Debug, Default)]
pub(super) struct RoundMade {
    pub(super) report: SweepReport,
    /// The clusters of which something was not read.
    pub(super) left_out: BTreeSet<HostId>,
}

impl RoundMade {
    /// What a lane of this cluster came to.
    pub(super) fn add_lane(&mut self, host: HostId, lane: &SweepReport) {
        if lane.unread > 0 {
            self.left_out.insert(host);
        }
        self.report.add(lane);
    }

    /// These were not seen whole.
    pub(super) fn add_unseen(&mut self, unseen: BTreeSet<HostId>) {
        self.report.unseen += unseen.len();
        self.left_out.extend(unseen);
    }
}

/// Logs what a round came to. Gives the clusters of which it left something out; `None` if it could not be made.
pub(super) fn told(of: &str, swept: Result<RoundMade, EngineError>) -> Option<BTreeSet<HostId>> {
    match swept {
        Ok(RoundMade { report, left_out }) => {
            tracing::debug!(of, ?report, "the configurations were swept");
            Some(left_out)
        }
        Err(e) => {
            tracing::warn!(error = %e, code = e.code(), "the configurations could not be swept");
            None
        }
    }
}

/// Which round is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    /// Over all containers.
    All,
    /// Over all containers of these clusters, of which the last one over everything left some out.
    LeftOut(BTreeSet<HostId>),
    /// Over those that came into doubt.
    Doubtful,
}

/// The rest between two rounds over everything.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// The next one should come soon.
    soon: bool,
    /// Clusters of which the last one left something out, and that no early round was made for yet.
    left_out: BTreeSet<HostId>,
    rested: Duration,
}

impl Rest {
    /// None was there yet, or the last one could not be made.
    pub(super) fn begin_soon(&mut self) {
        *self = Self {
            soon: true,
            ..Self::default()
        };
    }

    /// One over everything has come to its end. What it left out is a reason for one early round over these clusters, and not for
    /// another one after that: one that stays off would keep the sweep going. The others rest meanwhile.
    pub(super) fn begin(&mut self, left_out: BTreeSet<HostId>) {
        *self = Self {
            left_out,
            ..Self::default()
        };
    }

    /// The early round over these clusters could not be made.
    pub(super) fn again(&mut self, left_out: BTreeSet<HostId>) {
        self.left_out = left_out;
    }

    /// A short while later: which round is due, if one is. Doubts alone do not shorten the rest: an app that starts anew every few
    /// minutes would keep the sweep going.
    pub(super) fn due(&mut self, whole: Duration, in_doubt: bool) -> Option<Due> {
        self.rested += DOUBT;
        if self.soon || self.rested >= whole {
            return Some(Due::All);
        }
        if !self.left_out.is_empty() {
            return Some(Due::LeftOut(mem::take(&mut self.left_out)));
        }
        in_doubt.then_some(Due::Doubtful)
    }
}

impl Reconciler {
    /// All that is on record.
    pub(super) async fn round(&self) -> Result<Round, EngineError> {
        let mut round = self.empty_round().await?;
        for host in self.store.hosts().await? {
            // Both come in the order of their VMIDs, each of which is one guest's.
            let watched = self.store.watched_guests(host.id).await?;
            let mut watched = watched.into_iter().peekable();
            for recorded in self.store.recorded_guests_of_host(host.id).await? {
                let (id, vmid) = (recorded.id(), recorded.place().vmid);
                while watched
                    .next_if(|guest| guest.watched.place.vmid < vmid)
                    .is_some()
                {}
                let Some(guest) = watched.next_if(|guest| guest.watched.guest == id) else {
                    continue;
                };
                if let Some(native) = recorded.native() {
                    round.marks.insert(native.identity.mark, native.id);
                }
                round.guests.insert(id, Box::new((guest, recorded)));
            }
        }
        Ok(round)
    }

    /// What is on record of these guests, by cluster. No mark of theirs is looked for elsewhere.
    pub(super) async fn round_of(
        &self,
        doubtful: &BTreeMap<HostId, BTreeSet<GuestId>>,
    ) -> Result<Round, EngineError> {
        let mut round = self.empty_round().await?;
        for (host, guests) in doubtful {
            let watched = {
                let mut watch = self.watch.lock().await;
                watch.record.refresh().await?;
                watch.record.guests(*host)
            };
            for guest in watched.iter() {
                let id = guest.watched.guest;
                if !guests.contains(&id) {
                    continue;
                }
                let recorded = self.store.recorded_guests(guest.watched.app).await?;
                if let Some(recorded) = recorded.into_iter().find(|g| g.id() == id) {
                    let guest = Box::new((guest.clone(), recorded));
                    round.guests.insert(id, guest);
                }
            }
        }
        Ok(round)
    }

    async fn empty_round(&self) -> Result<Round, EngineError> {
        let alarms = read_alarms(&self.store).await?;
        let guards = self.store.guards().await?.into_iter();
        let desired = self.store.desired_ties().await?.into_iter();
        let drifts = self.store.desired_drifts().await?.into_iter();
        let twins = alarms.keys().filter(|key| key.kind == AlarmKind::Twin);
        Ok(Round {
            guests: BTreeMap::new(),
            marks: BTreeMap::new(),
            twins: twins.map(|key| (key.host, key.vmid)).collect(),
            guards: guards.map(|guarded| (guarded.app, guarded)).collect(),
            desired: desired.map(|ties| ties.app).collect(),
            drifts: drifts.map(|told| (told.app, told)).collect(),
            alarms,
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// The rounds of so many minutes while each brings a doubt, or none does.
    fn rounds(minutes: usize, rest: &mut Rest, in_doubt: bool) -> Vec<Option<Due>> {
        let ten_minutes = 10 * DOUBT;
        (0..minutes)
            .map(|_| rest.due(ten_minutes, in_doubt))
            .collect()
    }

    /// Of the clusters of a round nothing was left out.
    fn nothing() -> BTreeSet<HostId> {
        BTreeSet::new()
    }

    #[test]
    fn doubts_are_read_by_themselves_and_begin_no_round_over_everything() {
        let mut rest = Rest::default();
        assert_eq!(rounds(9, &mut rest, true), vec![Some(Due::Doubtful); 9]);
        assert_eq!(rounds(1, &mut rest, true), [Some(Due::All)]);
        rest.begin(nothing());
        assert_eq!(rounds(9, &mut rest, false), vec![None; 9]);
        assert_eq!(rounds(1, &mut rest, false), [Some(Due::All)]);
    }

    /// The others have their rest, and it becomes no longer by that.
    #[test]
    fn what_stays_left_out_brings_one_early_round_over_itself_after_each_one_over_everything() {
        let off = BTreeSet::from([HostId(Uuid::from_u128(1))]);
        let early = || Some(Due::LeftOut(off.clone()));
        let mut rest = Rest::default();
        rest.begin_soon();
        assert_eq!(rounds(1, &mut rest, false), [Some(Due::All)]);
        for _ in 0..2 {
            rest.begin(off.clone());
            assert_eq!(rounds(1, &mut rest, true), [early()], "before doubts");
            assert_eq!(rounds(8, &mut rest, false), vec![None; 8]);
            assert_eq!(rounds(1, &mut rest, false), [Some(Due::All)]);
        }
        rest.begin(off.clone());
        assert_eq!(rounds(1, &mut rest, false), [early()]);
        rest.again(off.clone());
        assert_eq!(rounds(1, &mut rest, false), [early()], "it was not made");
    }

    #[test]
    fn a_round_that_could_not_be_made_is_made_soon() {
        let mut rest = Rest::default();
        for _ in 0..3 {
            rest.begin_soon();
            assert_eq!(rounds(1, &mut rest, false), [Some(Due::All)]);
        }
        rest.begin(nothing());
        assert_eq!(rounds(9, &mut rest, false), vec![None; 9]);
    }
}
