//! Containers that are called like an app for which one would be made.

use super::*;
use crate::ids::InstallationId;

fn namesake(number: u32, mark: MarkSeen) -> Namesake {
    Namesake {
        host: host(),
        node: "pve2".parse().unwrap(),
        vmid: vmid(number),
        is_told: true,
        mark,
    }
}

fn with(all: Vec<Namesake>) -> State {
    let mut state = state(vec![recorded("other", 105, AppClass::Native)]);
    state.namesakes.insert("web".parse().unwrap(), all);
    state
}

#[test]
fn nothing_is_made_unsaid_beside_a_container_that_bears_our_mark() {
    let change = only(
        &[app("web", 0)],
        &with(vec![namesake(200, MarkSeen::Ours)]),
        false,
    );
    assert_eq!(
        (change.act, codes(&change)),
        (Act::Create, vec!["marked_container_there"])
    );
    let told = &change.obstacles[0];
    for part in ["200", "home/pve2", "this installation"] {
        assert!(told.message.contains(part), "{told:?}");
    }
    // Whoever may not know of such containers is held back all the same, and is not told where it is.
    let mut hidden = namesake(200, MarkSeen::Ours);
    hidden.is_told = false;
    let change = only(&[app("web", 0)], &with(vec![hidden]), false);
    assert_eq!(codes(&change), ["marked_container_there"]);
    let told = &change.obstacles[0];
    for part in ["200", "pve2"] {
        assert!(!told.message.contains(part), "{told:?}");
    }
}

#[test]
fn a_mark_is_read_before_anything_is_said_and_where_it_is_not_that_is_told() {
    let unlooked = with(vec![namesake(200, MarkSeen::Unlooked)]);
    let decided = decide(&[app("web", 0)], &unlooked, false);
    assert_eq!(decided.doubts, [(host(), vmid(200))]);
    let why = Obstacle::new("pve_unreachable", "no answer", "look");
    let unread = with(vec![namesake(200, MarkSeen::Unread(why))]);
    let change = only(&[app("web", 0)], &unread, false);
    assert_eq!(codes(&change), ["pve_unreachable"]);
    // One without a mark is a stranger's: host names are nobody's alone.
    let stranger = with(vec![namesake(200, MarkSeen::None)]);
    let decided = decide(&[app("web", 0)], &stranger, false);
    let change = &decided.plan.changes[0];
    assert_eq!((decided.doubts.len(), codes(change).len()), (0, 0));
    assert!(change.notes.is_empty(), "{:?}", change.notes);
}

#[test]
fn a_container_of_another_installation_is_told_of_and_holds_nothing_back() {
    let other = InstallationId(Uuid::from_u128(77));
    let seen = namesake(200, MarkSeen::Other(other));
    let change = only(&[app("web", 0)], &with(vec![seen.clone()]), false);
    assert_eq!((codes(&change).len(), change.notes.len()), (0, 1));
    assert!(change.notes[0].contains(&other.to_string()), "{change:?}");
    let hidden = Namesake {
        is_told: false,
        ..seen
    };
    let change = only(&[app("web", 0)], &with(vec![hidden]), false);
    assert!(change.notes.is_empty(), "{change:?}");
}

#[test]
fn only_where_the_app_may_be_made_is_looked() {
    let mut elsewhere = namesake(200, MarkSeen::Ours);
    elsewhere.host = HostId(Uuid::from_u128(2));
    let mut state = with(vec![elsewhere]);
    let mut wanted = app("web", 0);
    assert_eq!(
        codes(&only(std::slice::from_ref(&wanted), &state, false)),
        ["marked_container_there"],
        "it may be made anywhere"
    );
    spec(&mut wanted).host = Some(host());
    let change = only(std::slice::from_ref(&wanted), &state, false);
    assert!(codes(&change).is_empty());
    // A cluster that was not seen may have one: told, where it is one of several that the app may be made on.
    let entry = state.hosts.get_mut(&host()).unwrap();
    entry.unread = Some(Obstacle::new("pve_unreachable", "no answer", "look"));
    let named = only(&[wanted], &state, false);
    assert_eq!(
        (codes(&named), named.notes.len()),
        (vec!["pve_unreachable"], 0)
    );
    state.namesakes.clear();
    let anywhere = only(&[app("web", 0)], &state, false);
    assert_eq!((codes(&anywhere).len(), anywhere.notes.len()), (0, 1));
}

#[test]
fn a_name_that_is_taken_is_told_as_that_alone() {
    let mut state = with(vec![namesake(200, MarkSeen::Ours)]);
    state.recorded.push(recorded("web", 106, AppClass::Adopted));
    sees(&mut state, 106, read());
    let change = only(&[app("web", 0)], &state, false);
    assert_eq!(codes(&change), ["hostname_taken"]);
}

#[test]
fn what_bears_the_name_is_part_of_the_state_a_plan_was_made_from() {
    let basis = |all: Vec<Namesake>| decide(&[app("web", 0)], &with(all), false).plan.basis;
    let none = basis(Vec::new());
    let stranger = basis(vec![namesake(200, MarkSeen::None)]);
    let ours = basis(vec![namesake(200, MarkSeen::Ours)]);
    assert!(none != stranger && stranger != ours && none != ours);
    assert_eq!(ours, basis(vec![namesake(200, MarkSeen::Ours)]));
}
