//! What the traps do.

use std::time::Duration;

use proximity_domain::recorded::RecordedGuest;
use proximity_pve::transport::{Request, TransportError};
use proximity_pve_emulator::core::StrangerLook;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use super::act::NODES;
use super::cluster::SimCluster;
use super::ground::Origin;
use super::perform::node;
use super::trap::{Passing, Snare, When};
use super::watch;

impl SimCluster {
    /// Springs the traps that this call of a process runs into.
    ///
    /// # Errors
    /// It gets no further.
    pub(super) async fn spring(
        &self,
        passing: &Passing,
        when: When,
        request: &Request,
        process: u32,
    ) -> Result<(), TransportError> {
        let no_answer = || TransportError::MaybeApplied("no answer".to_owned());
        let now_ms = self.clock.elapsed_ms();
        if when == When::Before && self.lock().traps.is_unanswered(passing, now_ms) {
            return Err(no_answer());
        }
        let snares = self.lock().traps.spring(passing, when);
        for snare in snares {
            self.trace.say(format_args!("trap: {snare:?}"));
            match snare {
                Snare::Take { mark, mac } => {
                    let number = number_of(request).or_else(|| self.first_of_ours());
                    let is_copied = match number {
                        Some(vmid) if mark && mac => self.has_stood(vmid).await,
                        Some(_) | None => true,
                    };
                    self.snatch(request, number, (mark && is_copied, mac && is_copied));
                }
                Snare::OldView { node: at, cycles } => self.meddle(|world, _, _| {
                    let all = NODES.into_iter();
                    for name in all.filter(|name| at.is_none_or(|at| node(at) == *name)) {
                        world.set_old_view(name, cycles);
                    }
                }),
                Snare::OldList { node: at, cycles } => {
                    self.lock().lists.stay(at.map(node), cycles, now_ms);
                }
                Snare::Miss => {
                    self.lock().traps.stop_answering(passing, now_ms);
                    return Err(no_answer());
                }
                Snare::Hold { ms } => sleep(Duration::from_millis(ms)).await,
                Snare::Jump { ms } => self.clock.jump(ms),
                Snare::Stall { ms } => {
                    self.stand_still(process, ms).await;
                    // The transport looks at the clock right before the first byte.
                    if when == When::Before && is_late(request) {
                        return Err(TransportError::NotSent("too late".to_owned()));
                    }
                }
            }
        }
        Ok(())
    }

    /// This process stands still for so long; returns when it goes on.
    async fn stand_still(&self, process: u32, ms: u64) {
        let standstill = self.lock().processes.get(&process).cloned();
        let Some(standstill) = standstill else {
            self.lock().traps.missed();
            return;
        };
        standstill.stall(ms);
        yield_now().await;
        standstill.runs().await;
    }

    /// Waits until this process runs.
    pub(super) async fn until_runs(&self, process: u32) {
        let standstill = self.lock().processes.get(&process).cloned();
        if let Some(standstill) = standstill {
            standstill.runs().await;
        }
    }

    /// The volume of whoever has this number is on record: there is no copy of what has never stood.
    async fn has_stood(&self, vmid: u32) -> bool {
        let (store, host) = {
            let inner = self.lock();
            (inner.store.clone(), inner.host)
        };
        let guests = store.recorded_guests_of_host(host).await;
        let stands = |guest: &RecordedGuest| {
            guest.place().vmid.get() == vmid && guest.rootfs_volid().is_some()
        };
        guests.is_ok_and(|guests| guests.iter().any(stands))
    }

    /// A stranger takes the number that a call is about, with a container that shows the mark and the MAC of the one before or does not.
    /// What PVE itself works on is locked: nobody can.
    fn snatch(&self, request: &Request, number: Option<u32>, (mark, mac): (bool, bool)) {
        let busy = number.is_some_and(|vmid| self.lock().is_busy(vmid));
        let Some(vmid) = number.filter(|_| !busy) else {
            self.lock().traps.missed();
            return;
        };
        let parts: Vec<&str> = request.path.split('/').collect();
        let named = NODES.into_iter().find(|node| parts.contains(node));
        let (at, look) = {
            let inner = self.lock();
            let there = inner.world.guests().find(|(other, _)| *other == vmid);
            let before = there.map(|(_, guest)| guest);
            let shows = |key: &str| before.and_then(|guest| guest.config.get(key));
            let look = StrangerLook {
                hostname: None,
                description: shows("description").filter(|_| mark).map(str::to_owned),
                net0: shows("net0").filter(|_| mac).map(str::to_owned),
                second_volume: mark && mac,
            };
            let at = before.map(|guest| guest.node.clone());
            (
                at.unwrap_or_else(|| named.unwrap_or(NODES[0]).to_owned()),
                look,
            )
        };
        self.taken(vmid, &at, &look);
        super::narrow::forget(self, vmid);
    }

    /// The container that a call about no number is taken to be about: the first one of ours, there or gone, or one that was
    /// there before.
    fn first_of_ours(&self) -> Option<u32> {
        let inner = self.lock();
        let of = |origin| {
            let mut lives = inner.ground.lives();
            lives.find(|(_, life)| life.origin == origin)
        };
        let (ours, found) = (of(Origin::Ours), of(Origin::Found));
        let ours = ours.map(|(vmid, _)| vmid);
        let gone = || inner.ground.gone().next();
        ours.or_else(gone).or(found.map(|(vmid, _)| vmid))
    }

    /// A stranger's container has the number of one that is destroyed, or a free one, as the lists of tasks tell.
    pub(super) fn taken(&self, vmid: u32, at: &str, look: &StrangerLook) {
        self.meddle(|world, ground, now_ms| {
            ground.over(vmid);
            // There is such a node.
            let _ = world.stranger_takes_by_api(vmid, at, look, now_ms);
        });
    }
}

/// No byte of it may be sent any more.
pub(super) fn is_late(request: &Request) -> bool {
    let is_over = |limit: Instant| Instant::now() >= limit;
    request.send_before.is_some_and(is_over)
}

/// The number that a call is about, also of a container that it makes.
fn number_of(request: &Request) -> Option<u32> {
    if watch::act_of(request) == watch::Act::Create {
        return watch::made_by(request);
    }
    let mut parts = request.path.split('/');
    parts.find_map(|part| part.parse().ok())
}
