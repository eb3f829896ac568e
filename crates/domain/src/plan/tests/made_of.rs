//! What changes are made of.

use super::*;
use crate::create::ResourceRequest;

fn made_of(wanted: &Wanted, state: &State) -> Vec<Task> {
    let change = only(std::slice::from_ref(wanted), state, false);
    tasks(&change, Some(wanted)).unwrap()
}

fn secret(name: &str) -> WantedSetting {
    WantedSetting::Secret(name.parse().unwrap())
}

fn settings(task: &Task) -> Vec<&str> {
    match task {
        Task::Update(wish) => wish.settings.keys().map(String::as_str).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_app_is_made_and_runs_unless_it_is_not_to() {
    let none = state(vec![]);
    let mut wanted = app("web", 0);
    assert_eq!(made_of(&wanted, &none), [Task::Create]);
    spec(&mut wanted).power = Some(WantedPower::Running);
    assert_eq!(made_of(&wanted, &none), [Task::Create]);
    spec(&mut wanted).power = Some(WantedPower::Stopped);
    let expected = [Task::Create, Task::Power(WantedPower::Stopped)];
    assert_eq!(made_of(&wanted, &none), expected);
}

#[test]
fn what_is_to_run_is_started_before_it_is_changed_and_what_is_to_stop_after() {
    let mut wanted = app("web", 0);
    let mut known = state(vec![recorded("web", 105, AppClass::Native)]);
    sees(&mut known, 105, read());
    spec(&mut wanted).resources.memory_mib = 1024;
    spec(&mut wanted).power = Some(WantedPower::Stopped);
    let memory = Task::Update(Wish {
        resources: ResourceRequest {
            memory_mib: Some(1024),
            ..ResourceRequest::default()
        },
        settings: BTreeMap::new(),
    });
    let stop = Task::Power(WantedPower::Stopped);
    assert_eq!(made_of(&wanted, &known), [memory.clone(), stop]);
    let mut seen = read();
    seen.power = Some(WantedPower::Stopped);
    sees(&mut known, 105, seen);
    spec(&mut wanted).power = Some(WantedPower::Running);
    let start = Task::Power(WantedPower::Running);
    assert_eq!(made_of(&wanted, &known), [start, memory]);
}

/// They are not compared, so that nobody knows which of them is another one by now.
#[test]
fn with_a_setting_go_all_secrets_and_no_other_settings() {
    let mut known = recorded("web", 105, AppClass::Native);
    let more = [("PASSWORD", Value::Null), ("COLOUR", json!("red"))];
    let more = more.map(|(name, value)| (name.to_owned(), value));
    known.settings.extend(more);
    let mut known = state(vec![known]);
    sees(&mut known, 105, read());
    let mut wanted = app("web", 0);
    let of_web = &mut spec(&mut wanted).settings;
    of_web.insert("PASSWORD".to_owned(), secret("db"));
    of_web.insert("COLOUR".to_owned(), WantedSetting::Open(json!("red")));
    of_web.insert("TITLE".to_owned(), WantedSetting::Open(json!("bye")));
    known.secrets.insert("db".parse().unwrap(), 1);
    known.recorded[0].secrets.insert("db".parse().unwrap(), 1);
    let made_of = made_of(&wanted, &known);
    assert_eq!(made_of.len(), 1);
    assert_eq!(settings(&made_of[0]), ["PASSWORD", "TITLE"]);
}

#[test]
fn what_is_replaced_ends_first_and_what_ends_is_given_back_or_destroyed() {
    let mut wanted = app("web", 0);
    spec(&mut wanted).catalog_id = "caddy".parse().unwrap();
    let mut known = state(vec![recorded("web", 105, AppClass::Native)]);
    sees(&mut known, 105, read());
    assert_eq!(made_of(&wanted, &known), [Task::Remove, Task::Create]);
    let ends = |class| {
        let known = state(vec![recorded("web", 105, class)]);
        tasks(&only(&[], &known, true), None).unwrap()
    };
    assert_eq!(ends(AppClass::Native), [Task::Remove]);
    assert_eq!(ends(AppClass::Adopted), [Task::Forget]);
}

#[test]
fn of_an_adopted_app_what_is_recorded_changes_and_its_power() {
    let mut wanted = found("dbs", 105);
    let none = state(vec![]);
    let adopted = |wanted: &mut Wanted, change: fn(&mut WantedAdopted)| match &mut wanted.kind {
        WantedKind::Adopted(spec) => change(spec),
        WantedKind::App(_) => panic!("it is not adopted"),
    };
    adopted(&mut wanted, |spec| (spec.guard, spec.expose) = (true, true));
    let expected = [Task::Adopt, Task::Guard(true), Task::Expose(None)];
    assert_eq!(made_of(&wanted, &none), expected);
    let known = state(vec![recorded("dbs", 105, AppClass::Adopted)]);
    adopted(&mut wanted, |spec| spec.port = Some(5432));
    let expected = [Task::Guard(true), Task::Expose(Some(5432))];
    assert_eq!(made_of(&wanted, &known), expected);
    adopted(&mut wanted, |spec| spec.expose = false);
    let change = only(std::slice::from_ref(&wanted), &known, false);
    let refused = tasks(&change, Some(&wanted)).unwrap_err();
    assert_eq!(refused.code, "plan_unsupported");
}

#[test]
fn of_an_app_that_no_document_names_any_more_nothing_is_made() {
    let change = only(&[app("web", 0)], &state(vec![]), false);
    let refused = tasks(&change, None).unwrap_err();
    assert_eq!(refused.code, "plan_outdated");
}
