use proptest::prelude::*;
use serde_json::Value;

use super::super::broadcast;
use super::super::seed::{NodeSeed, WorldSeed};
use super::super::world::{Pool, Power, TaskTimes};
use super::super::{Effects, GuestConfig};
use super::*;

const BEGIN_MS: u64 = 1_000_000_000;

fn node(name: &str) -> NodeSeed {
    NodeSeed {
        name: name.into(),
        address: "192.0.2.1".into(),
        cpus: 2,
        memory_bytes: 1 << 30,
        memory_used_bytes: 0,
        disk_bytes: 1 << 30,
        disk_used_bytes: 0,
        bridges: Vec::new(),
    }
}

fn world() -> World {
    let seed = WorldSeed {
        cluster_name: Some("c".into()),
        nodes: vec![node("a"), node("b")],
        storages: Vec::new(),
        templates: Vec::new(),
        pools: BTreeMap::from([("p".into(), Pool::default()), ("q".into(), Pool::default())]),
        tokens: Vec::new(),
        random: 0,
        times: TaskTimes::default(),
    };
    World::new(seed, BEGIN_MS)
}

fn guest(node: &str, now_ms: u64) -> Guest {
    Guest {
        node: node.into(),
        config: GuestConfig::default(),
        power: Power::Stopped,
        snapshots: BTreeMap::new(),
        template: String::new(),
        created_ms: now_ms,
        broadcast: None,
        broadcast_ms: 0,
        row: None,
        scenery: false,
    }
}

#[derive(Debug, Clone)]
enum Act {
    Create(u32),
    Remove(u32),
    Move(u32),
    Lock(u32, bool),
    Rename(u32, u8),
    Broadcast,
    Pool(u32, bool),
    Managed(u32, Option<u8>),
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let vmid = 100..104_u32;
    prop_oneof![
        vmid.clone().prop_map(Act::Create),
        vmid.clone().prop_map(Act::Remove),
        vmid.clone().prop_map(Act::Move),
        (vmid.clone(), any::<bool>()).prop_map(|(vmid, lock)| Act::Lock(vmid, lock)),
        (vmid.clone(), any::<u8>()).prop_map(|(vmid, name)| Act::Rename(vmid, name)),
        Just(Act::Broadcast),
        (vmid.clone(), any::<bool>()).prop_map(|(vmid, first)| Act::Pool(vmid, first)),
        (vmid, any::<Option<u8>>()).prop_map(|(vmid, state)| Act::Managed(vmid, state)),
        prop_oneof![Just(1_000), Just(STALE_MS - 1), Just(STALE_MS)].prop_map(Act::Pass),
    ]
}

fn perform(world: &mut World, act: Act, now_ms: &mut u64) {
    match act {
        Act::Create(vmid) => world.guests.insert(vmid, guest("a", *now_ms)),
        Act::Remove(vmid) => world.forget_guest(vmid),
        Act::Move(vmid) => world.move_guest(vmid, "b"),
        Act::Lock(vmid, lock) => world.set_lock(vmid, lock.then_some("backup")),
        Act::Rename(vmid, name) => {
            if let Some(guest) = world.guests.get_mut(&vmid) {
                let name = format!("n{name}");
                guest.config.keys.insert("hostname".into(), name);
            }
        }
        Act::Broadcast => broadcast::start(world, *now_ms, &mut Effects::default()),
        Act::Pool(vmid, first) => {
            let name = if first { "p" } else { "q" };
            let members = &mut world.pools.get_mut(name).unwrap().vms;
            match members.iter().position(|member| *member == vmid) {
                Some(at) => drop(members.remove(at)),
                None => members.push(vmid),
            }
        }
        Act::Managed(vmid, state) => {
            let resource = super::super::ha::Resource {
                vmid,
                state: "started".into(),
                state_meant: false,
                wish: None,
                stop_s: None,
                going_to: None,
                options: BTreeMap::new(),
                current: state.map(|state| format!("s{state}")),
                trial: Default::default(),
            };
            world.ha.resources.insert(format!("ct:{vmid}"), resource);
        }
        Act::Pass(ms) => *now_ms += ms,
    }
}

/// The list without anything kept from before.
fn anew(world: &World, now_ms: u64) -> Value {
    let rows = world
        .guests()
        .filter_map(|guest| status_row::resource(world, "a", guest, now_ms));
    serde_json::json!({ "data": rows.collect::<Vec<_>>() })
}

proptest! {
    /// What is kept never shows something old.
    #[test]
    fn the_list_is_what_it_would_be_if_made_anew(acts in proptest::collection::vec(act(), 0..60)) {
        let (mut world, mut now_ms) = (world(), BEGIN_MS);
        for act in acts {
            perform(&mut world, act, &mut now_ms);
            let body = body(&mut world, now_ms);
            let shown: Value = serde_json::from_slice(&body).unwrap();
            prop_assert_eq!(&shown, &anew(&world, now_ms));
            prop_assert_eq!(&body_of(&[Bytes::new(), rows(&body)]), &body);
        }
    }
}

/// A broadcast that says the same leaves the list as it is, and one that comes after a long silence does not.
#[test]
fn a_list_is_made_again_when_a_broadcast_says_something_else() {
    let mut world = world();
    world.guests.insert(100, guest("a", BEGIN_MS));
    let tell = |world: &mut World, now_ms| {
        broadcast::start(world, now_ms, &mut Effects::default());
    };
    tell(&mut world, BEGIN_MS);
    let first = body(&mut world, BEGIN_MS);
    let later = BEGIN_MS + 10_000;
    tell(&mut world, later);
    assert_eq!(body(&mut world, later).as_ptr(), first.as_ptr());
    let silent = later + STALE_MS;
    assert_ne!(body(&mut world, silent), first, "nothing is known of it");
    tell(&mut world, silent);
    assert_eq!(body(&mut world, silent), first);
    world.set_lock(100, Some("backup"));
    world.guests.get_mut(&100).unwrap().power = Power::Running { since_ms: silent };
    let locked = body(&mut world, silent);
    tell(&mut world, silent + 10_000);
    // A running one is looked at first, which takes its driver.
    assert_eq!(body(&mut world, silent + 10_000), locked);
    world.guests.get_mut(&100).unwrap().power = Power::Stopped;
    world.set_lock(100, None);
    tell(&mut world, silent + 20_000);
    assert_eq!(body(&mut world, silent + 20_000), first);
}

/// A list that nothing has changed is the same bytes, not a copy.
#[test]
fn an_unchanged_list_is_not_made_again() {
    let mut world = world();
    world.guests.insert(100, guest("a", BEGIN_MS));
    let first = body(&mut world, BEGIN_MS);
    let second = body(&mut world, BEGIN_MS + 1);
    assert_eq!(first.as_ptr(), second.as_ptr());
    world.set_lock(100, Some("backup"));
    assert_ne!(body(&mut world, BEGIN_MS + 2), first);
}
