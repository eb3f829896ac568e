//! Volumes that change their owner.

use super::{get, said};
use crate::support::seed::cluster;
use crate::support::sim::Sim;

#[test]
fn a_volume_is_given_to_another_container() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[("mp0", "local:2,mp=/data,backup=1")]);
    sim.create("pve1", 101, &[]);
    let path = "/nodes/pve1/lxc/100/move_volume";
    let form = [
        ("volume", "mp0"),
        ("target-vmid", "101"),
        ("target-volume", "mp3"),
    ];
    assert_eq!(sim.task("POST", path, &form), "OK");
    let source = get(&mut sim, "/nodes/pve1/lxc/100/config");
    assert!(source.get("mp0").is_none(), "{source}");
    let target = get(&mut sim, "/nodes/pve1/lxc/101/config");
    assert_eq!(
        target["mp3"],
        "local:101/vm-101-disk-1.raw,mp=/data,backup=1,size=2G"
    );
    let rows = sim
        .root(
            "GET",
            "/nodes/pve1/storage/local/content",
            &[("vmid", "101")],
        )
        .payload();
    assert_eq!(rows.as_array().unwrap().len(), 2);
    let form = [
        ("volume", "mp3"),
        ("target-vmid", "100"),
        ("target-volume", "unused0"),
    ];
    assert_eq!(
        sim.task("POST", "/nodes/pve1/lxc/101/move_volume", &form),
        "OK"
    );
    assert_eq!(
        get(&mut sim, "/nodes/pve1/lxc/100/config")["unused0"],
        "local:100/vm-100-disk-1.raw"
    );
}

#[test]
fn what_cannot_be_given_away_is_refused_in_proxmoxs_words() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[("mp0", "local:1,mp=/data")]);
    sim.create("pve1", 101, &[("mp0", "local:1,mp=/data")]);
    sim.create("pve2", 102, &[]);
    let mut give = |volume: &str, more: &[(&str, &str)]| {
        let form = [&[("volume", volume)], more].concat();
        said(&mut sim, "POST", "/nodes/pve1/lxc/100/move_volume", &form).1
    };
    assert_eq!(
        give("rootfs", &[("target-vmid", "101")]),
        "Cannot move to/from 'rootfs'"
    );
    assert_eq!(
        give("mp0", &[("target-vmid", "101")]),
        "Target volume key 'mp0' is already in use for container '101'"
    );
    assert_eq!(
        give("mp1", &[("target-vmid", "101")]),
        "volume 'mp1' for container '100' does not exist"
    );
    assert_eq!(
        give("mp0", &[("target-vmid", "999")]),
        "could not find CT 999"
    );
    assert_eq!(
        give("mp0", &[("target-vmid", "102")]),
        "Both containers need to be on the same node (pve1 != pve2)"
    );
    let both = [("target-vmid", "101"), ("storage", "shared")];
    assert_eq!(
        give("mp0", &both),
        "either set storage or target-vmid, but not both"
    );
    let text = "both 'storage' and 'target-vmid' missing, either needs to be set";
    assert_eq!(
        give("mp0", &[]),
        format!("Parameter verification failed.|storage: {text}|target-vmid: {text}")
    );
}
