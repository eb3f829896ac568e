//! Mount points that come and go, and what becomes of their volumes.

use serde_json::{Value, json};

use super::{get, said};
use crate::support::seed::{cluster, solo};
use crate::support::sim::Sim;

const GUEST: &str = "/nodes/solo/lxc/100";

fn put(sim: &mut Sim, form: &[(&str, &str)]) {
    assert_eq!(
        said(sim, "PUT", &format!("{GUEST}/config"), form),
        (200, String::new())
    );
}

fn config(sim: &mut Sim) -> Value {
    get(sim, &format!("{GUEST}/config"))
}

/// The volumes of a storage that are there.
fn volumes(sim: &mut Sim, node: &str, storage: &str) -> Vec<String> {
    let path = format!("/nodes/{node}/storage/{storage}/content");
    let rows = sim.root("GET", &path, &[]).payload();
    let rows = rows.as_array().unwrap().iter();
    let rows = rows.filter(|row| row["content"] == "rootdir" || row["content"] == "images");
    rows.map(|row| row["volid"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_volume_of_a_removed_mount_point_stays_until_it_is_removed_as_unused() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[("mp0", "local:1,mp=/data")]);
    put(&mut sim, &[("delete", "mp0")]);
    let shown = config(&mut sim);
    assert_eq!(shown["unused0"], "local:100/vm-100-disk-1.raw");
    assert_eq!(shown.get("mp0"), None);
    put(
        &mut sim,
        &[("mp1", "local:100/vm-100-disk-1.raw,mp=/again")],
    );
    let shown = config(&mut sim);
    assert_eq!(
        shown["mp1"],
        "local:100/vm-100-disk-1.raw,mp=/again,size=1G"
    );
    put(&mut sim, &[("mp1", "local:2,mp=/again")]);
    let shown = config(&mut sim);
    assert_eq!(
        shown["mp1"],
        "local:100/vm-100-disk-2.raw,mp=/again,size=2G"
    );
    assert_eq!(shown["unused0"], "local:100/vm-100-disk-1.raw");
    put(&mut sim, &[("protection", "1")]);
    let kept = said(
        &mut sim,
        "PUT",
        &format!("{GUEST}/config"),
        &[("delete", "unused0")],
    );
    let text = "can't remove CT 100 drive 'unused0' - protection mode enabled";
    assert_eq!(kept, (500, text.into()));
    put(&mut sim, &[("protection", "0")]);
    put(&mut sim, &[("delete", "unused0")]);
    let left = ["local:100/vm-100-disk-0.raw", "local:100/vm-100-disk-2.raw"];
    assert_eq!(volumes(&mut sim, "solo", "local"), left);
}

#[test]
fn a_running_container_gets_a_new_mount_point_at_once_and_others_at_its_next_start() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[("mp0", "local:1,mp=/data")]);
    sim.start("solo", 100);
    put(&mut sim, &[("mp1", "local:1,mp=/more")]);
    assert_eq!(
        config(&mut sim)["mp1"],
        "local:100/vm-100-disk-2.raw,mp=/more,size=1G"
    );
    put(&mut sim, &[("mp1", "local:3,mp=/more"), ("delete", "mp0")]);
    let pending = get(&mut sim, &format!("{GUEST}/pending"));
    let row = |key: &str| {
        pending
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["key"] == key)
            .unwrap()
            .clone()
    };
    let first = "local:100/vm-100-disk-1.raw,mp=/data,size=1G";
    assert_eq!(
        row("mp0"),
        json!({"key": "mp0", "value": first, "delete": 1})
    );
    let second = "local:100/vm-100-disk-2.raw,mp=/more,size=1G";
    let wanted = json!({"key": "mp1", "value": second, "pending": "local:3,mp=/more"});
    assert_eq!(row("mp1"), wanted, "nothing is made yet");
    assert_eq!(volumes(&mut sim, "solo", "local").len(), 3);
    assert_eq!(
        sim.task("POST", &format!("{GUEST}/status/reboot"), &[]),
        "OK"
    );
    let shown = config(&mut sim);
    assert_eq!(shown["mp1"], "local:100/vm-100-disk-3.raw,mp=/more,size=3G");
    assert_eq!(shown["unused0"], "local:100/vm-100-disk-1.raw");
    assert_eq!(shown["unused1"], "local:100/vm-100-disk-2.raw");
    assert_eq!(sim.task("DELETE", GUEST, &[("force", "1")]), "OK");
    assert_eq!(
        volumes(&mut sim, "solo", "local"),
        Vec::<String>::new(),
        "unused ones go, too"
    );
}

#[test]
fn a_volume_that_cannot_be_made_is_refused_where_proxmox_finds_out() {
    let mut sim = Sim::new(cluster());
    sim.create("pve2", 100, &[]);
    let path = "/nodes/pve2/lxc/100/config";
    for (storage, status, text) in [
        ("nosuch", 500, "storage 'nosuch' does not exist"),
        (
            "btr",
            400,
            "Parameter verification failed.|mp0: unable to apply pending change mp0 : storage 'btr' is not available on node 'pve2'\n",
        ),
    ] {
        let form = [("mp0", format!("{storage}:1,mp=/data"))];
        let form = [("mp0", form[0].1.as_str())];
        assert_eq!(
            said(&mut sim, "PUT", path, &form),
            (status, text.to_owned())
        );
    }
    let form = [
        ("storage", "files"),
        ("type", "dir"),
        ("path", "/mnt/files"),
        ("content", "iso"),
    ];
    assert_eq!(said(&mut sim, "POST", "/storage", &form).0, 200);
    let refused = said(&mut sim, "PUT", path, &[("mp0", "files:1,mp=/data")]);
    let text = "storage 'files' does not allow content type 'rootdir' (Container)";
    assert_eq!(refused, (500, text.into()));
    let form = [("net0", "name=eth0,bridge=vmbr0,mtu=9000")];
    let text = "net0: MTU size '9000' is bigger than bridge MTU '1500'";
    assert_eq!(said(&mut sim, "PUT", path, &form), (500, text.into()));
}

#[test]
fn what_a_snapshot_does_not_mount_is_unused_after_going_back_to_it() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[("rootfs", "btr:1")]);
    let snapshots = format!("{GUEST}/snapshot");
    assert_eq!(sim.task("POST", &snapshots, &[("snapname", "one")]), "OK");
    put(&mut sim, &[("mp0", "btr:1,mp=/data")]);
    assert_eq!(sim.task("POST", &snapshots, &[("snapname", "two")]), "OK");
    let back = |name: &str| format!("{snapshots}/{name}/rollback");
    assert_eq!(sim.task("POST", &back("one"), &[]), "OK");
    let shown = config(&mut sim);
    assert_eq!(
        (&shown["unused0"], shown.get("mp0")),
        (&json!("btr:100/vm-100-disk-1.raw"), None)
    );
    put(&mut sim, &[("delete", "unused0")]);
    assert_eq!(
        volumes(&mut sim, "solo", "btr").len(),
        2,
        "a snapshot needs it"
    );
    assert_eq!(sim.task("DELETE", &format!("{snapshots}/two"), &[]), "OK");
    assert_eq!(config(&mut sim)["unused0"], "btr:100/vm-100-disk-1.raw");
    put(&mut sim, &[("delete", "unused0")]);
    assert_eq!(volumes(&mut sim, "solo", "btr").len(), 1);
}

#[test]
fn a_destroy_frees_what_nothing_refers_to_only_when_asked() {
    for (form, left) in [(vec![], 1), (vec![("destroy-unreferenced-disks", "1")], 0)] {
        let mut sim = Sim::new(solo());
        sim.create("solo", 100, &[]);
        let image = [
            ("vmid", "100"),
            ("filename", "vm-100-disk-9.raw"),
            ("size", "1G"),
        ];
        let content = "/nodes/solo/storage/local/content";
        assert_eq!(said(&mut sim, "POST", content, &image).0, 200);
        assert_eq!(sim.task("DELETE", GUEST, &form), "OK");
        assert_eq!(volumes(&mut sim, "solo", "local").len(), left, "{form:?}");
    }
}
