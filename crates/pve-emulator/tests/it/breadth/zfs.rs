//! Volumes that are no disks: subvolumes of a pool of ZFS, and folders without a size.

use serde_json::{Value, json};

use super::{backup_of, get, said};
use crate::support::seed::{cluster, storage};
use crate::support::sim::Sim;

const GUEST: &str = "/nodes/pve1/lxc/100";

/// A cluster with a pool of ZFS, `tank`.
fn with_pool() -> Sim {
    let mut seed = cluster();
    let content = ["images", "rootdir"];
    seed.storages
        .push(storage("tank", "zfspool", &content, false));
    Sim::new(seed)
}

fn rootfs(sim: &mut Sim, vmid: u32) -> Value {
    get(sim, &format!("/nodes/pve1/lxc/{vmid}/config"))["rootfs"].clone()
}

fn content(sim: &mut Sim) -> Value {
    get(sim, "/nodes/pve1/storage/tank/content")
}

fn names(sim: &mut Sim) -> Vec<String> {
    let rows = content(sim);
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row["volid"].as_str().unwrap().to_owned())
        .collect()
}

/// A template 100 in the pool, and a linked clone of it, 101.
fn with_clone() -> Sim {
    let mut sim = with_pool();
    sim.create("pve1", 100, &[("rootfs", "tank:1")]);
    assert_eq!(
        said(&mut sim, "POST", &format!("{GUEST}/template"), &[]).0,
        200
    );
    sim.pass(2_000);
    let clone = [("newid", "101")];
    assert_eq!(sim.task("POST", &format!("{GUEST}/clone"), &clone), "OK");
    sim
}

#[test]
fn a_pool_keeps_subvolumes_that_are_made_in_silence() {
    let mut sim = with_pool();
    let form = [
        ("vmid", "100"),
        ("ostemplate", crate::support::seed::ALPINE),
        ("rootfs", "tank:1"),
        ("mp0", "tank:2,mp=/data"),
    ];
    let upid = sim.root("POST", "/nodes/pve1/lxc", &form).payload();
    let upid = upid.as_str().unwrap().to_owned();
    assert_eq!(sim.finish(&upid), "OK");
    let log = sim.log(&upid);
    assert!(log[0].starts_with("extracting archive"), "{log:?}");
    let config = get(&mut sim, &format!("{GUEST}/config"));
    assert_eq!(config["rootfs"], "tank:subvol-100-disk-0,size=1G");
    assert_eq!(config["mp0"], "tank:subvol-100-disk-1,mp=/data,size=2G");
    let rows = content(&mut sim);
    let row = json!({
        "volid": "tank:subvol-100-disk-0", "name": "subvol-100-disk-0", "content": "rootdir", "format": "subvol",
        "vmid": 100, "parent": null, "size": 1 << 30,
    });
    assert_eq!(rows[0], row);
    let path = "/nodes/pve1/storage/tank/content/tank:subvol-100-disk-1";
    let volume = get(&mut sim, path);
    assert_eq!(
        (&volume["path"], &volume["format"], &volume["size"]),
        (
            &json!("/tank/subvol-100-disk-1"),
            &json!("subvol"),
            &json!(2_u64 << 30)
        )
    );
    let odd = "/nodes/pve1/storage/tank/content/tank:100%2Fvm-100-disk-0.raw";
    let text = "unable to parse zfs volume name '100/vm-100-disk-0.raw'";
    assert_eq!(said(&mut sim, "GET", odd, &[]), (500, text.into()));
}

#[test]
fn a_linked_clone_names_what_it_shares_with_and_keeps_it() {
    let mut sim = with_clone();
    assert_eq!(rootfs(&mut sim, 100), "tank:basevol-100-disk-0,size=1G");
    let shared = "tank:basevol-100-disk-0/subvol-101-disk-0";
    assert_eq!(rootfs(&mut sim, 101), format!("{shared},size=1G"));
    let rows = content(&mut sim);
    assert_eq!(rows[1]["volid"], shared);
    assert_eq!(rows[1]["parent"], "basevol-100-disk-0@__base__");
    assert_eq!(rows[1]["size"], 1 << 30);

    let held = "base volume 'basevol-100-disk-0' is still in use by linked clones";
    assert_eq!(sim.task("DELETE", GUEST, &[]), held);
    let mut seen = sim.machines.seen.iter();
    assert!(
        !seen.any(|(kind, _)| *kind == "destroy"),
        "its disk is left alone"
    );
    assert_eq!(rootfs(&mut sim, 100), "tank:basevol-100-disk-0,size=1G");
    let volume = "/nodes/pve1/storage/tank/content/tank:basevol-100-disk-0";
    assert_eq!(sim.task("DELETE", volume, &[]), held);
    assert_eq!(names(&mut sim).len(), 2);

    assert_eq!(sim.task("DELETE", "/nodes/pve1/lxc/101", &[]), "OK");
    assert_eq!(sim.task("DELETE", GUEST, &[]), "OK");
    assert_eq!(content(&mut sim), json!([]));
}

#[test]
fn a_linked_clone_becomes_a_template_that_others_share_with() {
    let mut sim = with_clone();
    said(&mut sim, "POST", "/nodes/pve1/lxc/101/template", &[]);
    sim.pass(2_000);
    let base = "tank:basevol-100-disk-0/basevol-101-disk-0";
    assert_eq!(rootfs(&mut sim, 101), format!("{base},size=1G"));
    let clone = [("newid", "102")];
    let path = "/nodes/pve1/lxc/101/clone";
    assert_eq!(sim.task("POST", path, &clone), "OK");
    let shared = "tank:basevol-101-disk-0/subvol-102-disk-0";
    assert_eq!(rootfs(&mut sim, 102), format!("{shared},size=1G"));
    let held =
        "base volume 'basevol-100-disk-0/basevol-101-disk-0' is still in use by linked clones";
    assert_eq!(sim.task("DELETE", "/nodes/pve1/lxc/101", &[]), held);
    let full = [("newid", "103"), ("full", "1")];
    assert_eq!(sim.task("POST", path, &full), "OK");
    assert_eq!(rootfs(&mut sim, 103), "tank:subvol-103-disk-0,size=1G");
}

#[test]
fn a_templates_volume_that_moved_stays_as_long_as_others_share_with_it() {
    let mut sim = with_clone();
    let form = [("volume", "rootfs"), ("storage", "local"), ("delete", "1")];
    let path = format!("{GUEST}/move_volume");
    assert_eq!(sim.task("POST", &path, &form), "OK");
    let config = get(&mut sim, &format!("{GUEST}/config"));
    assert_eq!(config["rootfs"], "local:100/base-100-disk-0.raw,size=1G");
    assert_eq!(config["unused0"], "tank:basevol-100-disk-0");
    let path = format!("{GUEST}/config");
    let delete = [("delete", "unused0")];
    let text = "unable to apply pending change unused0 : base volume 'basevol-100-disk-0' is still in use by linked clones\n";
    let text = format!("Parameter verification failed.|unused0: {text}");
    assert_eq!(said(&mut sim, "PUT", &path, &delete), (400, text));
    assert_eq!(sim.task("DELETE", "/nodes/pve1/lxc/101", &[]), "OK");
    assert_eq!(said(&mut sim, "PUT", &path, &delete), (200, String::new()));
    assert_eq!(content(&mut sim), json!([]));
}

#[test]
fn volumes_come_to_a_pool_and_leave_it() {
    let mut sim = with_pool();
    sim.create("pve1", 100, &[]);
    let to = |storage: &'static str| [("volume", "rootfs"), ("storage", storage), ("delete", "1")];
    let path = format!("{GUEST}/move_volume");
    assert_eq!(sim.task("POST", &path, &to("tank")), "OK");
    assert_eq!(rootfs(&mut sim, 100), "tank:subvol-100-disk-0,size=1G");
    let grown = [("disk", "rootfs"), ("size", "+1G")];
    let upid = sim
        .root("PUT", &format!("{GUEST}/resize"), &grown)
        .payload();
    let upid = upid.as_str().unwrap().to_owned();
    assert_eq!(sim.finish(&upid), "OK");
    assert_eq!(sim.log(&upid), ["TASK OK"], "ZFS says nothing");
    assert_eq!(rootfs(&mut sim, 100), "tank:subvol-100-disk-0,size=2G");

    let volid = backup_of(&mut sim, "pve1", "100");
    let form = [
        ("vmid", "102"),
        ("ostemplate", volid.as_str()),
        ("restore", "1"),
        ("storage", "tank"),
    ];
    assert_eq!(sim.task("POST", "/nodes/pve1/lxc", &form), "OK");
    assert_eq!(rootfs(&mut sim, 102), "tank:subvol-102-disk-0,size=2G");
    assert_eq!(sim.task("POST", &path, &to("local")), "OK");
    assert_eq!(rootfs(&mut sim, 100), "local:100/vm-100-disk-0.raw,size=2G");
    assert_eq!(names(&mut sim), ["tank:subvol-102-disk-0"]);
}

#[test]
fn a_folder_without_a_size_can_neither_grow_nor_change_hands() {
    let mut sim = with_pool();
    sim.create("pve1", 100, &[("mp0", "local:0,mp=/data")]);
    sim.create("pve1", 101, &[]);
    let config = get(&mut sim, &format!("{GUEST}/config"));
    let folder = "local:100/subvol-100-disk-1.subvol";
    assert_eq!(config["mp0"], format!("{folder},mp=/data,size=0T"));
    let rows = get(&mut sim, "/nodes/pve1/storage/local/content");
    let row = rows.as_array().unwrap().iter();
    let mut row = row.filter(|row| row["volid"] == folder);
    let row = row.next().unwrap();
    assert_eq!(
        (&row["format"], &row["size"], &row["used"]),
        (&json!("subvol"), &json!(0), &json!(0))
    );
    let grown = [("disk", "mp0"), ("size", "1G")];
    assert_eq!(
        sim.task("PUT", &format!("{GUEST}/resize"), &grown),
        "can't resize this image format"
    );
    let given = [("volume", "mp0"), ("target-vmid", "101")];
    let text = "Storage does not support moving of this disk to another container";
    assert_eq!(
        said(&mut sim, "POST", &format!("{GUEST}/move_volume"), &given),
        (500, text.into())
    );
    let copy = [("feature", "copy")];
    let able = sim.root("GET", &format!("{GUEST}/feature"), &copy);
    assert_eq!(able.payload()["hasFeature"], 0);
}

#[test]
fn images_of_a_pool_have_names_of_their_own_kind() {
    let mut sim = with_pool();
    let path = "/nodes/pve1/storage/tank/content";
    let mut make = |filename: &str, format: Option<&str>| {
        let mut form = vec![("vmid", "100"), ("filename", filename), ("size", "1000")];
        form.extend(format.map(|format| ("format", format)));
        let answer = sim.root("POST", path, &form);
        match answer.status() {
            200 => answer.payload().as_str().unwrap().to_owned(),
            _ => answer.message().trim_end().to_owned(),
        }
    };
    assert_eq!(make("vm-100-disk-0", None), "tank:vm-100-disk-0");
    assert_eq!(
        make("subvol-100-disk-1", Some("subvol")),
        "tank:subvol-100-disk-1"
    );
    for (filename, format, text) in [
        (
            "subvol-100-disk-2",
            None,
            "illegal name 'subvol-100-disk-2' - should be 'vm-100-*'",
        ),
        (
            "vm-100-disk-2",
            Some("subvol"),
            "illegal name 'vm-100-disk-2' - should be 'subvol-100-*'",
        ),
        (
            "vm-100-disk-0",
            None,
            "zfs error: cannot create 'tank/vm-100-disk-0': dataset already exists",
        ),
    ] {
        assert_eq!(make(filename, format), text);
    }
    let rows = get(
        &mut sim,
        "/nodes/pve1/storage/tank/content/tank:vm-100-disk-0",
    );
    assert_eq!(
        (&rows["path"], &rows["size"], &rows["format"]),
        (
            &json!("/dev/zvol/tank/vm-100-disk-0"),
            &json!(1 << 20),
            &json!("raw")
        )
    );
}

#[test]
fn only_a_pool_takes_what_a_pool_sends_and_linked_clones_stay() {
    let mut sim = with_clone();
    let path = "/nodes/pve1/lxc/101/migrate";
    let migrate = |sim: &mut Sim, path: &str, form: &[(&str, &str)]| {
        let upid = sim.root("POST", path, form).payload();
        let upid = upid.as_str().unwrap().to_owned();
        let exit = sim.finish(&upid);
        let log = sim.log(&upid).join("\n");
        (exit, log)
    };
    let (exit, log) = migrate(&mut sim, path, &[("target", "pve2")]);
    assert_eq!(exit, "migration aborted");
    let stuck = "can't migrate local volume 'tank:basevol-100-disk-0/subvol-101-disk-0': clone of 'basevol-100-disk-0'";
    assert!(
        log.contains(stuck) && log.contains("can't migrate CT - check log"),
        "{log}"
    );

    sim.create("pve1", 102, &[("rootfs", "tank:1")]);
    let path = "/nodes/pve1/lxc/102/migrate";
    let form = [("target", "pve2"), ("target-storage", "local")];
    let (exit, log) = migrate(&mut sim, path, &form);
    assert_eq!(exit, "migration aborted");
    let why = "storage migration for 'tank:subvol-102-disk-0' to storage 'local' failed - cannot migrate from storage type 'zfspool' to 'dir'";
    assert!(log.contains(why), "{log}");
    let (exit, _) = migrate(&mut sim, path, &[("target", "pve2")]);
    assert_eq!(exit, "OK");
    let there = get(&mut sim, "/nodes/pve2/lxc/102/config");
    assert_eq!(there["rootfs"], "tank:subvol-102-disk-0,size=1G");
}
