//! Looks and what is on record, held against each other.

use proptest::prelude::*;
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
    KeptResource::of(key, status, state(status).listed_digest(), is_gone)
}

/// Keys and what follows for what is on record with the state `running`.
fn follow(census: &Census, on_record: &[KeptResource]) -> Vec<(String, &'static str)> {
    let running = state("running");
    let label = |change: Option<SnapshotChange>| change.map_or("completed", SnapshotChange::label);
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
        KeptResource::of(
            container(101),
            "unknown",
            follows.state.listed_digest(),
            false,
        ),
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
    let census = |storages| Census::of(look(&[101]), Vec::<Listed>::new(), storages);
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
    let empty = Census::of(look(&[]), Vec::<Listed>::new(), Sight::All);
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
    // One after the other, neither part has what the other one has.
    let doubtful: Vec<Found> = census.doubtful(&on_record).collect();
    assert_eq!(doubtful, found[1..4]);
    let certain: Vec<Found> = census.certain(&on_record).collect();
    assert_eq!(certain, [found[0].clone(), found[4].clone()]);
}

#[test]
fn of_what_is_listed_twice_the_last_row_counts() {
    let row = |n, status| listed(container(n), status);
    let rows = vec![
        row(102, "running"),
        row(101, "stopped"),
        row(102, "paused"),
        row(101, "running"),
    ];
    let census = Census::of(look(&[101, 102]), rows, Sight::All);
    let on_record = [
        kept(container(101), "running", false),
        kept(container(102), "paused", false),
    ];
    assert_eq!(census.findings(&on_record), []);
    assert_eq!(census.findings(&[]).len(), 2);
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

fn key_of(kind: u8, n: u32) -> ResourceKey {
    match kind {
        0 => container(101 + n),
        1 => ResourceKey::machine(number(101 + n)),
        2 => ResourceKey::storage(&node(), &format!("s{n}")),
        3 => ResourceKey::task(&format!("UPID:{n}")),
        _ => ResourceKey::node(&format!("pve{n}").parse().unwrap()),
    }
}

fn power(runs: bool) -> &'static str {
    if runs { "running" } else { "stopped" }
}

proptest! {
    /// Neither is left out, and nothing is believed that may only be hidden.
    #[test]
    fn what_must_be_seen_is_doubtful_and_everything_else_is_certain(
        rows in prop::collection::vec((0..5_u8, 0..3_u32, any::<bool>()), 0..12),
        on_record in prop::collection::vec((0..5_u8, 0..3_u32, any::<bool>(), any::<bool>()), 0..12),
        sees_all in any::<bool>(),
    ) {
        let rows = rows.into_iter();
        let rows: Vec<Listed> = rows
            .map(|(kind, n, runs)| listed(key_of(kind, n), power(runs)))
            .collect();
        let on_record = on_record.into_iter();
        let on_record: Vec<KeptResource> = on_record
            .map(|(kind, n, runs, is_gone)| kept(key_of(kind, n), power(runs), is_gone))
            .collect();
        let storages = if sees_all { Sight::All } else { Sight::NotAll };
        let census = Census::of(look(&[101]), rows, storages);
        let all = census.findings(&on_record).into_iter();
        let (doubtful, certain): (Vec<Found>, Vec<Found>) =
            all.partition(|found| found.must_be_seen().is_some());
        prop_assert_eq!(census.doubtful(&on_record).collect::<Vec<_>>(), doubtful);
        prop_assert_eq!(census.certain(&on_record).collect::<Vec<_>>(), certain);
    }
}
