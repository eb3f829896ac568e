//! High availability when something goes wrong: starts that fail, and nodes that lose their majority.

use crate::support::seed::cluster;
use crate::support::sim::{Request, Sim};
use proximity_pve_emulator::core::GuestFaults;
use serde_json::json;

const ROUND_MS: u64 = 10_000;

/// A stopped container on pve1 with its disk on shared storage.
fn with_guest() -> Sim {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[("rootfs", "shared:1")]);
    sim
}

fn manage(sim: &mut Sim, more: &[(&str, &str)]) {
    let form: Vec<_> = [("sid", "ct:100")].iter().chain(more).copied().collect();
    let answer = sim.root("POST", "/cluster/ha/resources", &form);
    assert_eq!(answer.status(), 200, "{}", answer.message());
}

fn boot_fails(sim: &mut Sim, boot_fails: bool) {
    let faults = GuestFaults {
        boot_fails,
        ..GuestFaults::default()
    };
    sim.world.set_guest_faults(100, faults);
}

/// Its starts and moves so far, and where they happened.
fn tasks(sim: &Sim) -> Vec<(String, String)> {
    let tasks = sim
        .world
        .tasks()
        .filter(|task| task.upid.kind != "vzcreate");
    tasks
        .map(|task| (task.upid.kind.clone(), task.upid.node.clone()))
        .collect()
}

fn state(sim: &mut Sim) -> String {
    let call = Request::new("GET", "/cluster/ha/status/current").via("pve2");
    let rows = sim.call(call).payload();
    let mut rows = rows.as_array().unwrap().iter();
    let row = rows.find(|row| row["sid"] == "ct:100").unwrap();
    row["state"].as_str().unwrap().to_owned()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = expected.iter();
    pairs
        .map(|(kind, node)| ((*kind).to_owned(), (*node).to_owned()))
        .collect()
}

#[test]
fn a_guest_that_does_not_start_is_tried_again_moved_and_given_up() {
    let mut sim = with_guest();
    boot_fails(&mut sim, true);
    manage(&mut sim, &[]);
    sim.pass(20 * ROUND_MS);
    let all = [
        ("vzstart", "pve1"),
        ("vzstart", "pve1"),
        ("vzmigrate", "pve1"),
        ("vzstart", "pve2"),
        ("vzstart", "pve2"),
    ];
    assert_eq!(tasks(&sim), pairs(&all));
    assert_eq!(state(&mut sim), "error");
    // Out of that state there is one way only.
    boot_fails(&mut sim, false);
    let path = "/cluster/ha/resources/ct:100";
    sim.root("PUT", path, &[("state", "started")]);
    sim.pass(3 * ROUND_MS);
    assert_eq!((tasks(&sim).len(), state(&mut sim).as_str()), (5, "error"));
    sim.root("PUT", path, &[("state", "disabled")]);
    sim.pass(2 * ROUND_MS);
    assert_eq!(state(&mut sim), "disabled");
    sim.root("PUT", path, &[("state", "started")]);
    sim.pass(3 * ROUND_MS);
    assert_eq!(
        (tasks(&sim).len(), state(&mut sim).as_str()),
        (6, "started")
    );
}

#[test]
fn limits_of_a_guest_count_and_a_start_that_goes_well_forgets_the_others() {
    let mut sim = with_guest();
    boot_fails(&mut sim, true);
    let none = [("max_restart", "0"), ("max_relocate", "0")];
    manage(&mut sim, &none);
    sim.pass(10 * ROUND_MS);
    assert_eq!(tasks(&sim), pairs(&[("vzstart", "pve1")]));
    assert_eq!(state(&mut sim), "error");

    let mut sim = with_guest();
    boot_fails(&mut sim, true);
    manage(&mut sim, &[("max_restart", "2"), ("max_relocate", "0")]);
    sim.pass(2 * ROUND_MS + 5_000);
    boot_fails(&mut sim, false);
    sim.pass(2 * ROUND_MS);
    assert_eq!(tasks(&sim).len(), 3, "two failed");
    boot_fails(&mut sim, true);
    let halted = sim.machines.machines.values_mut();
    halted.for_each(|machine| machine.running = false);
    sim.pass(10 * ROUND_MS);
    assert_eq!(tasks(&sim).len(), 6, "it is tried three times anew");
    assert_eq!(state(&mut sim), "error");
}

#[test]
fn a_node_without_quorum_that_manages_guests_is_reset_before_they_start_elsewhere() {
    let mut sim = with_guest();
    sim.create("pve1", 101, &[]);
    sim.start("pve1", 101);
    manage(&mut sim, &[]);
    sim.pass(2 * ROUND_MS);
    let runs = |sim: &Sim, node: &str| {
        let there = sim.machines.machines.iter();
        there
            .filter(|(key, machine)| key.node == node && machine.running)
            .count()
    };
    assert_eq!(runs(&sim, "pve1"), 2);
    let now_ms = sim.now_ms;
    sim.world.partition("pve1", now_ms);
    sim.pass(66_000);
    assert_eq!(runs(&sim, "pve1"), 2);
    sim.pass(2_000);
    assert_eq!(runs(&sim, "pve1"), 0, "all that ran there ends");
    let call = Request::new("GET", "/nodes/pve1/lxc/101/status/current").via("pve1");
    assert_eq!(sim.call(call).payload()["status"], "stopped");
    let call = Request::new("GET", "/cluster/status").via("pve1");
    assert_eq!(sim.call(call).payload()[0]["quorate"], json!(0));
    sim.pass(120_000);
    assert_eq!(
        (runs(&sim, "pve1"), runs(&sim, "pve2") + runs(&sim, "pve3")),
        (0, 1)
    );
    assert_eq!(sim.world.violations(), []);
    sim.world.heal("pve1");
    sim.pass(60_000);
    assert_eq!(sim.world.violations(), []);
}

#[test]
fn a_node_without_quorum_that_manages_nothing_runs_on() {
    let mut sim = with_guest();
    sim.start("pve1", 100);
    let now_ms = sim.now_ms;
    sim.world.partition("pve1", now_ms);
    sim.pass(300_000);
    assert!(
        sim.machines
            .machines
            .values()
            .all(|machine| machine.running)
    );
}
