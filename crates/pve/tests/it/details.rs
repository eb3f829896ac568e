//! What single recorded answers say in detail.

use proximity_pve::cluster::GuestStatus;
use proximity_pve::rrd::Timeframe;

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

#[tokio::test]
async fn snapshots_are_listed_without_the_present_and_with_their_time() {
    let (at, id) = (node("solo"), vmid(163));
    let all = client(&one("snapshots step 7"))
        .read()
        .guest_snapshots(&at, id)
        .await
        .unwrap();
    let [first] = all.as_slice() else {
        panic!("{all:?}")
    };
    assert_eq!(
        (first.name.as_str(), first.taken_s, first.parent.as_deref()),
        ("s1", Some(1_795_170_524), None)
    );
    assert_eq!(first.description.as_deref(), Some("first\n"));
    let none = client(&one("snapshots step 4"));
    assert_eq!(none.read().guest_snapshots(&at, id).await.unwrap(), []);
    let kept = client(&one("snapshots step 8"))
        .read()
        .guest_snapshot_config(&at, id, &"s1".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(
        (kept.hostname.as_deref(), kept.memory_mib, kept.digest),
        (Some("ct163"), Some(128), None)
    );
}

#[tokio::test]
async fn a_backup_shows_the_first_line_of_its_notes_and_alone_all_of_them() {
    let (at, storage) = (node("pve1"), "local".parse().unwrap());
    let listed = client(&one("backup step 5"))
        .read()
        .backups(&at, &storage, None)
        .await
        .unwrap();
    let [backup] = listed.as_slice() else {
        panic!("{listed:?}")
    };
    let volid = "local:backup/vzdump-lxc-166-2026_11_20-10_20_15.tar.zst";
    assert_eq!(backup.volid.as_str(), volid);
    assert_eq!(
        (backup.vmid, backup.made_s),
        (Some(vmid(166)), Some(1_795_170_015))
    );
    assert_eq!(
        (backup.notes.as_deref(), backup.protected),
        (Some("new notes"), true)
    );
    let seen = backup.as_backup();
    assert_eq!(
        (seen.mark, seen.made_s, seen.protected),
        (None, backup.made_s, true)
    );
    let alone = client(&one("backup step 3"))
        .read()
        .volume(&at, &backup.volid)
        .await
        .unwrap();
    assert_eq!(
        alone.path,
        "/var/lib/vz/dump/vzdump-lxc-166-2026_11_20-10_20_15.tar.zst"
    );
    assert_eq!(
        (alone.size_bytes, alone.used_bytes, alone.protected),
        (1_111_552, Some(1_114_112), false)
    );
    assert_eq!(alone.notes.as_deref(), Some("ct166 on pve1"));
    let forgotten = client(&one("backup step 17"))
        .read()
        .not_backed_up()
        .await
        .unwrap();
    assert_eq!(forgotten[0].name.as_deref(), Some("ct166"));
}

#[tokio::test]
async fn usage_is_read_with_its_figures_and_without_any() {
    let at = node("solo");
    let points = client(&one("metrics-basic step 4"))
        .read()
        .node_usage(&at, Timeframe::Hour)
        .await
        .unwrap();
    assert_eq!(points[0].at_s, 1_795_170_720);
    assert_eq!(
        (points[0].max_cpu, points[0].memory_bytes, points[0].load),
        (Some(2.0), Some(25_276_510_208.0), Some(0.0735))
    );
    let fresh = client(&one("metrics-basic step 5"))
        .read()
        .lxc_usage(&at, vmid(273), Timeframe::Hour)
        .await
        .unwrap();
    assert_eq!((fresh[0].at_s, fresh[0].cpu), (1_795_170_660, None));
}

#[tokio::test]
async fn templates_that_can_be_downloaded_have_a_checksum() {
    let all = client(&one("permission-filtered-lists step 24"))
        .read()
        .appliances(&node("solo"))
        .await
        .unwrap();
    let ubuntu = all
        .iter()
        .find(|a| a.package == "ubuntu-25.04-standard")
        .unwrap();
    assert_eq!(
        ubuntu.template,
        "ubuntu-25.04-standard_25.04-1.1_amd64.tar.zst"
    );
    assert_eq!(
        (ubuntu.version.as_deref(), ubuntu.section.as_deref()),
        (Some("25.04-1"), Some("system"))
    );
    let sum = ubuntu.sha512.as_deref().unwrap();
    assert!(
        sum.len() == 128 && sum.starts_with("779cf8bbdf788057"),
        "{sum}"
    );
}

#[tokio::test]
async fn nothing_waits_in_a_configuration_that_was_not_changed() {
    let keys = client(&one("config step 18"))
        .read()
        .lxc_pending(&node("solo"), vmid(143))
        .await
        .unwrap();
    let memory = keys.iter().find(|key| key.key == "memory").unwrap();
    assert_eq!(memory.value.as_deref(), Some("200"));
    assert!(!keys.iter().any(|key| key.waits()), "{keys:?}");
}
