//! Every call of copies, snapshots, backups, pools, templates and usage, with every parameter it has.

use proximity_domain::backup::Keep;
use proximity_domain::names::{GuestSnapshotName, StorageName, Volid};
use proximity_domain::time::Monotonic;
use proximity_pve::backup::{BackupMode, NewBackup};
use proximity_pve::image::{Checksum, Download, OciImage};
use proximity_pve::lxc::{
    Addresses, CloneLxc, CloneOf, Feature, Growth, NewNet, RestoreLxc, VolumeKey,
};
use proximity_pve::pool::Members;
use proximity_pve::rrd::Timeframe;
use proximity_pve::{Client, ReadClient};

use crate::world::{
    backup_permit, guest_snapshot_permit, node, permit, prune_permit, unprotect_permit, vmid,
};

const DIGEST: &str = "0123456789abcdef0123456789abcdef01234567";
const TIMEFRAMES: [Timeframe; 5] = [
    Timeframe::Hour,
    Timeframe::Day,
    Timeframe::Week,
    Timeframe::Month,
    Timeframe::Year,
];

fn volid() -> Volid {
    "local:backup/vzdump-lxc-100-2026_11_20-10_20_15.tar.zst"
        .parse()
        .unwrap()
}

fn storage() -> StorageName {
    "local".parse().unwrap()
}

fn snapshot() -> GuestSnapshotName {
    "before".parse().unwrap()
}

fn keep() -> Keep {
    Keep {
        last: 1,
        hourly: 2,
        daily: 3,
        weekly: 4,
        monthly: 5,
        yearly: 6,
    }
}

fn image() -> OciImage {
    "docker.io/library/nginx:1.29-alpine".parse().unwrap()
}

/// None of them gets an answer.
pub(crate) async fn send_reads(read: &ReadClient) {
    let (at, id, storage) = (node("pve1"), vmid(100), storage());
    let mut failed = vec![
        read.guest_snapshots(&at, id).await.is_err(),
        read.guest_snapshot_config(&at, id, &snapshot())
            .await
            .is_err(),
        read.lxc_pending(&at, id).await.is_err(),
        read.pools().await.is_err(),
        read.pool(&"apps/web".parse().unwrap()).await.is_err(),
        read.volume(&at, &volid()).await.is_err(),
        read.backups(&at, &storage, Some(id)).await.is_err(),
        read.not_backed_up().await.is_err(),
        read.prune_preview(&at, &storage, id, keep()).await.is_err(),
        read.appliances(&at).await.is_err(),
        read.oci_tags(&at, &image().repository).await.is_err(),
        read.url_metadata(&at, "https://example.com/a.tar.zst")
            .await
            .is_err(),
    ];
    for feature in [Feature::GuestSnapshot, Feature::Clone, Feature::Copy] {
        let asked = read.has_feature(&at, id, feature, Some(&snapshot())).await;
        failed.push(asked.is_err());
    }
    for timeframe in TIMEFRAMES {
        failed.push(read.lxc_usage(&at, id, timeframe).await.is_err());
        failed.push(read.node_usage(&at, timeframe).await.is_err());
        failed.push(read.storage_usage(&at, &storage, timeframe).await.is_err());
    }
    assert!(failed.iter().all(|failed| *failed));
}

fn restore(addresses: Addresses) -> RestoreLxc {
    RestoreLxc {
        backup: volid(),
        storage: storage(),
        hostname: Some("web".parse().unwrap()),
        description: "notes\nmark".to_owned(),
        addresses,
        pool: Some("apps/web".parse().unwrap()),
        protection: true,
    }
}

fn net() -> NewNet {
    NewNet {
        name: "eth0".to_owned(),
        bridge: "vmbr0".parse().unwrap(),
        hwaddr: "BC:24:11:00:00:01".parse().unwrap(),
    }
}

/// None of them gets an answer.
pub(crate) async fn send_changes(client: &Client) {
    let failed = [
        of_copies(client).await,
        of_snapshots(client).await,
        of_backups(client).await,
        of_pools(client).await,
        of_images(client).await,
    ];
    assert!(failed.iter().flatten().all(|failed| *failed));
}

async fn of_copies(client: &Client) -> Vec<bool> {
    let (at, id) = (node("pve1"), vmid(100));
    let mut failed = vec![client.make_template(&at, id).await.is_err()];
    for of in [
        CloneOf::Container {
            storage: Some(storage()),
        },
        CloneOf::GuestSnapshot {
            name: snapshot(),
            storage: Some(storage()),
        },
        CloneOf::Template,
    ] {
        let copy = CloneLxc {
            vmid: vmid(101),
            hostname: "web".parse().unwrap(),
            description: "notes\nmark".to_owned(),
            pool: Some("apps/web".parse().unwrap()),
            of,
        };
        failed.push(client.clone_lxc(&at, id, copy).await.is_err());
    }
    for addresses in [
        Addresses::Chosen(net()),
        Addresses::NewMacs,
        Addresses::Same,
    ] {
        let made = client.restore_lxc(&at, vmid(101), restore(addresses)).await;
        failed.push(made.is_err());
    }
    let (permit, over) = (permit("pve1", 100, Monotonic(0)), restore(Addresses::Same));
    failed.push(client.restore_lxc_over(permit, over).await.is_err());
    for (key, growth) in [
        (VolumeKey::Rootfs, Growth::ByGib(4)),
        (VolumeKey::MountPoint(255), Growth::ToGib(8)),
    ] {
        let grown = client
            .grow_volume(&at, id, key, growth, &DIGEST.parse().unwrap())
            .await;
        failed.push(grown.is_err());
        let moved = client
            .move_volume(&at, id, key, &storage(), &DIGEST.parse().unwrap())
            .await;
        failed.push(moved.is_err());
    }
    failed
}

async fn of_snapshots(client: &Client) -> Vec<bool> {
    let (at, id, name) = (node("pve1"), vmid(100), snapshot());
    vec![
        client
            .take_guest_snapshot(&at, id, &name, "why")
            .await
            .is_err(),
        client
            .describe_guest_snapshot(&at, id, &name, "why")
            .await
            .is_err(),
        client
            .rollback(guest_snapshot_permit("pve1", 100, "before", Monotonic(0)))
            .await
            .is_err(),
        client
            .delete_guest_snapshot(guest_snapshot_permit("pve1", 100, "before", Monotonic(0)))
            .await
            .is_err(),
    ]
}

async fn of_backups(client: &Client) -> Vec<bool> {
    let at = node("pve1");
    let now = Monotonic(0);
    let mut failed = vec![
        client.describe_backup(&at, &volid(), "why").await.is_err(),
        client.protect_backup(&at, &volid()).await.is_err(),
        client
            .unprotect_backup(unprotect_permit("pve1", &volid(), 100, now))
            .await
            .is_err(),
        client
            .delete_backup(backup_permit("pve1", &volid(), 100, now))
            .await
            .is_err(),
        client
            .prune_backups(prune_permit("pve1", &volid(), 100, keep(), now))
            .await
            .is_err(),
    ];
    for mode in [BackupMode::Snapshot, BackupMode::Suspend, BackupMode::Stop] {
        let backup = NewBackup {
            vmid: vmid(100),
            storage: storage(),
            mode,
            notes: "mark\nmore \\ of it".to_owned(),
            protected: true,
        };
        failed.push(client.back_up(&at, backup).await.is_err());
    }
    failed
}

async fn of_pools(client: &Client) -> Vec<bool> {
    let pool = "apps/web".parse().unwrap();
    let members = Members {
        guests: vec![vmid(100), vmid(101)],
        storages: vec![storage(), "nas".parse().unwrap()],
    };
    vec![
        client.create_pool(&pool, "why").await.is_err(),
        client.add_to_pool(&pool, &members).await.is_err(),
        client.remove_from_pool(&pool, &members).await.is_err(),
        client.delete_pool(&pool).await.is_err(),
    ]
}

async fn of_images(client: &Client) -> Vec<bool> {
    let (at, storage) = (node("pve1"), storage());
    let template = "debian-13-standard_13.1-2_amd64.tar.zst";
    let mut failed = vec![
        client
            .download_appliance(&at, &storage, template)
            .await
            .is_err(),
        client
            .pull_oci_image(&at, &storage, &image(), Some("nginx"))
            .await
            .is_err(),
    ];
    for checksum in [
        Checksum::Sha256("ab".repeat(32)),
        Checksum::Sha512("ab".repeat(64)),
    ] {
        let download = Download {
            url: "https://example.com/a.tar.zst".to_owned(),
            filename: "a.tar.zst".to_owned(),
            checksum: Some(checksum),
        };
        let made = client.download_template(&at, &storage, &download).await;
        failed.push(made.is_err());
    }
    failed
}
