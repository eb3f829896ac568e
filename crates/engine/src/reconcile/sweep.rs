//! The slow sweep: the configuration of every container is read in turn, for whose a container is no list tells.
//!
//! Five requests a second over all clusters together, at most two under way per node. A node that does not answer is left for
//! this round, and holds up nobody: each node has lanes of its own. What differs from the record is read once more while
//! nobody is at work on the app, and only then judged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::join_all;
use proximity_domain::guest::ContainerRef;
use proximity_domain::identity::Judgement;
use proximity_domain::ids::{AppId, GuestId, HostId, Vmid};
use proximity_domain::names::NodeName;
use proximity_domain::observe::{CompleteInventory, NodeSeen};
use proximity_domain::time::{Monotonic, Timestamp};
use proximity_pve::Error as PveError;
use proximity_pve::lxc::LxcConfig;
use proximity_store::observation::WatchedGuest;
use tokio_util::sync::CancellationToken;

use super::alarm::in_conflict;
use super::documents::Recognised;
use super::doubtful::Target;
use super::identify::Identified;
use super::rounds::{DOUBT, Due, Rest, Round, RoundMade, told};
use super::{Reconciler, Site, look, named};
use crate::cluster::observed;
use crate::error::EngineError;

/// Reads under way per node.
const LANES: usize = 2;
/// After so many reads in a round that did not come back a node is left alone.
const STRIKES: u32 = 2;

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

/// The containers of one node.
pub(super) struct Queue<'a> {
    pub(super) site: &'a Site,
    node: &'a NodeName,
    nodes: &'a [NodeSeen],
    left: Mutex<OfQueue>,
}

/// What is left of a queue.
#[derive(Default)]
struct OfQueue {
    targets: VecDeque<Target>,
    /// Reads that did not come back.
    strikes: u32,
    /// Those in doubt that were taken and are in doubt still: for the next round.
    doubtful: Vec<Target>,
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
pub(super) enum Swept {
    Recognised,
    Conflict,
    Twin,
    Other,
    Gone,
    Left,
    Unread,
}

impl<'a> Queue<'a> {
    fn new(
        site: &'a Site,
        inventory: &'a CompleteInventory,
        node: &'a NodeName,
        targets: VecDeque<Target>,
    ) -> Self {
        Self {
            site,
            node,
            nodes: inventory.nodes(),
            left: Mutex::new(OfQueue {
                targets,
                ..OfQueue::default()
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, OfQueue> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Target> {
        self.lock().targets.pop_front()
    }

    /// So many reads did not come back that the node is left alone in this round.
    fn is_given_up(&self) -> bool {
        self.lock().strikes >= STRIKES
    }

    /// A read did not come back. Gives how many are given up with it.
    pub(super) fn strike(&self) -> usize {
        let mut left = self.lock();
        left.strikes += 1;
        if left.strikes < STRIKES {
            return 0;
        }
        let given_up = left.targets.len();
        left.targets.clear();
        given_up
    }

    /// It is in doubt still, and not read again in this round: else one that cannot be read would keep all others waiting.
    fn keep_in_doubt(&self, target: Target) {
        self.lock().doubtful.push(target);
    }

    /// Takes those that are in doubt still.
    fn still_doubtful(&self) -> Vec<Target> {
        mem::take(&mut self.lock().doubtful)
    }
}

impl Reconciler {
    /// Sweeps, round after round, until `shutdown`.
    pub async fn run_sweep(&self, shutdown: CancellationToken) {
        let mut rest = Rest::default();
        // The first round comes soon: what was kept in memory is gone.
        rest.begin_soon();
        loop {
            let due = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                due = self.rest(&mut rest) => due,
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = self.sweep_due(due, &mut rest) => {}
            }
        }
    }

    /// Until a round is due.
    async fn rest(&self, rest: &mut Rest) -> Due {
        loop {
            tokio::time::sleep(DOUBT).await;
            if let Some(due) = rest.due(self.sweep_rest, self.doubtful.is_due()) {
                return due;
            }
        }
    }

    /// One round, whatever comes of it.
    async fn sweep_due(&self, due: Due, rest: &mut Rest) {
        match due {
            Due::All => match told("all", self.sweep_of(None).await) {
                Some(left_out) => rest.begin(left_out),
                None => rest.begin_soon(),
            },
            Due::LeftOut(hosts) => {
                // Doubts wait for no cluster that may be off still.
                if self.doubtful.is_due() {
                    self.sweep_doubts().await;
                }
                if told("left out", self.sweep_of(Some(&hosts)).await).is_none() {
                    rest.again(hosts);
                }
            }
            Due::Doubtful => self.sweep_doubts().await,
        }
    }

    async fn sweep_doubts(&self) {
        let left_out = told("in doubt", self.sweep_those_in_doubt().await);
        if left_out.is_none_or(|hosts| !hosts.is_empty()) {
            self.doubtful.again();
        }
    }

    /// One round over all containers of all clusters that are seen whole.
    ///
    /// # Errors
    /// The store's.
    pub async fn sweep(&self) -> Result<SweepReport, EngineError> {
        Ok(self.sweep_of(None).await?.report)
    }

    /// One round over all containers of these clusters, as far as they are on record and seen whole: nothing is asked of others.
    ///
    /// # Errors
    /// The store's.
    pub async fn sweep_clusters(
        &self,
        hosts: &BTreeSet<HostId>,
    ) -> Result<SweepReport, EngineError> {
        Ok(self.sweep_of(Some(hosts)).await?.report)
    }

    /// One round over all containers of these clusters; of all without.
    async fn sweep_of(&self, only: Option<&BTreeSet<HostId>>) -> Result<RoundMade, EngineError> {
        let _sweeping = Sweeping::begin(&self.sweeping);
        let began = self.clock.now();
        if only.is_none() {
            self.doubtful.begin();
        }
        let round = self.round().await?;
        self.doubtful
            .keep(|guest| round.guests.contains_key(&guest));
        let hosts = self.store.hosts().await?;
        let mut hosts: BTreeSet<HostId> = hosts.iter().map(|host| host.id).collect();
        if let Some(only) = only {
            hosts.retain(|host| only.contains(host));
        }
        let (seen, unseen) = self.lists(hosts).await;
        let mut queues = Vec::new();
        for (site, inventory) in &seen {
            queues.extend(self.queues(site, inventory, &round));
        }
        let mut made = self.read(&queues, &round).await?;
        made.add_unseen(unseen);
        let apps: BTreeSet<AppId> = round.guests.values().map(|of| of.0.watched.app).collect();
        self.addresses.keep(|app| apps.contains(&app));
        self.end_what_is_past(&seen, &round).await?;
        self.keep_verified(&round, began).await?;
        if only.is_none() {
            self.stock.all_due();
        }
        Ok(made)
    }

    /// One round over the containers that came into doubt, on nodes that are online in clusters that are seen whole.
    ///
    /// # Errors
    /// The store's.
    pub async fn sweep_doubtful(&self) -> Result<SweepReport, EngineError> {
        Ok(self.sweep_those_in_doubt().await?.report)
    }

    async fn sweep_those_in_doubt(&self) -> Result<RoundMade, EngineError> {
        let _sweeping = Sweeping::begin(&self.sweeping);
        self.doubtful.begin();
        let doubtful = self.doubtful.guests();
        let round = self.round_of(&doubtful).await?;
        self.doubtful.keep(|guest| {
            let is_of_round = doubtful.values().any(|all| all.contains(&guest));
            !is_of_round || round.guests.contains_key(&guest)
        });
        let guests = round.guests.values();
        let hosts: BTreeSet<HostId> = guests.map(|of| of.0.watched.place.host).collect();
        let (seen, unseen) = self.lists(hosts).await;
        let mut queues = Vec::new();
        for (site, inventory) in &seen {
            for node in inventory.nodes().iter().filter(|node| node.online) {
                if self.doubtful.is_any_on(site.host.id, &node.name) {
                    queues.push(Queue::new(site, inventory, &node.name, VecDeque::new()));
                }
            }
        }
        let mut made = self.read(&queues, &round).await?;
        made.add_unseen(unseen);
        Ok(made)
    }

    /// The lists of these clusters, and those that are not seen whole.
    async fn lists(
        &self,
        hosts: BTreeSet<HostId>,
    ) -> (Vec<(Site, CompleteInventory)>, BTreeSet<HostId>) {
        let (mut seen, mut unseen) = (Vec::new(), BTreeSet::new());
        for host in hosts {
            match self.list(host).await {
                Some(found) => seen.push(found),
                None => {
                    unseen.insert(host);
                }
            }
        }
        (seen, unseen)
    }

    /// Reads what is in the queues, and what is in doubt on their nodes.
    async fn read(&self, queues: &[Queue<'_>], round: &Round) -> Result<RoundMade, EngineError> {
        let (mut lanes, mut hosts) = (Vec::new(), Vec::new());
        for queue in queues {
            for _ in 0..LANES {
                lanes.push(self.lane(queue, round));
                hosts.push(queue.site.host.id);
            }
        }
        let done = join_all(lanes).await;
        for target in queues.iter().flat_map(Queue::still_doubtful) {
            self.doubtful.put_back(&target);
        }
        self.write_first_addresses().await?;
        let mut made = RoundMade::default();
        for (done, host) in done.into_iter().zip(hosts) {
            made.add_lane(host, &done?);
        }
        Ok(made)
    }

    /// Puts on record when guests were verified, once a day each, and once they are again whose number was missed. What is suspected to be
    /// gone while that is written stays due.
    async fn keep_verified(&self, round: &Round, began: Timestamp) -> Result<(), EngineError> {
        let due = self.verified.due(|guest| round.guests.contains_key(&guest));
        let noted = self.store.note_verified(&due, began).await?;
        self.verified.kept(&noted, began);
        Ok(())
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
        let all = round.guests.values().map(|of| &of.0.watched);
        let here: BTreeMap<Vmid, GuestId> = all
            .filter(|watched| watched.place.host == site.host.id)
            .map(|watched| (watched.place.vmid, watched.guest))
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
        let queue = |(node, targets)| Queue::new(site, inventory, node, targets);
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
            let doubtful = self
                .doubtful
                .take(host, node, |guest| round.guests.contains_key(&guest));
            let was_doubtful = doubtful.is_some();
            let Some(target) = doubtful.or_else(|| queue.next()) else {
                return Ok(report);
            };
            self.pace.turn().await;
            let (vmid, asked) = (target.place.vmid, self.moment());
            let before = target.guest.and_then(|guest| self.verified.newest(guest));
            let swept = match read.lxc_config(node, vmid).await {
                Ok(config) => {
                    self.hung.end(host, node);
                    self.keep_config(&target.place, &config).await?;
                    let swept = self.judge(queue, &target, &config, asked, round).await?;
                    if matches!(swept, Swept::Recognised) {
                        self.documents(queue.site, &target, (before, &config), round)
                            .await?;
                    }
                    swept
                }
                Err(e) if e.is_missing_config() => {
                    self.hung.end(host, node);
                    Swept::Gone
                }
                Err(e) => {
                    tracing::debug!(%node, %vmid, error = %e, "a configuration could not be swept");
                    if !is_of_one(&e) {
                        report.unread += queue.strike();
                    }
                    Swept::Unread
                }
            };
            report.count(&swept);
            if was_doubtful && matches!(swept, Swept::Unread | Swept::Left) {
                queue.keep_in_doubt(target);
            }
            if self.addresses.are_due(self.moment()) {
                self.write_first_addresses().await?;
            }
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
        self.end_unmarked(queue.site, &seen, round).await?;
        let Some((guest, recorded)) = target.guest.and_then(|id| round.guest(id)) else {
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

    /// It is the recorded one: it is held to what documents want of it.
    async fn documents(
        &self,
        site: &Site,
        target: &Target,
        (before, config): (Option<Timestamp>, &LxcConfig),
        round: &Round,
    ) -> Result<(), EngineError> {
        let Some((guest, recorded)) = target.guest.and_then(|id| round.guest(id)) else {
            return Ok(());
        };
        let seen = Recognised {
            site,
            guest,
            recorded,
            place: &target.place,
            before,
        };
        Box::pin(self.hold_to_documents(seen, config, round)).await
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
}

/// Whether this tells of one container, and not of its node: that was asked, and said something.
fn is_of_one(error: &PveError) -> bool {
    let is_answer = matches!(
        error,
        PveError::Refused { .. } | PveError::Unreadable { .. }
    );
    is_answer && !error.is_node_unreachable()
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

    pub(super) fn add(&mut self, other: &Self) {
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
