//! What single recorded answers say in detail.

use proximity_pve::cluster::GuestStatus;

use crate::recordings::{Step, client, new_container, steps};
use crate::world::{node, vmid};

fn one(id: &str) -> Step {
    steps()
        .into_iter()
        .find(|step| step.id == id)
        .unwrap_or_else(|| panic!("there is no {id}"))
}

#[tokio::test]
async fn a_configuration_and_its_live_address() {
    let node = node("solo");
    let config = client(&one("create-options step 2"))
        .read()
        .lxc_config(&node, vmid(261))
        .await
        .unwrap();
    assert_eq!(config.description.as_deref(), Some("first line\nsecond\n"));
    assert_eq!(config.tags, ["blue", "web"]);
    assert_eq!(
        (
            config.memory_mib,
            config.cores,
            config.unprivileged,
            config.onboot
        ),
        (Some(256), Some(1), true, true)
    );
    let rootfs = config.rootfs.unwrap();
    assert_eq!(
        (rootfs.volid.as_str(), rootfs.size.as_deref()),
        ("local:261/vm-261-disk-0.raw", Some("1G"))
    );
    let net0 = config.net0.unwrap();
    assert_eq!(net0.hwaddr, Some("BC:24:11:0B:78:82".parse().unwrap()));
    assert_eq!(
        (net0.bridge.as_deref(), net0.ip.as_deref()),
        (Some("vmbr0"), Some("10.99.0.161/24"))
    );

    let live = client(&one("create-options step 7"))
        .read()
        .lxc_interfaces(&node, vmid(261))
        .await
        .unwrap()
        .unwrap();
    let eth0 = live.iter().find(|i| i.mac == net0.hwaddr).unwrap();
    assert_eq!(eth0.name, "eth0");
    assert!(
        eth0.addresses.contains(&"10.99.0.161".parse().unwrap()),
        "{eth0:?}"
    );
}

#[tokio::test]
async fn a_standalone_node_has_quorum_and_a_split_cluster_has_not() {
    let solo = client(&one("inventory-solo step 3"))
        .read()
        .cluster_status()
        .await
        .unwrap();
    assert_eq!(
        (solo.name, solo.quorate),
        (None, true),
        "a standalone node is quorate"
    );
    let split = client(&one("quorum-loss step 2"))
        .read()
        .cluster_status()
        .await
        .unwrap();
    assert_eq!((split.name.as_deref(), split.quorate), (Some("lab"), false));
    assert_eq!(split.nodes.iter().filter(|n| n.online).count(), 1);
}

#[tokio::test]
async fn a_guest_of_a_node_long_off_is_listed_and_unknown() {
    let lost = client(&one("node-loss step 21"))
        .read()
        .resources_vm()
        .await
        .unwrap();
    let guest = lost.iter().find(|row| row.vmid == vmid(240)).unwrap();
    assert_eq!(
        (guest.status, guest.name.as_deref(), guest.uptime_s),
        (GuestStatus::Unknown, None, None)
    );
}

#[tokio::test]
async fn privileges_say_whether_they_propagate_and_none_is_no_error() {
    let granted = client(&one("access-least-privilege step 19"))
        .read()
        .permissions(None)
        .await
        .unwrap();
    assert!(granted["/pool/gold"].propagates("VM.Allocate"));
    let shared = &granted["/storage/shared"];
    assert!(
        shared.contains("Datastore.AllocateSpace") && !shared.propagates("Datastore.AllocateSpace")
    );
    let nothing = client(&one("access-least-privilege step 16"))
        .read()
        .permissions(None)
        .await
        .unwrap();
    assert!(nothing.is_empty());
}

#[tokio::test]
async fn members_of_ha_are_known_as_such() {
    let member = client(&one("ha-basic step 9"))
        .read()
        .lxc_status(&node("pve1"), vmid(233))
        .await
        .unwrap();
    assert!(member.ha_managed);
}

#[tokio::test]
async fn every_loser_of_a_recorded_race_lost_its_id() {
    let mut losers = 0;
    for step in steps()
        .iter()
        .filter(|s| s.id.starts_with("race-create") && s.method == "POST")
    {
        let made = client(step)
            .create_lxc(&"pve1".parse().unwrap(), new_container())
            .await;
        match made {
            Ok(_) => assert_eq!(step.answer.status, 200),
            Err(e) => {
                losers += 1;
                assert!(e.is_vmid_taken(), "{}: {e}", step.id);
            }
        }
    }
    assert_eq!(losers, 5);
}
