//! Backups: made, found, written about, restored, and removed when they may go.

use proximity_domain::backup::{BackupListing, Keep, NoBackupPermit, OwnBackup};
use proximity_domain::destroy::{DestroyIntent, Quorate};
use proximity_domain::ids::Epoch;
use proximity_domain::mark::Mark;
use proximity_domain::names::StorageName;
use proximity_domain::operation::OperationKind;
use proximity_domain::time::Clock;
use proximity_pve::backup::{BackupMode, Fate, NewBackup};
use proximity_pve::lxc::{Addresses, RestoreLxc};
use proximity_pve::storage::Volume;
use proximity_testkit::sources::RealClock;

use crate::lab::{Hands, Lab, host, mark, net, operation, vmid};

fn nas() -> StorageName {
    "nas".parse().unwrap()
}

fn new_backup() -> NewBackup {
    NewBackup {
        vmid: vmid(101),
        storage: nas(),
        mode: BackupMode::Stop,
        notes: mark(101).to_string(),
        protected: false,
    }
}

/// Backs the container up, and reads what came of it.
async fn back_up(hands: &Hands) -> Volume {
    let made = hands.client.back_up(&hands.node, new_backup()).await;
    hands.done(made.unwrap().unwrap()).await;
    let all = hands
        .read
        .backups(&hands.node, &nas(), Some(vmid(101)))
        .await;
    all.unwrap().pop().unwrap()
}

fn on_record(volume: &Volume, verified: bool) -> OwnBackup {
    OwnBackup {
        volid: volume.volid.clone(),
        vmid: vmid(101),
        mark: mark(101),
        made_s: volume.made_s.unwrap(),
        verified,
    }
}

async fn listing(hands: &Hands) -> BackupListing {
    let read_started = RealClock.monotonic();
    let listed = hands.read.backups(&hands.node, &nas(), None).await.unwrap();
    BackupListing {
        host: host(),
        node: hands.node.clone(),
        storage: nas(),
        read_started,
        epoch: Epoch(1),
        backups: listed.iter().map(Volume::as_backup).collect(),
    }
}

fn restore(volume: &Volume, n: u32, addresses: Addresses) -> RestoreLxc {
    RestoreLxc {
        backup: volume.volid.clone(),
        storage: "local".parse().unwrap(),
        hostname: Some("back".parse().unwrap()),
        description: mark(n).described(""),
        addresses,
        pool: None,
        protection: false,
    }
}

#[tokio::test]
async fn a_backup_is_made_described_kept_and_deleted_by_permit() {
    let lab = Lab::start().await;
    let hands = lab.hands();
    let (at, client) = (&lab.node, &hands.client);
    hands.create(101, "local").await;
    let backup = back_up(&hands).await;
    let record = on_record(&backup, false);
    let volid = &backup.volid;
    assert_eq!(backup.as_backup().mark, Some(mark(101)));

    client.protect_backup(at, volid).await.unwrap();
    let protected = listing(&hands)
        .await
        .permit(std::slice::from_ref(&record), volid);
    assert_eq!(
        protected.unwrap_err(),
        NoBackupPermit::Protected(volid.clone())
    );
    let listed = listing(&hands).await;
    let not_ours = listed.unprotect_permit(&[], volid).unwrap_err();
    assert_eq!(not_ours, NoBackupPermit::NotOurs(volid.clone()));
    let permit = listed.unprotect_permit(std::slice::from_ref(&record), volid);
    client.unprotect_backup(permit.unwrap()).await.unwrap();

    let told = format!("{}\nand more", mark(101));
    client.describe_backup(at, volid, &told).await.unwrap();
    let detail = hands.read.volume(at, volid).await.unwrap();
    assert_eq!(
        (detail.notes.as_deref(), detail.protected),
        (Some(told.as_str()), false)
    );
    // The list shows the first line, and that is the mark.
    let permit = listing(&hands).await.permit(&[record], volid).unwrap();
    hands
        .done(client.delete_backup(permit).await.unwrap())
        .await;
    assert_eq!(listing(&hands).await.backups, []);
}

#[tokio::test]
async fn a_guest_of_another_node_is_not_backed_up() {
    let lab = Lab::start().await;
    let hands = lab.hands();
    hands.create(101, "local").await;
    let other = "pve2".parse().unwrap();
    let elsewhere = hands.client.back_up(&other, new_backup()).await;
    assert_eq!(elsewhere.unwrap(), None);
}

#[tokio::test]
async fn a_backup_becomes_a_new_container_and_replaces_one_only_by_permit() {
    let lab = Lab::start().await;
    let hands = lab.hands();
    let (at, client) = (&lab.node, &hands.client);
    hands.create(101, "local").await;
    let backup = back_up(&hands).await;
    let new = restore(&backup, 102, Addresses::Chosen(net(102)));
    hands
        .done(
            client
                .restore_lxc(at, vmid(102), new.clone())
                .await
                .unwrap(),
        )
        .await;
    let config = hands.read.lxc_config(at, vmid(102)).await.unwrap();
    assert_eq!(
        config.description.as_deref().and_then(Mark::find),
        Some(mark(102))
    );
    assert_eq!(config.net0.unwrap().hwaddr, Some(net(102).hwaddr));
    assert_eq!(config.hostname.as_deref(), Some("back"));

    let taken = client.restore_lxc(at, vmid(102), new).await.unwrap_err();
    assert!(taken.is_vmid_taken(), "{taken}");
    let permit = hands
        .verified(101)
        .await
        .permit(
            OperationKind::Remove,
            DestroyIntent::RemovalRequested(operation()),
            Quorate(true),
        )
        .unwrap();
    let over = restore(&backup, 101, Addresses::Chosen(net(101)));
    hands
        .done(client.restore_lxc_over(permit, over).await.unwrap())
        .await;
    let config = hands.read.lxc_config(at, vmid(101)).await.unwrap();
    assert_eq!(config.hostname.as_deref(), Some("back"));
    assert_eq!(
        config.description.as_deref().and_then(Mark::find),
        Some(mark(101))
    );
}

#[tokio::test]
async fn pruning_takes_what_its_preview_showed() {
    let lab = Lab::start().await;
    let hands = lab.hands();
    let (at, client) = (&lab.node, &hands.client);
    hands.create(101, "local").await;
    let first = back_up(&hands).await;
    // Backups are named by the second in which they were made.
    let made_ms = i64::try_from(first.made_s.unwrap()).unwrap() * 1_000;
    while RealClock.now().0 < made_ms + 1_000 {
        tokio::task::yield_now().await;
    }
    let second = back_up(&hands).await;
    assert_ne!(first.volid, second.volid);
    let keep = Keep {
        last: 1,
        ..Keep::default()
    };
    let preview = hands
        .read
        .prune_preview(at, &nas(), vmid(101), keep)
        .await
        .unwrap();
    let fates: Vec<_> = preview
        .iter()
        .map(|row| (row.volid.clone(), row.fate))
        .collect();
    assert_eq!(
        fates,
        [
            (first.volid.clone(), Fate::Remove),
            (second.volid.clone(), Fate::Keep)
        ]
    );
    let own = [on_record(&first, false), on_record(&second, false)];
    let listed = listing(&hands).await;
    let would_go = [first.volid.clone()];
    let permit = listed
        .prune_permit(&own, vmid(101), keep, &would_go)
        .unwrap();
    hands
        .done(client.prune_backups(permit).await.unwrap())
        .await;
    let left = hands.read.backups(at, &nas(), None).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].volid, second.volid);
}
