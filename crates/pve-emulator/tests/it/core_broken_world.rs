//! Nodes and guests that are broken on purpose, on virtual time.

use crate::support::seed::{ALPINE, cluster, solo};
use crate::support::sim::{Answer, Request, Sim};
use proximity_pve_emulator::core::{GuestFaults, Reach, StrangerLook};
use serde_json::{Value, json};

fn via(sim: &mut Sim, node: &str, path: &str) -> Answer {
    sim.call(Request::new("GET", path).via(node))
}

#[test]
fn a_node_without_power_cuts_every_call_and_its_guests_are_ended() {
    let mut sim = Sim::new(cluster());
    sim.create("pve2", 100, &[]);
    sim.start("pve2", 100);
    let now_ms = sim.now_ms;
    sim.world.cut_power("pve2", Reach::Refused, now_ms);
    assert!(via(&mut sim, "pve2", "/version").response.cut);
    assert_eq!(via(&mut sim, "pve1", "/nodes/pve2/status").status(), 595);
    sim.pass(1_000);
    assert!(
        !sim.machines
            .machines
            .values()
            .any(|machine| machine.running)
    );
    let now_ms = sim.now_ms;
    sim.world.power_on("pve2", now_ms);
    assert_eq!(via(&mut sim, "pve2", "/version").status(), 200);
    let current = via(&mut sim, "pve2", "/nodes/pve2/lxc/100/status/current");
    assert_eq!(current.payload()["status"], "stopped");
}

#[test]
fn a_partitioned_node_lives_and_sees_no_others() {
    let mut sim = Sim::new(cluster());
    let now_ms = sim.now_ms;
    sim.world.partition("pve1", now_ms);
    sim.pass(10_000);
    let online = |sim: &mut Sim, node: &str| {
        let rows = via(sim, node, "/cluster/status").payload();
        let rows = rows.as_array().unwrap().iter();
        rows.filter(|row| row["type"] == "node")
            .map(|row| row["online"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(online(&mut sim, "pve1"), [1, 0, 0]);
    assert_eq!(online(&mut sim, "pve2"), [0, 1, 1]);
    let quorate = |sim: &mut Sim, node: &str| {
        let rows = via(sim, node, "/cluster/status").payload();
        rows[0]["quorate"].as_u64().unwrap()
    };
    assert_eq!(
        (quorate(&mut sim, "pve1"), quorate(&mut sim, "pve2")),
        (0, 1)
    );
    for (from, to) in [("pve1", "pve2"), ("pve2", "pve1")] {
        let answer = via(&mut sim, from, &format!("/nodes/{to}/status"));
        let found = (
            answer.status(),
            answer.response.reason.as_str(),
            answer.took_ms,
        );
        assert_eq!(found, (595, "No route to host", 3_000), "{from} to {to}");
    }
    assert_eq!(via(&mut sim, "pve1", "/nodes/pve1/status").status(), 200);
    assert_eq!(via(&mut sim, "pve2", "/nodes/pve3/status").status(), 200);
    sim.world.heal("pve1");
    assert_eq!(via(&mut sim, "pve1", "/nodes/pve2/status").status(), 200);
    assert_eq!(online(&mut sim, "pve1"), [1, 1, 1]);
}

#[test]
fn both_sides_of_a_partition_go_on_seeing_what_was_told_before() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    sim.create("pve2", 101, &[]);
    sim.start("pve1", 100);
    sim.pass(11_000);
    let now_ms = sim.now_ms;
    sim.world.partition("pve1", now_ms);
    sim.kill_and_restart();
    sim.pass(10_000);
    let call = |method: &str, path: &str, via: &str| Request::new(method, path).via(via);
    let stop = call("POST", "/nodes/pve1/lxc/100/status/stop", "pve1");
    assert_eq!(sim.call(stop).status(), 200, "needs no quorum");
    let start = call("POST", "/nodes/pve2/lxc/101/status/start", "pve2");
    assert_eq!(sim.call(start).status(), 200);
    let form = [("vmid", "102"), ("ostemplate", ALPINE)];
    let create = call("POST", "/nodes/pve3/lxc", "pve3").parameters(&form);
    assert_eq!(sim.call(create).status(), 200);
    sim.pass(20_000);
    let seen = |sim: &mut Sim, node: &str| {
        let rows = via(sim, node, "/cluster/resources?type=vm").payload();
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row["status"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(seen(&mut sim, "pve1"), ["stopped", "stopped"]);
    assert_eq!(seen(&mut sim, "pve2"), ["running", "running", "stopped"]);
    sim.pass(300_000);
    assert_eq!(seen(&mut sim, "pve1"), ["stopped", "unknown"]);
    assert_eq!(seen(&mut sim, "pve3"), ["unknown", "running", "stopped"]);
    sim.world.heal("pve1");
    for node in ["pve1", "pve2"] {
        assert_eq!(seen(&mut sim, node), ["stopped", "running", "stopped"]);
    }
}

#[test]
fn a_slow_node_delays_what_comes_past_it() {
    let mut sim = Sim::new(cluster());
    sim.world.set_slow("pve2", 700).unwrap();
    let took = |sim: &mut Sim, node: &str, path: &str| via(sim, node, path).took_ms;
    assert_eq!(took(&mut sim, "pve1", "/version"), 0);
    assert_eq!(took(&mut sim, "pve2", "/version"), 700);
    assert_eq!(took(&mut sim, "pve1", "/nodes/pve2/status"), 700);
    sim.world.set_slow("pve1", 40).unwrap();
    assert_eq!(took(&mut sim, "pve1", "/nodes/pve2/status"), 740);
    sim.world.set_slow("pve2", 0).unwrap();
    assert!(sim.world.set_slow("pve2", u64::MAX).is_err());
    assert!(sim.world.set_clock_ahead(u64::MAX).is_err());
    assert_eq!(took(&mut sim, "pve2", "/version"), 0);
}

#[test]
fn an_old_view_stays_for_so_many_broadcasts() {
    let mut sim = Sim::new(cluster());
    sim.create("pve2", 100, &[]);
    sim.create("pve3", 101, &[]);
    sim.pass(11_000);
    sim.world.set_old_view("pve2", 2);
    sim.start("pve2", 100);
    sim.start("pve3", 101);
    let seen = |sim: &mut Sim| {
        let rows = via(sim, "pve1", "/cluster/resources?type=vm").payload();
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row["status"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for _ in 0..2 {
        sim.pass(10_000);
        assert_eq!(seen(&mut sim), ["stopped", "running"]);
    }
    sim.pass(10_000);
    assert_eq!(seen(&mut sim), ["running", "running"]);
}

#[test]
fn a_guest_vanishes_with_everything_it_had() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[]);
    sim.start("solo", 100);
    sim.world.vanish(100).unwrap();
    sim.pass(1_000);
    let current = via(&mut sim, "solo", "/nodes/solo/lxc/100/status/current");
    assert_eq!(current.status(), 500);
    assert!(sim.machines.machines.is_empty());
    let content = "/nodes/solo/storage/local/content?content=rootdir";
    assert_eq!(via(&mut sim, "solo", content).payload(), json!([]));
    assert_eq!(via(&mut sim, "solo", "/cluster/nextid").payload(), "100");
    assert!(sim.world.vanish(100).is_err());
}

#[test]
fn a_stranger_has_the_number() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[("hostname", "ours"), ("tags", "mine")]);
    sim.start("pve1", 100);
    let now_ms = sim.now_ms;
    sim.world.stranger_takes(100, "pve2", now_ms).unwrap();
    sim.pass(1_000);
    let config = via(&mut sim, "pve1", "/nodes/pve2/lxc/100/config").payload();
    assert_eq!(
        (&config["hostname"], &config["tags"]),
        (&json!("stranger"), &Value::Null)
    );
    assert_eq!(
        via(&mut sim, "pve1", "/nodes/pve1/lxc/100/config").status(),
        500
    );
    let left: Vec<&str> = sim
        .machines
        .machines
        .keys()
        .map(|key| key.node.as_str())
        .collect();
    assert_eq!(left, ["pve2"]);
    sim.start("pve2", 100);
    assert!(sim.world.stranger_takes(101, "pve9", now_ms).is_err());
}

#[test]
fn what_a_stranger_takes_by_the_api_is_in_the_lists_of_tasks() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    let mac = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=dhcp";
    let notes = StrangerLook {
        description: Some("notes".to_owned()),
        ..StrangerLook::default()
    };
    let both = StrangerLook {
        net0: Some(mac.to_owned()),
        ..notes.clone()
    };
    let now_ms = sim.now_ms;
    let nothing = StrangerLook::default();
    for (vmid, look) in [(100, &both), (101, &notes), (102, &nothing)] {
        let taken = sim.world.stranger_takes_by_api(vmid, "pve2", look, now_ms);
        taken.unwrap();
    }
    sim.pass(1_000);
    let mut told = |node: &str| {
        let tasks = via(&mut sim, node, &format!("/nodes/{node}/tasks")).payload();
        let rows = tasks.as_array().unwrap().iter();
        let rows = rows.map(|row| {
            assert_eq!(row["status"], "OK");
            let text = |key: &str| row[key].as_str().unwrap().to_owned();
            (text("type"), text("id"), text("user"))
        });
        let mut rows: Vec<_> = rows.collect();
        rows.retain(|(_, _, user)| user == "root@pam");
        rows
    };
    let theirs = |kind: &str, id: &str| (kind.to_owned(), id.to_owned(), "root@pam".to_owned());
    assert!(told("pve1").contains(&theirs("vzdestroy", "100")));
    let mut made = told("pve2");
    made.sort();
    let expected = [
        theirs("vzclone", "9000"),
        theirs("vzcreate", "102"),
        theirs("vzrestore", "100"),
    ];
    assert_eq!(made, expected);
    let nowhere = sim.world.stranger_takes_by_api(103, "pve9", &both, now_ms);
    assert!(nowhere.is_err());
}

#[test]
fn a_stranger_does_not_start_before_the_one_it_replaces_has_ended() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    sim.start("pve1", 100);
    let now_ms = sim.now_ms;
    sim.world.stranger_takes(100, "pve1", now_ms).unwrap();
    sim.start("pve1", 100);
    sim.pass(20_000);
    let current = via(&mut sim, "pve1", "/nodes/pve1/lxc/100/status/current");
    assert_eq!(current.payload()["status"], "running");
    let machine = sim.machines.machines.values().next().unwrap();
    assert!(machine.running);
    let last: Vec<&str> = sim.machines.seen.iter().map(|(kind, _)| *kind).collect();
    let order = ["kill", "destroy", "create", "start"];
    let at = order.map(|kind| last.iter().rposition(|seen| *seen == kind).unwrap());
    assert!(at.is_sorted(), "{last:?}");
}

#[test]
fn power_for_a_node_that_has_it_changes_nothing() {
    let mut sim = Sim::new(cluster());
    let now_ms = sim.now_ms;
    sim.world.partition("pve1", now_ms);
    sim.pass(60_000);
    let uptime = |sim: &mut Sim| {
        let status = via(sim, "pve1", "/nodes/pve1/status").payload();
        status["uptime"].as_u64().unwrap()
    };
    let before = uptime(&mut sim);
    let now_ms = sim.now_ms;
    sim.world.power_on("pve1", now_ms);
    assert_eq!(uptime(&mut sim), before, "it did not boot");
    assert_eq!(via(&mut sim, "pve2", "/nodes/pve1/status").status(), 595);
}

#[test]
fn a_guest_is_elsewhere_with_its_disk_or_its_configuration_alone() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    sim.start("pve1", 100);
    sim.world.carry_guest(100, "pve2").unwrap();
    sim.pass(1_000);
    let current = via(&mut sim, "pve1", "/nodes/pve2/lxc/100/status/current");
    assert_eq!(current.payload()["status"], "stopped");
    sim.start("pve2", 100);
    assert_eq!(sim.machines.machines.len(), 1);
    sim.world.move_config(100, "pve3").unwrap();
    let config = via(&mut sim, "pve1", "/nodes/pve3/lxc/100/config");
    assert_eq!(config.status(), 200);
    let place = sim.machines.machines.iter().next().unwrap();
    assert!(
        place.0.node == "pve2" && place.1.running,
        "what runs goes on"
    );
    assert!(sim.world.move_config(100, "pve9").is_err());
}

#[test]
fn nothing_migrates_to_or_from_a_node_that_is_cut_off_nor_without_a_majority() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    let now_ms = sim.now_ms;
    sim.world.partition("pve3", now_ms);
    assert!(sim.world.carry_guest(100, "pve3").is_err());
    assert_eq!(sim.world.carry_guest(100, "pve2"), Ok(()));
    sim.world.heal("pve3");
    sim.world.partition("pve2", now_ms);
    let refused = sim.world.carry_guest(100, "pve1").unwrap_err();
    assert!(refused.contains("pve2"), "it lives, cut off: {refused}");
    sim.world.cut_power("pve2", Reach::Silent, now_ms);
    assert_eq!(sim.world.carry_guest(100, "pve1"), Ok(()), "it is dead");
    sim.world.partition("pve1", now_ms);
    assert!(sim.world.carry_guest(100, "pve3").is_err(), "no majority");
}

#[test]
fn a_guest_does_not_boot_until_it_is_mended() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[]);
    let boot_fails = GuestFaults {
        boot_fails: true,
        ..GuestFaults::default()
    };
    sim.world.set_guest_faults(100, boot_fails);
    sim.kill_and_restart();
    let start = "/nodes/solo/lxc/100/status/start";
    assert_eq!(
        sim.task("POST", start, &[]),
        "startup for container '100' failed"
    );
    let current = via(&mut sim, "solo", "/nodes/solo/lxc/100/status/current");
    assert_eq!(current.payload()["status"], "stopped");
    sim.world.set_guest_faults(100, GuestFaults::default());
    sim.start("solo", 100);
}

#[test]
fn a_guest_never_gets_an_address() {
    let mut sim = Sim::new(solo());
    let net = "name=eth0,bridge=vmbr0,ip=10.0.0.2/24";
    sim.create("solo", 100, &[("net0", net)]);
    sim.start("solo", 100);
    let address = |sim: &mut Sim| {
        via(sim, "solo", "/nodes/solo/lxc/100/interfaces").payload()[1]["inet"].clone()
    };
    assert_eq!(address(&mut sim), "10.0.0.2/24");
    let no_network = GuestFaults {
        no_network: true,
        ..GuestFaults::default()
    };
    sim.world.set_guest_faults(100, no_network);
    assert_eq!(address(&mut sim), Value::Null);
}
