//! Several guests at once: what is skipped, in which order, and how the task ends.

use super::{by, said};
use crate::support::seed::{cluster, token};
use crate::support::sim::Sim;
use proximity_pve_emulator::core::Access;
use serde_json::json;

/// The task's log, to its end.
fn run(sim: &mut Sim, path: &str, form: serde_json::Value) -> Vec<String> {
    let request = crate::support::sim::Request {
        content_type: Some("application/json".into()),
        body: form.to_string().into_bytes(),
        ..crate::support::sim::Request::new("POST", path)
    };
    let answer = sim.call(request);
    assert_eq!(answer.status(), 200, "{}", answer.message());
    let upid = answer.payload().as_str().unwrap().to_owned();
    let exit = sim.finish(&upid);
    let log = sim.log(&upid);
    let last = log.last().unwrap();
    assert!(last.ends_with(&exit), "{exit}: {log:?}");
    log
}

#[test]
fn what_needs_nothing_is_skipped_with_a_warning() {
    let mut sim = Sim::new(cluster());
    for vmid in [100, 101] {
        sim.create("pve1", vmid, &[]);
    }
    sim.start("pve1", 100);
    let both = json!({"vms": [100, 101], "timeout": 5});
    let log = run(
        &mut sim,
        "/cluster/bulk-action/guest/shutdown",
        both.clone(),
    );
    let expected = [
        "Shutting down guests: 100, 101",
        "Shutting down CT 100 (Timeout = 5 seconds)",
        "WARN: Skipping CT 101, not running.",
        "TASK WARNINGS: 1",
    ];
    assert_eq!(log, expected);
    let log = run(&mut sim, "/cluster/bulk-action/guest/suspend", json!({}));
    let expected = [
        "Suspending all guests",
        "WARN: skipping 100, only VMs can be suspended",
        "WARN: skipping 101, only VMs can be suspended",
        "TASK WARNINGS: 2",
    ];
    assert_eq!(log, expected);
    sim.start("pve1", 101);
    let log = run(
        &mut sim,
        "/cluster/bulk-action/guest/start",
        json!({"vms": [100, 101]}),
    );
    let expected = [
        "Starting guests: 100, 101",
        "Starting CT 100",
        "Starting CT 101",
        "WARN: 500 CT 101 already running",
        "TASK ERROR: Some guests failed to start: 101",
    ];
    assert_eq!(log, expected);
}

#[test]
fn a_move_that_cannot_begin_fails_the_cluster_s_task_and_is_told_in_the_node_s() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    sim.create("pve2", 101, &[]);
    sim.start("pve1", 100);
    let path = "/cluster/bulk-action/guest/migrate";
    let log = run(&mut sim, path, json!({"target": "pve2"}));
    let expected = [
        "Migrating all guests to pve2",
        "Migrating CT 100",
        "WARN: 500 can't migrate running container without --online or --restart",
        "WARN: CT 101 already on pve2, skipping.",
        "TASK ERROR: Some guests failed to migrate 100",
    ];
    assert_eq!(log, expected);
    let log = run(&mut sim, path, json!({"target": "nosuch", "vms": [101]}));
    let text = "WARN: 500 no such cluster node 'nosuch'";
    assert_eq!(log[2], text);

    let path = "/nodes/pve1/migrateall";
    let text = "either 'max-workers' parameter or max_workers in datacenter.cfg must be set!";
    let form = [("target", "pve3")];
    assert_eq!(said(&mut sim, "POST", path, &form), (500, text.into()));
    let log = run(
        &mut sim,
        path,
        json!({"target": "pve3", "max-workers": 2, "vms": "101"}),
    );
    assert_eq!(
        log,
        ["no virtual guests matched, nothing to do..", "TASK OK"]
    );
    let log = run(&mut sim, path, json!({"target": "pve3", "max-workers": 2}));
    let expected = [
        "Migrating CT 100",
        "All jobs finished, used 1 workers in total.",
        "TASK OK",
    ];
    assert_eq!(log, expected);
    assert_eq!(sim.world.guests().next().unwrap().1.node, "pve3");
}

#[test]
fn guests_start_in_their_order_and_wait_as_they_want_to() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    sim.create("pve1", 101, &[("startup", "order=2"), ("onboot", "1")]);
    sim.create(
        "pve1",
        102,
        &[("startup", "order=1,up=30,down=7"), ("onboot", "1")],
    );
    sim.create("pve1", 103, &[("onboot", "1")]);
    sim.world.set_lock(103, Some("backup"));
    let before = sim.now_ms;
    let log = run(&mut sim, "/nodes/pve1/startall", json!({}));
    let expected = [
        "removed left over backup lock from '103'!",
        "Starting CT 102",
        "Waiting for 30 seconds (startup delay)",
        "Starting CT 101",
        "Starting CT 103",
        "TASK OK",
    ];
    assert_eq!(log, expected);
    assert!(sim.now_ms - before >= 30_000);
    let log = run(&mut sim, "/nodes/pve1/stopall", json!({"timeout": 9}));
    let expected = [
        "Stopping CT 103 (timeout = 9 seconds)",
        "Stopping CT 101 (timeout = 9 seconds)",
        "Stopping CT 102 (timeout = 7 seconds)",
        "TASK OK",
    ];
    assert_eq!(log, expected);
    let log = run(&mut sim, "/nodes/pve1/suspendall", json!({"vms": "100"}));
    let text = "WARN: skipping 100, only VMs can be suspended";
    assert_eq!(log, [text, "TASK WARNINGS: 1"]);
}

#[test]
fn managed_guests_are_left_out_unless_they_are_named() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    let managed = [("sid", "ct:100"), ("state", "stopped")];
    assert_eq!(
        said(&mut sim, "POST", "/cluster/ha/resources", &managed).0,
        200
    );
    let log = run(&mut sim, "/nodes/pve1/startall", json!({"force": 1}));
    assert_eq!(log, ["TASK OK"]);
    run(
        &mut sim,
        "/nodes/pve1/startall",
        json!({"force": 1, "vms": "100"}),
    );
    let kinds = |task: &proximity_pve_emulator::core::Task| task.upid.kind.clone();
    let kinds: Vec<String> = sim.world.tasks().map(kinds).collect();
    assert!(kinds.contains(&"hastart".to_owned()), "{kinds:?}");
}

#[test]
fn rights_on_the_named_guests_are_enough() {
    let mut seed = cluster();
    seed.tokens.push(token("keeper@pve!t1", Access::Empty));
    let mut sim = Sim::new(seed);
    sim.create("pve1", 100, &[]);
    for (holder, id) in [("users", "keeper@pve"), ("tokens", "keeper@pve!t1")] {
        let form = [("path", "/vms/100"), ("roles", "PVEVMAdmin"), (holder, id)];
        assert_eq!(said(&mut sim, "PUT", "/access/acl", &form).0, 200);
    }
    let mut call =
        |path: &str, form: &[(&str, &str)]| by(&mut sim, "keeper@pve!t1", "POST", path, form);
    for (path, missing) in [
        ("/nodes/pve1/startall", "/, VM.PowerMgmt"),
        (
            "/nodes/pve1/suspendall",
            "/, VM.PowerMgmt && VM.Config.Disk",
        ),
        ("/cluster/bulk-action/guest/start", "/, VM.PowerMgmt"),
    ] {
        let text = format!("Permission check failed ({missing})");
        assert_eq!(call(path, &[]), (403, text));
        assert_eq!(call(path, &[("vms", "100")]).0, 200, "{path}");
    }
    let text = "Permission check failed (/vms/101, VM.PowerMgmt)";
    let refused = call("/nodes/pve1/stopall", &[("vms", "100,101")]);
    assert_eq!(refused, (403, text.into()));
}
