//! What is forbidden is done by hand, behind the behaviours' backs: the behaviours refuse it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, CheckSettings, Doer, acted, acts, begin, end};
use crate::core::guest::{GuestDone, GuestKey, GuestOutcome};
use crate::core::jobs::Job;
use crate::core::task::{Task, TaskState, Work};
use crate::core::world::{Guest, Power, Snapshot};
use crate::core::{
    GuestConfig, Input, NodeSeed, Pool, Reach, Storage, TaskTimes, Upid, World, WorldSeed, guest,
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
    begin(world, None, now_ms);
    act(world);
    end(world);
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

/// As a task on a node does it.
fn task_on(node: &str, world: &mut World, act: impl FnOnce(&mut World)) {
    let upid = format!("UPID:{node}:00000001:00000001:00000001:vzcreate:100:root@pam:");
    let task = Task {
        upid: upid.parse().unwrap(),
        work: Work::Start,
        lock: None,
        skips_lock: false,
        began: true,
        log: Vec::new(),
        warnings: 0,
        state: TaskState::Bulk,
        by: Some("POST /api2/json/nodes/pve1/lxc".to_owned()),
    };
    acts(world, Doer::task(&task));
    act(world);
    acted(world);
}

#[test]
fn what_tasks_write_beside_configurations_is_found() {
    type Act = fn(&mut World);
    let acts: [(&str, Act); 7] = [
        ("user.cfg", |world| {
            let pool = world.pools.get_mut("web").unwrap();
            pool.vms.push(100);
        }),
        ("user.cfg", |world| {
            let grants = &mut world.accounts.grants;
            grants.forget_path("/vms/100");
            world.accounts.users.remove("root@pam");
        }),
        ("jobs.cfg", |world| {
            world.backup_jobs.insert("job".into(), BTreeMap::new());
        }),
        ("replication.cfg", |world| {
            world.replicate(100, "pve2");
        }),
        ("datacenter.cfg", |world| world.next_id.lower = Some(7)),
        ("storage.cfg", |world| world.storages.push(storage())),
        ("ha/resources.cfg", |world| {
            world.manage(100, "started", NOW_MS);
        }),
    ];
    for (file, act) in acts {
        let mut world = world();
        world.pools.insert("web".into(), Pool::default());
        world.partition("pve1", NOW_MS);
        let later = NOW_MS + 60_000;
        let said =
            |node: &str, world: &mut World| found(world, later, |world| task_on(node, world, act));
        let expected = format!("{file} was written without quorum");
        let before = world.clone();
        assert_eq!(said("pve1", &mut world), [(Check::Quorum, expected)]);
        let call = world.violations()[0].call.as_deref();
        assert_eq!(call, Some("POST /api2/json/nodes/pve1/lxc"));
        let mut world = before;
        assert_eq!(said("pve2", &mut world), [], "the others have quorum");
    }
}

#[test]
fn a_call_that_the_quorate_part_hands_on_is_judged_where_it_is_done() {
    let mut world = world();
    world.guests.insert(100, guest_on("pve2", 1));
    world.partition("pve1", NOW_MS);
    let later = NOW_MS + 60_000;
    let change = |world: &mut World| {
        let guest = world.guests.get_mut(&100).unwrap();
        "pve2".clone_into(&mut guest.node);
        guest.snapshots.insert("one".into(), snapshot("first"));
    };
    let by = |node: &str, world: &mut World| {
        found(world, later, |world| task_on(node, world, change)).len()
    };
    assert_eq!(by("pve3", &mut world.clone()), 0);
    assert_eq!(
        by("pve1", &mut world),
        1,
        "also the content of a snapshot counts"
    );
    let describe = |world: &mut World| {
        let guest = world.guests.get_mut(&100).unwrap();
        guest.snapshots.insert("one".into(), snapshot("second"));
    };
    let said = found(&mut world, later, |world| task_on("pve1", world, describe));
    let expected = "a configuration changed without quorum".to_owned();
    assert_eq!(said, [(Check::Quorum, expected)]);
}

fn storage() -> Storage {
    Storage {
        id: "local".to_owned(),
        kind: "dir".to_owned(),
        content: Vec::new(),
        shared: false,
        nodes: None,
        path: String::new(),
        options: BTreeMap::new(),
        total_bytes: 1,
        used_bytes: 0,
    }
}

fn snapshot(description: &str) -> Snapshot {
    Snapshot {
        keys: BTreeMap::new(),
        raw: Vec::new(),
        description: description.to_owned(),
        time_s: 1,
        parent: None,
    }
}

#[test]
fn marks_of_tasks_are_no_change_of_an_immortal_guest() {
    let mut world = world();
    world.guests.insert(100, guest_on("pve1", 1));
    world.set_checks(CheckSettings {
        immortal: BTreeSet::from([100]),
        calls_per_node: None,
    });
    let mark = |world: &mut World| {
        let guest = world.guests.get_mut(&100).unwrap();
        guest.config.keys.insert("lock".into(), "backup".into());
        guest.config.keys.insert("parent".into(), "one".into());
        guest.snapshots.insert("one".into(), snapshot("first"));
    };
    let said = found(&mut world, NOW_MS, |world| task_on("pve1", world, mark));
    assert_eq!(said, []);
    let one = |what: &str| vec![(Check::Immortal, what.to_owned())];
    let describe = |world: &mut World| {
        let guest = world.guests.get_mut(&100).unwrap();
        guest.snapshots.insert("one".into(), snapshot("second"));
    };
    let said = found(&mut world, NOW_MS, |world| task_on("pve1", world, describe));
    assert_eq!(said, one("a snapshot changed"));
    let memory = |world: &mut World| {
        let guest = world.guests.get_mut(&100).unwrap();
        guest.config.keys.insert("memory".into(), "1".into());
    };
    let said = found(&mut world, NOW_MS, |world| task_on("pve1", world, memory));
    assert_eq!(said, one("its configuration changed"));
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
        begin(world, Some(&input), NOW_MS);
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
