//! Who may do what to containers: bridges, volumes, backups.

use super::{backup_of, by, grant, said, task_by};
use crate::support::seed::{ALPINE, cluster, solo};
use crate::support::sim::Sim;

const TOKEN: &str = "limited@pve!t1";
const NET: (&str, &str) = ("net0", "name=eth0,bridge=vmbr0,ip=dhcp");

/// A world whose token may do everything to containers but use bridges.
fn without_bridges(seed: proximity_pve_emulator::core::WorldSeed) -> Sim {
    let mut sim = Sim::new(seed);
    for (path, role) in [("/vms", "PVEVMAdmin"), ("/storage", "PVEDatastoreAdmin")] {
        grant(&mut sim, TOKEN, path, role);
    }
    sim
}

#[test]
fn a_bridge_is_used_by_those_who_may() {
    let mut sim = without_bridges(solo());
    let form = [
        ("vmid", "100"),
        ("ostemplate", ALPINE),
        ("rootfs", "local:1"),
        NET,
    ];
    let refused = |place: &str| {
        (
            403,
            format!("Permission check failed (/sdn/zones/localnetwork/{place}, SDN.Use)"),
        )
    };
    let made = by(&mut sim, TOKEN, "POST", "/nodes/solo/lxc", &form);
    assert_eq!(made, refused("vmbr0"));
    sim.create("solo", 100, &[NET]);
    sim.create("solo", 101, &[]);
    let config = "/nodes/solo/lxc/101/config";
    assert_eq!(by(&mut sim, TOKEN, "PUT", config, &[NET]), refused("vmbr0"));
    let removed = by(
        &mut sim,
        TOKEN,
        "PUT",
        "/nodes/solo/lxc/100/config",
        &[("delete", "net0")],
    );
    assert_eq!(removed, refused("vmbr0"), "it leaves a bridge");
    let clone = by(
        &mut sim,
        TOKEN,
        "POST",
        "/nodes/solo/lxc/100/clone",
        &[("newid", "102")],
    );
    assert_eq!(clone, refused("vmbr0"));
    assert_eq!(
        said(&mut sim, "GET", "/nodes/solo/lxc/102/config", &[]).0,
        500
    );
    assert_eq!(
        sim.root("GET", "/nodes/solo/lxc/100/config", &[])
            .payload()
            .get("lock"),
        None
    );
}

#[test]
fn networks_on_a_bridge_are_used_by_those_who_may() {
    let mut sim = without_bridges(solo());
    sim.create("solo", 100, &[NET]);
    sim.create("solo", 101, &[]);
    let config = "/nodes/solo/lxc/101/config";
    let refused = |place: &str| {
        let text = format!("(/sdn/zones/localnetwork/{place}, SDN.Use)");
        (403, format!("Permission check failed {text}"))
    };
    let tagged = ("net0", "name=eth0,bridge=vmbr0,tag=20,trunks=7;30");
    assert_eq!(
        by(&mut sim, TOKEN, "PUT", config, &[tagged]),
        refused("vmbr0/20")
    );
    grant(
        &mut sim,
        TOKEN,
        "/sdn/zones/localnetwork/vmbr0/20",
        "PVESDNUser",
    );
    assert_eq!(
        by(&mut sim, TOKEN, "PUT", config, &[tagged]),
        refused("vmbr0/30")
    );
    grant(
        &mut sim,
        TOKEN,
        "/sdn/zones/localnetwork/vmbr0",
        "PVESDNUser",
    );
    assert_eq!(by(&mut sim, TOKEN, "PUT", config, &[tagged]).0, 200);
    let clone = [("newid", "102")];
    assert_eq!(
        task_by(&mut sim, TOKEN, "/nodes/solo/lxc/100/clone", &clone),
        "OK"
    );
}

#[test]
fn a_restore_uses_the_bridges_of_its_backup() {
    let mut sim = without_bridges(solo());
    sim.create("solo", 100, &[NET]);
    let volid = backup_of(&mut sim, "solo", "100");
    let form = [
        ("vmid", "101"),
        ("ostemplate", volid.as_str()),
        ("restore", "1"),
    ];
    let refused = "unable to restore CT 101 - Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use)";
    assert_eq!(task_by(&mut sim, TOKEN, "/nodes/solo/lxc", &form), refused);
    assert_eq!(
        said(&mut sim, "GET", "/nodes/solo/lxc/101/config", &[]).0,
        500,
        "nothing is left"
    );

    grant(
        &mut sim,
        TOKEN,
        "/sdn/zones/localnetwork/vmbr0",
        "PVESDNUser",
    );
    let mut open = form.to_vec();
    open.push(("unprivileged", "0"));
    let refused = "unable to restore CT 101 - Permission check failed (/, Sys.Modify)";
    assert_eq!(task_by(&mut sim, TOKEN, "/nodes/solo/lxc", &open), refused);
    assert_eq!(task_by(&mut sim, TOKEN, "/nodes/solo/lxc", &form), "OK");
    let config = sim.root("GET", "/nodes/solo/lxc/101/config", &[]).payload();
    assert_eq!(config["unprivileged"], 1);
    open[0] = ("vmid", "102");
    assert_eq!(sim.task("POST", "/nodes/solo/lxc", &open), "OK");
    let config = sim.root("GET", "/nodes/solo/lxc/102/config", &[]).payload();
    assert_eq!(config.get("unprivileged"), None);
}

#[test]
fn a_volume_is_named_by_those_whom_its_owner_lets() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[("mp0", "local:1,mp=/data")]);
    grant(&mut sim, TOKEN, "/vms/101", "PVEVMAdmin");
    grant(&mut sim, TOKEN, "/storage/local", "PVEDatastoreUser");
    let mut form = vec![
        ("vmid", "101"),
        ("ostemplate", ALPINE),
        ("rootfs", "local:1"),
    ];
    form.push(("mp0", "local:100/vm-100-disk-1.raw,mp=/data"));
    let lxc = "/nodes/pve1/lxc";
    let refused = "Permission check failed (/vms/100, VM.Config.Disk)";
    assert_eq!(
        by(&mut sim, TOKEN, "POST", lxc, &form),
        (403, refused.into())
    );
    form[3] = ("mp0", ALPINE_AS_VOLUME);
    let text = format!("unable to use volume {ALPINE} - content type needs to be 'rootdir'");
    assert_eq!(by(&mut sim, TOKEN, "POST", lxc, &form), (500, text));
    // Of its own number it may be named, whether it is there or not.
    form[3] = ("mp0", "local:101/vm-101-disk-7.raw,mp=/data");
    let gone = "unable to create CT 101 - volume 'local:101/vm-101-disk-7.raw' does not exist";
    assert_eq!(task_by(&mut sim, TOKEN, lxc, &form), gone);
    let content = sim.root(
        "GET",
        "/nodes/pve1/storage/local/content",
        &[("vmid", "101")],
    );
    assert_eq!(
        content.payload(),
        serde_json::json!([]),
        "what was made is freed"
    );
    form.truncate(2);
    form.push(("rootfs", "4"));
    let text = "Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 651.";
    assert_eq!(by(&mut sim, TOKEN, "POST", lxc, &form), (500, text.into()));

    grant(&mut sim, TOKEN, "/vms/100", "PVEVMAdmin");
    form[2] = ("rootfs", "local:1");
    form.push(("mp0", "local:100/vm-100-disk-1.raw,mp=/data"));
    assert_eq!(task_by(&mut sim, TOKEN, lxc, &form), "OK");
    let config = sim.root("GET", "/nodes/pve1/lxc/101/config", &[]).payload();
    assert_eq!(
        config["mp0"], "local:100/vm-100-disk-1.raw,mp=/data",
        "as it was given"
    );
    assert_eq!(sim.task("DELETE", "/nodes/pve1/lxc/101", &[]), "OK");
    let content = sim.root(
        "GET",
        "/nodes/pve1/storage/local/content",
        &[("vmid", "100")],
    );
    assert_eq!(
        content.payload().as_array().unwrap().len(),
        2,
        "another's volume stays"
    );
}

const ALPINE_AS_VOLUME: &str = "local:vztmpl/alpine-lab_1.0_amd64.tar.zst,mp=/data";
