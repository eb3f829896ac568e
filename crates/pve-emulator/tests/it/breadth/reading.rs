//! What is read of configurations, and how they are brought into form.

use serde_json::Value;

use super::{by, get, grant, itself, said};
use crate::support::seed::{ALPINE, solo};
use crate::support::sim::{Request, Sim};

const TOKEN: &str = "limited@pve!t1";
const GUEST: &str = "/nodes/solo/lxc/100";

fn read(sim: &mut Sim, token: &str, path: &str, form: &[(&str, &str)]) -> Value {
    let path = format!("{GUEST}{path}");
    let answer = sim.call(Request::new("GET", &path).by(token).parameters(form));
    assert_eq!(answer.status(), 200, "{}", answer.message());
    answer.payload()
}

#[test]
fn what_programs_are_handed_is_read_by_those_who_may_change_it() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[("rootfs", "btr:1"), ("env", "SECRET=1")]);
    let one = [("snapname", "one"), ("description", "before")];
    assert_eq!(sim.task("POST", &format!("{GUEST}/snapshot"), &one), "OK");
    let root = "root@pam!gold";
    let whole = read(&mut sim, root, "/config", &[]);
    assert_eq!(whole["env"], "SECRET=1");
    grant(&mut sim, TOKEN, "/vms", "PVEAuditor");
    let seen = read(&mut sim, TOKEN, "/config", &[]);
    assert_eq!((seen.get("env"), &seen["digest"]), (None, &whole["digest"]));
    let has =
        |rows: &Value, key: &str| rows.as_array().unwrap().iter().any(|row| row["key"] == key);
    let rows = read(&mut sim, root, "/pending", &[]);
    assert!(has(&rows, "env") && has(&rows, "digest"), "{rows}");
    let rows = read(&mut sim, TOKEN, "/pending", &[]);
    assert!(!has(&rows, "env") && has(&rows, "digest"), "{rows}");
    let kept = read(&mut sim, TOKEN, "/config", &[("snapshot", "one")]);
    assert_eq!((kept.get("env"), &kept["digest"]), (None, &whole["digest"]));
    assert_eq!(kept["description"], "before\n");
    let text = "Parameter verification failed.|current: cannot use 'snapshot' parameter with 'current'|snapshot: cannot use 'snapshot' parameter with 'current'";
    let both = [("snapshot", "one"), ("current", "1")];
    assert_eq!(
        said(&mut sim, "GET", &format!("{GUEST}/config"), &both),
        (400, text.into())
    );

    let clone = [("newid", "101"), ("snapname", "one"), ("full", "1")];
    assert_eq!(sim.task("POST", &format!("{GUEST}/clone"), &clone), "OK");
    assert_eq!(
        get(&mut sim, "/nodes/solo/lxc/101/config")["description"],
        "before\n"
    );
}

#[test]
fn lists_of_names_and_networks_are_checked_when_a_container_is_made() {
    let mut sim = Sim::new(solo());
    sim.create(
        "solo",
        100,
        &[
            ("nameserver", "1.1.1.1,9.9.9.9"),
            ("searchdomain", "a.test;b.test"),
        ],
    );
    let config = get(&mut sim, &format!("{GUEST}/config"));
    assert_eq!(config["nameserver"], "1.1.1.1 9.9.9.9");
    assert_eq!(config["searchdomain"], "a.test b.test");
    let net = ("net0", "name=eth0,bridge=vmbr0,mtu=9000");
    let form = [("vmid", "101"), ("ostemplate", ALPINE), net];
    let text = "net0: MTU size '9000' is bigger than bridge MTU '1500'";
    assert_eq!(
        said(&mut sim, "POST", "/nodes/solo/lxc", &form),
        (500, text.into())
    );
}

#[test]
fn values_take_the_form_they_are_kept_in() {
    let mut sim = Sim::new(solo());
    let mount = ("mp0", "local:1,backup=1,acl=0,mp=/data");
    sim.create("solo", 100, &[mount, ("cpuunits", "20000")]);
    let config = get(&mut sim, &format!("{GUEST}/config"));
    let wanted = "local:100/vm-100-disk-1.raw,mp=/data,acl=0,backup=1,size=1G";
    assert_eq!(
        (&config["mp0"], &config["cpuunits"]),
        (&wanted.into(), &10_000.into())
    );
    let form = [("cpuunits", "500000")];
    assert_eq!(
        said(&mut sim, "PUT", &format!("{GUEST}/config"), &form).0,
        200
    );
    assert_eq!(
        get(&mut sim, &format!("{GUEST}/config"))["cpuunits"],
        10_000
    );
}

#[test]
fn folders_of_the_node_are_neither_grown_nor_moved() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[]);
    let bind = [("mp0", "/srv,mp=/srv")];
    assert_eq!(
        itself(&mut sim, "PUT", &format!("{GUEST}/config"), &bind).0,
        200
    );
    let text = "unable to parse volume ID '/srv'";
    let grow = [("disk", "mp0"), ("size", "+1G")];
    assert_eq!(
        said(&mut sim, "PUT", &format!("{GUEST}/resize"), &grow),
        (500, text.into())
    );
    let to = [("volume", "mp0"), ("storage", "shared")];
    assert_eq!(sim.task("POST", &format!("{GUEST}/move_volume"), &to), text);
    let clone = said(
        &mut sim,
        "POST",
        &format!("{GUEST}/clone"),
        &[("newid", "101")],
    );
    assert_eq!(
        clone,
        (500, "unable to clone mountpoint 'mp0' (type bind)".into())
    );
}

#[test]
fn a_disk_is_grown_by_those_who_may_change_options_too() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[]);
    sim.root(
        "POST",
        "/access/roles",
        &[("roleid", "Disks"), ("privs", "VM.Config.Disk")],
    );
    grant(&mut sim, TOKEN, "/vms", "Disks");
    let grow = [("disk", "rootfs"), ("size", "+1G")];
    let text = "Permission check failed (/vms/100, VM.Config.Options)";
    assert_eq!(
        by(&mut sim, TOKEN, "PUT", &format!("{GUEST}/resize"), &grow),
        (403, text.into())
    );
}
