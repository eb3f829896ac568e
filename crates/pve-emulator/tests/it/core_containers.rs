//! Containers through the core: create, power, configuration, locks, destroy.

use crate::support::seed::{ALPINE, cluster, solo};
use crate::support::sim::{Request, Sim};
use proximity_pve_emulator::core::TaskTimes;
use serde_json::json;

#[test]
fn an_archive_is_of_its_own_container_and_an_image_without_a_file_system_is_empty() {
    let mut sim = Sim::new(solo());
    for vmid in 101..=108 {
        sim.create("solo", vmid, &[]);
        sim.start("solo", vmid);
    }
    // Stopping and starting all of them takes seconds.
    let form = [
        ("all", "1"),
        ("compress", "zstd"),
        ("mode", "stop"),
        ("storage", "local"),
    ];
    assert_eq!(sim.task("POST", "/nodes/solo/vzdump", &form), "OK");
    let content = "/nodes/solo/storage/local/content";
    let rows = sim.root("GET", content, &[("content", "backup")]).payload();
    let ctimes: Vec<u64> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["ctime"].as_u64().unwrap())
        .collect();
    assert!(ctimes.len() == 8 && ctimes[0] < ctimes[7], "{rows}");
    let templates = sim.root("GET", content, &[("content", "vztmpl")]).payload();
    let packed = templates
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["volid"] == ALPINE);
    assert_eq!(rows[0]["size"], packed.unwrap()["size"]);

    let image = [
        ("vmid", "109"),
        ("filename", "vm-109-disk-0.raw"),
        ("size", "1G"),
    ];
    sim.root("POST", content, &image);
    let rows = sim.root("GET", content, &[]).payload();
    let used = |vmid: u32| {
        let row = rows
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["vmid"] == vmid);
        row.unwrap()["used"].as_u64().unwrap()
    };
    assert!(used(109) == 4096 && used(101) > 4096, "{rows}");
}

#[test]
fn a_container_lives_and_is_gone_afterwards() {
    let mut sim = Sim::new(solo());
    let net = "name=eth0,bridge=vmbr0,ip=dhcp";
    sim.create(
        "solo",
        101,
        &[
            ("hostname", "web"),
            ("net0", net),
            ("tags", "b;A"),
            ("description", "one\ntwo"),
        ],
    );
    let config = sim.root("GET", "/nodes/solo/lxc/101/config", &[]).payload();
    assert_eq!(config["tags"], "a;b");
    assert_eq!(config["description"], "one\ntwo\n");
    assert_eq!(config["rootfs"], "local:101/vm-101-disk-0.raw,size=1G");
    assert!(
        config["net0"]
            .as_str()
            .unwrap()
            .starts_with("name=eth0,bridge=vmbr0,hwaddr=BC:24:11:"),
        "{config}"
    );
    sim.start("solo", 101);
    assert_eq!(
        sim.root("GET", "/nodes/solo/lxc/101/status/current", &[])
            .payload()["status"],
        "running"
    );
    assert_eq!(
        sim.task("POST", "/nodes/solo/lxc/101/status/shutdown", &[]),
        "OK"
    );
    assert_eq!(sim.task("DELETE", "/nodes/solo/lxc/101", &[]), "OK");
    assert!(sim.machines.machines.is_empty());
    assert_eq!(
        sim.root(
            "GET",
            "/nodes/solo/storage/local/content",
            &[("content", "rootdir")]
        )
        .payload(),
        serde_json::json!([])
    );
    assert_eq!(sim.root("GET", "/cluster/nextid", &[]).payload(), "100");
}

#[test]
fn while_it_is_made_the_configuration_says_only_create() {
    let mut sim = Sim::new(solo());
    let create = [
        ("vmid", "100"),
        ("ostemplate", ALPINE),
        ("description", "mark"),
    ];
    let upid = sim.root("POST", "/nodes/solo/lxc", &create).payload();
    sim.pass(1_000);
    let config = sim.root("GET", "/nodes/solo/lxc/100/config", &[]).payload();
    assert_eq!(config["lock"], "create");
    assert!(config.get("description").is_none(), "{config}");
    assert_eq!(
        sim.root("DELETE", "/nodes/solo/lxc/100", &[]).message(),
        "CT is locked (create)\n"
    );
    assert_eq!(sim.finish(upid.as_str().unwrap()), "OK");
    assert_eq!(
        sim.root("GET", "/nodes/solo/lxc/100/config", &[]).payload()["description"],
        "mark\n"
    );
}

#[test]
fn tasks_take_their_time_and_it_can_be_set() {
    let mut sim = Sim::new(solo());
    let before = sim.now_ms;
    sim.create("solo", 100, &[]);
    assert!(
        (2_000..2_200).contains(&(sim.now_ms - before)),
        "{}",
        sim.now_ms - before
    );
    let before = sim.now_ms;
    sim.start("solo", 100);
    assert!(
        (1_000..1_200).contains(&(sim.now_ms - before)),
        "{}",
        sim.now_ms - before
    );
    sim.world.set_task_times(TaskTimes {
        stop_ms: 5_000,
        ..TaskTimes::default()
    });
    let before = sim.now_ms;
    sim.task("POST", "/nodes/solo/lxc/100/status/stop", &[]);
    assert!(
        (5_000..5_200).contains(&(sim.now_ms - before)),
        "{}",
        sim.now_ms - before
    );
}

#[test]
fn a_failed_create_leaves_nothing() {
    let mut sim = Sim::new(solo());
    sim.machines.fail.insert("create", "no space left".into());
    let exit = sim.task(
        "POST",
        "/nodes/solo/lxc",
        &[("vmid", "100"), ("ostemplate", ALPINE), ("pool", "apps")],
    );
    assert_eq!(exit, "unable to create CT 100 - no space left");
    assert_eq!(
        sim.root("GET", "/nodes/solo/lxc/100/config", &[]).status(),
        500
    );
    assert_eq!(
        sim.root(
            "GET",
            "/nodes/solo/storage/local/content",
            &[("content", "rootdir")]
        )
        .payload(),
        serde_json::json!([])
    );
    let kinds: Vec<_> = sim.machines.seen.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, ["create", "destroy"]);
}

#[test]
fn a_failed_start_says_so_in_its_task_only() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[]);
    sim.machines.fail.insert("start", "lxc_start: no".into());
    let answer = sim.root("POST", "/nodes/solo/lxc/100/status/start", &[]);
    let upid = answer.payload().as_str().unwrap().to_owned();
    assert_eq!(sim.finish(&upid), "startup for container '100' failed");
    assert_eq!(
        sim.log(&upid),
        [
            "lxc_start: no",
            "TASK ERROR: startup for container '100' failed"
        ]
    );
    assert_eq!(
        sim.root("GET", "/nodes/solo/lxc/100/status/current", &[])
            .payload()["status"],
        "stopped"
    );
}

#[test]
fn a_guest_that_ignores_the_halt_signal_is_killed_only_on_request() {
    let mut sim = Sim::new(solo());
    sim.create(
        "solo",
        100,
        &[("ostemplate", "local:vztmpl/labhttpd_1.0.tar")],
    );
    sim.start("solo", 100);
    let shutdown = "/nodes/solo/lxc/100/status/shutdown";
    assert_eq!(
        sim.task("POST", shutdown, &[("timeout", "5")]),
        "container did not stop"
    );
    assert_eq!(
        sim.root("GET", "/nodes/solo/lxc/100/status/current", &[])
            .payload()["status"],
        "running"
    );
    assert_eq!(
        sim.task("POST", shutdown, &[("timeout", "5"), ("forceStop", "1")]),
        "OK"
    );
    assert_eq!(
        sim.root("GET", "/nodes/solo/lxc/100/status/current", &[])
            .payload()["status"],
        "stopped"
    );
}

#[test]
fn a_stop_during_a_long_shutdown_gives_up_on_the_lock_or_overrules_it() {
    let mut sim = Sim::new(solo());
    sim.create(
        "solo",
        100,
        &[("ostemplate", "local:vztmpl/labhttpd_1.0.tar")],
    );
    sim.start("solo", 100);
    let shutdown = sim
        .root(
            "POST",
            "/nodes/solo/lxc/100/status/shutdown",
            &[("timeout", "60")],
        )
        .payload();
    let before = sim.now_ms;
    let exit = sim.task("POST", "/nodes/solo/lxc/100/status/stop", &[]);
    assert_eq!(
        exit,
        "can't lock file '/run/lock/lxc/pve-config-100.lock' - got timeout"
    );
    assert!((10_000..10_100).contains(&(sim.now_ms - before)));
    let before = sim.now_ms;
    let put = sim.root("PUT", "/nodes/solo/lxc/100/config", &[("onboot", "1")]);
    assert_eq!(
        put.message(),
        "can't lock file '/run/lock/lxc/pve-config-100.lock' - got timeout\n"
    );
    assert_eq!(sim.now_ms - before, 10_000);
    assert_eq!(
        sim.task(
            "POST",
            "/nodes/solo/lxc/100/status/stop",
            &[("overrule-shutdown", "1")]
        ),
        "OK"
    );
    assert_eq!(sim.finish(shutdown.as_str().unwrap()), "unexpected status");
}

#[test]
fn a_guest_that_ends_by_itself_is_noticed_before_a_decision() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[]);
    sim.start("solo", 100);
    sim.machines
        .machines
        .values_mut()
        .for_each(|machine| machine.running = false);
    assert_eq!(
        sim.root("POST", "/nodes/solo/lxc/100/status/stop", &[])
            .message(),
        "CT 100 not running\n"
    );
    assert_eq!(sim.task("DELETE", "/nodes/solo/lxc/100", &[]), "OK");
}

#[test]
fn configuration_changes_of_a_running_guest_wait_for_its_restart() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[]);
    sim.start("solo", 100);
    let config = "/nodes/solo/lxc/100/config";
    assert_eq!(
        sim.root(
            "PUT",
            config,
            &[("nameserver", "1.1.1.1"), ("hostname", "new")]
        )
        .status(),
        200
    );
    let shown = sim.root("GET", config, &[("current", "1")]).payload();
    assert_eq!(
        (shown["hostname"].as_str(), shown.get("nameserver")),
        (Some("new"), None)
    );
    assert_eq!(
        sim.root("GET", config, &[]).payload()["nameserver"],
        "1.1.1.1"
    );
    let pending = sim
        .root("GET", "/nodes/solo/lxc/100/pending", &[])
        .payload();
    assert!(
        pending
            .as_array()
            .unwrap()
            .contains(&serde_json::json!({"key": "nameserver", "pending": "1.1.1.1"})),
        "{pending}"
    );
    assert_eq!(
        sim.task("POST", "/nodes/solo/lxc/100/status/reboot", &[]),
        "OK"
    );
    assert_eq!(
        sim.root("GET", config, &[("current", "1")]).payload()["nameserver"],
        "1.1.1.1"
    );
}

#[test]
fn a_template_or_storage_that_is_missing_is_told_where_pve_tells_it() {
    let mut sim = Sim::new(cluster());
    let create = |sim: &mut Sim, node: &str, more: &[(&str, &str)]| {
        let mut parameters = vec![("vmid", "100"), ("ostemplate", ALPINE)];
        parameters.extend_from_slice(more);
        sim.root("POST", &format!("/nodes/{node}/lxc"), &parameters)
    };
    assert_eq!(
        create(&mut sim, "pve1", &[("storage", "nosuch")]).message(),
        "storage 'nosuch' does not exist\n"
    );
    assert_eq!(
        create(&mut sim, "pve2", &[("rootfs", "btr:1")]).message(),
        "storage 'btr' is not available on node 'pve2'\n"
    );
    assert_eq!(
        create(&mut sim, "pve1", &[("pool", "nosuch")]).message(),
        "Permission check failed (pool 'nosuch' does not exist)\n"
    );
    assert_eq!(
        create(&mut sim, "pve1", &[("features", "keyctl=1")]).status(),
        403
    );
    assert_eq!(
        create(&mut sim, "pve1", &[("ssh-public-keys", "none")]).message(),
        "SSH public key validation error\n"
    );
}

#[test]
fn creates_race_on_three_nodes_and_one_wins() {
    let mut sim = Sim::new(cluster());
    let create = [("vmid", "150"), ("ostemplate", ALPINE)];
    let request = |node: &str| {
        Request::new("POST", &format!("/nodes/{node}/lxc"))
            .parameters(&create)
            .via(node)
    };
    let ids: Vec<_> = [
        "pve1", "pve2", "pve3", "pve1", "pve2", "pve1", "pve1", "pve1",
    ]
    .map(|node| sim.send(request(node)))
    .into();
    let answers: Vec<_> = ids.into_iter().map(|id| sim.wait(id)).collect();
    let won = answers.iter().filter(|answer| answer.status == 200).count();
    let reasons: std::collections::BTreeSet<_> = answers
        .iter()
        .filter(|a| a.status != 200)
        .map(|a| a.reason.clone())
        .collect();
    assert_eq!(won, 1);
    for expected in [
        "CT 150 already exists on node 'pve1'",
        "unable to create CT 150 - CT 150 already exists on node 'pve1'",
        "unable to create CT 150 - close (rename) atomic file '/etc/pve/nodes/pve2/lxc/150.conf' failed: File exists",
    ] {
        assert!(
            reasons.contains(expected),
            "{expected} is missing in {reasons:?}"
        );
    }
    assert_eq!(
        sim.machines
            .seen
            .iter()
            .filter(|(kind, _)| *kind == "create")
            .count(),
        1
    );
}

#[test]
fn parallel_starts_end_like_recorded() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[]);
    let ids: Vec<_> = (0..2)
        .map(|_| sim.send(Request::new("POST", "/nodes/solo/lxc/100/status/start")))
        .collect();
    let upids: Vec<_> = ids.into_iter().map(|id| sim.wait(id)).collect();
    for response in upids {
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(sim.finish(body["data"].as_str().unwrap()), "OK");
    }
    assert_eq!(
        sim.machines
            .seen
            .iter()
            .filter(|(kind, _)| *kind == "start")
            .count(),
        1
    );
}

#[test]
fn tasks_survive_a_restart_of_the_emulator() {
    let mut sim = Sim::new(solo());
    let upid = sim
        .root(
            "POST",
            "/nodes/solo/lxc",
            &[("vmid", "100"), ("ostemplate", ALPINE), ("hostname", "x")],
        )
        .payload();
    sim.kill_and_restart();
    assert_eq!(sim.finish(upid.as_str().unwrap()), "OK");
    assert_eq!(
        sim.root("GET", "/nodes/solo/lxc/100/config", &[]).payload()["hostname"],
        "x"
    );
    let upid = sim
        .root("POST", "/nodes/solo/lxc/100/status/start", &[])
        .payload();
    sim.pass(500);
    sim.kill_and_restart();
    assert_eq!(sim.finish(upid.as_str().unwrap()), "OK");
    assert_eq!(
        sim.root("GET", "/nodes/solo/lxc/100/status/current", &[])
            .payload()["status"],
        "running"
    );
}

#[test]
fn a_killed_create_leaves_its_lock() {
    let mut sim = Sim::new(solo());
    let upid = sim
        .root(
            "POST",
            "/nodes/solo/lxc",
            &[("vmid", "100"), ("ostemplate", ALPINE)],
        )
        .payload();
    let upid = upid.as_str().unwrap();
    let killed = sim.root("DELETE", &format!("/nodes/solo/tasks/{upid}"), &[]);
    assert_eq!((killed.status(), killed.took_ms), (200, 5_000));
    assert_eq!(sim.finish(upid), "unexpected status");
    assert_eq!(
        sim.root("GET", "/nodes/solo/lxc/100/config", &[]).payload()["lock"],
        "create"
    );
    assert_eq!(
        sim.task("POST", "/nodes/solo/lxc/100/status/start", &[]),
        "CT is locked (create)"
    );
}

/// Some clients send a list as a key for each of its values.
#[test]
fn a_repeated_key_is_a_list_where_a_list_is_wanted() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 101, &[]);
    let config = "/nodes/solo/lxc/101/config";
    let tags = [("tags", "first"), ("tags", "second")];
    assert_eq!(sim.root("PUT", config, &tags).status(), 200);
    let kept = sim.root("GET", config, &[]).payload();
    assert_eq!(kept["tags"], "first;second");
    let names = [("hostname", "one"), ("hostname", "two")];
    let refused = sim.root("PUT", config, &names);
    assert_eq!(refused.status(), 400);
    let why = "type check ('string') failed - got ARRAY";
    assert_eq!(refused.body()["errors"]["hostname"], why);
}

#[test]
fn a_backup_of_the_second_of_another_one_is_written_over_it() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    let times = TaskTimes {
        create_ms: 0,
        ..sim.world.task_times()
    };
    sim.world.set_task_times(times);
    sim.pass(1_000 - sim.now_ms % 1_000);
    let second = sim.now_ms / 1_000;
    let noted = [
        ("vmid", "100"),
        ("storage", "local"),
        ("notes-template", "kept"),
        ("protected", "1"),
    ];
    assert_eq!(sim.task("POST", "/nodes/pve1/vzdump", &noted), "OK");
    let backup = &noted[..2];
    sim.root("PUT", "/nodes/pve1/lxc/100/config", &[("cores", "3")]);
    assert_eq!(sim.task("POST", "/nodes/pve1/vzdump", backup), "OK");
    assert_eq!(sim.now_ms / 1_000, second, "both were begun in it");
    let content = "/nodes/pve1/storage/local/content";
    let backups = [("content", "backup")];
    let rows = |sim: &mut Sim| sim.root("GET", content, &backups).payload();
    let found = rows(&mut sim);
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    let row = &found[0];
    assert_eq!(
        (&row["notes"], &row["protected"]),
        (&json!("kept"), &json!(1))
    );
    sim.pass(1_000);
    assert_eq!(sim.task("POST", "/nodes/pve1/vzdump", backup), "OK");
    assert_eq!(rows(&mut sim).as_array().unwrap().len(), 2);
}
