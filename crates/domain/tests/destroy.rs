//! The way to a permit: every factor counts, every obstacle refuses, and only the right operation gets one.

#![allow(clippy::unwrap_used)] // helpers of tests are not test functions to clippy

use proptest::prelude::*;
use proximity_domain::destroy::{DestroyIntent, NoPermit, PERMIT_VALID_MS, Quorate, may_destroy};
use proximity_domain::guest::{
    ContainerIdentity, ContainerRef, GuestClass, NativeGuest, ObservedContainer, Ownership,
};
use proximity_domain::ids::{AppId, Epoch, GuestId, HostId, InstallationId, OperationId, Vmid};
use proximity_domain::mark::Mark;
use proximity_domain::names::{Mac, Volid};
use proximity_domain::operation::OperationKind;
use proximity_domain::time::Monotonic;
use uuid::Uuid;

fn creator() -> OperationId {
    OperationId(Uuid::from_u128(9))
}

fn guest() -> NativeGuest {
    let vmid = Vmid::try_from(101).unwrap();
    let app = AppId(Uuid::from_u128(2));
    NativeGuest {
        id: GuestId(Uuid::from_u128(7)),
        app,
        created_by: creator(),
        place: ContainerRef {
            host: HostId(Uuid::from_u128(1)),
            node: "pve1".parse().unwrap(),
            vmid,
        },
        identity: ContainerIdentity {
            vmid,
            mark: Mark {
                installation: InstallationId(Uuid::from_u128(3)),
                app,
                nonce: 4,
            },
            net0_mac: Mac::with_pve_prefix([1, 2, 3]),
            rootfs_volid: Some("local:101/vm-101-disk-0.raw".parse().unwrap()),
        },
        learned: None,
    }
}

fn seen(guest: &NativeGuest) -> ObservedContainer {
    ObservedContainer {
        place: guest.place.clone(),
        mark: Some(guest.identity.mark),
        net0_mac: Some(guest.identity.net0_mac),
        rootfs_volid: guest.identity.rootfs_volid.clone(),
        lock: None,
        protection: false,
        digest: "d".to_owned(),
        ha_managed: false,
        replicated: false,
    }
}

fn other_volume() -> Volid {
    "local:101/vm-101-disk-1.raw".parse().unwrap()
}

#[test]
fn all_four_factors_make_it_ours() {
    let g = guest();
    assert_eq!(g.owns(&seen(&g)), Ownership::Owned);
}

#[test]
fn an_unconfirmed_guest_is_learned_but_not_destroyed() {
    let mut g = guest();
    let look = seen(&g);
    g.identity.rootfs_volid = None;
    assert!(matches!(g.owns(&look), Ownership::OwnedUnconfirmed { .. }));
    assert!(matches!(
        g.verify(&look, Monotonic(0), Epoch(1)),
        Err(NoPermit::Conflict(_))
    ));
}

#[test]
fn a_container_without_description_is_waited_for_only_while_it_is_locked_by_create() {
    let mut g = guest();
    g.identity.rootfs_volid = None;
    let mut look = ObservedContainer {
        mark: None,
        ..seen(&g)
    };
    assert!(matches!(g.owns(&look), Ownership::Conflict(_)));
    look.lock = Some("create".to_owned());
    assert_eq!(g.owns(&look), Ownership::BeingCreated);
    // Once confirmed, a create lock on it means that somebody made another container there.
    assert!(matches!(guest().owns(&look), Ownership::Conflict(_)));
}

proptest! {
    // Any subset of wrong factors, however small, is a conflict and gives no permit.
    #[test]
    fn any_wrong_factor_is_a_conflict(wrong in 1_u8..32) {
        let g = guest();
        let mut look = seen(&g);
        if wrong & 1 != 0 { look.mark = Some(Mark { nonce: 5, ..g.identity.mark }); }
        if wrong & 2 != 0 { look.net0_mac = Some(Mac::with_pve_prefix([9, 9, 9])); }
        if wrong & 4 != 0 { look.rootfs_volid = Some(other_volume()); }
        if wrong & 8 != 0 { look.mark = None; }
        if wrong & 16 != 0 { look.place.vmid = Vmid::try_from(102).unwrap(); }
        prop_assert!(matches!(g.owns(&look), Ownership::Conflict(_)));
        prop_assert!(matches!(g.verify(&look, Monotonic(0), Epoch(1)), Err(NoPermit::Conflict(_))));
    }
}

/// The volume is learned from a guest that shows everything else, and from no other: what is learned stays on record.
#[test]
fn a_volume_is_not_learned_from_a_guest_with_a_wrong_factor() {
    let mut g = guest();
    g.identity.rootfs_volid = None;
    let wrongs: [fn(&mut ObservedContainer); 4] = [
        |look| look.mark = None,
        |look| look.mark = look.mark.map(|mark| Mark { nonce: 5, ..mark }),
        |look| look.net0_mac = Some(Mac::with_pve_prefix([9, 9, 9])),
        |look| look.place.vmid = Vmid::try_from(102).unwrap(),
    ];
    for (number, wrong) in wrongs.into_iter().enumerate() {
        let mut look = seen(&guest());
        wrong(&mut look);
        let owned = g.owns(&look);
        assert!(
            matches!(owned, Ownership::Conflict(_)),
            "{number}: {owned:?}"
        );
    }
}

/// Mark and MAC are random: who shows others of both is somebody else's. Who shows none may be ours, stripped of them.
#[test]
fn a_stranger_has_another_mark_or_mac_and_none_of_ours() {
    let g = guest();
    let (mark, mac) = (Some(g.identity.mark), Some(g.identity.net0_mac));
    let other_mark = Some(Mark {
        nonce: 5,
        ..g.identity.mark
    });
    let other_mac = Some(Mac::with_pve_prefix([9, 9, 9]));
    let table = [
        (mark, mac, false),
        (mark, None, false),
        (mark, other_mac, false),
        (None, mac, false),
        (other_mark, mac, false),
        (None, None, false),
        (None, other_mac, true),
        (other_mark, None, true),
        (other_mark, other_mac, true),
    ];
    for (mark, net0_mac, stranger) in table {
        let look = ObservedContainer {
            mark,
            net0_mac,
            ..seen(&g)
        };
        assert_eq!(g.shares_nothing_with(&look), stranger, "{look:?}");
    }
}

#[test]
fn classes_have_the_labels_that_are_stored() {
    let purpose = "rehearsal".to_owned();
    let classes = [
        GuestClass::Native,
        GuestClass::Ephemeral { purpose },
        GuestClass::Adopted,
    ];
    let labels = classes.map(|class| class.label());
    assert_eq!(labels, ["native", "ephemeral", "adopted"]);
}

#[test]
fn each_obstacle_refuses_by_name() {
    let g = guest();
    let refuse = |look: ObservedContainer| g.verify(&look, Monotonic(0), Epoch(1)).unwrap_err();
    assert!(matches!(
        refuse(ObservedContainer {
            protection: true,
            ..seen(&g)
        }),
        NoPermit::Protected(_)
    ));
    assert!(matches!(
        refuse(ObservedContainer {
            ha_managed: true,
            ..seen(&g)
        }),
        NoPermit::HaManaged(_)
    ));
    assert!(matches!(
        refuse(ObservedContainer {
            replicated: true,
            ..seen(&g)
        }),
        NoPermit::Replicated(_)
    ));
    let locked = ObservedContainer {
        lock: Some("backup".to_owned()),
        ..seen(&g)
    };
    assert!(matches!(refuse(locked), NoPermit::Locked { .. }));
    let verified = g.verify(&seen(&g), Monotonic(0), Epoch(1)).unwrap();
    let refused = verified.permit(
        OperationKind::Remove,
        DestroyIntent::RemovalRequested(creator()),
        Quorate(false),
    );
    assert_eq!(refused.unwrap_err(), NoPermit::NotQuorate);
}

#[test]
fn a_permit_lasts_five_seconds_from_the_start_of_the_read() {
    let g = guest();
    let verified = g.verify(&seen(&g), Monotonic(1_000), Epoch(3)).unwrap();
    let permit = verified
        .permit(
            OperationKind::Remove,
            DestroyIntent::RemovalRequested(creator()),
            Quorate(true),
        )
        .unwrap();
    assert_eq!(permit.expires(), Monotonic(1_000 + PERMIT_VALID_MS));
    assert_eq!(permit.place(), &g.place);
    assert_eq!(permit.epoch(), Epoch(3));
}

/// PVE's `purge` reaches beyond the container: only a request that says so gives a permit for it.
#[test]
fn only_a_request_that_says_so_purges() {
    let g = guest();
    let purges = |kind, intent| {
        let verified = g.verify(&seen(&g), Monotonic(0), Epoch(1)).unwrap();
        let permit = verified.permit(kind, intent, Quorate(true));
        permit.map(|permit| permit.purges())
    };
    let (remove, deploy) = (OperationKind::Remove, OperationKind::Deploy);
    let op = creator();
    assert_eq!(purges(remove, DestroyIntent::PurgeRequested(op)), Ok(true));
    let plain = purges(remove, DestroyIntent::RemovalRequested(op));
    assert_eq!(plain, Ok(false));
    let unwinding = purges(deploy, DestroyIntent::CreatorUnwinding(op));
    assert_eq!(unwinding, Ok(false));
    assert!(matches!(
        purges(deploy, DestroyIntent::PurgeRequested(op)),
        Err(NoPermit::NotThisOperation { .. })
    ));
}

#[test]
fn only_the_creator_may_unwind_a_guest() {
    let g = guest();
    let stranger = OperationId(Uuid::from_u128(10));
    let try_as = |op| {
        g.verify(&seen(&g), Monotonic(0), Epoch(1)).unwrap().permit(
            OperationKind::Deploy,
            DestroyIntent::CreatorUnwinding(op),
            Quorate(true),
        )
    };
    assert!(try_as(creator()).is_ok());
    assert!(matches!(
        try_as(stranger).unwrap_err(),
        NoPermit::NotTheCreator { .. }
    ));
}

#[test]
fn the_table_of_who_may_destroy() {
    let op = creator();
    let mut table = String::new();
    for kind in OperationKind::ALL {
        for (name, intent) in [
            ("removal_requested", DestroyIntent::RemovalRequested(op)),
            ("purge_requested", DestroyIntent::PurgeRequested(op)),
            ("creator_unwinding", DestroyIntent::CreatorUnwinding(op)),
        ] {
            table.push_str(&format!(
                "{:<8} {name:<18} {}\n",
                kind.label(),
                may_destroy(kind, intent)
            ));
        }
    }
    insta::assert_snapshot!(table);
}
