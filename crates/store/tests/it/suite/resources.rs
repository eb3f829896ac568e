//! Resources as they were observed: each change is one snapshot, and nothing else writes one.

use std::collections::BTreeMap;

use proximity_domain::event::EventKind;
use proximity_domain::ids::{HostId, Vmid};
use proximity_domain::names::NodeName;
use proximity_domain::observe::{
    Expected, Inventory, Kind, ListedPower, NodeSeen, SeenGuest, Sight,
};
use proximity_domain::resource::{
    Census, Found, Listed, ResourceId, ResourceKey, ResourceKind, ResourceState, Snapshot,
};
use proximity_domain::time::Timestamp;
use proximity_store::Store;
use proximity_store::resources::{ResourceFilter, ResourceRecord};
use serde_json::{Value, json};

use super::world::{Make, World};

fn number(n: u32) -> Vmid {
    n.try_into().unwrap()
}

/// A container's key.
pub fn container(n: u32) -> ResourceKey {
    ResourceKey::container(number(n))
}

/// A state as a list shows it.
pub fn state(status: &str, name: &str) -> ResourceState {
    ResourceState::of([("status", json!(status)), ("name", json!(name))])
}

/// A look at a cluster of one node that shows these, and nothing else.
pub fn census(host: HostId, shown: &[(ResourceKey, ResourceState)]) -> Census {
    let node: NodeName = "pve1".parse().unwrap();
    let guests = shown.iter().filter_map(|(key, _)| {
        let kind = match key.kind {
            ResourceKind::Container => Kind::Container,
            ResourceKind::Machine => Kind::Machine,
            ResourceKind::Node | ResourceKind::Storage | ResourceKind::Task => return None,
        };
        Some(SeenGuest {
            vmid: key.name.parse().unwrap(),
            node: 0,
            kind,
            power: ListedPower::Unknown,
            pool: None,
            face: None,
        })
    });
    let inventory = Inventory {
        host,
        at: None,
        by: None,
        cluster: None,
        quorate: true,
        guests: guests.collect(),
        list_nodes: vec![node.clone()],
        list_pools: Vec::new(),
        nodes: vec![NodeSeen {
            name: node,
            online: true,
        }],
    };
    let expected = Expected {
        cluster: None,
        known_nodes: &[],
    };
    let look = inventory.complete(&expected, Sight::All).unwrap();
    let listed = shown.iter().map(|(key, state)| Listed {
        key: key.clone(),
        state: Some(state.clone()),
    });
    Census::of(look, listed.collect(), Sight::All)
}

/// Holds a look against what is on record, and writes what follows.
async fn look(world: &World, shown: &[(ResourceKey, ResourceState)]) -> u64 {
    let kept = world.store.kept_resources(world.host).await.unwrap();
    let found = census(world.host, shown).findings(&kept);
    let noted = world.store.note_resources(&found, world.at());
    noted.await.unwrap()
}

async fn record(store: &Store, id: ResourceId) -> ResourceRecord {
    store.resource(id).await.unwrap().unwrap()
}

/// Numbers and changes, newest first.
async fn timeline(store: &Store, id: ResourceId) -> Vec<(i64, &'static str)> {
    let all = store.snapshots(id, None, 1000).await.unwrap();
    all.iter()
        .map(|one| (one.seq, one.change.label()))
        .collect()
}

fn config(of: Value) -> BTreeMap<String, Value> {
    serde_json::from_value(of).unwrap()
}

pub async fn change_by_snapshots_alone(make: &impl Make) {
    let mut world = World::new(make).await;
    let id = ResourceId::of(world.host, &container(101));
    let web = |status: &str| [(container(101), state(status, "web"))];
    let began = world.at();
    assert_eq!(look(&world, &web("running")).await, 1);
    assert_eq!(look(&world, &web("running")).await, 0, "it is so already");
    world.pass(1_000);
    assert_eq!(look(&world, &web("stopped")).await, 1);
    let now = record(&world.store, id).await;
    let expected = ResourceRecord {
        id,
        host: world.host,
        key: container(101),
        name: Some("web".to_owned()),
        status: "stopped".to_owned(),
        listed_digest: state("stopped", "web").listed_digest(),
        seq: 2,
        oldest_seq: 1,
        first_seen_at: began,
        changed_at: world.at(),
        gone_at: None,
    };
    assert_eq!(now, expected);
    world.pass(1_000);
    assert_eq!(look(&world, &[]).await, 1);
    assert_eq!(look(&world, &[]).await, 0, "it is gone once");
    let gone = record(&world.store, id).await;
    assert_eq!(gone.gone_at, Some(world.at()));
    assert_eq!(gone.status, "stopped", "as it was seen last");
    assert_eq!(look(&world, &web("running")).await, 1);
    let all = [
        (4, "created"),
        (3, "deleted"),
        (2, "updated"),
        (1, "discovered"),
    ];
    assert_eq!(timeline(&world.store, id).await, all);
    assert_eq!(record(&world.store, id).await.gone_at, None);
    world.assert_sound().await;
}

/// What was told of resources behind an event: kind, key, change, snapshot and the names of the fields that differ.
async fn told(world: &World, after: i64) -> Vec<(EventKind, String, String, i64, String)> {
    let events = world.events(after, 1000).await.into_iter();
    let of_resources = events.filter(|(_, _, event, ..)| event.body.get("resource").is_some());
    let told = of_resources.map(|(_, at, event, app, operation)| {
        assert_eq!((app, operation), (None, None));
        assert_eq!(at, world.at(), "as its snapshot");
        let text = |field: &str| event.body[field].as_str().unwrap().to_owned();
        let changes = event.body["changes"].as_array().unwrap().iter();
        let fields: Vec<_> = changes.map(|one| one["field"].as_str().unwrap()).collect();
        let snapshot = event.body["snapshot"].as_i64().unwrap();
        (
            event.kind,
            text("key"),
            text("change"),
            snapshot,
            fields.join(" "),
        )
    });
    told.collect()
}

pub async fn tell_each_change_with_it(make: &impl Make) {
    let mut world = World::new(make).await;
    let newest = async |world: &World| world.events(0, 1000).await.last().unwrap().0;
    let before = newest(&world).await;
    let web = |status: &str| [(container(101), state(status, "web"))];
    let one = |kind, change: &str, snapshot: i64, fields: &str| {
        let (key, change) = ("101".to_owned(), change.to_owned());
        vec![(kind, key, change, snapshot, fields.to_owned())]
    };
    look(&world, &web("running")).await;
    let discovered = EventKind::ResourceDiscovered;
    let first = one(discovered, "discovered", 1, "");
    assert_eq!(told(&world, before).await, first);
    let event = world.events(before, 1).await.remove(0).2;
    let named = json!([
        event.body["host"],
        event.body["cluster_key"],
        event.body["kind"]
    ]);
    assert_eq!(named, json!(["lab", "cluster:lab:pve1", "container"]));
    let seen = newest(&world).await;
    look(&world, &web("running")).await;
    let memory = config(json!({"memory": 1}));
    let configured = [Found::configured(world.host, number(101), &memory)];
    let noted = world.store.note_resources(&configured, world.at());
    assert_eq!(noted.await.unwrap(), 1);
    assert_eq!(told(&world, seen).await, [], "it was so before it was read");
    world.pass(1_000);
    look(&world, &web("stopped")).await;
    let updated = one(EventKind::ResourceUpdated, "updated", 2, "status");
    assert_eq!(told(&world, seen).await, updated);
    let seen = newest(&world).await;
    world.pass(1_000);
    look(&world, &[]).await;
    look(&world, &[]).await;
    let deleted = one(EventKind::ResourceDeleted, "deleted", 3, "status");
    assert_eq!(told(&world, seen).await, deleted, "once");
    let seen = newest(&world).await;
    look(&world, &web("stopped")).await;
    // Its configuration is what a read of it says next.
    let again = one(discovered, "created", 4, "config.memory status");
    assert_eq!(told(&world, seen).await, again);
    world.assert_sound().await;
}

pub async fn take_their_configuration_beside_their_list(make: &impl Make) {
    let world = World::new(make).await;
    let id = ResourceId::of(world.host, &container(101));
    let found = |memory: u32| {
        Found::configured(
            world.host,
            number(101),
            &config(json!({ "memory": memory })),
        )
    };
    let note = async |found: Found| {
        let found = [found];
        let noted = world.store.note_resources(&found, world.at());
        noted.await.unwrap()
    };
    assert_eq!(note(found(512)).await, 0, "no list has shown it");
    let web = [(container(101), state("running", "web"))];
    look(&world, &web).await;
    assert_eq!(note(found(512)).await, 1);
    assert_eq!(note(found(512)).await, 0);
    assert_eq!(timeline(&world.store, id).await, [(1, "discovered")]);
    let first = world.store.snapshots(id, None, 1).await.unwrap().remove(0);
    assert_eq!(first.state.fields()["config.memory"], "512");
    assert_eq!(look(&world, &web).await, 0, "the list is as it was");
    assert_eq!(note(found(1024)).await, 1);
    let changed = [(2, "updated"), (1, "discovered")];
    assert_eq!(timeline(&world.store, id).await, changed);
    look(&world, &[(container(101), state("stopped", "web"))]).await;
    let newest = world.store.snapshots(id, None, 1).await.unwrap().remove(0);
    assert_eq!(newest.state.fields()["config.memory"], "1024");
    assert_eq!(newest.state.status(), "stopped");
    look(&world, &[]).await;
    assert_eq!(note(found(512)).await, 0, "it is gone");
    world.assert_sound().await;
}

/// Two containers of which the second is gone, a machine, and a task.
async fn four_of_which_one_goes(world: &World) {
    let machine = ResourceKey::machine(number(103));
    let first = [
        (container(101), state("running", "web")),
        (container(102), state("stopped", "db")),
        (machine.clone(), state("running", "win")),
        (ResourceKey::task("UPID:x"), state("ok", "y")),
    ];
    look(world, &first).await;
    let later = [
        (container(101), state("running", "web")),
        (machine, state("running", "win")),
    ];
    look(world, &later).await;
}

pub async fn are_found_by_what_tells_them_apart(make: &impl Make) {
    let world = World::new(make).await;
    four_of_which_one_goes(&world).await;
    let store = &world.store;
    let found = async |filter: ResourceFilter| {
        let found = store.resources(&filter).await.unwrap();
        let count = store.resource_count(&filter).await.unwrap();
        let names = found.iter().map(|one| one.key.to_string());
        (names.collect::<Vec<_>>().join(", "), count)
    };
    let all = || ResourceFilter {
        host: Some(world.host),
        ..ResourceFilter::default()
    };
    let listed = |names: &str, count| (names.to_owned(), count);
    let there = listed("container 101, task UPID:x, vm 103", 3);
    assert_eq!(found(all()).await, there);
    let gone = ResourceFilter {
        gone: true,
        ..all()
    };
    let with_gone = listed("container 101, container 102, task UPID:x, vm 103", 4);
    assert_eq!(found(gone).await, with_gone);
    let running = ResourceFilter {
        status: Some("running".to_owned()),
        ..all()
    };
    let up = listed("container 101, vm 103", 2);
    assert_eq!(found(running.clone()).await, up);
    let machines = ResourceFilter {
        kind: Some(ResourceKind::Machine),
        ..running
    };
    assert_eq!(found(machines).await, listed("vm 103", 1));
    for name in ["web", "101"] {
        let named = ResourceFilter {
            named: Some(name.to_owned()),
            ..all()
        };
        assert_eq!(found(named).await, listed("container 101", 1), "{name}");
    }
    let page = |after| ResourceFilter {
        limit: 2,
        after,
        ..all()
    };
    let first = store.resources(&page(None)).await.unwrap();
    let two = listed("container 101, task UPID:x", 3);
    assert_eq!(found(page(None)).await, two);
    let next = page(first.last().map(|last| last.id));
    assert_eq!(found(next).await, listed("vm 103", 3));
    let unknown = ResourceId::of(world.host, &container(999));
    assert_eq!(found(page(Some(unknown))).await, listed("", 3));
    let elsewhere = ResourceFilter {
        host: Some(HostId(uuid::Uuid::from_u128(9))),
        ..all()
    };
    assert_eq!(found(elsewhere).await, listed("", 0));
    world.assert_sound().await;
}

pub async fn tell_what_they_were_at_any_moment(make: &impl Make) {
    let mut world = World::new(make).await;
    let id = ResourceId::of(world.host, &container(101));
    let began = world.at().0;
    for status in ["running", "stopped", "running"] {
        look(&world, &[(container(101), state(status, "web"))]).await;
        world.pass(1_000);
    }
    let store = &world.store;
    let at = async |ms: i64| {
        let found = store.snapshot_at(id, Timestamp(began + ms)).await.unwrap();
        found.map(|one: Snapshot| (one.seq, one.state.status().to_owned()))
    };
    let was = |seq, status: &str| Some((seq, status.to_owned()));
    assert_eq!(at(-1).await, None, "nobody had looked");
    assert_eq!(at(0).await, was(1, "running"));
    assert_eq!(at(999).await, was(1, "running"));
    assert_eq!(at(1_000).await, was(2, "stopped"));
    assert_eq!(at(99_000).await, was(3, "running"));
    let page = store.snapshots(id, Some(3), 1).await.unwrap();
    assert_eq!(page.iter().map(|one| one.seq).collect::<Vec<_>>(), [2]);
    let other = ResourceId::of(world.host, &container(102));
    assert_eq!(store.snapshots(other, None, 9).await.unwrap(), []);
}

pub async fn keep_their_newest_snapshot_whoever_clears(make: &impl Make) {
    let mut world = World::new(make).await;
    let (id, other) = (
        ResourceId::of(world.host, &container(101)),
        ResourceId::of(world.host, &container(102)),
    );
    let began = world.at().0;
    for status in ["running", "stopped", "running", "stopped"] {
        let both = [
            (container(101), state(status, "web")),
            (container(102), state("running", "db")),
        ];
        look(&world, &both).await;
        world.pass(1_000);
    }
    let store = &world.store;
    let past = store.past_snapshots(2).await.unwrap();
    let past: Vec<_> = past
        .iter()
        .map(|one| (one.resource, one.seq, one.ended_at.0 - began))
        .collect();
    assert_eq!(past, [(id, 1, 1_000), (id, 2, 2_000)]);
    assert_eq!(store.crowded_resources(4, 9).await.unwrap(), []);
    assert_eq!(store.crowded_resources(3, 9).await.unwrap(), [(id, 1)]);
    assert_eq!(store.crowded_resources(0, 9).await.unwrap(), [(id, 3)]);
    let first = [(id, 1), (other, 1)];
    assert_eq!(store.clear_snapshots(&first).await.unwrap(), 1);
    assert_eq!(record(store, id).await.oldest_seq, 2);
    assert_eq!(store.crowded_resources(3, 9).await.unwrap(), []);
    let before = store.snapshot_at(id, Timestamp(began)).await.unwrap();
    assert_eq!(before, None, "it is no longer kept");
    let all = [(id, i64::MAX), (other, 7)];
    assert_eq!(store.clear_snapshots(&all).await.unwrap(), 2);
    assert_eq!(timeline(store, id).await, [(4, "updated")]);
    assert_eq!(timeline(store, other).await, [(1, "discovered")]);
    assert_eq!(store.past_snapshots(9).await.unwrap(), []);
    look(&world, &[(container(101), state("running", "web"))]).await;
    assert_eq!(timeline(&world.store, id).await[0], (5, "updated"));
    world.assert_sound().await;
}

pub async fn let_tasks_go_whole(make: &impl Make) {
    let mut world = World::new(make).await;
    let task = |n: u32| ResourceKey::task(&format!("UPID:{n}"));
    let of = |host: HostId, n: u32| ResourceId::of(host, &task(n));
    let web = (container(101), state("running", "web"));
    let began = world.at();
    for n in 1..=3 {
        look(&world, &[web.clone(), (task(n), state("ok", "x"))]).await;
        world.pass(1_000);
    }
    let (store, host) = (world.store.clone(), world.host);
    let old = async |before, most| store.old_tasks(before, most, 9).await.unwrap();
    assert_eq!(old(None, 3).await, []);
    assert_eq!(old(None, 2).await, [of(host, 1)]);
    let second = Some(Timestamp(began.0 + 1_001));
    assert_eq!(old(second, 9).await, [of(host, 1), of(host, 2)]);
    let id = ResourceId::of(host, &web.0);
    let removed = store
        .remove_resources(&[of(host, 1), of(host, 2), id])
        .await;
    assert_eq!(removed.unwrap(), 2, "what is there and no task stays");
    assert_eq!(store.resource(of(host, 1)).await.unwrap(), None);
    assert_eq!(timeline(&store, of(host, 1)).await, []);
    assert_eq!(timeline(&store, of(host, 3)).await, [(1, "discovered")]);
    assert_eq!(timeline(&store, id).await, [(1, "discovered")]);
    world.assert_sound().await;
}

pub async fn go_whole_once_they_are_gone_for_long(make: &impl Make) {
    let mut world = World::new(make).await;
    let web = (container(101), state("running", "web"));
    look(
        &world,
        &[web.clone(), (container(102), state("running", "db"))],
    )
    .await;
    world.pass(1_000);
    look(&world, std::slice::from_ref(&web)).await;
    let (store, host) = (world.store.clone(), world.host);
    let (there, gone) = (
        ResourceId::of(host, &web.0),
        ResourceId::of(host, &container(102)),
    );
    let past = async |before| store.past_resources(before, 9).await.unwrap();
    assert_eq!(past(None).await, []);
    assert_eq!(past(Some(world.at())).await, []);
    let later = Some(Timestamp(world.at().0 + 1));
    assert_eq!(past(later).await, [gone]);
    let removed = store.remove_resources(&[there, gone]).await;
    assert_eq!(removed.unwrap(), 1, "what is there stays");
    assert_eq!(store.resource(gone).await.unwrap(), None);
    assert_eq!(timeline(&store, gone).await, []);
    assert_eq!(timeline(&store, there).await, [(1, "discovered")]);
    world.assert_sound().await;
}

pub async fn go_with_their_host_entry(make: &impl Make) {
    let mut world = World::new(make).await;
    let other = world.host_record("other");
    let id = other.id;
    let added = world.store.add_host(other, &world.actor, world.at());
    added.await.unwrap();
    let web = [(container(101), state("running", "web"))];
    look(&world, &web).await;
    let found = census(id, &web).findings(&[]);
    let store = world.store.clone();
    assert_eq!(store.note_resources(&found, world.at()).await.unwrap(), 1);
    let removed = store.remove_host(id, &world.actor, world.at());
    removed.await.unwrap();
    assert_eq!(store.kept_resources(id).await.unwrap(), []);
    let gone = ResourceId::of(id, &container(101));
    assert_eq!(store.resource(gone).await.unwrap(), None);
    let all = ResourceFilter {
        gone: true,
        ..ResourceFilter::default()
    };
    assert_eq!(store.resource_count(&all).await.unwrap(), 1);
    assert_eq!(store.resources(&all).await.unwrap().len(), 1);
    assert_eq!(store.past_resources(None, 9).await.unwrap(), [gone]);
    assert_eq!(store.remove_resources(&[gone]).await.unwrap(), 1);
    assert_eq!(timeline(&store, gone).await, []);
    assert_eq!(store.past_resources(None, 9).await.unwrap(), []);
    assert_eq!(store.kept_resources(world.host).await.unwrap().len(), 1);
    let late = store.note_resources(&found, world.at()).await;
    assert_eq!(late.unwrap(), 0, "its entry is gone");
    world.assert_sound().await;
}

/// However much there is: it is read page by page.
pub async fn are_read_whole_in_the_order_of_their_keys(make: &impl Make) {
    let world = World::new(make).await;
    let shown: Vec<_> = (100..1_101)
        .map(|n| (container(n), state("running", "web")))
        .collect();
    assert_eq!(look(&world, &shown).await, 1_001);
    let kept = world.store.kept_resources(world.host).await.unwrap();
    let keys: Vec<&ResourceKey> = kept.iter().map(|one| &one.key).collect();
    let mut expected: Vec<&ResourceKey> = shown.iter().map(|(key, _)| key).collect();
    expected.sort();
    assert_eq!(keys, expected);
    assert_eq!(look(&world, &shown).await, 0, "it is so already");
}
