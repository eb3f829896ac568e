//! The slow sweep: the configuration of every container is read in turn, for whose a container is no list tells.
//!
//! Five requests a second over all clusters together, at most two under way per node. A node that does not answer is left for
//! this round, and holds up nobody: each node has lanes of its own. What differs from the record is read once more while
//! nobody is at work on the app, and only then judged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use proximity_domain::guest::ContainerRef;
use proximity_domain::identity::Judgement;
use proximity_domain::ids::{AppId, GuestId, HostId, Vmid};
use proximity_domain::mark::Mark;
use proximity_domain::names::NodeName;
use proximity_domain::observe::{CompleteInventory, NodeSeen};
use proximity_domain::recorded::RecordedGuest;
use proximity_domain::time::{Monotonic, Timestamp};
use proximity_pve::lxc::LxcConfig;
use proximity_store::alarms::AlarmKind;
use proximity_store::guards::GuardedApp;
use proximity_store::observation::WatchedGuest;
use tokio_util::sync::CancellationToken;

use super::alarm::in_conflict;
use super::identify::Identified;
use super::watch::{Alarms, read_alarms};
use super::{Reconciler, Site, look, named};
use crate::cluster::observed;
use crate::error::EngineError;

/// So long from the end of one round to the beginning of one that follows at once, and until a container that came into doubt since is looked at.
const DOUBT: Duration = Duration::from_secs(60);
/// Reads under way per node.
const LANES: usize = 2;
/// After so many reads in a round that did not come back a node is left alone.
const STRIKES: u32 = 2;

/// What is read before all others on its node: containers whose power changed without their having been looked at.
#[derive(Debug, Default)]
pub(super) struct Doubtful {
    nodes: Mutex<BTreeMap<(HostId, NodeName), BTreeMap<Vmid, GuestId>>>,
    /// One came since the last round began.
    new: AtomicBool,
}

impl Doubtful {
    /// This guest is.
    pub(super) fn add(&self, guest: &WatchedGuest) {
        let place = &guest.watched.place;
        let mut nodes = self.lock();
        let of_node = nodes.entry((place.host, place.node.clone())).or_default();
        of_node.insert(place.vmid, guest.watched.guest);
        self.new.store(true, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(HostId, NodeName), BTreeMap<Vmid, GuestId>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that are on no record any more are dropped.
    fn keep(&self, is_there: impl Fn(GuestId) -> bool) {
        self.lock().retain(|_, of_node| {
            of_node.retain(|_, guest| is_there(*guest));
            !of_node.is_empty()
        });
    }

    /// It was taken, and could not be read.
    fn put_back(&self, target: &Target) {
        let Some(guest) = target.guest else { return };
        let place = &target.place;
        let mut nodes = self.lock();
        let of_node = nodes.entry((place.host, place.node.clone())).or_default();
        of_node.insert(place.vmid, guest);
    }

    /// Takes one of a node.
    fn take(&self, host: HostId, node: &NodeName) -> Option<Target> {
        let mut nodes = self.lock();
        if nodes.is_empty() {
            return None;
        }
        let key = (host, node.clone());
        let of_node = nodes.get_mut(&key)?;
        let first = of_node.pop_first();
        if of_node.is_empty() {
            nodes.remove(&key);
        }
        let (host, node) = key;
        first.map(|(vmid, guest)| Target {
            place: ContainerRef { host, node, vmid },
            guest: Some(guest),
        })
    }
}

/// What a round of the sweep came to, in containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SweepReport {
    /// Clusters that were not seen whole, and are left out.
    pub unseen: usize,
    /// Recorded ones that are what was recorded.
    pub recognised: usize,
    /// Recorded ones whose number another container has.
    pub conflicts: usize,
    /// Others that bear the mark of a recorded one.
    pub twins: usize,
    /// Others.
    pub others: usize,
    /// Gone since they were listed; whether for good is not said here.
    pub gone: usize,
    /// Recorded ones that somebody is at work on, or that are not finished.
    pub left: usize,
    /// Those that could not be read.
    pub unread: usize,
}

/// What is on record when a round begins.
struct Round {
    guests: BTreeMap<GuestId, (WatchedGuest, RecordedGuest)>,
    marks: BTreeMap<Mark, GuestId>,
    alarms: Alarms,
    guards: BTreeMap<AppId, GuardedApp>,
}

/// One container to read.
struct Target {
    place: ContainerRef,
    guest: Option<GuestId>,
}

/// The containers of one node.
pub(super) struct Queue<'a> {
    pub(super) site: &'a Site,
    node: &'a NodeName,
    nodes: &'a [NodeSeen],
    targets: Mutex<(VecDeque<Target>, u32)>,
}

/// A round that is under way, until dropped.
struct Sweeping<'a>(&'a AtomicBool);

impl<'a> Sweeping<'a> {
    fn begin(sweeping: &'a AtomicBool) -> Self {
        sweeping.store(true, Ordering::Relaxed);
        Self(sweeping)
    }
}

impl Drop for Sweeping<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// What one read came to.
enum Swept {
    Recognised,
    Conflict,
    Twin,
    Other,
    Gone,
    Left,
    Unread,
}

impl Queue<'_> {
    fn next(&self) -> Option<Target> {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.0.pop_front()
    }

    /// So many reads did not come back that the node is left alone in this round.
    fn is_given_up(&self) -> bool {
        let targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.1 >= STRIKES
    }

    /// A read did not come back. Gives how many are given up with it.
    pub(super) fn strike(&self) -> usize {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.1 += 1;
        if targets.1 < STRIKES {
            return 0;
        }
        let given_up = targets.0.len();
        targets.0.clear();
        given_up
    }
}

impl Reconciler {
    /// Sweeps, round after round, until `shutdown`.
    pub async fn run_sweep(&self, shutdown: CancellationToken) {
        // The first round comes soon: what was kept in memory is gone.
        let mut soon = true;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = self.rest(soon) => {}
            }
            let swept = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                swept = self.sweep() => swept,
            };
            match swept {
                Ok(report) => {
                    tracing::debug!(?report, "the configurations were swept");
                    soon = report.unseen + report.unread > 0;
                }
                Err(e) => {
                    tracing::warn!(error = %e, code = e.code(), "the configurations could not be swept");
                    soon = true;
                }
            }
        }
    }

    /// Until the next round: a short while if it should come soon, or once a container came into doubt.
    async fn rest(&self, soon: bool) {
        let mut rested = Duration::ZERO;
        loop {
            tokio::time::sleep(DOUBT).await;
            rested += DOUBT;
            if soon || rested >= self.sweep_rest || self.doubtful.new.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// One round over all containers of all clusters that are seen whole.
    ///
    /// # Errors
    /// The store's.
    pub async fn sweep(&self) -> Result<SweepReport, EngineError> {
        let _sweeping = Sweeping::begin(&self.sweeping);
        let began = self.clock.now();
        self.doubtful.new.store(false, Ordering::Relaxed);
        let round = self.round().await?;
        self.doubtful
            .keep(|guest| round.guests.contains_key(&guest));
        let mut report = SweepReport::default();
        let mut seen = Vec::new();
        for host in self.store.hosts().await? {
            match self.list(host.id).await {
                Some(found) => seen.push(found),
                None => report.unseen += 1,
            }
        }
        let mut queues = Vec::new();
        for (site, inventory) in &seen {
            queues.extend(self.queues(site, inventory, &round));
        }
        let mut lanes = Vec::new();
        for queue in &queues {
            for _ in 0..LANES {
                lanes.push(self.lane(queue, &round));
            }
        }
        let done = join_all(lanes).await;
        self.write_first_addresses().await?;
        for done in done {
            report.add(&done?);
        }
        let apps: BTreeSet<AppId> = round.guests.values().map(|(g, _)| g.watched.app).collect();
        self.addresses.keep(|app| apps.contains(&app));
        self.end_what_is_past(&seen, &round).await?;
        self.keep_verified(&round, began).await?;
        self.stock.all_due();
        Ok(report)
    }

    /// Puts on record when guests were verified, once a day each.
    async fn keep_verified(&self, round: &Round, began: Timestamp) -> Result<(), EngineError> {
        let due = self.verified.due(|guest| round.guests.contains_key(&guest));
        self.store.note_verified(&due, began).await?;
        self.verified.kept(&due, began);
        Ok(())
    }

    async fn round(&self) -> Result<Round, EngineError> {
        let alarms = read_alarms(&self.store).await?;
        let guards = self.store.guards().await?.into_iter();
        let guards = guards.map(|guarded| (guarded.app, guarded)).collect();
        let (mut guests, mut marks) = (BTreeMap::new(), BTreeMap::new());
        for host in self.store.hosts().await? {
            let watched = self.store.watched_guests(host.id).await?;
            let mut watched: BTreeMap<GuestId, WatchedGuest> =
                watched.into_iter().map(|g| (g.watched.guest, g)).collect();
            for recorded in self.store.recorded_guests_of_host(host.id).await? {
                let Some(guest) = watched.remove(&recorded.id()) else {
                    continue;
                };
                if let Some(native) = recorded.native() {
                    marks.insert(native.identity.mark, native.id);
                }
                guests.insert(recorded.id(), (guest, recorded));
            }
        }
        Ok(Round {
            guests,
            marks,
            alarms,
            guards,
        })
    }

    async fn list(&self, host: HostId) -> Option<(Site, CompleteInventory)> {
        let site = self.sites.site(host).await.ok()?;
        for _ in 0..look::REQUESTS {
            self.pace.turn().await;
        }
        let inventory = look::look(&site).await.ok()?;
        Some((site, inventory))
    }

    /// What is to be read on each node of a cluster: the recorded ones first.
    fn queues<'a>(
        &self,
        site: &'a Site,
        inventory: &'a CompleteInventory,
        round: &Round,
    ) -> Vec<Queue<'a>> {
        let of_host = round.guests.values();
        let here: BTreeMap<Vmid, GuestId> = of_host
            .filter(|(guest, _)| guest.watched.place.host == site.host.id)
            .map(|(guest, _)| (guest.watched.place.vmid, guest.watched.guest))
            .collect();
        let mut nodes: Vec<(&NodeName, VecDeque<Target>)> = inventory
            .nodes()
            .iter()
            .filter(|node| node.online)
            .map(|node| (&node.name, VecDeque::new()))
            .collect();
        for (vmid, node) in inventory.containers() {
            let Some((_, targets)) = nodes.iter_mut().find(|(name, _)| *name == node) else {
                continue;
            };
            let guest = here.get(&vmid).copied();
            let place = ContainerRef {
                host: site.host.id,
                node: node.clone(),
                vmid,
            };
            let target = Target { place, guest };
            match guest {
                Some(_) => targets.push_front(target),
                None => targets.push_back(target),
            }
        }
        let queue = |(node, targets)| Queue {
            site,
            node,
            nodes: inventory.nodes(),
            targets: Mutex::new((targets, 0)),
        };
        nodes.into_iter().map(queue).collect()
    }

    /// Reads one after the other until the node's containers are through.
    async fn lane(&self, queue: &Queue<'_>, round: &Round) -> Result<SweepReport, EngineError> {
        let mut report = SweepReport::default();
        let (host, node, read) = (queue.site.host.id, queue.node, &queue.site.read);
        loop {
            if queue.is_given_up() {
                return Ok(report);
            }
            let doubtful = self.doubtful.take(host, node);
            let was_doubtful = doubtful.is_some();
            let Some(target) = doubtful.or_else(|| queue.next()) else {
                return Ok(report);
            };
            self.pace.turn().await;
            let (vmid, asked) = (target.place.vmid, self.moment());
            let swept = match read.lxc_config(node, vmid).await {
                Ok(config) => {
                    self.hung.end(host, node);
                    self.keep_config(&target.place, &config).await?;
                    self.judge(queue, &target, &config, asked, round).await?
                }
                Err(e) if e.is_missing_config() => {
                    self.hung.end(host, node);
                    Swept::Gone
                }
                Err(e) => {
                    if was_doubtful {
                        self.doubtful.put_back(&target);
                    }
                    tracing::debug!(%node, %vmid, error = %e, "a configuration could not be swept");
                    report.unread += queue.strike();
                    Swept::Unread
                }
            };
            report.count(&swept);
        }
    }

    async fn judge(
        &self,
        queue: &Queue<'_>,
        target: &Target,
        config: &LxcConfig,
        asked: Monotonic,
        round: &Round,
    ) -> Result<Swept, EngineError> {
        let seen = observed(target.place.clone(), config, false);
        let Some((guest, recorded)) = target.guest.and_then(|id| round.guests.get(&id)) else {
            let site = queue.site;
            return self.judge_other(site, target, seen.mark, round).await;
        };
        if guest.is_worked_on() {
            return Ok(Swept::Left);
        }
        match recorded.judge(&seen) {
            Judgement::Owned if recorded.learned().is_none() => {}
            Judgement::Learned(_) => {}
            Judgement::Unfinished(_) => return Ok(Swept::Left),
            Judgement::Owned | Judgement::Drifted(_) | Judgement::Conflict(_) => {
                return self.judge_again(queue, guest, &target.place, round).await;
            }
        }
        let swept = self.recognised(queue.site, guest, (asked, config), round);
        let swept = swept.await?;
        self.read_addresses(queue, (guest, recorded), &target.place)
            .await?;
        Ok(swept)
    }

    /// It is the recorded one: whatever was told of it is over.
    async fn recognised(
        &self,
        site: &Site,
        guest: &WatchedGuest,
        (asked, config): (Monotonic, &LxcConfig),
        round: &Round,
    ) -> Result<Swept, EngineError> {
        if let Some(guarded) = round.guards.get(&guest.watched.app) {
            self.tell_drift(site, guest, guarded, config).await?;
        }
        let now = self.clock.now();
        self.verified.note(guest.watched.guest, now, asked);
        self.end_conflict(site, guest, &round.alarms, now).await?;
        Ok(Swept::Recognised)
    }

    /// What differed is read once more, against the newest record, while nobody is at work on the app: an operation may have
    /// been changing both.
    async fn judge_again(
        &self,
        queue: &Queue<'_>,
        guest: &WatchedGuest,
        place: &ContainerRef,
        round: &Round,
    ) -> Result<Swept, EngineError> {
        let site = queue.site;
        let Some(_at_work) = self.at_work.try_enter(guest.watched.app) else {
            return Ok(Swept::Left);
        };
        let recorded = self.store.recorded_guests(guest.watched.app).await?;
        let recorded = recorded.into_iter().find(|g| g.id() == guest.watched.guest);
        let Some(recorded) = recorded else {
            return Ok(Swept::Left);
        };
        self.pace.turn().await;
        let asked = self.moment();
        let config = match site.read.lxc_config(&place.node, place.vmid).await {
            Ok(config) => config,
            Err(e) if e.is_missing_config() => return Ok(Swept::Gone),
            Err(_) => return Ok(Swept::Unread),
        };
        let seen = observed(place.clone(), &config, false);
        let identified = self.identify(site, queue.nodes, guest, &recorded, &seen, false);
        match identified.await? {
            Identified::Same => self.recognised(site, guest, (asked, &config), round).await,
            Identified::Left => Ok(Swept::Left),
            Identified::Conflict(conflict) => {
                self.verified.lose([guest.watched.guest], self.moment());
                let name = named(site.host.label.as_str(), place);
                let why = in_conflict(&name, guest, &conflict);
                self.raise_conflict(site, guest, &why, &round.alarms, self.clock.now())
                    .await?;
                Ok(Swept::Conflict)
            }
        }
    }

    /// A container that no record is of: it must not bear the mark of one that is.
    async fn judge_other(
        &self,
        site: &Site,
        target: &Target,
        mark: Option<Mark>,
        round: &Round,
    ) -> Result<Swept, EngineError> {
        let of = mark.and_then(|mark| round.marks.get(&mark));
        let Some((guest, _)) = of.and_then(|id| round.guests.get(id)) else {
            return Ok(Swept::Other);
        };
        let now = self.clock.now();
        self.raise_twin(site, guest, &target.place, &round.alarms, now)
            .await?;
        Ok(Swept::Twin)
    }

    /// Ends alarms of guests that are on record no more, and of twins that a whole list does not show any more.
    async fn end_what_is_past(
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
            let Some((guest, _)) = round.guests.get(&key.guest) else {
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

impl SweepReport {
    fn count(&mut self, swept: &Swept) {
        let counter = match swept {
            Swept::Recognised => &mut self.recognised,
            Swept::Conflict => &mut self.conflicts,
            Swept::Twin => &mut self.twins,
            Swept::Other => &mut self.others,
            Swept::Gone => &mut self.gone,
            Swept::Left => &mut self.left,
            Swept::Unread => &mut self.unread,
        };
        *counter += 1;
    }

    fn add(&mut self, other: &Self) {
        self.unseen += other.unseen;
        self.recognised += other.recognised;
        self.conflicts += other.conflicts;
        self.twins += other.twins;
        self.others += other.others;
        self.gone += other.gone;
        self.left += other.left;
        self.unread += other.unread;
    }
}

#[cfg(test)]
mod tests {
    use proximity_domain::app::StatusLabel;
    use proximity_domain::ids::AppId;
    use proximity_domain::observe::Watched;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_is_doubtful_is_taken_once_on_its_node() {
        let host = HostId(Uuid::from_u128(1));
        let (one, other): (NodeName, NodeName) = ("pve1".parse().unwrap(), "pve2".parse().unwrap());
        let guest = |vmid: u32| WatchedGuest {
            watched: Watched {
                guest: GuestId(Uuid::from_u128(u128::from(vmid))),
                app: AppId(Uuid::from_u128(7)),
                place: ContainerRef {
                    host,
                    node: one.clone(),
                    vmid: vmid.try_into().unwrap(),
                },
                confirmed: true,
            },
            adopted: false,
            hostname: "web".parse().unwrap(),
            status: StatusLabel::Running,
            operation: None,
        };
        let doubtful = Doubtful::default();
        for vmid in [102, 101, 102] {
            doubtful.add(&guest(vmid));
        }
        assert!(doubtful.take(host, &other).is_none());
        let taken = std::iter::from_fn(|| doubtful.take(host, &one));
        let taken: Vec<u32> = taken.map(|target| target.place.vmid.get()).collect();
        assert_eq!(taken, [101, 102]);
    }
}
