//! Locks that root passes over, and stops that end shutdowns.

use proximity_pve_emulator::core::Environment;
use serde_json::json;

use super::{by, grant, itself, said};
use crate::support::seed::{cluster, solo};
use crate::support::sim::Sim;

#[test]
fn root_itself_starts_and_stops_what_is_locked() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[]);
    sim.world.set_lock(100, Some("backup"));
    let skip = [("skiplock", "1")];
    let start = "/nodes/solo/lxc/100/status/start";
    let refused = "Parameter verification failed.|skiplock: Only root may use this option.";
    assert_eq!(
        said(&mut sim, "POST", start, &skip),
        (400, refused.into()),
        "a token of root"
    );
    let current = "/nodes/solo/lxc/100/status/current";
    for (path, status) in [
        (start, "running"),
        ("/nodes/solo/lxc/100/status/stop", "stopped"),
    ] {
        let (code, upid) = itself(&mut sim, "POST", path, &[]);
        assert_eq!(
            (code, sim.finish(&upid).as_str()),
            (200, "CT is locked (backup)")
        );
        let (code, upid) = itself(&mut sim, "POST", path, &skip);
        assert_eq!((code, sim.finish(&upid).as_str()), (200, "OK"));
        assert_eq!(
            sim.root("GET", current, &[]).payload()["status"],
            json!(status)
        );
    }
}

#[test]
fn a_stop_overrules_the_shutdowns_of_its_caller() {
    let mut sim = Sim::new(cluster());
    sim.machines
        .deaf
        .push("alpine-lab_1.0_amd64.tar.zst".into());
    sim.create("pve1", 100, &[]);
    sim.start("pve1", 100);
    let power = |word: &str| format!("/nodes/pve1/lxc/100/status/{word}");
    let shutdown = sim
        .root("POST", &power("shutdown"), &[("timeout", "50")])
        .payload();
    let token = "limited@pve!t1";
    grant(&mut sim, token, "/vms", "PVEVMAdmin");
    let overrule = [("overrule-shutdown", "1")];
    let other = by(&mut sim, token, "POST", &power("stop"), &overrule);
    assert_eq!(other.0, 200);
    sim.pass(1_000);
    let path = format!("/nodes/pve1/tasks/{}/status", shutdown.as_str().unwrap());
    let running = sim.root("GET", &path, &[]).payload();
    assert_eq!(running["status"], "running", "another's goes on");
    let stop = sim.root("POST", &power("stop"), &overrule).payload();
    assert_eq!(sim.finish(stop.as_str().unwrap()), "OK");
    let log = sim.log(stop.as_str().unwrap());
    assert!(
        log[0].starts_with("overruled vzshutdown tasks: UPID:pve1:"),
        "{log:?}"
    );

    sim.start("pve1", 100);
    let form = [("sid", "ct:100")];
    assert_eq!(
        said(&mut sim, "POST", "/cluster/ha/resources", &form).0,
        200
    );
    let text = "Parameter verification failed.|overrule-shutdown: Not applicable for HA resources.";
    assert_eq!(
        said(&mut sim, "POST", &power("stop"), &overrule),
        (400, text.into())
    );
}

#[test]
fn limits_that_cannot_be_changed_are_named_as_their_control_groups() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[]);
    sim.start("solo", 100);
    sim.world.set_environment(Environment {
        limits_change: false,
    });
    for (key, value, words) in [
        ("memory", "256", "memory"),
        ("swap", "256", "memory"),
        ("cpulimit", "1", "cpu quota"),
        ("cpuunits", "50", "cpu shares/weight"),
    ] {
        let refused = said(
            &mut sim,
            "PUT",
            "/nodes/solo/lxc/100/config",
            &[(key, value)],
        );
        assert_eq!(refused.0, 400, "{key}");
        let text = format!(
            "{key}: unable to hotplug {key}: trying to change {words} cgroup values: container not running"
        );
        assert!(refused.1.contains(&text), "{}", refused.1);
    }
}
