//! What keeps a change from being done, and an app from being called as wanted.

use super::*;

#[test]
fn a_container_that_was_migrated_is_never_replaced_for_that() {
    let mut known = state(vec![recorded("web", 105, AppClass::Native)]);
    let mut wanted = app("web", 0);
    spec(&mut wanted).node = Some("pve1".parse().unwrap());
    let mut seen = read();
    seen.node = "pve2".parse().unwrap();
    sees(&mut known, 105, seen);
    // As the list shows it before the record follows, and after.
    for source in [Source::Cluster, Source::Documents] {
        let moved = only(std::slice::from_ref(&wanted), &known, false);
        assert_eq!(paths(&moved), [("node", source)]);
        assert_eq!(
            (moved.act, codes(&moved)),
            (Act::Update, vec!["not_in_state"])
        );
        assert!(moved.at_risk.is_empty() && !moved.removes());
        assert!(moved.obstacles[0].hint.contains("node: pve2"));
        known.recorded[0].node = "pve2".parse().unwrap();
    }
    // One that is replaced for another reason comes where it is wanted.
    spec(&mut wanted).resources.disk_gib = 4;
    let other = only(&[wanted], &known, false);
    assert_eq!(
        (other.act, codes(&other).len(), paths(&other).len()),
        (Act::Replace, 0, 2)
    );
}

#[test]
fn a_container_of_no_host_entry_is_not_as_wanted() {
    let mut lost = state(vec![recorded("web", 105, AppClass::Native)]);
    lost.hosts.clear();
    for (wanted, prune, act) in [
        (vec![app("web", 0)], false, Act::NoOp),
        (vec![], true, Act::Destroy),
        (vec![found("dbs", 106)], false, Act::Adopt),
    ] {
        let change = only(&wanted, &lost, prune);
        assert_eq!((change.act, codes(&change)), (act, vec!["host_not_found"]));
    }
}

#[test]
fn a_disk_whose_size_cannot_be_read_is_not_as_wanted() {
    let mut known = state(vec![recorded("web", 105, AppClass::Native)]);
    for size in [Figure::Unknown, Figure::Absent] {
        let mut seen = read();
        seen.disk_bytes = size;
        sees(&mut known, 105, seen);
        let change = only(&[app("web", 0)], &known, false);
        assert_eq!(
            (change.act, codes(&change)),
            (Act::NoOp, vec!["view_incomplete"])
        );
    }
}

#[test]
fn of_what_is_as_wanted_it_is_counted_whose_secrets_were_not_compared() {
    let mut one = recorded("web", 105, AppClass::Native);
    one.settings.insert("PASSWORD".to_owned(), json!(null));
    let mut secret = app("web", 0);
    let db = WantedSetting::Secret("db".parse().unwrap());
    let settings = &mut spec(&mut secret).settings;
    settings.insert("PASSWORD".to_owned(), db);
    let mut known = state(vec![one, recorded("other", 106, AppClass::Native)]);
    known.secrets.insert("db".parse().unwrap(), 1);
    let plan = decide(&[secret, app("other", 0)], &known, false).plan;
    assert_eq!((plan.unchanged, plan.uncompared), (2, 1));
}

#[test]
fn settings_of_an_app_that_does_not_run_wait_until_it_is_to_run() {
    let mut known = state(vec![recorded("web", 105, AppClass::Native)]);
    let mut seen = read();
    seen.power = Some(WantedPower::Stopped);
    sees(&mut known, 105, seen);
    let mut wanted = app("web", 0);
    let title = WantedSetting::Open(json!("bye"));
    let settings = &mut spec(&mut wanted).settings;
    settings.insert("TITLE".to_owned(), title);
    for (power, told) in [
        (None, vec!["app_stopped"]),
        (Some(WantedPower::Stopped), vec!["app_stopped"]),
        (Some(WantedPower::Running), vec![]),
    ] {
        spec(&mut wanted).power = power;
        let change = only(std::slice::from_ref(&wanted), &known, false);
        assert_eq!((change.act, codes(&change)), (Act::Update, told));
    }
    // Limits are changed either way.
    let mut wanted = app("web", 0);
    spec(&mut wanted).resources.memory_mib = 1024;
    assert!(only(&[wanted], &known, false).obstacles.is_empty());
}

/// What was changed a moment ago the list shows as it was before, for some seconds.
#[test]
fn a_list_that_shows_what_is_wanted_but_not_what_is_on_record_is_no_answer() {
    let mut one = app("web", 0);
    spec(&mut one).power = Some(WantedPower::Running);
    let mut larger = recorded("web", 105, AppClass::Native);
    larger.resources.memory_mib = 1024;
    let mut stopped = recorded("web", 105, AppClass::Native);
    stopped.status = StatusLabel::Stopped;
    for record in [larger, stopped] {
        let decided = decide(&[one.clone()], &state(vec![record]), false);
        assert_eq!(decided.doubts.len(), 1, "its container is read");
    }
    let known = state(vec![recorded("web", 105, AppClass::Native)]);
    assert!(decide(&[one], &known, false).doubts.is_empty());
}
