//! Templates, linked clones and the snapshots they have not.

use super::said;
use crate::support::seed::{cluster, solo, storage};
use crate::support::sim::Sim;

#[test]
fn a_template_has_no_snapshots() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[("rootfs", "btr:1")]);
    let snapshots = "/nodes/solo/lxc/100/snapshot";
    assert_eq!(sim.task("POST", snapshots, &[("snapname", "one")]), "OK");
    let template = "/nodes/solo/lxc/100/template";
    let kept = said(&mut sim, "POST", template, &[]);
    assert_eq!(
        kept,
        (
            500,
            "unable to create template, because CT contains snapshots".into()
        )
    );
    sim.root("PUT", "/nodes/solo/lxc/100/config", &[("template", "1")]);
    assert_eq!(
        said(&mut sim, "POST", template, &[]),
        kept,
        "snapshots are looked for first"
    );
    assert_eq!(
        sim.task("POST", snapshots, &[("snapname", "two")]),
        "you can't take a snapshot if it's a template"
    );
    let back = sim.task("POST", &format!("{snapshots}/one/rollback"), &[]);
    assert_eq!(back, "you can't rollback if vm is a template");
    let removed = sim.task("DELETE", &format!("{snapshots}/one"), &[]);
    assert_eq!(removed, "you can't delete a snapshot if vm is a template");
    let config = sim.root("GET", "/nodes/solo/lxc/100/config", &[]).payload();
    assert_eq!(config["lock"], "snapshot-delete", "its mark stays");
}

#[test]
fn what_can_be_cloned_is_up_to_the_storage() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[("rootfs", "btr:1")]);
    sim.create("solo", 101, &[]);
    let linked = |newid: &'static str| [("newid", newid), ("full", "0")];
    let clone = sim.task("POST", "/nodes/solo/lxc/100/clone", &linked("102"));
    assert_eq!(clone, "OK", "btrfs shares with what is no template, too");
    let refused = said(
        &mut sim,
        "POST",
        "/nodes/solo/lxc/101/clone",
        &linked("103"),
    );
    let text = "Linked clone feature for 'local:101/vm-101-disk-0.raw' is not available";
    assert_eq!(refused, (500, text.into()));
    for (vmid, feature, able) in [
        (100, "clone", 1),
        (100, "snapshot", 1),
        (100, "copy", 1),
        (101, "clone", 0),
        (101, "snapshot", 0),
        (101, "copy", 1),
    ] {
        let path = format!("/nodes/solo/lxc/{vmid}/feature");
        let answer = sim.root("GET", &path, &[("feature", feature)]).payload();
        assert_eq!(answer["hasFeature"], able, "{vmid} {feature}");
    }
    sim.root("POST", "/nodes/solo/lxc/101/template", &[]);
    sim.pass(2_000);
    sim.root("PUT", "/nodes/solo/lxc/101/config", &[("template", "0")]);
    let again = sim.root("POST", "/nodes/solo/lxc/101/template", &[]);
    assert_eq!(again.status(), 200);
    sim.pass(2_000);
    let ended = sim
        .root("GET", "/nodes/solo/tasks", &[("typefilter", "vztemplate")])
        .payload();
    let text = "Template feature is not available for 'local:101/base-101-disk-0.raw'";
    assert_eq!(ended[0]["status"], text);
}

#[test]
fn a_pool_of_zfs_goes_back_to_the_newest_snapshot_alone() {
    let mut seed = cluster();
    seed.storages
        .push(storage("tank", "zfspool", &["images", "rootdir"], false));
    let mut sim = Sim::new(seed);
    sim.create("pve1", 100, &[("rootfs", "tank:1")]);
    let snapshots = "/nodes/pve1/lxc/100/snapshot";
    for name in ["one", "two", "three"] {
        assert_eq!(sim.task("POST", snapshots, &[("snapname", name)]), "OK");
    }
    let back = |name: &str| format!("{snapshots}/{name}/rollback");
    let refused = sim.task("POST", &back("one"), &[]);
    let held = "can't rollback, 'one' is not most recent snapshot on 'tank:subvol-100-disk-0'";
    assert_eq!(refused, held);
    assert_eq!(sim.task("POST", &back("three"), &[]), "OK");
    for name in ["two", "three"] {
        assert_eq!(
            sim.task("DELETE", &format!("{snapshots}/{name}"), &[]),
            "OK"
        );
    }
    assert_eq!(sim.task("POST", &back("one"), &[]), "OK");
}
