//! A plan is bound to what it follows from, and to nothing that changes by itself.

use super::*;

fn basis(wanted: &[Wanted], state: &State) -> String {
    decide(wanted, state, false).plan.basis
}

#[test]
fn what_is_as_wanted_stays_so_whatever_changes_by_itself() {
    let apps = || {
        vec![
            recorded("web", 105, AppClass::Native),
            recorded("other", 106, AppClass::Native),
        ]
    };
    let wanted = [app("web", 0)];
    let first = state(apps());
    assert_eq!(basis(&wanted, &first), basis(&wanted, &state(apps())));
    let mut other = state(apps());
    other.recorded[1].resources.memory_mib = 7;
    assert_eq!(basis(&wanted, &first), basis(&wanted, &other), "not meant");
    // Nobody says whether it is to run, or where.
    let mut moved = state(apps());
    moved.recorded[0].status = StatusLabel::Stopped;
    moved.recorded[0].node = "pve2".parse().unwrap();
    let mut seen = listed();
    seen.listed_disk_bytes = Some(8 * GIB / 100 * 96);
    seen.power = Some(WantedPower::Stopped);
    seen.node = "pve2".parse().unwrap();
    sees(&mut moved, 105, seen);
    assert_eq!(basis(&wanted, &first), basis(&wanted, &moved));
    // The list was not to be trusted, and its configuration says the same.
    sees(&mut moved, 105, read());
    assert_eq!(basis(&wanted, &first), basis(&wanted, &moved));
    let mut another = state(apps());
    another.recorded[0].id = AppId(Uuid::from_u128(7));
    assert_ne!(
        basis(&wanted, &first),
        basis(&wanted, &another),
        "another app has its name"
    );
}

#[test]
fn what_is_changed_is_bound_to_its_record_and_its_configuration() {
    let mut wanted = app("web", 0);
    spec(&mut wanted).resources.memory_mib = 1024;
    let wanted = [wanted];
    let mut first = state(vec![recorded("web", 105, AppClass::Native)]);
    sees(&mut first, 105, read());
    let mut later = first.clone();
    later.recorded[0].status = StatusLabel::Stopped;
    assert_eq!(basis(&wanted, &first), basis(&wanted, &later));
    let changes: [fn(&mut State); 5] = [
        |state| state.recorded[0].port = 81,
        |state| {
            let title = json!("bye");
            state.recorded[0].settings.insert("TITLE".to_owned(), title);
        },
        |state| sees(state, 105, of(|seen| seen.digest = Some("cd".to_owned()))),
        |state| sees(state, 105, of(|seen| seen.volumes = Some(Vec::new()))),
        |state| sees(state, 105, of(|seen| seen.node = "pve2".parse().unwrap())),
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut changed = first.clone();
        change(&mut changed);
        assert_ne!(basis(&wanted, &first), basis(&wanted, &changed), "{at}");
    }
}

fn of(change: impl Fn(&mut Observed)) -> Observed {
    let mut seen = read();
    change(&mut seen);
    seen
}

#[test]
fn an_app_whose_record_alone_changes_is_not_bound_to_its_container() {
    let mut wanted = found("dbs", 106);
    if let WantedKind::Adopted(spec) = &mut wanted.kind {
        spec.guard = true;
    }
    let mut wanted = [wanted];
    let first = state(vec![recorded("dbs", 106, AppClass::Adopted)]);
    let mut read_now = first.clone();
    sees(&mut read_now, 106, read());
    assert_eq!(basis(&wanted, &first), basis(&wanted, &read_now));
    if let WantedKind::Adopted(spec) = &mut wanted[0].kind {
        spec.power = Some(WantedPower::Stopped);
    }
    assert_ne!(basis(&wanted, &first), basis(&wanted, &read_now));
}

#[test]
fn what_is_wanted_has_the_same_name_without_a_plan() {
    let wanted = [app("web", 0), app("api", 0)];
    let turned = [app("api", 0), app("web", 0)];
    let plan = decide(&wanted, &state(vec![]), false).plan;
    assert_eq!(asked(&turned, false), plan.digest);
    assert_ne!(asked(&wanted, true), plan.digest);
    let mut other = app("web", 0);
    spec(&mut other).resources.memory_mib = 1024;
    assert_ne!(asked(&[other, app("api", 0)], false), plan.digest);
}
