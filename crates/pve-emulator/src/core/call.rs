//! A call as its behaviour sees it.

use std::collections::BTreeSet;

use super::access::Caller;
use super::answer::Reply;
use super::error::ApiError;
use super::guest::GuestKey;
use super::park::{Progress, Wait};
use super::request::{RequestId, Upload};
use super::rights::Rights;
use super::world::World;
use super::{Effects, broadcast, worker};
use crate::schema::{Params, perl_text};

/// How long a change waits for a majority before it gives up.
pub(crate) const CLUSTER_LOCK_MS: u64 = 9_900;

/// What a behaviour may end with besides a result.
#[derive(Debug)]
pub(crate) enum Stop {
    Refused(ApiError),
    Park(Wait),
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

pub(crate) type Outcome = Result<Reply, Stop>;

/// A call that passed all checks, as its behaviour sees it.
pub(crate) struct Call<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) now_ms: u64,
    pub(crate) request: RequestId,
    pub(crate) caller: &'a Caller,
    pub(crate) params: &'a Params,
    /// The node it runs on: named by the path, or the one that took it.
    pub(crate) node: String,
    /// The node that took it.
    pub(crate) via: String,
    /// The file that came with it.
    pub(crate) upload: Option<&'a Upload>,
    pub(crate) progress: &'a mut Progress,
    pub(crate) effects: &'a mut Effects,
}

impl Call<'_> {
    /// A given parameter as text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        perl_text(self.params.get(name)?)
    }

    /// A given switch; absent means off.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.text(name).as_deref() == Some("1")
    }

    /// A given whole number; negative ones count as absent.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.trim_start_matches('+').parse().ok()
    }

    /// The guest the path names.
    pub(crate) fn guest_key(&self) -> GuestKey {
        let vmid = self
            .number("vmid")
            .and_then(|vmid| u32::try_from(vmid).ok())
            .unwrap_or_default();
        GuestKey {
            node: self.node.clone(),
            vmid,
        }
    }

    /// Whether the caller holds a privilege.
    pub(crate) fn may(&self, path: &str, privilege: &str) -> bool {
        self.rights().has(path, privilege)
    }

    /// What the caller may do.
    pub(crate) fn rights(&self) -> Rights<'_> {
        Rights {
            world: self.world,
            caller: self.caller,
        }
    }

    /// The time, Unix seconds.
    pub(crate) fn now_s(&self) -> u64 {
        self.now_ms / 1000
    }

    /// Makes sure that what is known about these guests is fresh: parks the request once for a look
    /// at those that run.
    pub(crate) fn look_at(&mut self, guests: &[GuestKey]) -> Result<(), Stop> {
        if self.progress.looked {
            return Ok(());
        }
        let jobs: BTreeSet<_> = guests
            .iter()
            .filter_map(|key| broadcast::inspect(self.world, key, false, self.effects))
            .collect();
        if jobs.is_empty() {
            Ok(())
        } else {
            Err(Stop::Park(Wait::Looks(jobs)))
        }
    }

    /// Waits for the cluster's lock on a file or a part of it, which needs a majority: as long as PVE does (10 s), then the
    /// refusal of what it was for.
    pub(crate) fn cluster_lock(&self, lock: &str, failed: &str) -> Result<(), Stop> {
        if self.world.is_quorate(&self.node, self.now_ms) {
            return Ok(());
        }
        let until_ms = self.progress.arrived_ms + CLUSTER_LOCK_MS;
        if self.now_ms < until_ms {
            return Err(Stop::Park(Wait::Until(until_ms)));
        }
        let prefix = if failed.is_empty() {
            String::new()
        } else {
            format!("{failed}: ")
        };
        Err(ApiError::died(format!("{prefix}cfs-lock '{lock}' error: no quorum!")).into())
    }

    /// Waits for a guest's configuration lock, for as long as PVE does (10 s).
    pub(crate) fn await_lock(&mut self, guest: &GuestKey) -> Result<(), Stop> {
        self.await_lock_for(guest, self.world.times.lock_ms)
    }

    /// The same for another time, milliseconds.
    pub(crate) fn await_lock_for(&mut self, guest: &GuestKey, at_most_ms: u64) -> Result<(), Stop> {
        if !worker::is_held(self.world, guest) {
            return Ok(());
        }
        let until_ms = *self
            .progress
            .lock_until_ms
            .get_or_insert(self.now_ms + at_most_ms);
        if self.now_ms >= until_ms {
            return Err(ApiError::died(worker::lock_timeout(guest.vmid)).into());
        }
        Err(Stop::Park(Wait::ConfigLock {
            guest: guest.clone(),
            until_ms,
        }))
    }
}
