//! Restores over containers that are there, and what of a backup comes back.

use super::{backup_of, said};
use crate::support::seed::{cluster, solo};
use crate::support::sim::Sim;

const ROLLED: &str = "/nodes/pve1/lxc/100";

fn shown(sim: &mut Sim) -> serde_json::Value {
    sim.root("GET", &format!("{ROLLED}/config"), &[]).payload()
}

#[test]
fn a_restore_that_fails_early_leaves_the_container_as_it_was() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[("rootfs", "btr:1"), ("description", "keep")]);
    let snapshot = [("snapname", "one")];
    assert_eq!(
        sim.task("POST", &format!("{ROLLED}/snapshot"), &snapshot),
        "OK"
    );
    let before = shown(&mut sim);
    let gone = "local:backup/vzdump-lxc-100-2020_01_01-00_00_00.tar.zst";
    let form = [
        ("vmid", "100"),
        ("ostemplate", gone),
        ("restore", "1"),
        ("force", "1"),
    ];
    let error = format!("unable to restore CT 100 - volume '{gone}' does not exist");
    assert_eq!(sim.task("POST", "/nodes/pve1/lxc", &form), error);
    assert_eq!(shown(&mut sim), before);
    let kept = sim.root("GET", &format!("{ROLLED}/snapshot/one/config"), &[]);
    assert_eq!(kept.status(), 200);
}

#[test]
fn a_restore_that_fails_late_leaves_nothing_and_one_that_works_the_backup_alone() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[("rootfs", "btr:1")]);
    let volid = backup_of(&mut sim, "pve1", "100");
    let snapshot = [("snapname", "one")];
    assert_eq!(
        sim.task("POST", &format!("{ROLLED}/snapshot"), &snapshot),
        "OK"
    );
    let form = [
        ("vmid", "100"),
        ("ostemplate", volid.as_str()),
        ("restore", "1"),
        ("force", "1"),
    ];
    assert_eq!(sim.task("POST", "/nodes/pve1/lxc", &form), "OK");
    let config = shown(&mut sim);
    assert_eq!(config["rootfs"], "local:100/vm-100-disk-0.raw,size=1G");
    assert_eq!((config.get("parent"), config.get("unused0")), (None, None));
    let kept = said(
        &mut sim,
        "GET",
        &format!("{ROLLED}/snapshot/one/config"),
        &[],
    );
    assert_eq!(kept, (500, "snapshot 'one' does not exist".into()));
    let left = sim
        .root("GET", "/nodes/pve1/storage/btr/content", &[])
        .payload();
    assert_eq!(left, serde_json::json!([]), "the old volumes are gone");

    sim.machines.fail.insert("change", "tar: no".into());
    assert_eq!(
        sim.task("POST", "/nodes/pve1/lxc", &form),
        "unable to restore CT 100 - tar: no"
    );
    assert_eq!(
        said(&mut sim, "GET", &format!("{ROLLED}/config"), &[]).0,
        500
    );
    let left = sim.root(
        "GET",
        "/nodes/pve1/storage/local/content",
        &[("content", "rootdir")],
    );
    assert_eq!(left.payload(), serde_json::json!([]));
}

#[test]
fn a_locked_or_busy_container_is_not_written_over() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[]);
    let volid = backup_of(&mut sim, "solo", "100");
    let form = [
        ("vmid", "100"),
        ("ostemplate", volid.as_str()),
        ("restore", "1"),
        ("force", "1"),
    ];
    sim.world.set_lock(100, Some("backup"));
    let locked = said(&mut sim, "POST", "/nodes/solo/lxc", &form);
    assert_eq!(
        locked,
        (
            500,
            "unable to restore CT 100 - CT is locked (backup)".into()
        )
    );
    sim.world.set_lock(100, None);
    sim.world.hold_config(100, true);
    let before = sim.now_ms;
    let busy = said(&mut sim, "POST", "/nodes/solo/lxc", &form);
    let text = "unable to restore CT 100 - can't lock file '/run/lock/lxc/pve-config-100.lock' - got timeout";
    assert_eq!(busy, (500, text.into()));
    assert!(
        (5_000..5_500).contains(&(sim.now_ms - before)),
        "{}",
        sim.now_ms - before
    );
}

#[test]
fn the_backup_of_a_template_is_restored_as_one() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[]);
    sim.root("POST", "/nodes/solo/lxc/100/template", &[]);
    sim.pass(2_000);
    let volid = backup_of(&mut sim, "solo", "100");
    let form = [
        ("vmid", "101"),
        ("ostemplate", volid.as_str()),
        ("restore", "1"),
    ];
    assert_eq!(sim.task("POST", "/nodes/solo/lxc", &form), "OK");
    let config = sim.root("GET", "/nodes/solo/lxc/101/config", &[]).payload();
    assert_eq!(config["template"], 1);
    assert_eq!(config["rootfs"], "local:101/base-101-disk-0.raw,size=1G");
}
