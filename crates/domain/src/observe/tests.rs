//! Tables of what a look shows, and what it must never be taken for.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::guest::ContainerRef;
use crate::ids::{AppId, GuestId, HostId, Vmid};
use crate::names::{NodeName, PoolName};
use crate::time::Timestamp;

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn host() -> HostId {
    HostId(Uuid::from_u128(1))
}

fn vmid(n: u32) -> Vmid {
    Vmid::try_from(n).unwrap()
}

fn guest(n: u32, node: u32) -> SeenGuest {
    SeenGuest {
        vmid: vmid(n),
        node,
        kind: Kind::Container,
        power: ListedPower::Running,
        pool: None,
        face: None,
    }
}

/// pve1 and pve2 online, pve3 off; 103 is listed on pve1, 101 on pve2, 102 on pve3.
fn look() -> Inventory {
    let member = |name, online| NodeSeen {
        name: node(name),
        online,
    };
    Inventory {
        host: host(),
        by: Some(node("pve1")),
        at: Some(node("pve1")),
        cluster: Some("lab".to_owned()),
        quorate: true,
        nodes: vec![
            member("pve1", true),
            member("pve2", true),
            member("pve3", false),
        ],
        list_nodes: vec![node("pve1"), node("pve2"), node("pve3")],
        list_pools: vec!["apps".parse().unwrap()],
        guests: vec![guest(103, 0), guest(101, 1), guest(102, 2)],
    }
}

fn known() -> Vec<NodeName> {
    vec![node("pve1"), node("pve2"), node("pve3")]
}

fn complete(look: Inventory) -> Result<CompleteInventory, Incomplete> {
    complete_with(look, Sight::All)
}

fn complete_with(look: Inventory, sight: Sight) -> Result<CompleteInventory, Incomplete> {
    let known = known();
    let expected = Expected {
        cluster: Some("lab"),
        known_nodes: &known,
    };
    look.complete(&expected, sight)
}

#[test]
fn a_look_is_complete_only_if_every_condition_holds() {
    let whole = complete(look()).unwrap();
    assert_eq!((whole.guests(), whole.nodes().len()), (3, 3));
    let amiss = |change: fn(&mut Inventory)| {
        let mut seen = look();
        change(&mut seen);
        complete(seen).unwrap_err()
    };
    assert_eq!(amiss(|l| l.quorate = false), Incomplete::NoQuorum);
    let other = Incomplete::OtherCluster {
        expected: "lab".to_owned(),
    };
    assert_eq!(amiss(|l| l.cluster = Some("other".to_owned())), other);
    assert_eq!(amiss(|l| l.cluster = None), other);
    assert_eq!(
        amiss(|l| l.nodes.truncate(2)),
        Incomplete::Unlisted(node("pve3"))
    );
    assert_eq!(
        amiss(|l| l.list_nodes[2] = node("pve9")),
        Incomplete::Stray(node("pve9"))
    );
    assert_eq!(
        amiss(|l| l.guests.push(guest(101, 0))),
        Incomplete::Twice(vmid(101))
    );
    assert_eq!(
        complete_with(look(), Sight::NotAll),
        Err(Incomplete::MayNotSeeAll)
    );
}

#[test]
fn a_standalone_node_has_no_cluster_to_be_of() {
    let seen = Inventory {
        cluster: None,
        nodes: vec![NodeSeen {
            name: node("pve1"),
            online: true,
        }],
        list_nodes: Vec::new(),
        guests: Vec::new(),
        ..look()
    };
    let known = vec![node("pve1")];
    let expected = Expected {
        cluster: None,
        known_nodes: &known,
    };
    assert!(seen.complete(&expected, Sight::All).is_ok());
}

fn place(node_name: &str, n: u32) -> ContainerRef {
    ContainerRef {
        host: host(),
        node: node(node_name),
        vmid: vmid(n),
    }
}

#[test]
fn sightings_of_a_record() {
    let mut seen = look();
    seen.guests.push(SeenGuest {
        kind: Kind::Machine,
        ..guest(104, 0)
    });
    let seen = complete(seen).unwrap();
    let running = ListedPower::Running;
    let sight = |name, n| seen.sight(&place(name, n));
    assert_eq!(sight("pve1", 103), Sighting::Here(running));
    assert_eq!(
        sight("pve1", 101),
        Sighting::Elsewhere(&node("pve2"), running)
    );
    assert_eq!(sight("pve1", 104), Sighting::Machine(&node("pve1")));
    assert_eq!(
        sight("pve3", 102),
        Sighting::Unknown,
        "listed on a node that is off"
    );
    assert_eq!(
        sight("pve1", 102),
        Sighting::Unknown,
        "moved to a node that is off"
    );
    assert_eq!(sight("pve3", 199), Sighting::Unknown, "its node is off");
    assert_eq!(sight("pve1", 199), Sighting::Missing);
    assert_eq!(
        sight("pve9", 199),
        Sighting::Unknown,
        "its node is no member, and nobody said that it has left for good"
    );
    let elsewhere = ContainerRef {
        host: HostId(Uuid::from_u128(2)),
        ..place("pve1", 199)
    };
    assert_eq!(
        seen.sight(&elsewhere),
        Sighting::Unknown,
        "another cluster's"
    );
}

#[test]
fn a_guest_s_pool_is_that_of_its_row() {
    let mut seen = look();
    seen.guests[0].pool = Some(0);
    seen.guests[1].pool = Some(1);
    let seen = complete(seen).unwrap();
    let pool = |n| seen.pool(vmid(n)).map(PoolName::as_str);
    assert_eq!(pool(103), Some("apps"));
    assert_eq!(pool(101), None, "the list mentions no second pool");
    assert_eq!((pool(102), pool(199)), (None, None));
}

fn watched() -> Watched {
    Watched {
        guest: GuestId(Uuid::from_u128(3)),
        app: AppId(Uuid::from_u128(4)),
        place: place("pve1", 199),
        confirmed: true,
    }
}

fn ripe() -> Suspicion {
    Suspicion {
        since: Timestamp(7),
        looks: 3,
        last: Timestamp(60_007),
    }
}

#[test]
fn absence_is_proven_by_all_its_parts_and_by_nothing_less() {
    let seen = complete(look()).unwrap();
    let none = |name: &str| DirectRead::DoesNotExist(node(name));
    let read = [none("pve1"), none("pve2")];
    let prove = |watched: &Watched, suspicion: &Suspicion, sight, reads: &[DirectRead]| {
        ProvenAbsent::prove(watched, suspicion, &seen, sight, reads, &Others::default())
    };
    let proven = prove(&watched(), &ripe(), Sight::All, &read).unwrap();
    assert_eq!(
        (proven.guest(), proven.app()),
        (watched().guest, watched().app)
    );
    assert_eq!(proven.since(), Timestamp(7));
    assert_eq!(
        proven.evidence(),
        "the list of pve1 lacks it, and no other was to be had; each node that is online says that it does not have it"
    );

    let unconfirmed = Watched {
        confirmed: false,
        ..watched()
    };
    let there = Watched {
        place: place("pve1", 103),
        ..watched()
    };
    let off = Watched {
        place: place("pve3", 199),
        ..watched()
    };
    let green = Suspicion { looks: 2, ..ripe() };
    let (all, not_all) = (Sight::All, Sight::NotAll);
    let elsewhere = [none("pve1"), DirectRead::Exists];
    let one_hangs = [none("pve1"), DirectRead::Unknown];
    let of_others = [none("pve1"), none("pve3"), none("pve9")];
    let silent = NotProven::NotStoodIn {
        silent: node("pve2"),
        own: node("pve1"),
    };
    for (result, why) in [
        (
            prove(&unconfirmed, &ripe(), all, &read),
            NotProven::Unconfirmed,
        ),
        (
            prove(&watched(), &green, all, &read),
            NotProven::TooFewLooks,
        ),
        (prove(&there, &ripe(), all, &read), NotProven::NotMissing),
        (prove(&off, &ripe(), all, &read), NotProven::NotMissing),
        (
            prove(&watched(), &ripe(), not_all, &read),
            NotProven::MayNotSee,
        ),
        (
            prove(&watched(), &ripe(), all, &elsewhere),
            NotProven::Exists,
        ),
        (prove(&watched(), &ripe(), all, &one_hangs), silent.clone()),
        (prove(&watched(), &ripe(), all, &of_others), silent),
        (
            prove(&watched(), &ripe(), all, &[]),
            NotProven::NotSaid(node("pve1")),
        ),
    ] {
        assert_eq!(result, Err(why));
    }
}

/// The look of this node, without 199, which is recorded on pve1.
fn look_of(name: &str) -> CompleteInventory {
    complete(Inventory {
        by: Some(node(name)),
        at: Some(node(name)),
        ..look()
    })
    .unwrap()
}

/// What other nodes say, each of which gave its list.
fn others(looks: &[CompleteInventory]) -> Others {
    Others {
        looks: looks.to_vec(),
        unread: Vec::new(),
    }
}

/// The node that answers stood still before the container came to be, and it is on one that is off.
#[test]
fn another_list_that_has_it_contradicts() {
    let newest = look_of("pve1");
    let reads = ["pve1", "pve2"].map(|name| DirectRead::DoesNotExist(node(name)));
    let prove = |looks: &[CompleteInventory]| {
        let (watched, ripe, others) = (watched(), ripe(), others(looks));
        ProvenAbsent::prove(&watched, &ripe, &newest, Sight::All, &reads, &others)
    };
    let agreed = prove(&[look_of("pve2")]).unwrap();
    assert!(
        agreed
            .evidence()
            .starts_with("the lists of pve1, pve2 lack it;"),
        "{}",
        agreed.evidence()
    );
    let by_pve2 = || Inventory {
        by: Some(node("pve2")),
        at: Some(node("pve2")),
        ..look()
    };
    let contradicted = Err(NotProven::Contradicted {
        other: Some(node("pve2")),
        newest: Some(node("pve1")),
    });
    for at in [0, 1, 2] {
        let mut seen = by_pve2();
        seen.guests.push(guest(199, at));
        let has_it = complete(seen).unwrap();
        assert_eq!(
            prove(std::slice::from_ref(&has_it)),
            contradicted,
            "on {at}"
        );
        assert_eq!(prove(&[look_of("pve3"), has_it]), contradicted);
    }
    let mut seen = by_pve2();
    seen.nodes[0].online = false;
    let has_its_node_off = complete(seen).unwrap();
    assert_eq!(prove(&[has_its_node_off]), contradicted);
    let mut seen = by_pve2();
    seen.nodes[2].online = true;
    let has_another_online = complete(seen).unwrap();
    let unheard = prove(&[has_another_online]).unwrap();
    assert!(
        unheard.evidence().ends_with("but for pve3, not heard"),
        "pve2 has it online, and it said nothing: {}",
        unheard.evidence()
    );
}

/// One that hangs for days keeps nothing else from being proven: what the guest's own node and one more know of the whole
/// cluster tells what it has.
#[test]
fn the_lists_of_its_own_node_and_of_one_more_stand_in_for_a_node_that_is_silent() {
    let none = |name: &str| DirectRead::DoesNotExist(node(name));
    let prove = |newest: &str, looks: &[&str], reads: &[DirectRead]| {
        let looks: Vec<_> = looks.iter().map(|name| look_of(name)).collect();
        let (watched, ripe, others) = (watched(), ripe(), others(&looks));
        let newest = look_of(newest);
        ProvenAbsent::prove(&watched, &ripe, &newest, Sight::All, reads, &others)
    };
    let hangs = [none("pve1"), DirectRead::Unknown];
    for (newest, others) in [
        ("pve1", &["pve2"][..]),
        ("pve2", &["pve1"][..]),
        ("pve2", &["pve3", "pve1"][..]),
    ] {
        let proven = prove(newest, others, &hangs).unwrap();
        let evidence = proven.evidence();
        assert!(evidence.ends_with("but for pve2, not heard"), "{evidence}");
    }
    let not_stood_in = || {
        Err(NotProven::NotStoodIn {
            silent: node("pve2"),
            own: node("pve1"),
        })
    };
    for (newest, others) in [
        ("pve1", &[][..]),
        ("pve1", &["pve1"][..]),
        ("pve2", &["pve3"][..]),
    ] {
        assert_eq!(prove(newest, others, &hangs), not_stood_in(), "{newest}");
    }
    // Its own node has to say so itself.
    let own_hangs = [none("pve2"), DirectRead::Unknown];
    let not_said = || Err(NotProven::NotSaid(node("pve1")));
    assert_eq!(prove("pve1", &["pve2"], &own_hangs), not_said());
    let both_hang = [DirectRead::Unknown, DirectRead::Unknown];
    assert_eq!(prove("pve1", &[], &both_hang), not_said());
}

/// An address leads to several nodes: that one of them said who it is tells nothing of who gave the list after it.
#[test]
fn a_list_stands_in_for_the_node_alone_at_whose_own_address_it_was_read() {
    let reads = [DirectRead::DoesNotExist(node("pve1")), DirectRead::Unknown];
    let at = |by: &str, at: Option<&str>| {
        let seen = Inventory {
            by: Some(node(by)),
            at: at.map(node),
            ..look()
        };
        complete(seen).unwrap()
    };
    let prove = |newest: &CompleteInventory, other: CompleteInventory| {
        let (watched, ripe, others) = (watched(), ripe(), others(&[other]));
        ProvenAbsent::prove(&watched, &ripe, newest, Sight::All, &reads, &others)
    };
    let (own, other) = (at("pve1", Some("pve1")), at("pve2", Some("pve2")));
    assert!(prove(&own, other.clone()).is_ok());
    let not_stood_in = Err(NotProven::NotStoodIn {
        silent: node("pve2"),
        own: node("pve1"),
    });
    for elsewhere in [None, Some("pve3")] {
        let unsure = at("pve1", elsewhere);
        assert_eq!(unsure.own_word(), None);
        assert_eq!(prove(&unsure, other.clone()), not_stood_in);
        let unsure = at("pve2", elsewhere);
        assert_eq!(prove(&own, unsure), not_stood_in, "the second list");
    }
}

/// It answers, and is too slow with its list, or that cannot be read: it may be the only one that has the container on a node that
/// is off.
#[test]
fn a_list_that_was_not_read_is_done_without_where_two_stand_in_for_it() {
    let reads = ["pve1", "pve2"].map(|name| DirectRead::DoesNotExist(node(name)));
    let prove = |newest: &str, looks: &[&str], unread: &str| {
        let looks: Vec<_> = looks.iter().map(|name| look_of(name)).collect();
        let mut others = others(&looks);
        others.unread.push(Unread {
            whose: Whose::Node(node(unread)),
            why: "too late".to_owned(),
        });
        let (watched, ripe) = (watched(), ripe());
        let newest = look_of(newest);
        ProvenAbsent::prove(&watched, &ripe, &newest, Sight::All, &reads, &others)
    };
    let evidence = prove("pve1", &["pve3"], "pve2").unwrap().evidence();
    let told = "the lists of pve1, pve3 lack it, that of pve2 was not read;";
    assert!(evidence.starts_with(told), "{evidence}");
    for (newest, looks, unread) in [
        ("pve1", &[][..], "pve2"),
        ("pve2", &[][..], "pve1"),
        ("pve2", &["pve3"][..], "pve1"),
    ] {
        let why = prove(newest, looks, unread).unwrap_err();
        let not_read = NotProven::ListUnread {
            whose: Whose::Node(node(unread)),
            why: "too late".to_owned(),
            own: node("pve1"),
        };
        assert_eq!(why, not_read);
    }
}

fn some_look() -> impl Strategy<Value = Inventory> {
    let guests = prop::collection::btree_map(100u32..140, (0u32..3, any::<bool>()), 0..30);
    (guests, any::<[bool; 3]>()).prop_map(|(guests, online)| {
        let mut seen = look();
        for (member, online) in seen.nodes.iter_mut().zip(online) {
            member.online = online;
        }
        seen.guests = guests
            .into_iter()
            .map(|(n, (node, machine))| SeenGuest {
                kind: if machine {
                    Kind::Machine
                } else {
                    Kind::Container
                },
                ..guest(n, node)
            })
            .collect();
        seen
    })
}

proptest! {
    #[test]
    fn what_is_listed_or_on_a_node_that_is_off_is_never_missing(
        seen in some_look(),
        n in 100u32..140,
        at in 0usize..3,
    ) {
        let names = known();
        let recorded = ContainerRef { host: host(), node: names[at].clone(), vmid: vmid(n) };
        let listed = seen.guests.iter().any(|g| g.vmid == vmid(n));
        let online = seen.nodes[at].online;
        let whole = complete(seen).unwrap();
        let missing = whole.sight(&recorded) == Sighting::Missing;
        prop_assert_eq!(missing, !listed && online);
    }
}
