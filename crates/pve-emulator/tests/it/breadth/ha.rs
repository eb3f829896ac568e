//! Rules, migration and the manager's own status.

use super::{get, said};
use crate::support::seed::cluster;
use crate::support::sim::{Request, Sim};

const RULES: &str = "/cluster/ha/rules";

/// Containers 100 to 102 on shared disks, all managed.
fn managed() -> Sim {
    let mut sim = Sim::new(cluster());
    for (vmid, node) in [(100, "pve1"), (101, "pve1"), (102, "pve2")] {
        sim.create(node, vmid, &[("rootfs", "shared:1")]);
        let sid = format!("ct:{vmid}");
        let made = said(&mut sim, "POST", "/cluster/ha/resources", &[("sid", &sid)]);
        assert_eq!(made.0, 200, "{}", made.1);
    }
    sim.pass(60_000);
    sim
}

#[test]
fn a_rule_is_made_read_changed_and_removed() {
    let mut sim = managed();
    let form = [
        ("rule", "place"),
        ("type", "node-affinity"),
        ("resources", "ct:101,ct:100"),
        ("nodes", "pve2:2,pve1"),
        ("comment", "why"),
    ];
    assert_eq!(said(&mut sim, "POST", RULES, &form).0, 200);
    assert_eq!(
        said(&mut sim, "POST", RULES, &form),
        (
            500,
            "create ha rule failed: HA rule 'place' already defined".into()
        )
    );
    let rule = get(&mut sim, "/cluster/ha/rules/place");
    assert_eq!(rule["resources"], "ct:100,ct:101");
    assert_eq!(rule["nodes"], "pve1,pve2:2");
    assert_eq!(
        (&rule["order"], &rule["type"]),
        (&1.into(), &"node-affinity".into())
    );
    assert!(rule.get("strict").is_none() && rule["digest"].is_string());

    let change = [
        ("type", "node-affinity"),
        ("strict", "1"),
        ("delete", "comment"),
    ];
    assert_eq!(
        said(&mut sim, "PUT", "/cluster/ha/rules/place", &change).0,
        200
    );
    let rule = get(&mut sim, "/cluster/ha/rules/place");
    assert_eq!(rule["strict"], 1);
    assert!(rule.get("comment").is_none());
    let old = [("type", "node-affinity"), ("strict", "0"), ("digest", "00")];
    let refused = said(&mut sim, "PUT", "/cluster/ha/rules/place", &old);
    assert!(
        refused
            .1
            .starts_with("update HA rules failed: detected modified"),
        "{refused:?}"
    );

    assert_eq!(
        said(&mut sim, "DELETE", "/cluster/ha/rules/place", &[]).0,
        200
    );
    assert_eq!(
        said(&mut sim, "GET", "/cluster/ha/rules/place", &[]),
        (500, "no such ha rule 'place'".into())
    );
}

#[test]
fn what_does_not_go_with_the_type_of_a_rule_is_refused_by_its_place() {
    let mut sim = managed();
    let form = [
        ("rule", "rr"),
        ("type", "node-affinity"),
        ("resources", "ct:100"),
        ("affinity", "positive"),
    ];
    let unknown =
        "property is not defined in schema and the schema does not allow additional properties";
    let missing = "property is missing and it is not optional";
    assert_eq!(
        said(&mut sim, "POST", RULES, &form),
        (
            400,
            format!(
                "Parameter verification failed.|affinity: {unknown}|oneOf[node-affinity].nodes: {missing}"
            )
        )
    );
    assert_eq!(
        said(
            &mut sim,
            "POST",
            RULES,
            &[("rule", "rr"), ("resources", "ct:100")]
        ),
        (
            400,
            format!("Parameter verification failed.|resources: {unknown}|type: {missing}")
        )
    );
    let strange = [
        ("rule", "rr"),
        ("type", "node-affinity"),
        ("resources", "ct:100,ct:999"),
        ("nodes", "pve1"),
    ];
    assert_eq!(
        said(&mut sim, "POST", RULES, &strange),
        (
            500,
            "create ha rule failed: cannot use unmanaged resource(s) ct:999.".into()
        )
    );
    let lonely = [
        ("rule", "rr"),
        ("type", "resource-affinity"),
        ("resources", "ct:100"),
        ("affinity", "negative"),
    ];
    let refused = said(&mut sim, "POST", RULES, &lonely);
    assert_eq!(refused.0, 500);
    assert_eq!(
        refused.1,
        "create ha rule failed: 400 Rule 'rr' is invalid.\nresources: rule is ineffective as there are less than two resources"
    );
}

fn node_of(sim: &mut Sim, vmid: u32) -> String {
    let guest = sim.world.guests().find(|(found, _)| *found == vmid);
    guest.unwrap().1.node.clone()
}

#[test]
fn a_resource_goes_where_it_is_sent_and_where_its_rules_want_it() {
    let mut sim = managed();
    let path = "/cluster/ha/resources/ct:100/migrate";
    let sent = sim.root("POST", path, &[("node", "pve3")]);
    assert_eq!(
        sent.payload(),
        serde_json::json!({"sid": "ct:100", "requested-node": "pve3"})
    );
    assert_eq!(node_of(&mut sim, 100), "pve1", "the call only asks for it");
    sim.pass(60_000);
    assert_eq!(node_of(&mut sim, 100), "pve3");
    let running = get(&mut sim, "/nodes/pve3/lxc/100/status/current");
    assert_eq!(running["status"], "running");

    let form = [
        ("rule", "rr"),
        ("type", "node-affinity"),
        ("resources", "ct:101"),
        ("nodes", "pve2"),
    ];
    assert_eq!(said(&mut sim, "POST", RULES, &form).0, 200);
    sim.pass(60_000);
    assert_eq!(node_of(&mut sim, 101), "pve2");

    let apart = [
        ("rule", "aa"),
        ("type", "resource-affinity"),
        ("resources", "ct:101,ct:102"),
        ("affinity", "negative"),
    ];
    assert_eq!(said(&mut sim, "POST", RULES, &apart).0, 200);
    sim.pass(60_000);
    assert_eq!(
        (node_of(&mut sim, 101), node_of(&mut sim, 102) != "pve2"),
        ("pve2".into(), true)
    );
    let blocked = sim.root(
        "POST",
        "/cluster/ha/resources/ct:102/migrate",
        &[("node", "pve2")],
    );
    assert_eq!(blocked.payload()["blocking-resources"][0]["sid"], "ct:101");

    assert_eq!(
        said(
            &mut sim,
            "POST",
            "/cluster/ha/resources/ct:999/relocate",
            &[("node", "pve2")]
        ),
        (500, "resource 'ct:999' is not HA managed".into())
    );
}

#[test]
fn a_resource_that_is_removed_leaves_the_rules_and_empty_rules_go() {
    let mut sim = managed();
    let both = [
        ("rule", "both"),
        ("type", "resource-affinity"),
        ("resources", "ct:100,ct:101"),
        ("affinity", "positive"),
    ];
    let one = [
        ("rule", "one"),
        ("type", "node-affinity"),
        ("resources", "ct:100"),
        ("nodes", "pve1"),
    ];
    for form in [&both[..], &one[..]] {
        assert_eq!(said(&mut sim, "POST", RULES, form).0, 200);
    }
    assert_eq!(
        said(&mut sim, "DELETE", "/cluster/ha/resources/ct:100", &[]).0,
        200
    );
    let rules = get(&mut sim, RULES);
    assert_eq!(rules.as_array().unwrap().len(), 1);
    assert_eq!(rules[0]["resources"], "ct:101");
    assert_eq!(
        rules[0]["errors"]["resources"][0],
        "rule is ineffective as there are less than two resources"
    );
}

#[test]
fn resources_are_named_and_refused_as_by_proxmox() {
    let mut sim = managed();
    let post =
        |sim: &mut Sim, form: &[(&str, &str)]| said(sim, "POST", "/cluster/ha/resources", form).1;
    assert_eq!(
        post(&mut sim, &[("sid", "999")]),
        "unable to detect SID from VMID - VM/CT 999 does not exist"
    );
    assert_eq!(
        post(&mut sim, &[("sid", "vm:100")]),
        "resource 'vm:100' - guest with ID 100 is not a VM"
    );
    assert_eq!(post(&mut sim, &[("sid", "ct:0100")]), "invalid VMID");
    assert_eq!(
        post(&mut sim, &[("sid", "ct:100"), ("type", "vm")]),
        "types does not match"
    );
    let groups = "invalid parameter 'group': ha groups have been migrated to rules";
    assert_eq!(
        post(&mut sim, &[("sid", "ct:100"), ("group", "gg")]),
        groups
    );
    let text = "cannot index groups: ha groups have been migrated to rules";
    assert_eq!(
        said(&mut sim, "GET", "/cluster/ha/groups", &[]),
        (500, text.into())
    );
    let resource = get(&mut sim, "/cluster/ha/resources/100");
    assert!(
        resource.get("state").is_none(),
        "none was given: {resource}"
    );
    assert_eq!(
        said(
            &mut sim,
            "PUT",
            "/cluster/ha/resources/ct:100",
            &[("delete", "nosuch")]
        )
        .1,
        "update resources config failed: no such option 'nosuch'"
    );
}

#[test]
fn the_crm_tells_of_itself_and_lets_go_when_asked() {
    let mut sim = managed();
    let status = get(&mut sim, "/cluster/ha/status/manager_status");
    assert_eq!(
        status["manager_status"]["service_status"]["ct:100"]["state"],
        "started"
    );
    assert_eq!(status["manager_status"]["node_status"]["pve2"], "online");
    assert_eq!(status["lrm_status"]["pve1"]["state"], "active");
    let path = "/cluster/ha/status/disarm-ha";
    assert_eq!(
        said(&mut sim, "POST", path, &[("resource-mode", "freeze")]).0,
        200
    );
    sim.pass(30_000);
    let rows = get(&mut sim, "/cluster/ha/status/current");
    let fencing = rows
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["type"] == "fencing");
    assert_eq!(fencing.unwrap()["armed-state"], "disarmed");
    sim.root(
        "PUT",
        "/cluster/ha/resources/ct:100",
        &[("state", "stopped")],
    );
    sim.pass(60_000);
    let status = |sim: &mut Sim| get(sim, "/nodes/pve1/lxc/100/status/current")["status"].clone();
    assert_eq!(status(&mut sim), "running", "nothing is managed now");
    sim.root("POST", "/cluster/ha/status/arm-ha", &[]);
    sim.pass(60_000);
    assert_eq!(status(&mut sim), "stopped");
}

#[test]
fn an_ignored_resource_is_not_managed_and_its_states_are_told_in_words() {
    let mut sim = managed();
    let state = |sim: &mut Sim| {
        let rows = get(sim, "/cluster/ha/status/current");
        let rows = rows.as_array().unwrap().clone();
        let row = rows.into_iter().find(|row| row["sid"] == "ct:100").unwrap();
        (row["state"].clone(), row.get("crm_state").cloned())
    };
    let path = "/cluster/ha/resources/ct:100";
    let hastate = |sim: &mut Sim| {
        let rows = sim
            .root("GET", "/cluster/resources", &[("type", "vm")])
            .payload();
        rows[0].get("hastate").cloned()
    };
    assert_eq!(said(&mut sim, "PUT", path, &[("state", "stopped")]).0, 200);
    sim.pass(30_000);
    assert_eq!(state(&mut sim), ("stopped".into(), Some("stopped".into())));
    assert_eq!(said(&mut sim, "PUT", path, &[("state", "started")]).0, 200);
    assert_eq!(state(&mut sim), ("starting".into(), Some("stopped".into())));
    assert_eq!(said(&mut sim, "PUT", path, &[("state", "disabled")]).0, 200);
    assert_eq!(state(&mut sim), ("disabled".into(), Some("stopped".into())));
    assert_eq!(said(&mut sim, "PUT", path, &[("state", "ignored")]).0, 200);
    sim.pass(11_000);
    assert_eq!(state(&mut sim), ("ignored".into(), None));
    assert_eq!(
        hastate(&mut sim),
        Some("ignored".into()),
        "as it is configured"
    );
    let node = [("node", "pve2")];
    let send = said(&mut sim, "POST", &format!("{path}/migrate"), &node);
    assert_eq!(send, (500, "resource 'ct:100' is not HA managed".into()));
    let current = get(&mut sim, "/nodes/pve1/lxc/100/status/current");
    assert_eq!(current["ha"], serde_json::json!({"managed": 0}));
    sim.start("pve1", 100);
    let last = sim.world.tasks().next_back().unwrap();
    assert_eq!(last.upid.kind, "vzstart", "it is started at once");
}

#[test]
fn out_of_error_leads_only_disabled() {
    let mut sim = managed();
    let faults = proximity_pve_emulator::core::GuestFaults {
        boot_fails: true,
        ..Default::default()
    };
    let path = "/cluster/ha/resources/ct:100";
    assert_eq!(said(&mut sim, "PUT", path, &[("state", "stopped")]).0, 200);
    sim.pass(30_000);
    sim.world.set_guest_faults(100, faults);
    let form = [
        ("state", "started"),
        ("max_restart", "0"),
        ("max_relocate", "0"),
    ];
    assert_eq!(said(&mut sim, "PUT", path, &form).0, 200);
    sim.pass(60_000);
    let text = "service 'ct:100' in error state, must be disabled and fixed first";
    for state in ["started", "stopped", "ignored"] {
        let answer = said(&mut sim, "PUT", path, &[("state", state)]);
        assert_eq!(answer, (500, text.into()), "{state}");
    }
    let send = said(
        &mut sim,
        "POST",
        &format!("{path}/relocate"),
        &[("node", "pve2")],
    );
    assert_eq!(send, (500, text.into()));
    assert_eq!(said(&mut sim, "PUT", path, &[("state", "disabled")]).0, 200);
}

#[test]
fn a_move_beside_one_that_is_kept_apart_is_not_done_and_companions_come_along() {
    let mut sim = managed();
    for (rule, affinity, resources) in [
        ("apart", "negative", "ct:100,ct:102"),
        ("together", "positive", "ct:100,ct:101"),
    ] {
        let form = [
            ("rule", rule),
            ("type", "resource-affinity"),
            ("affinity", affinity),
            ("resources", resources),
        ];
        assert_eq!(said(&mut sim, "POST", "/cluster/ha/rules", &form).0, 200);
    }
    let path = "/cluster/ha/resources/ct:100/migrate";
    assert_eq!(said(&mut sim, "POST", path, &[("node", "pve2")]).0, 200);
    sim.pass(60_000);
    assert_eq!(node_of(&mut sim, 100), "pve1", "the other one is there");
    assert_eq!(said(&mut sim, "POST", path, &[("node", "pve3")]).0, 200);
    assert_eq!(
        node_of(&mut sim, 100),
        "pve1",
        "nothing happens before the manager's next look"
    );
    sim.pass(60_000);
    assert_eq!(
        (node_of(&mut sim, 100), node_of(&mut sim, 101)),
        ("pve3".into(), "pve3".into())
    );
}

#[test]
fn a_managed_container_is_moved_at_its_next_look_and_not_before() {
    let mut sim = managed();
    let form = [("target", "pve3"), ("restart", "1")];
    let exit = sim.task("POST", "/nodes/pve1/lxc/100/migrate", &form);
    assert_eq!(
        (exit.as_str(), node_of(&mut sim, 100).as_str()),
        ("OK", "pve1")
    );
    let moves = |sim: &Sim| {
        let moves = sim
            .world
            .tasks()
            .filter(|task| task.upid.kind == "vzmigrate");
        moves.count()
    };
    assert_eq!(moves(&sim), 0);
    sim.pass(60_000);
    assert_eq!((moves(&sim), node_of(&mut sim, 100).as_str()), (1, "pve3"));
}

#[test]
fn the_status_of_high_availability_has_four_parts() {
    let mut sim = Sim::new(cluster());
    let parts = get(&mut sim, "/cluster/ha/status");
    let names = parts
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["name"].as_str().unwrap());
    let names: Vec<&str> = names.collect();
    assert_eq!(names, ["current", "manager_status", "disarm-ha", "arm-ha"]);
}

#[test]
fn a_managed_container_is_stopped_at_the_next_look_and_not_before() {
    let mut sim = managed();
    let tasks = |sim: &Sim, kind: &str| {
        let tasks = sim.world.tasks().filter(|task| task.upid.kind == kind);
        tasks.count()
    };
    let wanted = |sim: &mut Sim, sid: &str| {
        let resource = get(sim, &format!("/cluster/ha/resources/{sid}"));
        resource["state"].as_str().unwrap_or("started").to_owned()
    };
    for (vmid, verb, kind) in [(100, "stop", "vzstop"), (101, "shutdown", "vzshutdown")] {
        let path = format!("/nodes/pve1/lxc/{vmid}/status/{verb}");
        let sid = format!("ct:{vmid}");
        assert_eq!(sim.task("POST", &path, &[]), "OK");
        assert_eq!(wanted(&mut sim, &sid), "started");
        assert_eq!(tasks(&sim, kind), 0);
        sim.pass(11_000);
        assert_eq!(
            (wanted(&mut sim, &sid), tasks(&sim, kind)),
            ("stopped".into(), 1)
        );
    }
    assert_eq!((tasks(&sim, "vzstop"), tasks(&sim, "vzshutdown")), (1, 1));
    sim.pass(20_000);
    let current = get(&mut sim, "/nodes/pve1/lxc/100/status/current");
    assert_eq!(
        (&current["status"], &current["ha"]["state"]),
        (&"stopped".into(), &"stopped".into())
    );
}

#[test]
fn without_a_majority_a_managed_container_cannot_even_be_asked_to_stop() {
    let mut sim = managed();
    let now_ms = sim.now_ms;
    sim.world.partition("pve1", now_ms);
    sim.pass(20_000);
    let path = "/nodes/pve1/lxc/100/status/stop";
    let answer = sim.call(Request::new("POST", path).via("pve1"));
    let upid = answer.payload().as_str().unwrap().to_owned();
    let error = "command 'ha-manager crm-command stop ct:100 0' failed: exit code 255";
    assert_eq!(sim.finish(&upid), error);
    let log = sim.log(&upid);
    assert_eq!(log[1], "cfs-lock 'domain-ha' error: no quorum!", "{log:?}");
    sim.world.heal("pve1");
    sim.pass(30_000);
    let resource = get(&mut sim, "/cluster/ha/resources/ct:100");
    assert_eq!(resource.get("state"), None, "as it was");
    assert_eq!(sim.world.violations(), []);
}
