//! Networks, root's access, host names and who is kept apart from whom.

use super::*;
use crate::made_with::RootAccess;
use crate::network::{Network, NetworkWish};
use crate::site::Site;

fn network(vlan: Option<u32>, bridge: Option<&str>) -> Network {
    let wish = NetworkWish {
        vlan,
        bridge: bridge.map(str::to_owned),
        ..NetworkWish::default()
    };
    wish.check().unwrap()
}

fn site(name: &str) -> Site {
    Site {
        name: name.parse().unwrap(),
        certificate: None,
    }
}

fn names(all: &[&str]) -> Vec<Hostname> {
    all.iter().map(|name| name.parse().unwrap()).collect()
}

#[test]
fn what_a_document_says_nothing_of_is_left_as_it_is() {
    let mut one = recorded("web", 105, AppClass::Native);
    one.made_with = MadeWith {
        network: network(Some(30), Some("vmbr1")),
        root_keys: vec!["ssh-ed25519 AAAA".to_owned()],
        root_password: false,
        apart_from: names(&["other"]),
    };
    one.site = Some(site("blog.example.org"));
    let decided = decide(&[app("web", 0)], &state(vec![one]), false);
    assert_eq!(decided.plan.unchanged, 1, "{:?}", decided.plan);
}

#[test]
fn another_network_and_another_way_in_for_root_take_another_container() {
    let mut wanted = app("web", 0);
    let mut known = state(vec![recorded("web", 105, AppClass::Native)]);
    sees(&mut known, 105, read());
    // The host entry's bridge is the same, whether it is named or not.
    spec(&mut wanted).network = Some(Box::new(network(None, Some("vmbr0"))));
    spec(&mut wanted).root = Some(RootAccess::default());
    let same = decide(std::slice::from_ref(&wanted), &known, false);
    assert_eq!(same.plan.unchanged, 1, "{:?}", same.plan);
    spec(&mut wanted).network = Some(Box::new(network(Some(30), None)));
    let other = only(std::slice::from_ref(&wanted), &known, false);
    assert_eq!(other.act, Act::Replace);
    assert_eq!(paths(&other), [("network.vlan", Source::Documents)]);
    assert_eq!(
        (other.fields[0].from.clone(), other.fields[0].to.clone()),
        (None, Some(json!(30)))
    );
    assert_eq!(other.at_risk.len(), 1, "what it holds is lost, and shown");
    spec(&mut wanted).network = None;
    spec(&mut wanted).root = Some(RootAccess {
        keys: Vec::new(),
        password: true,
    });
    let other = only(&[wanted], &known, false);
    assert_eq!(other.act, Act::Replace);
    assert_eq!(paths(&other), [("root_access", Source::Documents)]);
    assert_eq!(other.fields[0].to, Some(json!("password")));
}

/// What a container holds is not lost for the order in which somebody lists keys.
#[test]
fn the_same_keys_in_another_order_are_no_difference() {
    let keys = |all: &[&str]| all.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    let mut one = recorded("web", 105, AppClass::Native);
    one.made_with.root_keys = keys(&["ssh-ed25519 AAAA", "ssh-ed25519 BBBB"]);
    let mut known = state(vec![one]);
    sees(&mut known, 105, read());
    let mut wanted = app("web", 0);
    for (all, unchanged) in [
        (keys(&["ssh-ed25519 BBBB", "ssh-ed25519 AAAA"]), 1),
        (keys(&["ssh-ed25519 BBBB"]), 0),
    ] {
        spec(&mut wanted).root = Some(RootAccess {
            keys: all,
            password: false,
        });
        let decided = decide(std::slice::from_ref(&wanted), &known, false);
        assert_eq!(decided.plan.unchanged, unchanged, "{:?}", decided.plan);
    }
}

#[test]
fn a_host_name_and_who_is_kept_away_are_changed_in_place_and_by_no_operation() {
    let mut wanted = app("web", 0);
    let mut one = recorded("web", 105, AppClass::Native);
    one.made_with.apart_from = names(&["mail", "data"]);
    let mut known = state(vec![one]);
    sees(&mut known, 105, read());
    // In another order it is the same.
    spec(&mut wanted).apart_from = Some(names(&["data", "mail"]).into_iter().collect());
    let same = decide(std::slice::from_ref(&wanted), &known, false);
    assert_eq!(same.plan.unchanged, 1, "{:?}", same.plan);
    let blog = site("blog.example.org");
    spec(&mut wanted).site = Some(Box::new(WantedSite::Led(blog.clone())));
    spec(&mut wanted).apart_from = Some(names(&["data"]).into_iter().collect());
    let change = only(std::slice::from_ref(&wanted), &known, false);
    assert_eq!((change.act, change.downtime), (Act::Update, Downtime::None));
    let both = [
        ("host_name", Source::Documents),
        ("apart_from", Source::Documents),
    ];
    assert_eq!(paths(&change), both);
    let done = tasks(&change, Some(&wanted)).unwrap();
    let expected = [
        Task::Lead(Some(blog.clone())),
        Task::KeepApart(names(&["data"])),
    ];
    assert_eq!(done, expected);
    assert!(done.iter().all(|task| !task.is_an_operation()));
    known.recorded[0].site = Some(blog);
    known.recorded[0].made_with.apart_from = names(&["data"]);
    spec(&mut wanted).site = Some(Box::new(WantedSite::Nobody));
    let change = only(std::slice::from_ref(&wanted), &known, false);
    assert_eq!(tasks(&change, Some(&wanted)).unwrap(), [Task::Lead(None)]);
    // With something else of it the rest is changed by its operation.
    spec(&mut wanted).resources.memory_mib = 1024;
    let change = only(std::slice::from_ref(&wanted), &known, false);
    let done = tasks(&change, Some(&wanted)).unwrap();
    assert!(
        matches!(&done[..], [Task::Update(_), Task::Lead(None)]),
        "{done:?}"
    );
}
