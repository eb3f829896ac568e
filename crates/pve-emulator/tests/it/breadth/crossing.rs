//! Containers that go to other nodes, volumes that go to other storages.

use serde_json::json;

use super::{by, get, grant, itself, said};
use crate::support::seed::{cluster, storage};
use crate::support::sim::Sim;

const GUEST: &str = "/nodes/pve1/lxc/100";

fn ended(sim: &mut Sim, form: &[(&str, &str)]) -> (String, String) {
    let answer = sim.root("POST", &format!("{GUEST}/migrate"), form);
    assert_eq!(answer.status(), 200, "{}", answer.message());
    let upid = answer.payload().as_str().unwrap().to_owned();
    let exit = sim.finish(&upid);
    let log = sim.log(&upid);
    let line = log
        .iter()
        .rev()
        .find(|line| line.contains("aborted ("))
        .cloned();
    let why = line.map(|line| line.split("): ").nth(1).unwrap().to_owned());
    (exit, why.unwrap_or_default())
}

fn aborted(why: &str) -> (String, String) {
    ("migration aborted".into(), why.into())
}

#[test]
fn every_other_node_is_a_target_whatever_is_on_it() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[("rootfs", "btr:1")]);
    let targets = get(&mut sim, &format!("{GUEST}/migrate?target=pve2"));
    let wanted = json!({"running": 0, "allowed-nodes": ["pve2", "pve3"], "not-allowed-nodes": {}});
    assert_eq!(targets, wanted);
    sim.create("pve2", 101, &[]);
    for sid in ["ct:100", "ct:101"] {
        let form = [("sid", sid), ("state", "stopped")];
        assert_eq!(
            said(&mut sim, "POST", "/cluster/ha/resources", &form).0,
            200
        );
    }
    sim.pass(30_000);
    let form = [
        ("rule", "apart"),
        ("type", "resource-affinity"),
        ("affinity", "negative"),
        ("resources", "ct:100,ct:101"),
    ];
    assert_eq!(said(&mut sim, "POST", "/cluster/ha/rules", &form).0, 200);
    let targets = get(&mut sim, &format!("{GUEST}/migrate"));
    let blocking = json!([{"sid": "ct:101", "cause": "resource-affinity"}]);
    assert_eq!(targets["allowed-nodes"], json!(["pve3"]));
    assert_eq!(
        targets["not-allowed-nodes"],
        json!({"pve2": {"blocking-ha-resources": blocking}})
    );
    assert_eq!(targets["dependent-ha-resources"], json!([]));
}

#[test]
fn what_cannot_go_fails_in_the_task_and_stays() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[("rootfs", "btr:1")]);
    let to = |node: &'static str| [("target", node)];
    let gone = "storage 'btr' is not available on node 'pve2'";
    assert_eq!(ended(&mut sim, &to("pve2")), aborted(gone));
    let config = get(&mut sim, &format!("{GUEST}/config"));
    assert_eq!(config.get("lock"), None);
    sim.start("pve1", 100);
    let online = [("target", "pve2"), ("online", "1")];
    let live = "lxc live migration is currently not implemented";
    assert_eq!(ended(&mut sim, &online), aborted(live));
    let running = get(&mut sim, &format!("{GUEST}/status/current"));
    assert_eq!(running["status"], "running");
    sim.task("POST", &format!("{GUEST}/status/stop"), &[]);

    let bind = [("mp0", "/srv,mp=/srv")];
    assert_eq!(
        itself(&mut sim, "PUT", &format!("{GUEST}/config"), &bind).0,
        200
    );
    let local = "cannot migrate local bind mount point 'mp0'";
    let mapped = [("target", "pve2"), ("target-storage", "btr:local")];
    assert_eq!(ended(&mut sim, &mapped), aborted(local));
    assert_eq!(
        said(
            &mut sim,
            "PUT",
            &format!("{GUEST}/config"),
            &[("delete", "mp0")]
        )
        .0,
        200
    );
    let there = [("target", "pve3"), ("target-storage", "btr:local")];
    sim.world.node_mut("pve3").unwrap().reach = proximity_pve_emulator::core::Reach::NoRoute;
    let dead = "Can't connect to destination address using public key";
    assert_eq!(ended(&mut sim, &there), aborted(dead));
}

#[test]
fn volumes_go_on_where_they_are_told_to() {
    let mut seed = cluster();
    seed.storages.push(storage("files", "dir", &["iso"], false));
    let mut sim = Sim::new(seed);
    sim.create(
        "pve1",
        100,
        &[
            ("rootfs", "btr:1"),
            ("mp0", "local:1,mp=/data"),
            ("mp1", "local:1,mp=/more"),
        ],
    );
    assert_eq!(
        said(
            &mut sim,
            "PUT",
            &format!("{GUEST}/config"),
            &[("delete", "mp1")]
        )
        .0,
        200
    );
    let path = format!("{GUEST}/migrate");
    let to = |map: &'static str| [("target", "pve2"), ("target-storage", map)];
    let refused = |sim: &mut Sim, map: &'static str| said(sim, "POST", &path, &to(map));
    assert_eq!(
        refused(&mut sim, "nosuch"),
        (500, "storage 'nosuch' does not exist".into())
    );
    let text = "storage 'btr' is not available on node 'pve2'";
    assert_eq!(refused(&mut sim, "local:btr"), (500, text.into()));
    let text = "storage 'files' does not support CT rootdirs";
    assert_eq!(refused(&mut sim, "btr:files"), (500, text.into()));
    let token = "limited@pve!t1";
    sim.root(
        "POST",
        "/access/roles",
        &[("roleid", "Mover"), ("privs", "VM.Migrate")],
    );
    grant(&mut sim, token, "/vms", "Mover");
    let text = "Permission check failed (/vms/100, VM.Config.Disk)";
    assert_eq!(
        by(&mut sim, token, "POST", &path, &to("shared")),
        (403, text.into())
    );
    grant(&mut sim, token, "/vms", "PVEVMAdmin");
    let text = "Permission check failed (/storage/shared, Datastore.AllocateSpace)";
    assert_eq!(
        by(&mut sim, token, "POST", &path, &to("shared")),
        (403, text.into())
    );

    assert_eq!(ended(&mut sim, &to("btr:shared")).0, "OK");
    let config = get(&mut sim, "/nodes/pve2/lxc/100/config");
    assert_eq!(config["rootfs"], "shared:100/vm-100-disk-0.raw,size=1G");
    assert_eq!(
        config["mp0"],
        "local:100/vm-100-disk-0.raw,mp=/data,size=1G"
    );
    assert_eq!(config["unused0"], "local:100/vm-100-disk-1.raw");
    sim.start("pve2", 100);
    let there = |sim: &mut Sim, node: &str| {
        let path = format!("/nodes/{node}/storage/local/content");
        let rows = sim.root("GET", &path, &[("content", "rootdir")]).payload();
        rows.as_array().unwrap().len()
    };
    assert_eq!((there(&mut sim, "pve1"), there(&mut sim, "pve2")), (0, 2));
}

#[test]
fn a_managed_container_is_moved_by_who_manages_it() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[("rootfs", "shared:1")]);
    let form = [("sid", "ct:100"), ("state", "stopped")];
    assert_eq!(
        said(&mut sim, "POST", "/cluster/ha/resources", &form).0,
        200
    );
    sim.pass(30_000);
    assert_eq!(ended(&mut sim, &[("target", "pve2")]).0, "OK");
    assert_eq!(
        said(&mut sim, "GET", &format!("{GUEST}/config"), &[]).0,
        200,
        "only asked"
    );
    sim.pass(60_000);
    assert_eq!(
        said(&mut sim, "GET", "/nodes/pve2/lxc/100/config", &[]).0,
        200
    );
}

#[test]
fn a_volume_that_cannot_be_moved_fails_in_the_task() {
    let mut seed = cluster();
    seed.storages.push(storage("files", "dir", &["iso"], false));
    let mut sim = Sim::new(seed);
    sim.create("pve2", 100, &[]);
    let path = "/nodes/pve2/lxc/100/move_volume";
    for (storage, error) in [
        ("nosuch", "storage 'nosuch' does not exist"),
        ("btr", "storage 'btr' is not available on node 'pve2'"),
        (
            "files",
            "content type 'rootdir' is not available or configured on storage 'files'",
        ),
    ] {
        let form = [("volume", "rootfs"), ("storage", storage)];
        assert_eq!(sim.task("POST", path, &form), error);
        let config = get(&mut sim, "/nodes/pve2/lxc/100/config");
        assert_eq!(config.get("lock"), None, "{storage}");
    }
}

#[test]
fn a_managed_container_is_started_after_a_rollback_by_who_manages_it() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[("rootfs", "btr:1")]);
    let one = [("snapname", "one")];
    assert_eq!(sim.task("POST", &format!("{GUEST}/snapshot"), &one), "OK");
    let form = [("sid", "ct:100"), ("state", "stopped")];
    assert_eq!(
        said(&mut sim, "POST", "/cluster/ha/resources", &form).0,
        200
    );
    let back = format!("{GUEST}/snapshot/one/rollback");
    assert_eq!(sim.task("POST", &back, &[("start", "1")]), "OK");
    let asked = get(&mut sim, "/cluster/ha/resources/ct:100");
    assert_eq!(asked["state"], "started");
    let kinds: Vec<String> = sim
        .world
        .tasks()
        .map(|task| task.upid.kind.clone())
        .collect();
    assert!(kinds.iter().any(|kind| kind == "hastart"), "{kinds:?}");
}
