mod attached;
mod basis;
mod carried_out;
mod held_back;
mod ignored;
mod made_of;
mod namesakes;
mod order;
mod secrets;

use std::collections::BTreeMap;

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::app::StatusLabel;
use crate::create::Resources;
use crate::ids::OperationId;
use crate::ignore::Ignored;
use crate::made_with::MadeWith;
use crate::manifest::WantedPower;
use crate::observe::Tally;

const GIB: u64 = 1 << 30;

fn host() -> HostId {
    HostId(Uuid::from_u128(1))
}

fn vmid(n: u32) -> Vmid {
    Vmid::try_from(n).unwrap()
}

fn resources(memory_mib: u64, cores: u32, disk_gib: u32) -> Resources {
    Resources {
        memory_mib,
        cores,
        disk_gib,
    }
}

fn app(name: &str, layer: u32) -> Wanted {
    Wanted {
        name: name.parse().unwrap(),
        layer,
        depends_on: Vec::new(),
        kind: WantedKind::App(WantedApp {
            catalog_id: "nginx".parse().unwrap(),
            host: None,
            node: None,
            resources: resources(512, 2, 8),
            settings: BTreeMap::from([("TITLE".to_owned(), WantedSetting::Open(json!("hello")))]),
            power: None,
            ignore: Ignored::default(),
            network: None,
            root: None,
            site: None,
            apart_from: None,
        }),
    }
}

fn spec(wanted: &mut Wanted) -> &mut WantedApp {
    match &mut wanted.kind {
        WantedKind::App(spec) => spec,
        WantedKind::Adopted(_) => panic!("it is adopted"),
    }
}

fn found(name: &str, number: u32) -> Wanted {
    Wanted {
        name: name.parse().unwrap(),
        layer: 0,
        depends_on: Vec::new(),
        kind: WantedKind::Adopted(WantedAdopted {
            host: host(),
            vmid: vmid(number),
            taken_for: None,
            port: None,
            expose: false,
            guard: false,
            power: None,
        }),
    }
}

fn recorded(name: &str, number: u32, class: AppClass) -> Recorded {
    Recorded {
        id: AppId(Uuid::from_u128(u128::from(number))),
        name: name.parse().unwrap(),
        class,
        is_own: true,
        status: StatusLabel::Running,
        busy: None,
        catalog_id: "nginx".parse().unwrap(),
        host: host(),
        node: "pve1".parse().unwrap(),
        vmid: Some(vmid(number)),
        resources: resources(512, 2, 8),
        settings: BTreeMap::from([("TITLE".to_owned(), json!("hello"))]),
        port: 80,
        exposed: class == AppClass::Native,
        guarded: false,
        made_with: MadeWith::default(),
        bridge: Some("vmbr0".parse().unwrap()),
        site: None,
        depends_on: Vec::new(),
        secrets: BTreeMap::new(),
    }
}

fn listed() -> Observed {
    Observed {
        by: SeenBy::List,
        node: "pve1".parse().unwrap(),
        power: Some(WantedPower::Running),
        memory_mib: Figure::Is(512),
        cores: Figure::Is(2),
        disk_bytes: Figure::Unknown,
        listed_disk_bytes: Some(8 * GIB / 100 * 97),
        digest: None,
        volumes: None,
        obstacles: Vec::new(),
    }
}

fn read() -> Observed {
    Observed {
        by: SeenBy::Configuration,
        disk_bytes: Figure::Is(8 * GIB),
        digest: Some("ab".to_owned()),
        volumes: Some(vec!["local-lvm:vm-105-disk-0 (rootfs, 8G)".to_owned()]),
        ..listed()
    }
}

/// One host with these apps, each with its container as it is listed.
fn state(recorded: Vec<Recorded>) -> State {
    let numbers = recorded.iter().filter_map(|one| one.vmid);
    State {
        containers: numbers.map(|n| ((host(), n), listed())).collect(),
        recorded,
        secrets: BTreeMap::new(),
        hosts: BTreeMap::from([(
            host(),
            HostSight {
                label: "home".parse().unwrap(),
                unread: None,
            },
        )]),
        namesakes: BTreeMap::new(),
        said: BTreeMap::new(),
    }
}

fn sees(state: &mut State, number: u32, seen: Observed) {
    state.containers.insert((host(), vmid(number)), seen);
}

/// The one change there is.
fn only(wanted: &[Wanted], state: &State, prune: bool) -> Change {
    let mut changes = decide(wanted, state, prune).plan.changes;
    assert_eq!(changes.len(), 1, "{changes:?}");
    changes.remove(0)
}

fn paths(change: &Change) -> Vec<(&str, Source)> {
    let fields = change.fields.iter();
    fields
        .map(|field| (field.path.as_str(), field.source))
        .collect()
}

fn codes(change: &Change) -> Vec<&str> {
    let obstacles = change.obstacles.iter();
    obstacles.map(|one| one.code.as_str()).collect()
}

#[test]
fn what_is_as_wanted_is_no_change_and_nothing_more_is_read() {
    let state = state(vec![recorded("web", 105, AppClass::Native)]);
    let decided = decide(&[app("web", 0)], &state, true);
    assert_eq!((decided.plan.unchanged, decided.doubts.len()), (1, 0));
    assert!(!decided.plan.has_changes() && decided.plan.changes.is_empty());
}

#[test]
fn an_app_that_is_not_there_is_made_in_the_layer_it_is_in() {
    let decided = decide(&[app("web", 1), app("data", 0)], &state(vec![]), false);
    let order = decided.plan.changes.iter();
    let order: Vec<(&str, u32, Act)> = order
        .map(|one| (one.name.as_str(), one.layer, one.act))
        .collect();
    assert_eq!(order, [("data", 0, Act::Create), ("web", 1, Act::Create)]);
}

#[test]
fn a_difference_says_who_made_it() {
    let mut wanted = app("web", 0);
    let mut state = state(vec![recorded("web", 105, AppClass::Native)]);
    let mut seen = read();
    seen.memory_mib = Figure::Is(1024);
    sees(&mut state, 105, seen.clone());
    let by_hand = only(std::slice::from_ref(&wanted), &state, false);
    assert_eq!(paths(&by_hand), [("memory", Source::Cluster)]);
    assert_eq!(by_hand.fields[0].from, Some(json!(1024)));
    assert_eq!(by_hand.fields[0].to, Some(json!(512)));
    assert_eq!(
        (by_hand.act, by_hand.downtime),
        (Act::Update, Downtime::None)
    );

    spec(&mut wanted).resources.memory_mib = 2048;
    let both = only(std::slice::from_ref(&wanted), &state, false);
    assert_eq!(paths(&both), [("memory", Source::Both)]);
    sees(&mut state, 105, read());
    let wish = only(std::slice::from_ref(&wanted), &state, false);
    assert_eq!(paths(&wish), [("memory", Source::Documents)]);
    // All cores of the node are another wish than two.
    spec(&mut wanted).resources.memory_mib = 512;
    seen = read();
    seen.cores = Figure::Absent;
    sees(&mut state, 105, seen);
    let all = only(&[wanted], &state, false);
    assert_eq!(
        (paths(&all), &all.fields[0].from),
        (vec![("cores", Source::Cluster)], &None)
    );
}

#[test]
fn what_the_list_does_not_tell_for_certain_is_read() {
    let place = (host(), vmid(105));
    let mut state = state(vec![recorded("web", 105, AppClass::Native)]);
    let doubts = |state: &State| decide(&[app("web", 0)], state, false).doubts;
    assert_eq!(doubts(&state), []);
    type Spoil = fn(&mut Observed);
    let spoils: [Spoil; 4] = [
        |seen| seen.memory_mib = Figure::Unknown,
        |seen| seen.memory_mib = Figure::Is(513),
        // A file system that holds that little, or that much, is not in this volume.
        |seen| seen.listed_disk_bytes = Some(6 * GIB),
        |seen| seen.listed_disk_bytes = Some(9 * GIB),
    ];
    for (n, spoil) in spoils.into_iter().enumerate() {
        let mut seen = listed();
        spoil(&mut seen);
        sees(&mut state, 105, seen);
        assert_eq!(doubts(&state), [place], "{n}");
    }
    sees(&mut state, 105, read());
    assert_eq!(doubts(&state), []);
    // What is lost is never told by the list.
    sees(&mut state, 105, listed());
    assert_eq!(decide(&[], &state, true).doubts, [place]);
}

#[test]
fn a_disk_grows_in_place_and_only_documents_make_another_of_a_larger_one() {
    let mut wanted = app("web", 0);
    let mut state = state(vec![recorded("web", 105, AppClass::Native)]);
    sees(&mut state, 105, read());
    spec(&mut wanted).resources.disk_gib = 10;
    let grows = only(std::slice::from_ref(&wanted), &state, false);
    assert_eq!((grows.act, grows.at_risk.len()), (Act::Update, 0));
    assert_eq!(grows.fields[0].from, Some(json!("8G")));
    assert_eq!(grows.fields[0].to, Some(json!("10G")));

    spec(&mut wanted).resources.disk_gib = 4;
    let shrinks = only(std::slice::from_ref(&wanted), &state, false);
    assert_eq!(shrinks.act, Act::Replace);
    assert_eq!(shrinks.at_risk, ["local-lvm:vm-105-disk-0 (rootfs, 8G)"]);
    // Somebody made it larger in Proxmox VE: that is no reason to destroy anything.
    let mut seen = read();
    seen.disk_bytes = Figure::Is(20 * GIB);
    sees(&mut state, 105, seen);
    for gib in [8, 4] {
        spec(&mut wanted).resources.disk_gib = gib;
        let grown = only(std::slice::from_ref(&wanted), &state, false);
        assert_eq!(grown.act, Act::Update);
        assert_eq!(codes(&grown), ["not_in_state"]);
        assert!(grown.at_risk.is_empty());
    }
}

#[test]
fn what_no_container_changes_is_replaced_and_what_is_lost_is_named() {
    let state = state(vec![recorded("web", 105, AppClass::Native)]);
    let mut other = app("web", 0);
    spec(&mut other).catalog_id = "caddy".parse().unwrap();
    let change = only(&[other], &state, false);
    assert_eq!(
        (change.act, change.downtime),
        (Act::Replace, Downtime::Redeploy)
    );
    assert_eq!(paths(&change), [("catalog_id", Source::Documents)]);
    assert_eq!(
        change.at_risk,
        ["all that its container holds, which was not read"]
    );
}

#[test]
fn settings_are_compared_and_secrets_are_not() {
    let mut wanted = app("web", 0);
    let mut one = recorded("web", 105, AppClass::Native);
    one.settings.insert("PASSWORD".to_owned(), json!(null));
    let secret = WantedSetting::Secret("db".parse().unwrap());
    let settings = &mut spec(&mut wanted).settings;
    settings.insert("PASSWORD".to_owned(), secret);
    let mut known = state(vec![one]);
    known.secrets.insert("db".parse().unwrap(), 1);
    assert_eq!(
        decide(std::slice::from_ref(&wanted), &known, false)
            .plan
            .unchanged,
        1
    );
    spec(&mut wanted)
        .settings
        .insert("TITLE".to_owned(), WantedSetting::Open(json!("bye")));
    let change = only(&[wanted], &known, false);
    assert_eq!(paths(&change), [("settings.TITLE", Source::Documents)]);
    assert_eq!(
        (change.act, change.downtime),
        (Act::Update, Downtime::Restart)
    );
    assert_eq!(change.notes.len(), 1, "{:?}", change.notes);
    // One that has none on record is to get it, and what is there and not wanted is not shown.
    let mut wanted = app("web", 0);
    spec(&mut wanted).settings.clear();
    let secret = WantedSetting::Secret("db".parse().unwrap());
    spec(&mut wanted)
        .settings
        .insert("TITLE".to_owned(), secret);
    let change = only(&[wanted], &known, false);
    let told = |at: usize| (&change.fields[at].from, &change.fields[at].to);
    assert_eq!(told(0), (&Some(json!("[secret]")), &None));
    assert_eq!(
        told(1),
        (&Some(json!("hello")), &Some(json!({"secret": "db"})))
    );
}

#[test]
fn power_is_compared_where_it_is_wanted() {
    let mut wanted = app("web", 0);
    let mut state = state(vec![recorded("web", 105, AppClass::Native)]);
    spec(&mut wanted).power = Some(WantedPower::Stopped);
    let stops = only(std::slice::from_ref(&wanted), &state, false);
    assert_eq!(paths(&stops), [("power", Source::Documents)]);
    assert_eq!(stops.downtime, Downtime::Ends);
    let mut seen = read();
    seen.power = None;
    sees(&mut state, 105, seen);
    let unknown = only(&[wanted], &state, false);
    assert_eq!(
        (unknown.act, codes(&unknown)),
        (Act::NoOp, vec!["power_unknown"])
    );
}

#[test]
fn nothing_is_called_unchanged_that_was_not_seen() {
    let busy = Recorded {
        busy: Some(OperationId(Uuid::from_u128(9))),
        ..recorded("web", 105, AppClass::Native)
    };
    let broken = Recorded {
        status: StatusLabel::Error,
        ..recorded("web", 105, AppClass::Native)
    };
    for (one, code) in [(busy, "busy"), (broken, "not_in_state")] {
        let change = only(&[app("web", 0)], &state(vec![one]), false);
        assert_eq!((change.act, codes(&change)), (Act::NoOp, vec![code]));
    }
    let mut gone = state(vec![recorded("web", 105, AppClass::Native)]);
    gone.containers.clear();
    let change = only(&[app("web", 0)], &gone, false);
    assert_eq!(codes(&change), ["container_missing"]);
    let entry = gone.hosts.get_mut(&host()).unwrap();
    entry.unread = Some(Obstacle::new("pve_unreachable", "no answer", "look"));
    let decided = decide(&[app("web", 0)], &gone, false);
    assert_eq!(
        (codes(&decided.plan.changes[0]), decided.plan.unchanged),
        (vec!["pve_unreachable"], 0)
    );
    assert!(!decided.plan.has_changes());
}

#[test]
fn removal_is_planned_on_request_alone_last_and_never_of_what_is_anothers() {
    let mut theirs = recorded("theirs", 107, AppClass::Native);
    theirs.is_own = false;
    let apps = vec![
        recorded("web", 105, AppClass::Native),
        recorded("dbs", 106, AppClass::Adopted),
        theirs,
    ];
    let mut state = state(apps);
    sees(&mut state, 105, read());
    let wanted = [app("new", 3)];
    let kept = decide(&wanted, &state, false).plan;
    assert_eq!((kept.changes.len(), kept.removed()), (1, 0));
    let plan = decide(&wanted, &state, true).plan;
    let acts = plan.changes.iter();
    let acts: Vec<(&str, Act, u32)> = acts
        .map(|one| (one.name.as_str(), one.act, one.layer))
        .collect();
    let expected = [
        ("new", Act::Create, 3),
        ("dbs", Act::Forget, 4),
        ("web", Act::Destroy, 4),
    ];
    assert_eq!(acts, expected);
    assert_eq!(plan.removed(), 2);
    let destroyed = &plan.changes[2];
    assert_eq!(destroyed.at_risk.len(), 1);
    assert_eq!(destroyed.downtime, Downtime::Ends);
    assert!(plan.changes[1].at_risk.is_empty());
    assert_ne!(plan.digest, kept.digest, "another thing was asked for");
}

#[test]
fn nothing_is_planned_of_what_is_to_be_left_and_nothing_waits_for_it() {
    let mut state = state(vec![
        recorded("old", 101, AppClass::Native),
        recorded("sad", 102, AppClass::Native),
    ]);
    state.recorded[1].depends_on = vec!["old".parse().unwrap()];
    sees(&mut state, 101, read());
    sees(&mut state, 102, read());
    let mut plan = decide(&[], &state, true).plan;
    let named = |plan: &Plan| {
        let changes = plan.changes.iter();
        let named = changes.map(|one| (one.name.to_string(), one.depends_on.len()));
        named.collect::<Vec<_>>()
    };
    assert_eq!(named(&plan), [("sad".to_owned(), 0), ("old".to_owned(), 1)]);
    let sad: Hostname = "sad".parse().unwrap();
    plan.leave(&BTreeSet::from([sad]));
    assert_eq!(named(&plan), [("old".to_owned(), 0)]);
    assert_eq!(plan.removed(), 1);
}

#[test]
fn giving_a_container_back_needs_no_cluster() {
    let mut state = state(vec![recorded("dbs", 106, AppClass::Adopted)]);
    let entry = state.hosts.get_mut(&host()).unwrap();
    entry.unread = Some(Obstacle::new("pve_unreachable", "no answer", "look"));
    let change = only(&[], &state, true);
    assert_eq!((change.act, codes(&change).len()), (Act::Forget, 0));
}

#[test]
fn a_container_is_taken_over_once_and_under_a_free_name() {
    let mut free = state(vec![]);
    sees(&mut free, 106, listed());
    let adopted = decide(&[found("dbs", 106)], &free, false);
    assert_eq!(adopted.doubts, [(host(), vmid(106))]);
    assert_eq!(adopted.plan.changes[0].act, Act::Adopt);
    let nothing = only(&[found("dbs", 107)], &free, false);
    assert_eq!(
        (nothing.act, codes(&nothing)),
        (Act::Adopt, vec!["container_missing"])
    );

    let ours = state(vec![recorded("web", 106, AppClass::Native)]);
    let managed = decide(&[found("dbs", 106)], &ours, true).plan.changes;
    assert_eq!(
        managed.len(),
        1,
        "whoever has the container is not pruned: {managed:?}"
    );
    assert_eq!(codes(&managed[0]), ["already_managed"]);
    let mut other = ours.clone();
    sees(&mut other, 200, read());
    let taken = decide(&[found("web", 200)], &other, true).plan.changes;
    assert_eq!((taken.len(), codes(&taken[0])), (1, vec!["hostname_taken"]));
    let made = recorded("web", 106, AppClass::Adopted);
    let taken = only(&[app("web", 0)], &state(vec![made]), true);
    assert_eq!(
        (taken.act, codes(&taken)),
        (Act::Create, vec!["hostname_taken"])
    );
}

#[test]
fn an_adopted_app_is_changed_in_the_record_and_its_container_is_left() {
    let mut wanted = found("dbs", 106);
    let known = state(vec![recorded("dbs", 106, AppClass::Adopted)]);
    assert_eq!(
        decide(std::slice::from_ref(&wanted), &known, false)
            .plan
            .unchanged,
        1
    );
    let WantedKind::Adopted(spec) = &mut wanted.kind else {
        panic!("it is adopted");
    };
    (spec.expose, spec.guard, spec.port) = (true, true, Some(5432));
    let change = only(std::slice::from_ref(&wanted), &known, false);
    let expected = ["port", "expose", "guard"].map(|path| (path, Source::Documents));
    assert_eq!(
        (change.act, paths(&change)),
        (Act::Update, expected.to_vec())
    );
    // Another container under its name: the first is given back, and nothing is lost.
    let mut both = known.clone();
    sees(&mut both, 108, read());
    let change = only(&[found("dbs", 108)], &both, true);
    assert_eq!((change.act, change.at_risk.len()), (Act::Replace, 0));
    assert_eq!(paths(&change), [("vmid", Source::Documents)]);
    let renamed = only(&[found("data", 106)], &known, true);
    assert_eq!(
        (renamed.act, paths(&renamed)),
        (Act::Update, vec![("name", Source::Documents)])
    );
}

#[test]
fn the_brake_is_shown_where_it_would_stop() {
    let apps = (0..5).map(|n| recorded(&format!("app-{n}"), 105 + n, AppClass::Native));
    let mut plan = decide(&[], &state(apps.collect()), true).plan;
    let tally = Tally { live: 5, done: 1 };
    plan.brake_by(Brake::judge(tally, plan.removed()));
    let expected = MassBrake {
        removed: 5,
        done: 1,
        limit: 3,
    };
    assert_eq!(plan.brake, Some(expected));
    plan.brake_by(Brake::judge(tally, 2));
    assert_eq!(plan.brake, None);
}
