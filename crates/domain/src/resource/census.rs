//! What a look says of what is on record: which resources are new, otherwise than they were, or gone.

use std::collections::BTreeMap;

use serde_json::Value;

use super::findings::{self, Findings};
use super::{ListedDigest, ResourceId, ResourceKey, ResourceKind, ResourceState, SnapshotChange};
use crate::ids::{HostId, Vmid};
use crate::observe::{CompleteInventory, Kind, Sight};

/// Status of a task that has not ended.
const RUNNING: &str = "running";

/// What a list shows of one resource. A state is large: it is made when it is asked for, so that those of a whole cluster are never
/// there at once.
pub trait Shows {
    /// Which resource.
    fn key(&self) -> ResourceKey;

    /// Its state, as [`Listed`] has it.
    fn state(&self) -> Option<ResourceState>;
}

/// A resource as a list shows it, with its state at hand.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Which.
    pub key: ResourceKey,
    /// Its state, as far as a list has it; `None` while nobody tells anything of it: it is there, and stays as it was; what was never
    /// recorded is so with nothing but that, so that it is not new once its node is back.
    pub state: Option<ResourceState>,
}

impl Shows for Listed {
    fn key(&self) -> ResourceKey {
        self.key.clone()
    }

    fn state(&self) -> Option<ResourceState> {
        self.state.clone()
    }
}

/// A look at everything a cluster has, made from one that is complete: the only thing that says what is gone.
#[derive(Debug, Clone)]
pub struct Census<L = Listed> {
    look: CompleteInventory,
    /// In the order of `keys`.
    pub(super) rows: Vec<L>,
    /// Those of the rows, in order, each once.
    pub(super) keys: Vec<ResourceKey>,
    storages: Sight,
}

/// What is on record of a resource, as far as a look is held against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptResource {
    /// Which.
    pub key: ResourceKey,
    /// Its status is `running`.
    pub is_running: bool,
    /// Checksum of what a list said of it ([`ResourceState::listed_digest`]).
    pub listed_digest: ListedDigest,
    /// It was seen to be gone.
    pub is_gone: bool,
}

impl KeptResource {
    /// Of a resource that is on record with this status.
    #[must_use]
    pub fn of(key: ResourceKey, status: &str, listed_digest: ListedDigest, is_gone: bool) -> Self {
        Self {
            key,
            is_running: status == RUNNING,
            listed_digest,
            is_gone,
        }
    }
}

/// Something that was found out about one resource. Nothing but a [`Census`] makes one that says it is gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    host: HostId,
    key: ResourceKey,
    finding: Finding,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Finding {
    /// A list shows it so; and what it is if it was never recorded.
    Shown(ResourceState, SnapshotChange),
    /// A whole look lacks it.
    Gone,
    /// A task that was running is in no list any more: how it ended nobody tells.
    Lost,
    /// Its configuration was read.
    Configured(ResourceState),
}

/// A path of Proxmox VE's permissions, and what the token must hold there to be shown what is at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MustBeSeen {
    /// e.g. `/vms/101`.
    pub path: String,
    /// e.g. `VM.Audit`.
    pub privilege: &'static str,
}

/// A resource as it is on record now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Now<'a> {
    /// Its newest state.
    pub state: &'a ResourceState,
    /// It was seen to be gone.
    pub is_gone: bool,
}

/// What follows from something that was found out: a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Follows {
    /// What has happened; `None`: nothing has, the newest snapshot is only told whole by now.
    pub change: Option<SnapshotChange>,
    /// The state from now on.
    pub state: ResourceState,
}

impl<L> Census<L> {
    /// The host entry it is of.
    #[must_use]
    pub fn host(&self) -> HostId {
        self.look.host()
    }

    pub(super) fn found(&self, key: &ResourceKey, finding: Finding) -> Found {
        Found {
            host: self.host(),
            key: key.clone(),
            finding,
        }
    }

    /// Whether both the look and the list say that it is not there. Of what a look need not show whole that is never said.
    pub(super) fn lacks(&self, key: &ResourceKey) -> bool {
        if self.lists(key) {
            return false;
        }
        match key.kind {
            ResourceKind::Container => !self.has_guest(key, Kind::Container),
            ResourceKind::Machine => !self.has_guest(key, Kind::Machine),
            ResourceKind::Node => {
                let mut nodes = self.look.nodes().iter();
                !nodes.any(|node| node.name.as_str() == key.name)
            }
            ResourceKind::Storage => self.storages == Sight::All,
            // Proxmox VE lists the newest ones alone.
            ResourceKind::Task => false,
        }
    }

    /// A task that runs is listed as long as its node is there.
    pub(super) fn has_lost(&self, kept: &KeptResource) -> bool {
        kept.key.kind == ResourceKind::Task
            && !kept.is_gone
            && kept.is_running
            && !self.lists(&kept.key)
    }

    fn lists(&self, key: &ResourceKey) -> bool {
        self.keys.binary_search(key).is_ok()
    }

    /// What cannot be looked for is taken to be there.
    fn has_guest(&self, key: &ResourceKey, kind: Kind) -> bool {
        let Ok(vmid) = key.name.parse::<Vmid>() else {
            return true;
        };
        let found = self.look.find(vmid);
        found.is_some_and(|(guest, _)| guest.kind == kind)
    }
}

impl<L: Shows> Census<L> {
    /// Of a complete look and of the list of everything that was read after it; of what that lists twice the last row counts.
    /// `storages` says whether the token may see every storage.
    #[must_use]
    pub fn of(look: CompleteInventory, mut rows: Vec<L>, storages: Sight) -> Self {
        // What is the same stays in its order, and the first one of it is kept.
        rows.reverse();
        rows.sort_by_cached_key(L::key);
        rows.dedup_by_key(|row| row.key());
        let keys = rows.iter().map(L::key).collect();
        Self {
            look,
            rows,
            keys,
            storages,
        }
    }

    /// What differs from what is on record of this host entry: `kept` is all of it. Nothing is, of a cluster that stays as it is. All
    /// of it at once: [`Census::doubtful`], which is to be asked about, and [`Census::certain`].
    #[must_use]
    pub fn findings(&self, kept: &[KeptResource]) -> Vec<Found> {
        Findings::new(self, kept, findings::ALL).collect()
    }

    /// What of [`Census::findings`] is no word of what may be hidden from the token; nodes come last.
    #[must_use]
    pub fn certain<'a>(&'a self, kept: &'a [KeptResource]) -> Findings<'a, L> {
        Findings::new(self, kept, findings::CERTAIN)
    }

    /// The others of [`Census::findings`]: what is gone, unless the token may not see it ([`Found::must_be_seen`]).
    #[must_use]
    pub fn doubtful<'a>(&'a self, kept: &'a [KeptResource]) -> Findings<'a, L> {
        Findings::new(self, kept, findings::DOUBTFUL)
    }
}

/// What something is that was never recorded. What each look shows whole was not there before; of storages and tasks nobody knows.
pub(super) fn first(kind: ResourceKind, was_looked: bool) -> SnapshotChange {
    match kind {
        ResourceKind::Container | ResourceKind::Machine | ResourceKind::Node if was_looked => {
            SnapshotChange::Created
        }
        ResourceKind::Container
        | ResourceKind::Machine
        | ResourceKind::Node
        | ResourceKind::Storage
        | ResourceKind::Task => SnapshotChange::Discovered,
    }
}

impl Found {
    /// The configuration of a container was read.
    #[must_use]
    pub fn configured(host: HostId, vmid: Vmid, config: &BTreeMap<String, Value>) -> Self {
        Self {
            host,
            key: ResourceKey::container(vmid),
            finding: Finding::Configured(ResourceState::of_config(config)),
        }
    }

    /// The host entry.
    #[must_use]
    pub fn host(&self) -> HostId {
        self.host
    }

    /// The resource, as its cluster knows it.
    #[must_use]
    pub fn key(&self) -> &ResourceKey {
        &self.key
    }

    /// What the token must be able to see before this may be believed: it says that something is gone, and what a token may not see
    /// is in no list. `None`: it says something else, or is of what every token sees.
    #[must_use]
    pub fn must_be_seen(&self) -> Option<MustBeSeen> {
        if self.finding != Finding::Gone {
            return None;
        }
        let name = &self.key.name;
        match self.key.kind {
            ResourceKind::Container | ResourceKind::Machine => Some(MustBeSeen {
                path: format!("/vms/{name}"),
                privilege: "VM.Audit",
            }),
            ResourceKind::Storage => {
                let storage = name.split_once('/').map_or(name.as_str(), |(_, it)| it);
                Some(MustBeSeen {
                    path: format!("/storage/{storage}"),
                    privilege: "Datastore.Audit",
                })
            }
            // Every token is shown every node; of tasks it is never said.
            ResourceKind::Node | ResourceKind::Task => None,
        }
    }

    /// The resource.
    #[must_use]
    pub fn id(&self) -> ResourceId {
        ResourceId::of(self.host, &self.key)
    }

    /// Decides what follows for a resource that is on record like this; `None`: nothing, for it is so already. A configuration of what
    /// is not recorded, or gone, follows nothing: lists say what there is.
    #[must_use]
    pub fn follows(&self, now: Option<Now<'_>>) -> Option<Follows> {
        let there = now.filter(|now| !now.is_gone);
        match (&self.finding, there) {
            (Finding::Shown(state, first), None) => Some(Follows {
                change: Some(match now {
                    Some(_) => SnapshotChange::Created,
                    None => *first,
                }),
                state: state.clone(),
            }),
            (Finding::Shown(state, _), Some(now)) => updated(now, now.state.with_listed(state)),
            (Finding::Configured(state), Some(now)) => {
                configured(now, now.state.with_config(state))
            }
            (Finding::Gone, Some(now)) => Some(Follows {
                change: Some(SnapshotChange::Deleted),
                state: now.state.clone(),
            }),
            (Finding::Lost, Some(now)) => updated(now, now.state.of_lost()),
            (Finding::Configured(_) | Finding::Gone | Finding::Lost, None) => None,
        }
    }
}

fn updated(now: Now<'_>, state: ResourceState) -> Option<Follows> {
    (state != *now.state).then_some(Follows {
        change: Some(SnapshotChange::Updated),
        state,
    })
}

/// That a configuration was read for the first time is no change of it.
fn configured(now: Now<'_>, state: ResourceState) -> Option<Follows> {
    let is_first = !now.state.has_config();
    let follows = updated(now, state)?;
    Some(Follows {
        change: follows.change.filter(|_| !is_first),
        ..follows
    })
}

#[cfg(test)]
#[path = "census_tests.rs"]
mod tests;
