//! Snapshots, copies, volumes, pools, usage.

use proximity_domain::destroy::Quorate;
use proximity_domain::guest_snapshot::{
    GuestSnapshotPermit, SeenGuestSnapshot, TakenGuestSnapshot,
};
use proximity_domain::names::GuestSnapshotName;
use proximity_pve::image::OciImage;
use proximity_pve::lxc::{CloneLxc, CloneOf, Feature, Growth, VolumeKey};
use proximity_pve::pool::Members;
use proximity_pve::rrd::Timeframe;
use proximity_pve::task::TaskOutcome;
use proximity_pve::{Error, lxc::GuestSnapshot};

use crate::lab::{Hands, Lab, mark, operation, vmid};

fn named(name: &str) -> GuestSnapshotName {
    name.parse().unwrap()
}

async fn permit<What>(hands: &Hands, snapshot: &GuestSnapshot) -> GuestSnapshotPermit<What> {
    let taken_s = snapshot.taken_s.unwrap();
    let taken = TakenGuestSnapshot {
        vmid: vmid(101),
        name: snapshot.name.clone(),
        taken_by: operation(),
        taken_s,
    };
    let seen = SeenGuestSnapshot {
        name: snapshot.name.clone(),
        taken_s,
    };
    hands
        .verified(101)
        .await
        .guest_snapshot_permit(&taken, &seen, operation(), Quorate(true))
        .unwrap()
}

#[tokio::test]
async fn a_snapshot_is_taken_described_gone_back_to_and_deleted() {
    let lab = Lab::start().await;
    let hands = lab.hands();
    let (at, id) = (&lab.node, vmid(101));
    hands.create(101, "snap").await;
    let can = hands
        .read
        .has_feature(at, id, Feature::GuestSnapshot, None)
        .await;
    assert!(can.unwrap());
    assert_eq!(hands.read.guest_snapshots(at, id).await.unwrap(), []);
    let (name, client) = (named("before"), &hands.client);
    let upid = client
        .take_guest_snapshot(at, id, &name, "first")
        .await
        .unwrap();
    hands.done(upid).await;
    client
        .describe_guest_snapshot(at, id, &name, "second")
        .await
        .unwrap();
    let all = hands.read.guest_snapshots(at, id).await.unwrap();
    let [snapshot] = all.as_slice() else {
        panic!("{all:?}")
    };
    assert_eq!(
        snapshot.description.as_deref().map(str::trim),
        Some("second")
    );
    let kept = hands
        .read
        .guest_snapshot_config(at, id, &name)
        .await
        .unwrap();
    assert_eq!(kept.hostname.as_deref(), Some("web"));

    let digest = hands.read.lxc_config(at, id).await.unwrap().digest.unwrap();
    let tags = ["after".to_owned()];
    client.set_tags(at, id, &tags, &digest).await.unwrap();
    let upid = client
        .rollback(permit(&hands, snapshot).await)
        .await
        .unwrap();
    hands.done(upid).await;
    let config = hands.read.lxc_config(at, id).await.unwrap();
    assert_eq!(config.tags, [] as [&str; 0]);

    let delete = client
        .delete_guest_snapshot(permit(&hands, snapshot).await)
        .await;
    hands.done(delete.unwrap()).await;
    assert_eq!(hands.read.guest_snapshots(at, id).await.unwrap(), []);
}

fn copy(n: u32, of: CloneOf) -> CloneLxc {
    CloneLxc {
        vmid: vmid(n),
        hostname: "copy".parse().unwrap(),
        description: mark(n).described(""),
        pool: None,
        of,
    }
}

#[tokio::test]
async fn containers_and_templates_are_copied_with_a_mark_of_their_own() {
    let lab = Lab::start().await;
    let hands = lab.hands();
    let (at, client) = (&lab.node, &hands.client);
    hands.create(101, "snap").await;
    let whole = copy(102, CloneOf::Container { storage: None });
    hands
        .done(
            client
                .clone_lxc(at, vmid(101), whole.clone())
                .await
                .unwrap(),
        )
        .await;
    client.make_template(at, vmid(101)).await.unwrap();
    // PVE converts behind its answer.
    let linked = copy(103, CloneOf::Template);
    hands
        .done(client.clone_lxc(at, vmid(101), linked).await.unwrap())
        .await;
    assert!(hands.read.lxc_config(at, vmid(101)).await.unwrap().template);
    let source = hands.read.lxc_config(at, vmid(102)).await.unwrap();
    for n in [102, 103] {
        let config = hands.read.lxc_config(at, vmid(n)).await.unwrap();
        let found = config
            .description
            .as_deref()
            .and_then(proximity_domain::mark::Mark::find);
        assert_eq!(found, Some(mark(n)));
        assert_eq!(config.hostname.as_deref(), Some("copy"));
    }
    assert_eq!(source.memory_mib, Some(128));
    let taken = client.clone_lxc(at, vmid(102), whole).await.unwrap_err();
    assert!(taken.is_vmid_taken(), "{taken}");
}

#[tokio::test]
async fn volumes_grow_and_move_only_as_they_were_read() {
    let lab = Lab::start().await;
    let hands = lab.hands();
    let (at, id, client) = (&lab.node, vmid(101), &hands.client);
    hands.create(101, "local").await;
    let stale = "0".repeat(40).parse().unwrap();
    let root = VolumeKey::Rootfs;
    let refused = client
        .grow_volume(at, id, root, Growth::ByGib(1), &stale)
        .await;
    assert!(refused.unwrap_err().is_digest_mismatch());
    let digest = hands.read.lxc_config(at, id).await.unwrap().digest.unwrap();
    let grown = client
        .grow_volume(at, id, root, Growth::ToGib(3), &digest)
        .await;
    hands.done(grown.unwrap()).await;
    let config = hands.read.lxc_config(at, id).await.unwrap();
    assert_eq!(config.rootfs.unwrap().size.as_deref(), Some("3G"));
    let moved = client
        .move_volume(
            at,
            id,
            root,
            &"snap".parse().unwrap(),
            &config.digest.unwrap(),
        )
        .await;
    hands.done(moved.unwrap()).await;
    let config = hands.read.lxc_config(at, id).await.unwrap();
    let volid = config.rootfs.unwrap().volid;
    assert!(volid.as_str().starts_with("snap:"), "{volid}");
    let old = config.raw.get("unused0").and_then(|old| old.as_str());
    assert!(old.unwrap().starts_with("local:"), "{old:?}");
    let keys = hands.read.lxc_pending(at, id).await.unwrap();
    let rootfs = keys.iter().find(|key| key.key == "rootfs").unwrap();
    assert!(rootfs.value.is_some() && !rootfs.waits());
}

#[tokio::test]
async fn pools_hold_guests_and_storages_until_they_are_taken_out() {
    let lab = Lab::start().await;
    let hands = lab.hands();
    hands.create(101, "local").await;
    let (pool, client) = ("apps/web".parse().unwrap(), &hands.client);
    client
        .create_pool(&"apps".parse().unwrap(), "")
        .await
        .unwrap();
    client.create_pool(&pool, "ours").await.unwrap();
    let members = Members {
        guests: vec![vmid(101)],
        storages: vec!["snap".parse().unwrap()],
    };
    client.add_to_pool(&pool, &members).await.unwrap();
    let rows = hands.read.pools().await.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1].comment.as_deref(), Some("ours"));
    let read = hands.read.pool(&pool).await.unwrap();
    assert_eq!(
        (read.guests, read.storages),
        (members.guests.clone(), members.storages.clone())
    );
    let full = client.delete_pool(&pool).await.unwrap_err();
    assert!(full.to_string().contains("is not empty"), "{full}");
    client.remove_from_pool(&pool, &members).await.unwrap();
    client.delete_pool(&pool).await.unwrap();
    let gone = hands.read.pool(&pool).await.unwrap_err();
    assert!(gone.to_string().contains("does not exist"), "{gone}");
}

#[tokio::test]
async fn usage_and_templates_are_read() {
    let lab = Lab::start().await;
    let hands = lab.hands();
    hands.create(101, "local").await;
    let (at, read) = (&lab.node, &hands.read);
    assert!(read.lxc_usage(at, vmid(101), Timeframe::Hour).await.is_ok());
    assert!(read.node_usage(at, Timeframe::Day).await.is_ok());
    let storage = "local".parse().unwrap();
    assert!(
        read.storage_usage(at, &storage, Timeframe::Week)
            .await
            .is_ok()
    );
    assert!(read.appliances(at).await.is_ok());
    let guests = read.not_backed_up().await.unwrap();
    assert_eq!(guests[0].vmid, vmid(101));
    assert_eq!(read.backup_jobs().await.unwrap(), []);
    assert_eq!(read.replication_jobs().await.unwrap(), []);
}

/// What is not emulated is refused only after its parameters were found to be in order, by their patterns too.
#[tokio::test]
async fn images_are_asked_for_in_pves_words() {
    let lab = Lab::start().await;
    let hands = lab.hands();
    let (at, client) = (&lab.node, &hands.client);
    let image: OciImage = "docker.io/library/nginx:1.29-alpine".parse().unwrap();
    let storage = "local".parse().unwrap();
    let download = proximity_pve::image::Download {
        url: "https://example.com/a.tar.zst".to_owned(),
        filename: "a.tar.zst".to_owned(),
        checksum: Some(proximity_pve::image::Checksum::Sha256("ab".repeat(32))),
    };
    // Nothing is reached from there: what is asked at once is refused, what is fetched by a task fails in it.
    let refused = hands.read.oci_tags(at, &image.repository).await;
    let Err(Error::Refused {
        status: 500,
        message,
        ..
    }) = refused
    else {
        panic!("{refused:?}");
    };
    assert!(
        message.contains("skopeo list-tags docker://docker.io/library/nginx"),
        "{message}"
    );
    let pulled = client.pull_oci_image(at, &storage, &image, None).await;
    let downloaded = client.download_template(at, &storage, &download).await;
    for upid in [pulled.unwrap(), downloaded.unwrap()] {
        let outcome = hands.outcome(&upid).await;
        assert!(
            matches!(outcome, TaskOutcome::Failed(_)),
            "{upid}: {outcome:?}"
        );
    }
    let unknown = client.download_appliance(at, &storage, "a.tar.zst").await;
    let Err(Error::Refused {
        status: 400,
        errors,
        ..
    }) = unknown
    else {
        panic!("{unknown:?}");
    };
    assert_eq!(errors.keys().collect::<Vec<_>>(), ["template"]);
}
