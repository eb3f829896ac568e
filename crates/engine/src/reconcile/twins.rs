//! Containers that bear the mark of a recorded one, by what the slow sweep reads: that is told while it is so.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::guest::ObservedContainer;
use proximity_domain::mark::Mark;
use proximity_domain::observe::CompleteInventory;
use proximity_store::alarms::AlarmKind;

use super::doubtful::Target;
use super::rounds::Round;
use super::sweep::Swept;
use super::{Reconciler, Site};
use crate::error::EngineError;

impl Reconciler {
    /// A container that no record is of: it must not bear the mark of one that is.
    pub(super) async fn judge_other(
        &self,
        site: &Site,
        target: &Target,
        mark: Option<Mark>,
        round: &Round,
    ) -> Result<Swept, EngineError> {
        let of = mark.and_then(|mark| round.marks.get(&mark));
        let Some((guest, _)) = of.and_then(|id| round.guest(*id)) else {
            return Ok(Swept::Other);
        };
        let now = self.clock.now();
        self.raise_twin(site, guest, &target.place, &round.alarms, now)
            .await?;
        Ok(Swept::Twin)
    }

    /// What was read here does not bear the mark of a guest whose twin it was: that is over, whatever it is now.
    pub(super) async fn end_unmarked(
        &self,
        site: &Site,
        seen: &ObservedContainer,
        round: &Round,
    ) -> Result<(), EngineError> {
        let place = &seen.place;
        if !round.twins.contains(&(place.host, place.vmid)) || is_in_the_making(seen) {
            return Ok(());
        }
        for (key, alarm) in &round.alarms {
            let is_here = (key.host, key.vmid) == (place.host, place.vmid);
            if key.kind != AlarmKind::Twin || !is_here {
                continue;
            }
            let Some((guest, recorded)) = round.guest(key.guest) else {
                continue;
            };
            let mark = recorded.native().map(|native| native.identity.mark);
            if mark.is_some() && mark != seen.mark {
                self.end_twin(&site.host.label, guest, alarm).await?;
            }
        }
        Ok(())
    }

    /// Ends alarms of guests that are on record no more, and of twins that a whole list does not show any more.
    pub(super) async fn end_what_is_past(
        &self,
        seen: &[(Site, CompleteInventory)],
        round: &Round,
    ) -> Result<(), EngineError> {
        let mut here = BTreeSet::new();
        let mut hosts = BTreeMap::new();
        for (site, inventory) in seen {
            hosts.insert(site.host.id, &site.host.label);
            here.extend(inventory.containers().map(|(vmid, _)| (site.host.id, vmid)));
        }
        for (key, alarm) in &round.alarms {
            let Some((guest, _)) = round.guest(key.guest) else {
                self.store.end_alarm(key, None, self.clock.now()).await?;
                continue;
            };
            let is_gone = !here.contains(&(key.host, key.vmid));
            if let (AlarmKind::Twin, true, Some(host)) = (key.kind, is_gone, hosts.get(&key.host)) {
                self.end_twin(host, guest, alarm).await?;
            }
        }
        Ok(())
    }
}

/// Its notes, and the mark in them, come last where a container is created or restored.
fn is_in_the_making(seen: &ObservedContainer) -> bool {
    seen.mark.is_none() && seen.lock.as_deref() == Some("create")
}
