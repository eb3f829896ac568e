//! Rolling back, deleting snapshots and backups, pruning: only what is ours, and never the last good copy.

#![allow(clippy::unwrap_used)] // helpers of tests are not test functions to clippy

use proximity_domain::backup::{BackupListing, Keep, NoBackupPermit, OwnBackup, SeenBackup};
use proximity_domain::destroy::{NoPermit, PERMIT_VALID_MS, Quorate, VerifiedContainer};
use proximity_domain::guest::{ContainerIdentity, ContainerRef, NativeGuest, ObservedContainer};
use proximity_domain::guest_snapshot::{
    Deletion, GuestSnapshotPermit, NoGuestSnapshotPermit, Rollback, SeenGuestSnapshot,
    TakenGuestSnapshot,
};
use proximity_domain::ids::{AppId, Epoch, GuestId, HostId, InstallationId, OperationId, Vmid};
use proximity_domain::mark::Mark;
use proximity_domain::names::{Mac, Volid};
use proximity_domain::time::Monotonic;
use uuid::Uuid;

fn operation(n: u128) -> OperationId {
    OperationId(Uuid::from_u128(n))
}

fn host() -> HostId {
    HostId(Uuid::from_u128(1))
}

fn mark(nonce: u128) -> Mark {
    Mark {
        installation: InstallationId(Uuid::from_u128(3)),
        app: AppId(Uuid::from_u128(2)),
        nonce,
    }
}

fn vmid(n: u32) -> Vmid {
    Vmid::try_from(n).unwrap()
}

fn verified() -> VerifiedContainer {
    let place = ContainerRef {
        host: host(),
        node: "pve1".parse().unwrap(),
        vmid: vmid(101),
    };
    let identity = ContainerIdentity {
        vmid: vmid(101),
        mark: mark(4),
        net0_mac: Mac::with_pve_prefix([1, 2, 3]),
        rootfs_volid: Some("local:101/vm-101-disk-0.raw".parse().unwrap()),
    };
    let seen = ObservedContainer {
        place: place.clone(),
        mark: Some(identity.mark),
        net0_mac: Some(identity.net0_mac),
        rootfs_volid: identity.rootfs_volid.clone(),
        lock: None,
        protection: false,
        digest: "d".to_owned(),
        ha_managed: false,
        replicated: false,
    };
    let guest = NativeGuest {
        id: GuestId(Uuid::from_u128(7)),
        app: AppId(Uuid::from_u128(2)),
        created_by: operation(9),
        place,
        identity,
        learned: None,
    };
    guest.verify(&seen, Monotonic(1_000), Epoch(5)).unwrap()
}

fn taken() -> TakenGuestSnapshot {
    TakenGuestSnapshot {
        vmid: vmid(101),
        name: "before-update".parse().unwrap(),
        taken_by: operation(20),
        taken_s: 1_795_170_524,
    }
}

fn listed(snapshot: &TakenGuestSnapshot) -> SeenGuestSnapshot {
    SeenGuestSnapshot {
        name: snapshot.name.clone(),
        taken_s: snapshot.taken_s,
    }
}

#[test]
fn an_operation_may_go_back_to_its_own_snapshot() {
    let snapshot = taken();
    let permit: GuestSnapshotPermit<Rollback> = verified()
        .guest_snapshot_permit(&snapshot, &listed(&snapshot), operation(20), Quorate(true))
        .unwrap();
    assert_eq!(permit.name(), &snapshot.name);
    assert_eq!(permit.place().vmid, vmid(101));
    assert_eq!(permit.expires(), Monotonic(1_000 + PERMIT_VALID_MS));
    assert_eq!(permit.epoch(), Epoch(5));
}

#[test]
fn a_snapshot_of_another_operation_guest_or_time_is_not_touched() {
    let snapshot = taken();
    let ask = |taken: &TakenGuestSnapshot, seen: &SeenGuestSnapshot, by, quorate| {
        verified()
            .guest_snapshot_permit::<Deletion>(taken, seen, by, Quorate(quorate))
            .unwrap_err()
    };
    let seen = listed(&snapshot);
    assert!(matches!(
        ask(&snapshot, &seen, operation(21), true),
        NoGuestSnapshotPermit::NotTaker { taken_by, .. } if taken_by == operation(20)
    ));
    assert_eq!(
        ask(&snapshot, &seen, operation(20), false),
        NoGuestSnapshotPermit::Container(NoPermit::NotQuorate)
    );
    let not_the_same = NoGuestSnapshotPermit::NotTheSame(snapshot.name.clone());
    let later = SeenGuestSnapshot {
        taken_s: seen.taken_s + 1,
        ..seen.clone()
    };
    assert_eq!(ask(&snapshot, &later, operation(20), true), not_the_same);
    let other_name = SeenGuestSnapshot {
        name: "another".parse().unwrap(),
        ..seen.clone()
    };
    assert_eq!(
        ask(&snapshot, &other_name, operation(20), true),
        not_the_same
    );
    let of_another = TakenGuestSnapshot {
        vmid: vmid(102),
        ..snapshot.clone()
    };
    assert_eq!(ask(&of_another, &seen, operation(20), true), not_the_same);
}

fn volid(n: u64) -> Volid {
    format!("nas:backup/vzdump-lxc-101-{n}.tar.zst")
        .parse()
        .unwrap()
}

fn own(n: u64, verified: bool) -> OwnBackup {
    OwnBackup {
        volid: volid(n),
        vmid: vmid(101),
        mark: mark(n.into()),
        made_s: n,
        verified,
    }
}

fn seen(own: &OwnBackup) -> SeenBackup {
    SeenBackup {
        volid: own.volid.clone(),
        vmid: Some(own.vmid),
        mark: Some(own.mark),
        made_s: Some(own.made_s),
        protected: false,
    }
}

fn listing(backups: Vec<SeenBackup>) -> BackupListing {
    BackupListing {
        host: host(),
        node: "pve1".parse().unwrap(),
        storage: "nas".parse().unwrap(),
        read_started: Monotonic(1_000),
        epoch: Epoch(5),
        backups,
    }
}

/// Three backups of one guest, the second one verified.
fn three() -> (Vec<OwnBackup>, Vec<SeenBackup>) {
    let records = vec![own(1, false), own(2, true), own(3, false)];
    let rows = records.iter().map(seen).collect();
    (records, rows)
}

#[test]
fn a_backup_of_ours_may_go() {
    let (records, rows) = three();
    let permit = listing(rows).permit(&records, &volid(1)).unwrap();
    assert_eq!((permit.volid(), permit.vmid()), (&volid(1), vmid(101)));
    assert_eq!((permit.host(), permit.epoch()), (host(), Epoch(5)));
    assert_eq!(permit.storage().as_str(), "nas");
    assert_eq!(permit.node().as_str(), "pve1");
    assert_eq!(permit.expires(), Monotonic(1_000 + PERMIT_VALID_MS));
}

#[test]
fn only_a_backup_of_ours_loses_its_protection() {
    let (records, rows) = three();
    let list = listing(rows);
    let permit = list.unprotect_permit(&records, &volid(3)).unwrap();
    assert_eq!((permit.host(), permit.volid()), (host(), &volid(3)));
    assert_eq!(permit.node().as_str(), "pve1");
    assert_eq!(permit.expires(), Monotonic(1_000 + PERMIT_VALID_MS));
    let refused = list.unprotect_permit(&records[..2], &volid(3));
    assert_eq!(refused.unwrap_err(), NoBackupPermit::NotOurs(volid(3)));
}

#[test]
fn a_backup_that_differs_from_its_record_stays() {
    let (records, rows) = three();
    let with = |change: &dyn Fn(&mut SeenBackup)| {
        let mut rows = rows.clone();
        change(&mut rows[0]);
        listing(rows).permit(&records, &volid(1)).unwrap_err()
    };
    for change in [
        (|row| row.vmid = Some(vmid(102))) as fn(&mut SeenBackup),
        |row| row.vmid = None,
        |row| row.mark = None,
        |row| row.mark = Some(mark(99)),
        |row| row.made_s = Some(2),
        |row| row.made_s = None,
    ] {
        assert_eq!(with(&change), NoBackupPermit::NotTheSame(volid(1)));
    }
    let protected = with(&|row| row.protected = true);
    assert_eq!(protected, NoBackupPermit::Protected(volid(1)));
    let gone = listing(rows[1..].to_vec()).permit(&records, &volid(1));
    assert_eq!(gone.unwrap_err(), NoBackupPermit::NotListed(volid(1)));
    let foreign = listing(rows).permit(&records[1..], &volid(1));
    assert_eq!(foreign.unwrap_err(), NoBackupPermit::NotOurs(volid(1)));
}

#[test]
fn the_newest_verified_backup_stays_until_a_newer_one_is_verified_and_there() {
    let (mut records, rows) = three();
    let newest = Err(NoBackupPermit::NewestVerified(volid(2)));
    let ask = |records: &[OwnBackup], rows: &[SeenBackup]| {
        let permit = listing(rows.to_vec()).permit(records, &volid(2));
        permit.map(|permit| permit.volid().clone())
    };
    assert_eq!(ask(&records, &rows), newest);
    records[2].verified = true;
    assert_eq!(ask(&records, &rows), Ok(volid(2)));
    // On record, and not there any more.
    assert_eq!(ask(&records, &rows[..2]), newest);
    records[2].vmid = vmid(102);
    assert_eq!(ask(&records, &rows), newest);
}

fn keep_one() -> Keep {
    Keep {
        last: 1,
        ..Keep::default()
    }
}

fn prune(
    records: &[OwnBackup],
    rows: &[SeenBackup],
    would_go: &[Volid],
) -> Result<Keep, NoBackupPermit> {
    let permit = listing(rows.to_vec()).prune_permit(records, vmid(101), keep_one(), would_go)?;
    assert_eq!((permit.host(), permit.vmid()), (host(), vmid(101)));
    assert_eq!(permit.node().as_str(), "pve1");
    assert_eq!(permit.storage().as_str(), "nas");
    assert_eq!(permit.expires(), Monotonic(1_000 + PERMIT_VALID_MS));
    assert_eq!(permit.epoch(), Epoch(5));
    Ok(permit.keep())
}

#[test]
fn pruning_needs_every_backup_of_the_guest_to_be_ours_or_protected() {
    let (records, mut rows) = three();
    // PVE could come to it if another backup were made meanwhile.
    let newest = Err(NoBackupPermit::NewestVerified(volid(2)));
    assert_eq!(prune(&records, &rows, &[volid(1)]), newest);
    rows[1].protected = true;
    assert_eq!(prune(&records, &rows, &[volid(1)]), Ok(keep_one()));
    let mut foreign = seen(&own(4, false));
    foreign.mark = None;
    rows.push(foreign.clone());
    let not_ours = Err(NoBackupPermit::NotOurs(volid(4)));
    assert_eq!(prune(&records, &rows, &[volid(1)]), not_ours);
    rows[3].protected = true;
    assert_eq!(prune(&records, &rows, &[volid(1)]), Ok(keep_one()));
    // Of another guest: PVE does not look at it.
    rows[3] = SeenBackup {
        vmid: Some(vmid(102)),
        ..foreign
    };
    assert_eq!(prune(&records, &rows, &[volid(1)]), Ok(keep_one()));
}

#[test]
fn pruning_names_what_goes_and_keeps_something() {
    let (records, mut rows) = three();
    rows[1].protected = true;
    assert_eq!(prune(&records, &rows, &[]), Err(NoBackupPermit::Nothing));
    let protected = Err(NoBackupPermit::Protected(volid(2)));
    assert_eq!(prune(&records, &rows, &[volid(2)]), protected);
    let none = listing(rows).prune_permit(&records, vmid(101), Keep::default(), &[volid(1)]);
    assert_eq!(none.unwrap_err(), NoBackupPermit::Nothing);
}
