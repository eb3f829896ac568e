//! What a look says of what is on record: which resources are new, otherwise than they were, or gone.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{ResourceId, ResourceKey, ResourceKind, ResourceState, SnapshotChange};
use crate::ids::{HostId, Vmid};
use crate::observe::{CompleteInventory, Kind, Sight};

/// Status of a task that has not ended.
const RUNNING: &str = "running";

/// A resource as a list shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Which.
    pub key: ResourceKey,
    /// Its state, as far as a list has it; `None` while nobody tells anything of it: it is there, and stays as it was; what was never
    /// recorded is so with nothing but that, so that it is not new once its node is back.
    pub state: Option<ResourceState>,
}

/// A look at everything a cluster has, made from one that is complete: the only thing that says what is gone.
#[derive(Debug, Clone)]
pub struct Census {
    look: CompleteInventory,
    listed: BTreeMap<ResourceKey, Option<ResourceState>>,
    storages: Sight,
}

/// What is on record of a resource, beside its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptResource {
    /// Which.
    pub key: ResourceKey,
    /// Its status.
    pub status: String,
    /// Checksum of what a list said of it ([`ResourceState::listed_digest`]).
    pub listed_digest: String,
    /// It was seen to be gone.
    pub is_gone: bool,
}

/// Something that was found out about one resource. Nothing but a [`Census`] makes one that says it is gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    host: HostId,
    key: ResourceKey,
    finding: Finding,
}

#[derive(Debug, Clone, PartialEq)]
enum Finding {
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

impl Census {
    /// Of a complete look and of the list of everything that was read after it. `storages` says whether the token may see every
    /// storage.
    #[must_use]
    pub fn of(look: CompleteInventory, listed: Vec<Listed>, storages: Sight) -> Self {
        let listed = listed.into_iter().map(|one| (one.key, one.state));
        Self {
            look,
            listed: listed.collect(),
            storages,
        }
    }

    /// The host entry it is of.
    #[must_use]
    pub fn host(&self) -> HostId {
        self.look.host()
    }

    /// What differs from what is on record of this host entry: `kept` is all of it. Nothing is, of a cluster that stays as it is.
    #[must_use]
    pub fn findings(&self, kept: &[KeptResource]) -> Vec<Found> {
        let known: BTreeMap<&ResourceKey, &KeptResource> =
            kept.iter().map(|kept| (&kept.key, kept)).collect();
        // Nodes are written last: where one is on record, a first look was written whole.
        let was_looked = kept.iter().any(|kept| kept.key.kind == ResourceKind::Node);
        let mut found = Vec::new();
        for (key, shown) in &self.listed {
            let known = known.get(key);
            let state = match shown {
                Some(state) => state.clone(),
                None if known.is_none() => ResourceState::untold(),
                // There, and nobody tells anything of it.
                None => continue,
            };
            let is_as_kept = known
                .is_some_and(|kept| !kept.is_gone && kept.listed_digest == state.listed_digest());
            if !is_as_kept {
                let first = first(key.kind, was_looked);
                found.push(self.found(key, Finding::Shown(state, first)));
            }
        }
        let gone = kept.iter().filter(|kept| !kept.is_gone);
        let gone = gone.filter(|kept| self.lacks(&kept.key));
        found.extend(gone.map(|kept| self.found(&kept.key, Finding::Gone)));
        let lost = kept.iter().filter(|kept| self.has_lost(kept));
        found.extend(lost.map(|kept| self.found(&kept.key, Finding::Lost)));
        found.sort_by_key(|found| found.key.kind == ResourceKind::Node);
        found
    }

    fn found(&self, key: &ResourceKey, finding: Finding) -> Found {
        Found {
            host: self.host(),
            key: key.clone(),
            finding,
        }
    }

    /// Whether both the look and the list say that it is not there. Of what a look need not show whole that is never said.
    fn lacks(&self, key: &ResourceKey) -> bool {
        if self.listed.contains_key(key) {
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
    fn has_lost(&self, kept: &KeptResource) -> bool {
        kept.key.kind == ResourceKind::Task
            && !kept.is_gone
            && kept.status == RUNNING
            && !self.listed.contains_key(&kept.key)
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

/// What something is that was never recorded. What each look shows whole was not there before; of storages and tasks nobody knows.
fn first(kind: ResourceKind, was_looked: bool) -> SnapshotChange {
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
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::names::NodeName;
    use crate::observe::{Expected, Inventory, ListedPower, NodeSeen, SeenGuest};

    const HOST: HostId = HostId(Uuid::from_u128(1));

    fn node() -> NodeName {
        "pve1".parse().unwrap()
    }

    fn number(n: u32) -> Vmid {
        n.try_into().unwrap()
    }

    /// A look at one node with these containers.
    fn look(vmids: &[u32]) -> CompleteInventory {
        let guest = |n: &u32| SeenGuest {
            vmid: number(*n),
            node: 0,
            kind: Kind::Container,
            power: ListedPower::Running,
            pool: None,
            face: None,
        };
        let inventory = Inventory {
            host: HOST,
            at: None,
            by: None,
            cluster: None,
            quorate: true,
            nodes: vec![NodeSeen {
                name: node(),
                online: true,
            }],
            list_nodes: vec![node()],
            list_pools: Vec::new(),
            guests: vmids.iter().map(guest).collect(),
        };
        let expected = Expected {
            cluster: None,
            known_nodes: &[],
        };
        inventory.complete(&expected, Sight::All).unwrap()
    }

    fn state(status: &str) -> ResourceState {
        ResourceState::of([("status", json!(status))])
    }

    fn listed(key: ResourceKey, status: &str) -> Listed {
        Listed {
            key,
            state: Some(state(status)),
        }
    }

    fn container(n: u32) -> ResourceKey {
        ResourceKey::container(number(n))
    }

    fn kept(key: ResourceKey, status: &str, is_gone: bool) -> KeptResource {
        KeptResource {
            key,
            status: status.to_owned(),
            listed_digest: state(status).listed_digest(),
            is_gone,
        }
    }

    /// Keys and what follows for what is on record with the state `running`.
    fn follow(census: &Census, on_record: &[KeptResource]) -> Vec<(String, &'static str)> {
        let running = state("running");
        let label =
            |change: Option<SnapshotChange>| change.map_or("completed", SnapshotChange::label);
        let follow = |found: &Found| {
            let known = on_record.iter().find(|kept| kept.key == *found.key());
            let now = known.map(|kept| Now {
                state: &running,
                is_gone: kept.is_gone,
            });
            let change = found.follows(now).map_or("nothing", |f| label(f.change));
            (found.key().name.clone(), change)
        };
        census.findings(on_record).iter().map(follow).collect()
    }

    fn told(all: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
        let all = all.iter();
        all.map(|(name, change)| ((*name).to_owned(), *change))
            .collect()
    }

    #[test]
    fn the_first_look_discovers_and_the_next_ones_tell_what_came() {
        let task = || ResourceKey::task("UPID:x");
        let all = vec![listed(container(101), "running"), listed(task(), "ok")];
        let census = Census::of(look(&[101]), all, Sight::All);
        let first = told(&[("101", "discovered"), ("UPID:x", "discovered")]);
        assert_eq!(follow(&census, &[]), first);
        let known = [kept(ResourceKey::node(&node()), "running", false)];
        let later = told(&[("101", "created"), ("UPID:x", "discovered")]);
        assert_eq!(follow(&census, &known), later);
        let again = [
            kept(container(101), "running", true),
            kept(task(), "ok", false),
        ];
        assert_eq!(follow(&census, &again), told(&[("101", "created")]));
    }

    #[test]
    fn a_first_look_that_was_written_in_part_goes_on_as_one() {
        let all = || {
            vec![
                listed(container(101), "running"),
                listed(ResourceKey::node(&node()), "online"),
                listed(ResourceKey::machine(number(102)), "running"),
            ]
        };
        let census = Census::of(look(&[101]), all(), Sight::All);
        let first = told(&[
            ("101", "discovered"),
            ("102", "discovered"),
            ("pve1", "discovered"),
        ]);
        assert_eq!(follow(&census, &[]), first, "nodes come last");
        let part = [kept(container(101), "running", false)];
        assert_eq!(follow(&census, &part), first[1..]);
    }

    /// What was on a node that was off at the first look is not new when the node is back.
    #[test]
    fn what_nobody_tells_anything_of_is_recorded_as_being_there() {
        let untold = Listed {
            key: container(101),
            state: None,
        };
        let off = Census::of(look(&[101]), vec![untold], Sight::All);
        let found = off.findings(&[]);
        let follows = found[0].follows(None).unwrap();
        assert_eq!(follows.change, Some(SnapshotChange::Discovered));
        assert_eq!(follows.state.status(), "unknown");
        let on_record = [
            KeptResource {
                key: container(101),
                status: "unknown".to_owned(),
                listed_digest: follows.state.listed_digest(),
                is_gone: false,
            },
            kept(ResourceKey::node(&node()), "online", false),
        ];
        assert_eq!(off.findings(&on_record), []);
        let shown = vec![listed(container(101), "stopped")];
        let back = Census::of(look(&[101]), shown, Sight::All);
        assert_eq!(follow(&back, &on_record), told(&[("101", "updated")]));
    }

    #[test]
    fn what_is_as_it_was_is_no_finding() {
        let census = |listed| Census::of(look(&[101]), vec![listed], Sight::All);
        let on_record = [kept(container(101), "running", false)];
        let same = census(listed(container(101), "running"));
        assert_eq!(same.findings(&on_record), []);
        let other = census(listed(container(101), "stopped"));
        assert_eq!(follow(&other, &on_record), told(&[("101", "updated")]));
        let silent = census(Listed {
            key: container(101),
            state: None,
        });
        assert_eq!(silent.findings(&on_record), [], "unknown, and not gone");
    }

    #[test]
    fn only_what_both_lack_is_gone_and_of_tasks_and_hidden_storages_it_is_never_said() {
        let local = ResourceKey::storage(&node(), "local");
        let on_record = [
            kept(container(101), "running", false),
            kept(container(102), "running", false),
            kept(container(103), "running", true),
            kept(ResourceKey::machine(number(101)), "running", false),
            kept(ResourceKey::node(&node()), "running", false),
            kept(local, "available", false),
            kept(ResourceKey::task("UPID:x"), "ok", false),
        ];
        let census = |storages| Census::of(look(&[101]), Vec::new(), storages);
        let gone = told(&[
            ("102", "deleted"),
            ("101", "deleted"),
            ("pve1/local", "deleted"),
        ]);
        assert_eq!(follow(&census(Sight::All), &on_record), gone);
        assert_eq!(follow(&census(Sight::NotAll), &on_record), gone[..2]);
        // The look is older than the list: what came between the two is there.
        let shown = vec![listed(container(102), "running")];
        let newer = Census::of(look(&[101]), shown, Sight::All);
        assert_eq!(follow(&newer, &on_record[..3]), []);
    }

    #[test]
    fn how_a_task_ended_that_is_listed_no_more_is_unknown() {
        let task = |status: &str| kept(ResourceKey::task("UPID:x"), status, false);
        let empty = Census::of(look(&[]), Vec::new(), Sight::All);
        let found = empty.findings(&[task("running")]);
        let running = state("running");
        let now = Now {
            state: &running,
            is_gone: false,
        };
        let follows = found[0].follows(Some(now)).unwrap();
        assert_eq!(follows.change, Some(SnapshotChange::Updated));
        assert_eq!(follows.state, state("unknown"));
        assert_eq!(found[0].follows(None), None);
        assert_eq!(empty.findings(&[task("unknown")]), [], "once");
        assert_eq!(empty.findings(&[task("ok")]), []);
        let shown = vec![listed(ResourceKey::task("UPID:x"), "running")];
        let there = Census::of(look(&[]), shown, Sight::All);
        assert_eq!(there.findings(&[task("running")]), []);
    }

    #[test]
    fn what_is_gone_must_be_what_the_token_may_see() {
        let on_record = [
            kept(container(102), "running", false),
            kept(ResourceKey::machine(number(103)), "running", false),
            kept(ResourceKey::storage(&node(), "local"), "ok", false),
            kept(ResourceKey::node(&"pve9".parse().unwrap()), "ok", false),
        ];
        let shown = vec![listed(container(101), "running")];
        let census = Census::of(look(&[101]), shown, Sight::All);
        let found = census.findings(&on_record);
        let asked: Vec<_> = found.iter().map(Found::must_be_seen).collect();
        let at = |path: &str, privilege| {
            Some(MustBeSeen {
                path: path.to_owned(),
                privilege,
            })
        };
        let expected = [
            None,
            at("/vms/102", "VM.Audit"),
            at("/vms/103", "VM.Audit"),
            at("/storage/local", "Datastore.Audit"),
            None,
        ];
        assert_eq!(asked, expected);
    }

    #[test]
    fn a_configuration_follows_nothing_for_what_no_list_shows() {
        let config = serde_json::from_value(json!({ "memory": 512 })).unwrap();
        let found = Found::configured(HOST, number(101), &config);
        assert_eq!(found.id(), ResourceId::of(HOST, &container(101)));
        let running = state("running");
        let now = |is_gone| Now {
            state: &running,
            is_gone,
        };
        assert_eq!(found.follows(None), None);
        assert_eq!(found.follows(Some(now(true))), None);
        let follows = found.follows(Some(now(false))).unwrap();
        assert_eq!(follows.change, None, "it was so before it was read");
        let there = Now {
            state: &follows.state,
            is_gone: false,
        };
        assert_eq!(found.follows(Some(there)), None, "once");
        let config = serde_json::from_value(json!({ "memory": 1024 })).unwrap();
        let other = Found::configured(HOST, number(101), &config);
        let other = other.follows(Some(there)).unwrap();
        assert_eq!(other.change, Some(SnapshotChange::Updated));
    }
}
