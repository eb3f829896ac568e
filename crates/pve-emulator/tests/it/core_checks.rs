//! Checks of the emulated world: each finds what is forbidden when a client does it, and nothing else.

use std::collections::BTreeSet;

use crate::support::seed::{ALPINE, cluster};
use crate::support::sim::{Request, Sim};
use proximity_pve_emulator::core::{Check, CheckSettings, Reach, TaskTimes};
use serde_json::json;

/// What was violated, of which guest, by which call, how.
fn found(sim: &mut Sim) -> Vec<(Check, Option<u32>, String, String)> {
    let rows = sim.world.violations().iter();
    let rows = rows
        .map(|v| {
            let call = v.call.clone().unwrap_or_default();
            (v.check, v.vmid, call, v.what.clone())
        })
        .collect();
    sim.world.forget_violations();
    rows
}

fn with_immortal() -> Sim {
    let mut sim = Sim::new(cluster());
    let net = [("net0", "name=eth0,bridge=vmbr0,ip=dhcp")];
    sim.create("pve1", 100, &net);
    sim.create("pve1", 101, &[("rootfs", "btr:1")]);
    sim.world.set_checks(CheckSettings {
        immortal: BTreeSet::from([100]),
        calls_per_node: None,
    });
    sim
}

#[test]
fn what_happens_to_an_immortal_guest_is_found_with_the_call_it_came_of() {
    let mut sim = with_immortal();
    let config = [("description", "changed")];
    sim.root("PUT", "/nodes/pve1/lxc/100/config", &config);
    let call = "PUT /api2/json/nodes/pve1/lxc/100/config".to_owned();
    let said = "its configuration changed".to_owned();
    assert_eq!(found(&mut sim), [(Check::Immortal, Some(100), call, said)]);

    sim.task("DELETE", "/nodes/pve1/lxc/100", &[]);
    let call = "DELETE /api2/json/nodes/pve1/lxc/100".to_owned();
    let said = found(&mut sim);
    assert!(
        said.iter().all(|row| (row.1, &row.2) == (Some(100), &call)),
        "{said:?}"
    );
    let said: Vec<&str> = said.iter().map(|row| row.3.as_str()).collect();
    assert_eq!(said, ["its disk is removed", "it is gone"]);
}

#[test]
fn a_freed_volume_of_an_immortal_guest_is_found() {
    let mut sim = with_immortal();
    let volume = "/nodes/pve1/storage/local/content/local:100%2Fvm-100-disk-0.raw";
    let freed = sim.root("DELETE", volume, &[]);
    assert_eq!(freed.status(), 200, "{}", freed.message());
    sim.pass(5_000);
    let said = found(&mut sim);
    let freed = said.iter().find(|row| row.3 == "a volume was freed");
    let call = format!("DELETE /api2/json{volume}");
    assert_eq!(freed.unwrap().2, call);
}

#[test]
fn an_immortal_guest_may_run_and_others_may_die() {
    let mut sim = with_immortal();
    sim.start("pve1", 100);
    let stop = "/nodes/pve1/lxc/100/status/shutdown";
    assert_eq!(sim.task("POST", stop, &[]), "OK");
    assert_eq!(sim.task("DELETE", "/nodes/pve1/lxc/101", &[]), "OK");
    sim.create("pve2", 102, &[]);
    // Whoever breaks the world by hand is not a client.
    sim.world.move_config(100, "pve2").unwrap();
    sim.pass(60_000);
    let now_ms = sim.now_ms;
    sim.world.stranger_takes(100, "pve3", now_ms).unwrap();
    sim.pass(60_000);
    assert_eq!(found(&mut sim), []);
}

#[test]
fn two_tasks_that_make_one_guest_are_found() {
    let mut sim = Sim::new(cluster());
    let form = [("vmid", "100"), ("ostemplate", ALPINE)];
    let first = sim.root("POST", "/nodes/pve1/lxc", &form);
    assert_eq!(first.status(), 200);
    assert_eq!(found(&mut sim), []);
    sim.world.forget_guest(100);
    let second = sim.root("POST", "/nodes/pve2/lxc", &form);
    assert_eq!(second.status(), 200);
    let call = "POST /api2/json/nodes/pve2/lxc".to_owned();
    let said = "2 tasks make a guest of this number".to_owned();
    assert_eq!(found(&mut sim), [(Check::OneHolder, Some(100), call, said)]);
}

#[test]
fn a_guest_that_is_started_where_its_configuration_was_put_runs_twice() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[("rootfs", "shared:1")]);
    sim.start("pve1", 100);
    sim.world.move_config(100, "pve2").unwrap();
    sim.start("pve2", 100);
    let call = "POST /api2/json/nodes/pve2/lxc/100/status/start".to_owned();
    let said = "it runs on pve1 and pve2".to_owned();
    assert_eq!(found(&mut sim), [(Check::OneHolder, Some(100), call, said)]);
}

#[test]
fn a_whole_life_has_one_holder() {
    let mut sim = Sim::new(cluster());
    for _ in 0..2 {
        sim.create("pve1", 100, &[]);
        sim.start("pve1", 100);
        let restart = [("target", "pve2"), ("restart", "1")];
        assert_eq!(
            sim.task("POST", "/nodes/pve1/lxc/100/migrate", &restart),
            "OK"
        );
        sim.pass(10_000);
        let force = [("force", "1")];
        assert_eq!(sim.task("DELETE", "/nodes/pve2/lxc/100", &force), "OK");
    }
    let form = [("vmid", "101"), ("ostemplate", ALPINE)];
    let race: Vec<_> = ["pve1", "pve2", "pve3"]
        .map(|node| {
            let path = format!("/nodes/{node}/lxc");
            sim.send(Request::new("POST", &path).parameters(&form).via(node))
        })
        .to_vec();
    let won = race.into_iter().filter(|id| sim.wait(*id).status == 200);
    assert_eq!(won.count(), 1);
    sim.pass(60_000);
    assert_eq!(found(&mut sim), []);
}

#[test]
fn what_pve_refuses_without_quorum_is_no_violation_nor_is_its_own_trap() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    sim.create("pve1", 101, &[]);
    sim.start("pve1", 101);
    let now_ms = sim.now_ms;
    sim.world.partition("pve1", now_ms);
    sim.pass(10_000);
    let refused = [
        ("POST", "/nodes/pve1/lxc/100/status/start", vec![]),
        (
            "PUT",
            "/nodes/pve1/lxc/100/config",
            vec![("description", "x")],
        ),
        (
            "POST",
            "/nodes/pve1/lxc",
            vec![("vmid", "102"), ("ostemplate", ALPINE)],
        ),
        ("POST", "/pools", vec![("poolid", "new")]),
        ("DELETE", "/nodes/pve1/lxc/100", vec![]),
        ("POST", "/nodes/pve1/lxc/101/status/shutdown", vec![]),
    ];
    for (verb, path, form) in refused {
        sim.call(Request::new(verb, path).parameters(&form).via("pve1"));
    }
    sim.call(
        Request::new("POST", "/nodes/pve2/lxc")
            .via("pve2")
            .parameters(&[("vmid", "103"), ("ostemplate", ALPINE)]),
    );
    sim.pass(60_000);
    assert_eq!(found(&mut sim), []);
    assert!(sim.world.guests().any(|(vmid, _)| vmid == 103));
}

#[test]
fn a_task_that_outlives_its_majority_writes_nothing_at_its_end() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 101, &[]);
    let form = [("vmid", "100"), ("ostemplate", ALPINE)];
    let create = sim.root("POST", "/nodes/pve1/lxc", &form).payload();
    let target = [("target", "pve2")];
    let migrate = sim.root("POST", "/nodes/pve1/lxc/101/migrate", &target);
    let migrate = migrate.payload();
    // As if the others had gone some time ago: notice comes late.
    let now_ms = sim.now_ms - 60_000;
    sim.world.partition("pve1", now_ms);
    for (upid, vmid, lock) in [(create, 100, "create"), (migrate, 101, "migrate")] {
        let exit = sim.finish(upid.as_str().unwrap());
        let conf = format!("unable to open file '/etc/pve/nodes/pve1/lxc/{vmid}.conf.tmp.");
        assert!(exit.starts_with(&conf), "{exit}");
        let (_, guest) = sim.world.guests().find(|(id, _)| *id == vmid).unwrap();
        let found = (guest.node.as_str(), guest.config.get("lock"));
        assert_eq!(found, ("pve1", Some(lock)));
    }
    assert_eq!(found(&mut sim), []);
}

#[test]
fn too_many_calls_at_one_node_are_found() {
    let mut sim = Sim::new(cluster());
    sim.world.set_checks(CheckSettings {
        immortal: BTreeSet::new(),
        calls_per_node: Some(2),
    });
    sim.world.set_slow("pve2", 1_000).unwrap();
    let ask =
        |sim: &mut Sim, node: &str| sim.send(Request::new("GET", &format!("/nodes/{node}/status")));
    let first = ask(&mut sim, "pve2");
    ask(&mut sim, "pve2");
    ask(&mut sim, "pve3");
    ask(&mut sim, "pve3");
    ask(&mut sim, "pve3");
    assert_eq!(
        found(&mut sim),
        [],
        "two are allowed, and those of pve3 are answered"
    );
    sim.world.forget_caller(first);
    ask(&mut sim, "pve2");
    let call = "GET /api2/json/nodes/pve2/status".to_owned();
    let said = "3 calls are in flight, 2 allowed".to_owned();
    let expected = [(Check::CallsInFlight, None, call, said)];
    assert_eq!(found(&mut sim), expected, "the node works on for nobody");
    sim.pass(1_000);
    ask(&mut sim, "pve2");
    assert_eq!(found(&mut sim), []);
}

/// At most so many calls of each node are allowed.
fn allow(sim: &mut Sim, calls: u32) {
    sim.world.set_checks(CheckSettings {
        immortal: BTreeSet::new(),
        calls_per_node: Some(calls),
    });
}

#[test]
fn calls_at_a_node_that_hangs_are_in_flight_until_the_proxy_gives_up() {
    let mut sim = Sim::new(cluster());
    allow(&mut sim, 2);
    let ask = |sim: &mut Sim| {
        let id = sim.send(Request::new("GET", "/nodes/pve2/status").via("pve1"));
        sim.world.forget_caller(id);
    };
    for (reach, held_ms) in [(Reach::Silent, 30_000), (Reach::NoRoute, 3_000)] {
        sim.world.node_mut("pve2").unwrap().reach = reach;
        ask(&mut sim);
        ask(&mut sim);
        assert_eq!(found(&mut sim), []);
        sim.pass(held_ms - 1);
        ask(&mut sim);
        assert_eq!(found(&mut sim).len(), 1, "{reach:?}");
        sim.pass(1);
        ask(&mut sim);
        assert_eq!(found(&mut sim), [], "{reach:?}: the first two are over");
        sim.pass(held_ms);
    }
    let stranger = |sim: &mut Sim| {
        let call = Request::new("GET", "/nodes/pve3/status").by("root@pam!nobody");
        sim.send(call.via("pve3"));
    };
    (0..3).for_each(|_| stranger(&mut sim));
    assert_eq!(found(&mut sim).len(), 1, "a 401 is held back, too");
}

#[test]
fn a_call_that_a_fault_gives_up_or_swallows_is_in_flight() {
    let mut sim = Sim::new(cluster());
    allow(&mut sim, 1);
    let wish = json!({"calls": {"path": "/nodes/{node}/status"}, "kind": {"given_up": {}}});
    let wish = serde_json::from_value(wish).unwrap();
    sim.world.add_fault(wish).unwrap();
    let ask = |sim: &mut Sim, path: &str| sim.send(Request::new("GET", path).via("pve1"));
    ask(&mut sim, "/nodes/pve2/status");
    sim.pass(29_999);
    ask(&mut sim, "/nodes/pve2/time");
    assert_eq!(found(&mut sim).len(), 1);
    sim.pass(1);
    ask(&mut sim, "/nodes/pve2/time");
    assert_eq!(found(&mut sim), []);

    let wish = json!({"calls": {"path": "/nodes/{node}/dns"}, "kind": {"timeout": {}}});
    let wish = serde_json::from_value(wish).unwrap();
    sim.world.add_fault(wish).unwrap();
    let lost = ask(&mut sim, "/nodes/pve3/dns");
    sim.world.forget_caller(lost);
    ask(&mut sim, "/nodes/pve3/dns");
    assert_eq!(
        found(&mut sim),
        [],
        "the first has reached no node and is gone"
    );
    ask(&mut sim, "/nodes/pve3/time");
    assert_eq!(found(&mut sim).len(), 1);
}

#[test]
fn a_create_that_the_proxy_gave_up_is_in_flight_until_it_is_done() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    allow(&mut sim, 1);
    let stop_waiting_ms = 60_000;
    let times = TaskTimes {
        lock_ms: stop_waiting_ms,
        ..sim.world.task_times()
    };
    sim.world.set_task_times(times);
    sim.world.hold_config(100, true);
    let form = [("description", "x")];
    let put = Request::new("PUT", "/nodes/pve1/lxc/100/config").parameters(&form);
    let put = sim.send(put.via("pve2"));
    assert_eq!(sim.wait(put).status, 596);
    sim.send(Request::new("GET", "/nodes/pve1/time"));
    assert_eq!(found(&mut sim).len(), 1, "it waits there for the lock");
    sim.world.hold_config(100, false);
    sim.pass(10_000);
    sim.send(Request::new("GET", "/nodes/pve1/time"));
    assert_eq!(found(&mut sim), []);
}

#[test]
fn a_late_call_is_in_flight_until_its_effect() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    allow(&mut sim, 1);
    let wish = json!({"calls": {"vmid": 100}, "kind": {"late": {"ms": 500}}});
    let wish = serde_json::from_value(wish).unwrap();
    sim.world.add_fault(wish).unwrap();
    sim.root("PUT", "/nodes/pve1/lxc/100/config", &[("description", "x")]);
    sim.send(Request::new("GET", "/nodes/pve1/time"));
    assert_eq!(found(&mut sim).len(), 1);
    sim.pass(500);
    sim.send(Request::new("GET", "/nodes/pve1/time"));
    assert_eq!(found(&mut sim), []);
}

#[test]
fn a_backup_a_snapshot_and_a_clone_are_no_harm_and_a_migration_is_noted_once() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[("rootfs", "btr:1")]);
    sim.create("pve1", 101, &[]);
    sim.world.set_checks(CheckSettings {
        immortal: BTreeSet::from([100, 101]),
        calls_per_node: None,
    });
    let backup = [("vmid", "100"), ("storage", "local")];
    assert_eq!(sim.task("POST", "/nodes/pve1/vzdump", &backup), "OK");
    let snapshot = [("snapname", "one")];
    let path = "/nodes/pve1/lxc/100/snapshot";
    assert_eq!(sim.task("POST", path, &snapshot), "OK");
    let clone = [("newid", "102"), ("full", "1")];
    let path = "/nodes/pve1/lxc/101/clone";
    assert_eq!(sim.task("POST", path, &clone), "OK");
    assert_eq!(found(&mut sim), []);

    let path = "/nodes/pve1/lxc/101/migrate";
    assert_eq!(sim.task("POST", path, &[("target", "pve2")]), "OK");
    let call = format!("POST /api2/json{path}");
    let said = "its configuration changed".to_owned();
    assert_eq!(found(&mut sim), [(Check::Immortal, Some(101), call, said)]);
}

#[test]
fn restores_by_force_come_one_after_the_other() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    let backup = [("vmid", "100"), ("storage", "local")];
    assert_eq!(sim.task("POST", "/nodes/pve1/vzdump", &backup), "OK");
    let content = "/nodes/pve1/storage/local/content";
    let rows = sim.root("GET", content, &[("content", "backup")]).payload();
    let volid = rows[0]["volid"].as_str().unwrap().to_owned();
    let form = [
        ("vmid", "100"),
        ("ostemplate", volid.as_str()),
        ("restore", "1"),
        ("force", "1"),
    ];
    let begin = |sim: &mut Sim| {
        let upid = sim.root("POST", "/nodes/pve1/lxc", &form).payload();
        upid.as_str().unwrap().to_owned()
    };
    let first = begin(&mut sim);
    let second = begin(&mut sim);
    assert_eq!(found(&mut sim), [], "the second one waits for the first");
    sim.finish(&first);
    sim.finish(&second);
    assert_eq!(found(&mut sim), []);
}

#[test]
fn a_start_that_fails_and_runs_all_the_same_is_known_to_run() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[("rootfs", "shared:1")]);
    sim.machines.start_lies = true;
    let start = "/nodes/pve1/lxc/100/status/start";
    let failed = "startup for container '100' failed";
    assert_eq!(sim.task("POST", start, &[]), failed);
    sim.machines.start_lies = false;
    sim.pass(10);
    let current = sim.root("GET", "/nodes/pve1/lxc/100/status/current", &[]);
    assert_eq!(current.payload()["status"], "running");
    sim.world.move_config(100, "pve2").unwrap();
    sim.start("pve2", 100);
    let call = "POST /api2/json/nodes/pve2/lxc/100/status/start".to_owned();
    let said = "it runs on pve1 and pve2".to_owned();
    assert_eq!(found(&mut sim), [(Check::OneHolder, Some(100), call, said)]);
}

#[test]
fn what_was_found_outlives_the_emulator_and_reads_as_json() {
    let mut sim = with_immortal();
    sim.root("PUT", "/nodes/pve1/lxc/100/config", &[("description", "x")]);
    sim.kill_and_restart();
    assert_eq!(sim.world.violations_total(), 1);
    let row = serde_json::to_value(&sim.world.violations()[0]).unwrap();
    assert_eq!(row["check"], json!("immortal"));
    assert_eq!(row["vmid"], json!(100));
    sim.root("PUT", "/nodes/pve1/lxc/100/config", &[("description", "y")]);
    assert_eq!(sim.world.violations_total(), 2, "the settings do too");
}
