//! What becomes of an app whose node is given up, and what is consent to it.

use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::{HostId, OperationId};
use proximity_domain::observe::Watched;
use uuid::Uuid;

use super::super::identity::tests::entry;
use super::*;

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn guest(operation: Option<(u128, bool)>) -> WatchedGuest {
    WatchedGuest {
        watched: Watched {
            guest: GuestId(Uuid::from_u128(3)),
            app: AppId(Uuid::from_u128(4)),
            place: ContainerRef {
                host: HostId(Uuid::from_u128(1)),
                node: node("pve3"),
                vmid: Vmid::try_from(101).unwrap(),
            },
            confirmed: true,
        },
        adopted: false,
        hostname: "web".parse().unwrap(),
        status: StatusLabel::Running,
        operation: operation.map(|(id, stuck)| (OperationId(Uuid::from_u128(id)), stuck)),
    }
}

#[test]
fn only_what_is_lost_and_left_alone_is_archived() {
    let of = |guest: &WatchedGuest, fate: &Fate, all| becomes(&[(guest, fate)], all);
    let why = |becomes: Becomes| match becomes {
        Becomes::Undecided { why } => why,
        Becomes::Archived { .. } | Becomes::Stays { .. } => panic!("{becomes:?}"),
    };
    let (idle, stuck) = (guest(None), guest(Some((5, true))));
    let at_work = guest(Some((5, false)));
    for listed in [true, false] {
        let lost = Fate::WithNode { listed };
        assert_eq!(of(&idle, &lost, 1), Becomes::Archived { listed });
        assert_eq!(of(&stuck, &lost, 1), Becomes::Archived { listed });
        let busy = why(of(&at_work, &lost, 1));
        assert!(busy.contains("proximity operations cancel"), "{busy}");
        let parted = why(of(&idle, &lost, 2));
        assert!(parted.contains("on another node too"), "{parted}");
    }
    let managed = why(of(&idle, &Fate::Managed, 1));
    assert!(managed.contains("ha-manager remove ct:101"), "{managed}");
    let untold = why(of(&idle, &Fate::Untold(node("pve1")), 1));
    assert!(untold.contains("the node pve1 is online"), "{untold}");
    let on = node("pve2");
    let elsewhere = Fate::Elsewhere(on.clone());
    for guest in [&idle, &stuck, &at_work] {
        assert_eq!(of(guest, &elsewhere, 1), Becomes::Stays { on: on.clone() });
    }
}

/// Neither may it be archived, nor has it stayed as it was.
#[test]
fn an_app_of_which_one_container_is_elsewhere_is_undecided() {
    let (one, lost) = (guest(None), Fate::WithNode { listed: true });
    let elsewhere = Fate::Elsewhere(node("pve2"));
    for fates in [[&elsewhere, &lost], [&lost, &elsewhere]] {
        let parted = becomes(&fates.map(|fate| (&one, fate)), 2);
        let Becomes::Undecided { why } = &parted else {
            panic!("{parted:?}")
        };
        assert!(why.contains("one of its containers is on pve2"), "{why}");
    }
    let both = becomes(&[(&one, &elsewhere), (&one, &elsewhere)], 2);
    assert_eq!(both, Becomes::Stays { on: node("pve2") });
}

fn loss(of: &[Becomes]) -> NodeLoss {
    let app = |becomes: &Becomes| AppLoss {
        app: AppId(Uuid::from_u128(4)),
        hostname: "web".parse().unwrap(),
        class: AppClass::Native,
        status: StatusLabel::Running,
        vmids: Vec::new(),
        ports: None,
        becomes: becomes.clone(),
        guests: Vec::new(),
        operation: None,
    };
    NodeLoss {
        host: entry("lab", "cluster:lab:pve1,pve3", Vec::new()),
        node: node("pve3"),
        is_member: false,
        unseen_nodes: Vec::new(),
        apps: of.iter().map(app).collect(),
        brake: Brake::Free,
        is_done: false,
    }
}

#[test]
fn consent_is_the_very_number_and_covers_all_that_is_shown() {
    let lost = Becomes::Archived { listed: true };
    let stays = Becomes::Stays { on: node("pve2") };
    let undecided = Becomes::Undecided {
        why: "an operation is at work on it".to_owned(),
    };
    let two = loss(&[lost.clone(), stays.clone(), lost.clone()]);
    assert_eq!(two.lost(), 2);
    assert!(two.consented(2).is_ok());
    for other in [0, 1, 3] {
        let refused = two.consented(other).unwrap_err();
        assert_eq!(refused.code(), "invalid_value");
        assert!(refused.fields().contains_key("confirm_lost"));
    }
    let none = loss(&[stays]);
    assert_eq!(none.consented(0).unwrap_err().code(), "invalid_value");
    let open = loss(&[lost, undecided]);
    let refused = open.consented(1).unwrap_err();
    assert_eq!(refused.code(), "node_in_use");
    assert!(!refused.hint().contains("delnode"), "{}", refused.hint());
    let said = refused.to_string();
    assert!(said.contains("web: an operation"), "{said}");
}
