//! What is forbidden is done by hand, behind the behaviours' backs: the behaviours refuse it.

use std::collections::BTreeMap;

use super::{Before, Check, after, before};
use crate::core::guest::{GuestDone, GuestKey, GuestOutcome};
use crate::core::jobs::Job;
use crate::core::world::{Guest, Power};
use crate::core::{
    Effects, GuestConfig, Input, NodeSeed, Reach, TaskTimes, Upid, World, WorldSeed, guest,
};

const NOW_MS: u64 = 1_795_170_000_000;

fn world() -> World {
    let node = |name: &str| NodeSeed {
        name: name.to_owned(),
        address: "192.0.2.1".to_owned(),
        cpus: 2,
        memory_bytes: 1 << 30,
        memory_used_bytes: 0,
        disk_bytes: 1 << 40,
        disk_used_bytes: 0,
        bridges: Vec::new(),
    };
    let seed = WorldSeed {
        cluster_name: Some("lab".to_owned()),
        nodes: ["pve1", "pve2", "pve3"].map(node).to_vec(),
        storages: Vec::new(),
        templates: Vec::new(),
        pools: BTreeMap::new(),
        tokens: Vec::new(),
        random: 1,
        times: TaskTimes::default(),
    };
    World::new(seed, NOW_MS)
}

fn guest_on(node: &str, created_ms: u64) -> Guest {
    Guest {
        node: node.to_owned(),
        config: GuestConfig::default(),
        power: Power::Stopped,
        snapshots: BTreeMap::new(),
        template: String::new(),
        created_ms,
        broadcast: None,
        broadcast_ms: 0,
        row: None,
        scenery: false,
    }
}

/// Lets something happen between two looks of the checks; what they found.
fn found(world: &mut World, now_ms: u64, act: impl FnOnce(&mut World)) -> Vec<(Check, String)> {
    world.forget_violations();
    let look: Before = before(world, &Input::Tick, now_ms);
    act(world);
    after(world, look, &Effects::default(), now_ms);
    let found = world.violations().iter();
    found.map(|v| (v.check, v.what.clone())).collect()
}

#[test]
fn a_configuration_that_changes_without_quorum_is_found() {
    let mut world = world();
    world.guests.insert(100, guest_on("pve1", 1));
    world.guests.insert(101, guest_on("pve2", 1));
    let change = |world: &mut World, vmid: u32| {
        let guest = world.guests.get_mut(&vmid).unwrap();
        let bytes = guest.config.text().len();
        guest
            .config
            .keys
            .insert("description".to_owned(), format!("{bytes}"));
    };
    assert_eq!(found(&mut world, NOW_MS, |world| change(world, 100)), []);
    world.partition("pve1", NOW_MS);
    let later = NOW_MS + 60_000;
    let changed = found(&mut world, later, |world| change(world, 100));
    let said = "a configuration changed without quorum".to_owned();
    assert_eq!(changed, [(Check::Quorum, said)]);
    let others = found(&mut world, later, |world| change(world, 101));
    assert_eq!(others, [], "the other two have quorum");
    let made = found(&mut world, later, |world| {
        world.guests.insert(102, guest_on("pve1", 2));
    });
    assert_eq!(made.len(), 1, "{made:?}");
    let gone = found(&mut world, later, |world| {
        world.guests.remove(&100);
    });
    assert_eq!(gone.len(), 1, "{gone:?}");
}

#[test]
fn a_guest_made_over_another_is_found() {
    let mut world = world();
    world.guests.insert(100, guest_on("pve1", 1));
    world.guests.insert(102, guest_on("pve1", 1));
    let made = found(&mut world, NOW_MS, |world| {
        world.guests.insert(101, guest_on("pve1", 2));
    });
    assert_eq!(made, [], "that number was free");
    let over = found(&mut world, NOW_MS, |world| {
        world.guests.insert(102, guest_on("pve2", 2));
    });
    let said = "a guest was made over the one that has the number".to_owned();
    assert_eq!(over, [(Check::OneHolder, said)]);
    let moved = found(&mut world, NOW_MS, |world| world.move_guest(102, "pve3"));
    assert_eq!(moved, [], "it is the same guest elsewhere");
}

/// The driver started the guest there.
fn started(world: &mut World, node: &str) -> Input {
    let job = world.allocate_job();
    let guest = GuestKey {
        node: node.to_owned(),
        vmid: 100,
    };
    let spec = GuestConfig::default().spec("");
    let task: Upid = format!("UPID:{node}:00000001:00000001:00000001:vzstart:100:root@pam:")
        .parse()
        .unwrap();
    let command = guest::GuestCommand::Start { job, guest, spec };
    world.jobs.insert(job, Job { task, command });
    let result = Ok(GuestOutcome::Done { log: Vec::new() });
    Input::GuestDone(GuestDone { job, result })
}

#[test]
fn a_guest_that_runs_on_two_nodes_is_found() {
    let mut world = world();
    world.guests.insert(100, guest_on("pve1", 1));
    let look = |world: &mut World, node: &str| {
        let input = started(world, node);
        before(world, &input, NOW_MS);
        world.violations().len()
    };
    assert_eq!(look(&mut world, "pve1"), 0);
    assert_eq!(look(&mut world, "pve1"), 0);
    world.power_off("pve1", Reach::NoRoute, NOW_MS);
    assert_eq!(look(&mut world, "pve2"), 0, "nothing runs without power");
    world.move_guest(100, "pve3");
    assert_eq!(look(&mut world, "pve3"), 0, "it was moved");
    assert_eq!(look(&mut world, "pve2"), 1);
    assert_eq!(world.violations()[0].what, "it runs on pve2 and pve3");
}
