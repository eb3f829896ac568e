//! Replays recordings of a real PVE 9.2.11 cluster against the core and compares the answers.
//!
//! Not every step can be replayed yet. Which ones are left out is said in `slice` by method, account
//! or parameter, never by recording; a method without behaviour that is not listed there fails the
//! test, and so does a listed one that the schema does not have.

// Helpers of tests are tests too, though the lint sees only functions marked as such.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub
)]

#[path = "../support/mod.rs"]
mod support;

mod compare;
mod replay;
mod scenario;
mod slice;

use replay::Replay;
use scenario::Scenario;

/// Replays one recording; at least this many of its steps must be compared.
fn replay(name: &str, at_least: usize) {
    let scenario = Scenario::load(name);
    let mut replay = Replay::prepare(&scenario);
    replay.run();
    let report = replay.report();
    println!("{report}");
    assert!(replay.problems.is_empty(), "{report}");
    assert!(
        replay.compared >= at_least,
        "only {} steps compared\n{report}",
        replay.compared
    );
}

macro_rules! recordings {
    ($($test:ident: $name:literal, $at_least:literal;)*) => {
        $(#[test]
        fn $test() {
            replay($name, $at_least);
        })*
    };
}

recordings! {
    access_least_privilege: "access-least-privilege", 5;
    auth_basic: "auth-basic", 7;
    config: "config", 20;
    create_errors: "create-errors", 18;
    create_errors_options: "create-errors-options", 16;
    create_minimal: "create-minimal", 8;
    create_options: "create-options", 8;
    destroy: "destroy", 12;
    interfaces: "interfaces", 8;
    inventory_cluster: "inventory-cluster", 16;
    inventory_solo: "inventory-solo", 18;
    lifecycle: "lifecycle", 23;
    lock_backup: "lock-backup", 14;
    lock_running: "lock-running", 9;
    nextid: "nextid", 8;
    permission_filtered_lists: "permission-filtered-lists", 23;
    pools: "pools", 20;
    race_create: "race-create", 8;
    storage_content_templates: "storage-content-templates", 11;
    task_kill: "task-kill", 10;
    tasks: "tasks", 10;
    transport_bodies_basic: "transport-bodies-basic", 15;
    transport_paths_methods: "transport-paths-methods", 21;
}

#[test]
fn only_methods_of_the_schema_are_left_out() {
    let methods = proximity_pve_emulator::schema::table().methods();
    for (verb, path) in slice::NO_BEHAVIOUR {
        let known = |method: &&proximity_pve_emulator::schema::Method| {
            method.verb == *verb && method.path == *path
        };
        assert!(methods.iter().any(|method| known(&method)), "{verb} {path}");
    }
}
