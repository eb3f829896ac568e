//! Containers at the edges: what is left out, empty, gone or nowhere.

use proximity_pve_emulator::core::Environment;
use serde_json::json;

use super::{get, itself, said};
use crate::support::seed::{cluster, solo};
use crate::support::sim::Sim;

const GUEST: &str = "/nodes/solo/lxc/100";
const CONFIG: &str = "/nodes/solo/lxc/100/config";

fn with_guest(extra: &[(&str, &str)]) -> Sim {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, extra);
    sim
}

fn put(sim: &mut Sim, form: &[(&str, &str)]) {
    assert_eq!(said(sim, "PUT", CONFIG, form), (200, String::new()));
}

#[test]
fn what_a_configuration_does_not_say_has_defaults() {
    let mut sim = with_guest(&[("cpulimit", "0.5")]);
    put(&mut sim, &[("delete", "swap")]);
    let shown = get(&mut sim, &format!("{GUEST}/status/current"));
    assert_eq!(
        (&shown["cpus"], &shown["maxswap"]),
        (&json!("0.5"), &json!(0)),
        "the limit is the text of the file"
    );
    sim.pass(15_000);
    let rows = sim
        .root("GET", "/cluster/resources", &[("type", "vm")])
        .payload();
    assert_eq!(rows[0]["maxcpu"], 0.5);
    put(&mut sim, &[("rootfs", "local:100/vm-100-disk-0.raw")]);
    let shown = get(&mut sim, &format!("{GUEST}/status/current"));
    assert_eq!(shown["maxdisk"], 4_u64 << 30);
}

#[test]
fn the_system_is_what_the_template_says() {
    let mut sim = with_guest(&[("ostype", "alpine")]);
    assert_eq!(get(&mut sim, CONFIG)["ostype"], "alpine");
    sim.create("solo", 101, &[("ostype", "centos")]);
    let config = get(&mut sim, "/nodes/solo/lxc/101/config");
    assert_eq!(config["ostype"], "alpine");
    sim.create("solo", 102, &[("ostype", "unmanaged")]);
    let config = get(&mut sim, "/nodes/solo/lxc/102/config");
    assert_eq!(config["ostype"], "unmanaged");
}

#[test]
fn an_empty_value_comes_back_as_a_blank() {
    let mut sim = with_guest(&[("tags", "a"), ("description", "b")]);
    put(
        &mut sim,
        &[("tags", ""), ("description", ""), ("nameserver", "")],
    );
    let config = get(&mut sim, CONFIG);
    assert_eq!(
        (
            &config["tags"],
            &config["nameserver"],
            config.get("description")
        ),
        (&json!(" "), &json!(" "), None)
    );
}

#[test]
fn limits_that_cannot_change_are_named_as_control_groups_name_them() {
    let mut sim = with_guest(&[]);
    sim.world.set_environment(Environment {
        limits_change: false,
    });
    sim.start("solo", 100);
    for (key, value, group) in [
        ("memory", "256", "memory"),
        ("swap", "0", "memory"),
        ("cpulimit", "1", "cpu quota"),
        ("cpuunits", "50", "cpu shares/weight"),
    ] {
        let text = format!(
            "Parameter verification failed.|{key}: unable to hotplug {key}: trying to change {group} cgroup values: container not running\n"
        );
        assert_eq!(said(&mut sim, "PUT", CONFIG, &[(key, value)]), (400, text));
    }
}

#[test]
fn a_root_that_was_never_made_is_in_the_way_of_everything() {
    let mut sim = with_guest(&[]);
    put(&mut sim, &[("rootfs", "local:2")]);
    assert_eq!(get(&mut sim, CONFIG)["rootfs"], "local:2");
    let text = "unable to parse directory volume name '2'";
    let start = format!("{GUEST}/status/start");
    assert_eq!(sim.task("POST", &start, &[]), text);
    let feature = [("feature", "snapshot")];
    let refused = said(&mut sim, "GET", &format!("{GUEST}/feature"), &feature);
    assert_eq!(refused, (500, text.into()));
    let snapshot = [("snapname", "one")];
    let path = format!("{GUEST}/snapshot");
    assert_eq!(sim.task("POST", &path, &snapshot), text);
    assert_eq!(sim.task("DELETE", GUEST, &[]), text);
    assert_eq!(get(&mut sim, CONFIG)["rootfs"], "local:2");
}

#[test]
fn a_volume_that_is_gone_is_missed_before_it_grows() {
    let mut sim = with_guest(&[]);
    let volume = "/nodes/solo/storage/local/content/local:100%2Fvm-100-disk-0.raw";
    assert_eq!(sim.task("DELETE", volume, &[]), "OK");
    let grown = [("disk", "rootfs"), ("size", "+1G")];
    let text = "volume 'local:100/vm-100-disk-0.raw' does not exist";
    assert_eq!(
        said(&mut sim, "PUT", &format!("{GUEST}/resize"), &grown),
        (500, text.into())
    );
}

#[test]
fn images_in_folders_need_an_ending_and_no_owner_in_their_name() {
    let mut sim = with_guest(&[]);
    let mut make = |storage: &str, form: &[(&str, &str)]| {
        let form = [&[("vmid", "109"), ("size", "1G")], form].concat();
        let path = format!("/nodes/solo/storage/{storage}/content");
        let answer = sim.root("POST", &path, &form);
        match answer.status() {
            200 => answer.payload().as_str().unwrap().to_owned(),
            _ => answer.message().trim_end().to_owned(),
        }
    };
    assert_eq!(
        make("local", &[("filename", "foo.raw")]),
        "local:109/foo.raw"
    );
    assert_eq!(
        make("btr", &[("filename", "vm-9-a.raw")]),
        "btr:109/vm-9-a.raw"
    );
    for (form, text) in [
        (
            vec![("filename", "vm-109-disk-7")],
            "unable to parse volume filename 'vm-109-disk-7'",
        ),
        (
            vec![("filename", "x.subvol"), ("format", "raw")],
            "illegal name 'x.subvol' - wrong extension for format ('subvol != 'raw')",
        ),
        (
            vec![("filename", "x.subvol"), ("format", "subvol")],
            "storage does not support subvol quotas",
        ),
        (
            vec![("filename", "snap-a.qcow2")],
            "'snap-a.qcow2' is a snapshot filename, not a volume!",
        ),
    ] {
        assert_eq!(make("local", &form), text);
    }
    assert_eq!(
        make("btr", &[("filename", "vm-9-a.raw")]),
        "disk image '/mnt/btr/images/109/vm-9-a' already exists"
    );
    let row = get(
        &mut sim,
        "/nodes/solo/storage/btr/content/btr:109%2Fvm-9-a.raw",
    );
    assert_eq!(row["path"], "/mnt/btr/images/109/vm-9-a/disk.raw");
    let content = |sim: &mut Sim, content: &str| {
        let path = "/nodes/solo/storage/local/content";
        sim.root("GET", path, &[("content", content)]).payload()
    };
    let images = content(&mut sim, "images");
    assert_eq!(
        images.as_array().unwrap().len(),
        1,
        "there is no container 109"
    );
    assert_eq!(images[0]["content"], "images");
    assert_eq!(content(&mut sim, "rootdir").as_array().unwrap().len(), 1);
}

#[test]
fn without_a_majority_a_volume_does_not_even_begin_to_move() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[("rootfs", "btr:1")]);
    let snapshots = "/nodes/pve1/lxc/100/snapshot";
    assert_eq!(sim.task("POST", snapshots, &[("snapname", "one")]), "OK");
    sim.start("pve1", 100);
    let path = format!("{snapshots}/nosuch/config");
    assert_eq!(
        said(&mut sim, "PUT", &path, &[]).0,
        200,
        "nothing is looked at"
    );
    let now_ms = sim.now_ms;
    sim.world.partition("pve1", now_ms);
    sim.pass(30_000);
    let one = format!("{snapshots}/one/config");
    let (status, text) = said(&mut sim, "PUT", &one, &[("description", "new")]);
    assert!(
        status == 500 && text.ends_with("Permission denied"),
        "{text}"
    );
    let back = sim.task("POST", &format!("{snapshots}/one/rollback"), &[]);
    assert!(back.ends_with("Permission denied"), "{back}");
    let state = get(&mut sim, "/nodes/pve1/lxc/100/status/current");
    assert_eq!(
        state["status"], "stopped",
        "it is stopped before that shows"
    );
    let form = [("volume", "rootfs"), ("storage", "local")];
    let moved = said(&mut sim, "POST", "/nodes/pve1/lxc/100/move_volume", &form);
    assert!(
        moved.0 == 500 && moved.1.ends_with("Permission denied"),
        "{moved:?}"
    );
    assert_eq!(
        get(&mut sim, "/nodes/pve1/lxc/100/config").get("lock"),
        None
    );
}

#[test]
fn a_backup_names_all_that_is_wrong_with_its_storage() {
    let mut sim = Sim::new(cluster());
    sim.create("pve2", 100, &[]);
    let form = [("vmid", "100"), ("storage", "btr")];
    let text = "could not activate storage 'btr': storage 'btr' is not available on node 'pve2' could not get storage information for 'btr': can't use storage 'btr' for backups - wrong content type";
    assert_eq!(sim.task("POST", "/nodes/pve2/vzdump", &form), text);
}

#[test]
fn a_managed_container_that_should_run_is_not_backed_up_by_stopping_it() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    let managed = [("sid", "ct:100"), ("state", "started")];
    assert_eq!(
        said(&mut sim, "POST", "/cluster/ha/resources", &managed).0,
        200
    );
    let form = [("vmid", "100"), ("storage", "local"), ("mode", "stop")];
    let upid = sim.root("POST", "/nodes/pve1/vzdump", &form).payload();
    let upid = upid.as_str().unwrap().to_owned();
    assert_eq!(sim.finish(&upid), "job errors");
    let log = sim.log(&upid).join("\n");
    assert!(log.contains("INFO: status = stopped"), "{log}");
    assert!(log.contains("stop mode on a HA managed"), "{log}");
}

#[test]
fn high_availability_lists_what_its_state_can_be_asked() {
    let mut sim = with_guest(&[]);
    let names = get(&mut sim, "/cluster/ha/status");
    let names = names.as_array().unwrap().iter();
    let names: Vec<&str> = names.map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["current", "manager_status", "disarm-ha", "arm-ha"]);
}

#[test]
fn what_a_container_is_given_of_the_node_has_to_be_there() {
    let mut sim = with_guest(&[]);
    for (key, value, text) in [
        ("dev0", "/dev/nosuch", "Device /dev/nosuch does not exist"),
        ("dev0", "/dev/net", "/dev/net is not a device"),
        (
            "hookscript",
            "local:snippets/a.sh",
            "script 'local:snippets/a.sh' does not exist",
        ),
        (
            "hookscript",
            "local:iso/a.iso",
            "'local:iso/a.iso' is not in the snippets directory",
        ),
    ] {
        let refused = itself(&mut sim, "PUT", CONFIG, &[(key, value)]);
        assert_eq!(refused, (500, text.into()));
    }
    let tun = [("dev0", "/dev/net/tun")];
    assert_eq!(itself(&mut sim, "PUT", CONFIG, &tun), (200, String::new()));
}
