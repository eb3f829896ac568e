//! Secrets are told apart by their versions, and never by what they are.

use super::*;
use crate::names::SecretName;

fn secret() -> SecretName {
    "db".parse().unwrap()
}

fn wish() -> Wanted {
    let mut wanted = app("web", 0);
    let settings = &mut spec(&mut wanted).settings;
    settings.insert("PASSWORD".to_owned(), WantedSetting::Secret(secret()));
    wanted
}

/// An app into which that version was put, and the version that there is.
fn known(put_in: i64, version: Option<i64>) -> State {
    let mut one = recorded("web", 105, AppClass::Native);
    one.settings.insert("PASSWORD".to_owned(), json!(null));
    one.secrets.insert(secret(), put_in);
    let mut state = state(vec![one]);
    state
        .secrets
        .extend(version.map(|version| (secret(), version)));
    state
}

#[test]
fn one_that_changed_is_shown_by_its_versions() {
    let same = decide(&[wish()], &known(2, Some(2)), false).plan;
    assert_eq!((same.unchanged, same.uncompared), (1, 0));
    let change = only(&[wish()], &known(2, Some(3)), false);
    assert_eq!(change.act, Act::Update);
    assert_eq!(paths(&change), [("settings.PASSWORD", Source::Documents)]);
    let told = |version: i64| Some(json!({"secret": "db", "version": version}));
    assert_eq!(change.fields[0].from, told(2));
    assert_eq!(change.fields[0].to, told(3));
    let unknown = decide(&[wish()], &known(0, Some(3)), false).plan;
    assert_eq!((unknown.unchanged, unknown.uncompared), (1, 1));
}

#[test]
fn one_that_there_is_not_keeps_its_app_back() {
    let change = only(&[wish()], &known(2, None), false);
    assert_eq!(
        (change.act, codes(&change)),
        (Act::NoOp, vec!["secret_not_found"])
    );
    let made = only(&[wish()], &state(vec![]), false);
    assert_eq!(
        (made.act, codes(&made)),
        (Act::Create, vec!["secret_not_found"])
    );
    assert!(made.obstacles[0].hint.ends_with("proximity secrets set db"));
}

#[test]
fn the_basis_names_the_versions_that_are_wanted() {
    let basis = |state: &State| decide(&[wish()], state, false).plan.basis;
    let first = known(2, Some(2));
    assert_ne!(basis(&first), basis(&known(2, Some(3))));
    assert_ne!(basis(&first), basis(&known(2, None)));
    let mut other = first.clone();
    other.secrets.insert("api".parse().unwrap(), 7);
    assert_eq!(basis(&first), basis(&other), "nobody names it");
}
