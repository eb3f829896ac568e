mod making;

use uuid::Uuid;

use super::*;
use crate::destroy::{NoPermit, Quorate};
use crate::guest::{NativeGuest, ObservedContainer, Ownership};
use crate::ids::{AppId, GuestId, InstallationId, OperationId, Vmid};
use crate::mark::Mark;
use crate::names::{Mac, Volid};
use crate::time::Monotonic;

const DAY_MS: i64 = 24 * 3_600 * 1_000;
const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn spot(node: &str) -> Spot {
    Spot {
        host: HostId(Uuid::from_u128(1)),
        node: node.parse().unwrap(),
        storage: "local".parse().unwrap(),
    }
}

fn base(packages: &[&str]) -> Base {
    let os_template = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst";
    let packages = packages.iter().map(|one| (*one).to_owned());
    Base::of(os_template.parse().unwrap(), 126_515_062, packages)
}

fn vmid(n: u32) -> Vmid {
    Vmid::try_from(n).unwrap()
}

fn volid(text: &str) -> Volid {
    text.parse().unwrap()
}

fn identity(n: u32, rootfs_volid: Option<Volid>) -> ContainerIdentity {
    ContainerIdentity {
        vmid: vmid(n),
        mark: Mark {
            installation: InstallationId(Uuid::from_u128(3)),
            app: AppId(Uuid::from_u128(n.into())),
            nonce: n.into(),
        },
        net0_mac: Mac::with_pve_prefix([0, 0, 1]),
        rootfs_volid,
    }
}

/// One that has been in its stage for three days.
fn kept(n: u32, stage: Stage, base: Base) -> Kept {
    let since = Timestamp(NOW.0 - 3 * DAY_MS);
    Kept {
        prepared: Prepared {
            id: PreparedId(Uuid::from_u128(n.into())),
            spot: spot("pve1"),
            base,
            disk_gib: 4,
            identity: identity(n, Some(volid(&format!("local:{n}/base-{n}-disk-0.raw")))),
            stage,
            recorded_at: since,
            stage_at: since,
            used_at: None,
        },
        clones: Clones::default(),
        sent: None,
    }
}

fn on() -> Policy {
    Policy {
        on: true,
        ..Policy::default()
    }
}

fn linked(n: u32) -> Clones {
    Clones {
        linked: n,
        unconfirmed: 0,
    }
}

#[test]
fn a_base_is_named_by_all_that_it_is_made_of_and_nothing_else() {
    let one = base(&["nginx-light", "curl"]);
    assert_eq!(one.key(), base(&["curl", "nginx-light", "curl"]).key());
    let text = one.key().to_string();
    assert_eq!(text.parse::<BaseKey>().unwrap(), one.key());
    let others = [
        base(&["nginx-light"]),
        base(&["nginx-lightcurl"]),
        base(&[]),
        Base {
            format: FORMAT + 1,
            ..one.clone()
        },
        Base {
            os_template: volid("local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst"),
            ..one.clone()
        },
        Base {
            os_template_bytes: one.os_template_bytes + 1,
            ..one.clone()
        },
    ];
    for (at, other) in others.iter().enumerate() {
        assert_ne!(other.key(), one.key(), "{other:?}");
        for another in &others[at + 1..] {
            assert_ne!(other.key(), another.key());
        }
    }
    let json = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<Base>(&json).unwrap(), one);
    for bad in ["", "ab", &"A".repeat(64), &"g".repeat(64), &"a".repeat(65)] {
        assert!(bad.parse::<BaseKey>().is_err(), "{bad:?}");
    }
}

#[test]
fn stages_are_read_back_and_lead_one_way() {
    for stage in Stage::ALL {
        assert_eq!(Stage::parse(stage.label()), Some(stage));
        assert!(!stage.may_become(stage));
        for next in Stage::ALL
            .into_iter()
            .filter(|next| stage.may_become(*next))
        {
            assert!(next > stage, "{stage:?} {next:?}");
        }
        let may_leave = stage.may_become(Stage::Leaving);
        assert_eq!(may_leave, stage != Stage::Leaving);
    }
    assert_eq!(Stage::parse("gone"), None);
}

#[test]
fn a_container_is_made_of_a_template_of_its_base_in_its_place_and_else_from_the_archive() {
    let nginx = base(&["nginx-light"]);
    let key = nginx.key();
    let here = spot("pve1");
    let ask = Ask {
        spot: &here,
        key: &key,
        disk_gib: 4,
        links: true,
    };
    let ready = kept(100, Stage::Ready, nginx.clone());
    let id = ready.prepared.id;
    let stock = [kept(101, Stage::Ready, base(&["caddy"])), ready.clone()];
    let made = |stock: &[Kept], ask: &Ask<'_>| way(stock, ask, &on(), NOW);
    assert_eq!(made(&stock, &ask), Way::Linked(id));
    let whole = Ask {
        links: false,
        ..ask
    };
    assert_eq!(made(&stock, &whole), Way::Whole(id));
    let off = way(&stock, &ask, &Policy::default(), NOW);
    assert_eq!(off, Way::FromArchive(WhyArchive::Off));
    for disk_gib in [3, 5] {
        let other = Ask { disk_gib, ..ask };
        let made = made(&stock, &other);
        assert_eq!(made, Way::FromArchive(WhyArchive::OtherSize));
    }
    let elsewhere = spot("pve2");
    let other = Ask {
        spot: &elsewhere,
        ..ask
    };
    assert_eq!(made(&stock, &other), Way::FromArchive(WhyArchive::NotThere));
    assert_eq!(
        made(&stock[..1], &ask),
        Way::FromArchive(WhyArchive::NotThere)
    );
    for (stage, why) in [
        (Stage::Creating, WhyArchive::NotReady),
        (Stage::Filling, WhyArchive::NotReady),
        (Stage::Converting, WhyArchive::NotReady),
        (Stage::Leaving, WhyArchive::NotThere),
    ] {
        let stock = [kept(100, stage, nginx.clone())];
        assert_eq!(made(&stock, &ask), Way::FromArchive(why), "{stage:?}");
    }
    let old = Timestamp(ready.prepared.stage_at.0 + on().fresh_ms);
    let just = Timestamp(old.0 - 1);
    assert_eq!(way(&stock, &ask, &on(), just), Way::Linked(id));
    assert_eq!(
        way(&stock, &ask, &on(), old),
        Way::FromArchive(WhyArchive::TooOld)
    );
}

#[test]
fn what_would_be_cloned_is_told_from_the_record_alone() {
    let nginx = base(&["nginx-light"]);
    let stock = [kept(100, Stage::Ready, nginx.clone())];
    let here = spot("pve1");
    let guess = Guess {
        spot: &here,
        os_template: &nginx.os_template,
        packages: &nginx.packages,
        disk_gib: 4,
    };
    assert_eq!(likely(&stock, &guess, &on(), NOW), Some(vmid(100)));
    assert_eq!(likely(&stock, &guess, &Policy::default(), NOW), None);
    let larger = Guess {
        disk_gib: 5,
        ..guess
    };
    assert_eq!(likely(&stock, &larger, &on(), NOW), None);
    let caddy = base(&["caddy"]);
    let other = Guess {
        packages: &caddy.packages,
        ..guess
    };
    assert_eq!(likely(&stock, &other, &on(), NOW), None);
    let leaves = [kept(100, Stage::Leaving, nginx.clone())];
    assert_eq!(likely(&leaves, &guess, &on(), NOW), None);
}

#[test]
fn one_is_made_once_a_base_is_deployed_again_where_there_is_room() {
    let nginx = base(&["nginx-light"]);
    let key = nginx.key();
    let here = spot("pve1");
    let wish = Wish {
        spot: &here,
        key: &key,
        disk_gib: 4,
        deploys: 2,
    };
    let asked = |stock: &[Kept], wish: &Wish<'_>| is_worth_making(stock, wish, &on());
    assert_eq!(asked(&[], &wish), Ok(()));
    let off = is_worth_making(&[], &wish, &Policy::default());
    assert_eq!(off, Err(NotWorth::Off));
    let first = Wish { deploys: 1, ..wish };
    assert_eq!(asked(&[], &first), Err(NotWorth::TooSeldom));
    for stage in Stage::ALL {
        let stock = [kept(100, stage, nginx.clone())];
        // One that leaves is in nobody's way but takes its room.
        let expected = match stage {
            Stage::Leaving => Ok(()),
            Stage::Creating | Stage::Filling | Stage::Converting | Stage::Ready => {
                Err(NotWorth::IsThere)
            }
        };
        assert_eq!(asked(&stock, &wish), expected, "{stage:?}");
    }
    let others = |count: u32| -> Vec<Kept> {
        let one = |n: u32| kept(100 + n, Stage::Leaving, base(&["caddy"]));
        (0..count).map(one).collect()
    };
    assert_eq!(asked(&others(3), &wish), Ok(()));
    assert_eq!(asked(&others(4), &wish), Err(NotWorth::Full));
    let large = Wish {
        disk_gib: 29,
        ..wish
    };
    assert_eq!(asked(&others(1), &large), Err(NotWorth::Full));
    let fits = Wish {
        disk_gib: 28,
        ..wish
    };
    assert_eq!(asked(&others(1), &fits), Ok(()));
    let elsewhere = spot("pve2");
    let other = Wish {
        spot: &elsewhere,
        ..wish
    };
    assert_eq!(asked(&others(4), &other), Ok(()), "each place by itself");
}

#[test]
fn those_that_had_their_time_leave_with_the_reason() {
    let ready = kept(100, Stage::Ready, base(&["nginx-light"]));
    let told = |kept: &Kept, archive: Archive, policy: &Policy, now: Timestamp| {
        let all = leaving(std::slice::from_ref(kept), |_| archive, policy, now);
        all.into_iter().map(|(_, why)| why).next()
    };
    let same = |kept: &Kept, now: Timestamp| told(kept, Archive::Same, &on(), now);
    assert_eq!(same(&ready, NOW), None);
    assert_eq!(told(&ready, Archive::Unknown, &on(), NOW), None);
    assert_eq!(
        told(&ready, Archive::Other, &on(), NOW),
        Some(Leaves::ArchiveChanged)
    );
    let mut older = ready.clone();
    older.prepared.base.format = FORMAT - 1;
    assert_eq!(same(&older, NOW), Some(Leaves::OldFormat));
    let made_at = ready.prepared.stage_at.0;
    let late = Timestamp(made_at + on().fresh_ms);
    assert_eq!(same(&ready, late), Some(Leaves::TooOld));
    let patient = Policy {
        fresh_ms: i64::MAX,
        ..on()
    };
    let unused = Timestamp(made_at + patient.unused_ms);
    let of_use = told(&ready, Archive::Same, &patient, unused);
    assert_eq!(of_use, Some(Leaves::Unused));
    let mut used = ready.clone();
    used.prepared.used_at = Some(Timestamp(made_at + 1));
    assert_eq!(told(&used, Archive::Same, &patient, unused), None);
    let back = Timestamp(made_at - 90 * DAY_MS);
    assert_eq!(same(&ready, back), None, "the clock was set back");
    for stage in Stage::ALL {
        let one = kept(100, stage, base(&[]));
        let off = told(&one, Archive::Other, &Policy::default(), late);
        assert_eq!(off, (stage != Stage::Leaving).then_some(Leaves::Off));
        let under_way = told(&one, Archive::Other, &on(), late);
        let expected = (stage == Stage::Ready).then_some(Leaves::ArchiveChanged);
        assert_eq!(under_way, expected, "{stage:?}");
    }
}

#[test]
fn of_too_many_those_go_that_were_of_no_use_for_longest() {
    let mut stock: Vec<Kept> = (0..6)
        .map(|n: u32| {
            kept(
                100 + n,
                Stage::Ready,
                base(&[format!("package-{n}").as_str()]),
            )
        })
        .collect();
    for (n, one) in (0..).zip(&mut stock) {
        one.prepared.used_at = Some(Timestamp(NOW.0 - n * 1_000));
    }
    stock[5].prepared.stage = Stage::Filling;
    stock[0].prepared.spot = spot("pve2");
    let policy = Policy { most: 3, ..on() };
    let gone = leaving(&stock, |_| Archive::Same, &policy, NOW);
    let ids: Vec<PreparedId> = gone.iter().map(|(id, _)| *id).collect();
    assert!(gone.iter().all(|(_, why)| *why == Leaves::TooMany));
    assert_eq!(ids, [stock[3].prepared.id, stock[4].prepared.id]);
    let narrow = Policy {
        most_gib: 8,
        ..on()
    };
    assert_eq!(leaving(&stock, |_| Archive::Same, &narrow, NOW).len(), 3);
}

#[test]
fn none_is_destroyed_that_something_hangs_on() {
    let mut one = kept(100, Stage::Leaving, base(&[]));
    assert!(is_over(&one));
    for clones in [
        linked(1),
        Clones {
            linked: 0,
            unconfirmed: 1,
        },
    ] {
        one.clones = clones;
        assert!(!is_over(&one));
        let sight = sight(&one, false, true);
        assert_eq!(next(&one, &Seen::Ours(sight)), Act::Rest);
    }
    for stage in Stage::ALL.into_iter().filter(|s| *s != Stage::Leaving) {
        assert!(!is_over(&kept(100, stage, base(&[]))));
    }
}

fn sight(kept: &Kept, running: bool, template: bool) -> Sight {
    let identity = &kept.prepared.identity;
    Sight {
        rootfs_volid: identity.rootfs_volid.clone().unwrap(),
        running,
        template,
        filled: false,
        woken: false,
        locked: false,
    }
}

fn seen(identity: &ContainerIdentity) -> ObservedContainer {
    ObservedContainer {
        place: ContainerRef {
            host: spot("pve1").host,
            node: spot("pve1").node,
            vmid: identity.vmid,
        },
        mark: Some(identity.mark),
        net0_mac: Some(identity.net0_mac),
        rootfs_volid: identity.rootfs_volid.clone(),
        lock: None,
        protection: false,
        digest: "ab".to_owned(),
        ha_managed: false,
        replicated: false,
    }
}

#[test]
fn a_permit_is_for_a_template_that_is_over_and_provably_ours() {
    let over = kept(100, Stage::Leaving, base(&[]));
    let now = seen(&over.prepared.identity);
    let asked = |kept: &Kept, seen: &ObservedContainer, quorate: bool| {
        let permit = kept.permit(seen, true, Monotonic(7), Quorate(quorate));
        permit.map(|permit| (permit.place().clone(), permit.purges()))
    };
    let place = over.prepared.place();
    assert_eq!(asked(&over, &now, true).unwrap(), (place, false));
    assert_eq!(asked(&over, &now, false).unwrap_err(), NoPermit::NotQuorate);
    let mut needed = over.clone();
    needed.clones = linked(1);
    for kept in [needed, kept(100, Stage::Ready, base(&[]))] {
        let refused = asked(&kept, &now, true).unwrap_err();
        assert_eq!(refused, NoPermit::StillNeeded(vmid(100)));
    }
    let mut unseen = over.clone();
    unseen.prepared.identity.rootfs_volid = None;
    assert!(asked(&unseen, &now, true).is_err(), "no look was recorded");
    let other = identity(101, None);
    let changes: [Change; 6] = [
        |seen, other| seen.mark = Some(other.mark),
        |seen, _| seen.net0_mac = Some(Mac::with_pve_prefix([9, 9, 9])),
        |seen, _| seen.rootfs_volid = None,
        |seen, _| seen.lock = Some("disk".to_owned()),
        |seen, _| seen.protection = true,
        |seen, _| seen.ha_managed = true,
    ];
    for change in changes {
        let mut changed = now.clone();
        change(&mut changed, &other);
        assert!(asked(&over, &changed, true).is_err(), "{changed:?}");
    }
}

/// Makes what was seen differ from what is recorded, in one thing or another.
type Change = fn(&mut ObservedContainer, &ContainerIdentity);

#[test]
fn a_template_is_known_by_every_factor_and_its_volume_may_change_once() {
    let mut one = kept(100, Stage::Converting, base(&[])).prepared;
    one.identity.rootfs_volid = Some(volid("local:100/vm-100-disk-0.raw"));
    let mut now = seen(&one.identity);
    assert_eq!(one.owns(&now, false), Ownership::Owned);
    let converted = volid("local:100/base-100-disk-0.raw");
    now.rootfs_volid = Some(converted.clone());
    let learned = Ownership::OwnedUnconfirmed {
        rootfs_volid: converted,
    };
    let is_conflict = |owned: Ownership| matches!(owned, Ownership::Conflict(_));
    assert!(is_conflict(one.owns(&now, false)), "it is no template");
    for stage in Stage::ALL {
        one.stage = stage;
        let may = matches!(stage, Stage::Converting | Stage::Leaving);
        let owned = one.owns(&now, true);
        assert_eq!(owned == learned, may, "{stage:?}: {owned:?}");
        assert_eq!(is_conflict(owned), !may, "{stage:?}");
    }
    for name in [
        "local:100/base-101-disk-0.raw",
        "local:100/vm-100-disk-1.raw",
        "local:100/base-100-disk-1.raw",
        "local:101/base-100-disk-0.raw",
        "local:100/basevol-100-disk-0.raw",
        "other:100/base-100-disk-0.raw",
        "local:base-1000-disk-0",
    ] {
        now.rootfs_volid = Some(volid(name));
        assert!(is_conflict(one.owns(&now, true)), "{name}");
    }
    one.identity.rootfs_volid = Some(volid("tank:subvol-100-disk-0"));
    now.rootfs_volid = Some(volid("tank:basevol-100-disk-0"));
    assert!(!is_conflict(one.owns(&now, true)));
    // Once it has the name of a template's, no other one is its own.
    let mut known = one.clone();
    known.identity.rootfs_volid = Some(volid("tank:basevol-100-disk-0"));
    let mut other = now.clone();
    for name in ["tank:basevol-100-disk-1", "tank:subvol-100-disk-0"] {
        other.rootfs_volid = Some(volid(name));
        assert!(is_conflict(known.owns(&other, true)), "{name}");
    }
    let stranger = identity(101, None);
    let changes: [Change; 4] = [
        |seen, other| seen.mark = Some(other.mark),
        |seen, _| seen.net0_mac = Some(Mac::with_pve_prefix([9, 9, 9])),
        |seen, other| seen.place.vmid = other.vmid,
        |seen, _| seen.place.host = HostId(Uuid::from_u128(8)),
    ];
    for change in changes {
        let mut other = now.clone();
        change(&mut other, &stranger);
        assert!(is_conflict(one.owns(&other, true)), "{other:?}");
    }
}

fn cloned(n: u32) -> NativeGuest {
    NativeGuest {
        id: GuestId(Uuid::from_u128(7)),
        app: AppId(Uuid::from_u128(n.into())),
        created_by: OperationId(Uuid::from_u128(9)),
        place: ContainerRef {
            host: spot("pve1").host,
            node: spot("pve1").node,
            vmid: vmid(n),
        },
        identity: identity(n, None),
        learned: None,
    }
}

#[test]
fn a_clone_without_its_address_is_ours_for_the_call_that_gives_it() {
    let guest = cloned(103);
    let root = volid("local:100/base-100-disk-0.raw/103/vm-103-disk-0.raw");
    let mut now = seen(&guest.identity);
    now.rootfs_volid = Some(root.clone());
    now.net0_mac = Some(Mac::with_pve_prefix([7, 7, 7]));
    let unaddressed = CloneStanding::Unaddressed {
        rootfs_volid: root.clone(),
        digest: "ab".to_owned(),
    };
    assert_eq!(clone_standing(&guest, &now, true), unaddressed);
    let is_other = |standing: CloneStanding| {
        matches!(
            standing,
            CloneStanding::Whole(Ownership::Conflict(_) | Ownership::BeingCreated)
        )
    };
    assert!(is_other(clone_standing(&guest, &now, false)), "by whom?");
    let stranger = identity(104, None);
    let changes: [Change; 8] = [
        |seen, other| seen.mark = Some(other.mark),
        |seen, _| seen.mark = None,
        |seen, _| seen.net0_mac = None,
        |seen, _| seen.rootfs_volid = None,
        |seen, _| seen.lock = Some("disk".to_owned()),
        |seen, other| seen.place.vmid = other.vmid,
        |seen, _| seen.place.host = HostId(Uuid::from_u128(8)),
        |seen, _| {
            seen.lock = Some("create".to_owned());
            seen.mark = None;
        },
    ];
    for change in changes {
        let mut other = now.clone();
        change(&mut other, &stranger);
        assert!(is_other(clone_standing(&guest, &other, true)), "{other:?}");
    }
    // With its address it shows everything, and what it shows is recorded.
    now.net0_mac = Some(guest.identity.net0_mac);
    let confirmed = Ownership::OwnedUnconfirmed {
        rootfs_volid: root.clone(),
    };
    let standing = clone_standing(&guest, &now, true);
    assert_eq!(standing, CloneStanding::Whole(confirmed));
    // From then on another MAC is a conflict, whoever made it.
    let mut known = guest;
    known.identity.rootfs_volid = Some(root);
    now.net0_mac = Some(Mac::with_pve_prefix([7, 7, 7]));
    assert!(is_other(clone_standing(&known, &now, true)));
}
