//! Sides of an app, who made a difference, and what holds of all of them.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::create::Resources;
use crate::desired::DesiredSpec;
use crate::manifest::WantedPower;
use crate::time::Timestamp;

/// What is wanted as it was applied, and is something else.
fn changed(path: &str, last: Value, now: Value) -> Merged {
    Merged {
        path: path.to_owned(),
        verdict: Verdict::Theirs,
        last: Some(last.clone()),
        wanted: last,
        actual: Some(now),
    }
}

fn one(path: &str, value: &Value) -> Fields {
    Fields::from([(path.to_owned(), value.clone())])
}

#[test]
fn what_pve_writes_otherwise_is_the_same() {
    for (path, then, now) in [
        ("memory", json!(512), json!("512")),
        ("rootfs", json!("8G"), json!("8192M")),
        ("tags", json!("b;a"), json!("a;b")),
        ("description", json!("mine"), json!("mine\n")),
    ] {
        let (then, now) = (one(path, &then), one(path, &now));
        for merged in [merge(&then, &then, &now), merge(&then, &now, &then)] {
            assert_eq!(merged[0].verdict, Verdict::Unchanged, "{path}");
        }
        assert_eq!(merge(&now, &then, &now)[0].verdict, Verdict::Unchanged);
    }
    for (path, then, now) in [
        ("rootfs", json!("8G"), json!("8193M")),
        ("hostname", json!("8G"), json!("8192M")),
    ] {
        let (then, now) = (one(path, &then), one(path, &now));
        assert_eq!(merge(&then, &then, &now)[0].verdict, Verdict::Theirs);
    }
}

fn wanted(spec: Value) -> DesiredSpec {
    let mut spec = spec;
    spec["catalog_id"] = json!("nginx");
    DesiredSpec::App(serde_json::from_value(spec).unwrap())
}

fn given() -> Applied {
    Applied {
        resources: Some(Resources {
            memory_mib: 512,
            cores: 1,
            disk_gib: 8,
        }),
        power: None,
    }
}

fn actual() -> Actual {
    Actual {
        memory_mib: 512,
        cores: Some(1),
        disk_bytes: Some(8 << 30),
        node: "pve1".parse().unwrap(),
        power: Some(WantedPower::Running),
    }
}

fn paths(fields: &[Merged]) -> Vec<(&str, Verdict)> {
    let fields = fields.iter();
    fields
        .map(|field| (field.path.as_str(), field.verdict))
        .collect()
}

#[test]
fn an_app_is_compared_by_all_that_its_container_shows() {
    let spec = wanted(json!({
        "resources": {"memory_mib": 1024}, "node": "pve1", "power": "running",
    }));
    let as_it_is = sides(&given(), Some(&spec), &actual());
    assert_eq!(paths(&as_it_is), [("memory", Verdict::Ours)]);
    assert!(drifted(&as_it_is).is_empty());
    let changed = Actual {
        memory_mib: 700,
        cores: None,
        disk_bytes: Some(9 << 30),
        node: "pve2".parse().unwrap(),
        power: Some(WantedPower::Stopped),
    };
    let fields = sides(&given(), Some(&spec), &changed);
    let expected = [
        ("cores", Verdict::Theirs),
        ("memory", Verdict::Conflict),
        ("node", Verdict::Theirs),
        ("power", Verdict::Theirs),
        ("rootfs", Verdict::Theirs),
    ];
    assert_eq!(paths(&fields), expected);
    assert_eq!(drifted(&fields), fields);
    let disk = fields.last().unwrap();
    assert_eq!(
        (&disk.wanted, &disk.actual),
        (&json!("8G"), &Some(json!("9G")))
    );
}

#[test]
fn what_documents_leave_out_is_wanted_as_it_was_applied() {
    let changed = Actual {
        memory_mib: 700,
        node: "pve2".parse().unwrap(),
        power: Some(WantedPower::Stopped),
        disk_bytes: None,
        ..actual()
    };
    for spec in [None, Some(wanted(json!({})))] {
        let fields = sides(&given(), spec.as_ref(), &changed);
        assert_eq!(paths(&fields), [("memory", Verdict::Theirs)]);
        assert_eq!(fields[0].wanted, json!(512));
    }
    let taken_over = Applied {
        resources: None,
        power: None,
    };
    let spec = json!({"host": "home", "vmid": 105, "power": "running"});
    let spec = DesiredSpec::AdoptedApp(serde_json::from_value(spec).unwrap());
    let fields = sides(&taken_over, Some(&spec), &changed);
    assert_eq!(paths(&fields), [("power", Verdict::Theirs)]);
    assert!(sides(&taken_over, None, &changed).is_empty());
}

#[test]
fn what_somebody_else_may_change_is_shown_and_is_no_drift() {
    let changed = Actual {
        memory_mib: 700,
        cores: None,
        disk_bytes: Some(9 << 30),
        power: Some(WantedPower::Stopped),
        ..actual()
    };
    let with = |ignore: Value, memory_mib: u64| {
        let spec = wanted(json!({
            "resources": {"memory_mib": memory_mib}, "power": "running", "ignore": ignore,
        }));
        sides(&given(), Some(&spec), &changed)
    };
    let fields = with(json!(["memory", "root*"]), 512);
    let expected = [
        ("cores", Verdict::Theirs),
        ("memory", Verdict::Ignored),
        ("power", Verdict::Theirs),
        ("rootfs", Verdict::Ignored),
    ];
    assert_eq!(paths(&fields), expected);
    let told = drifted(&fields);
    let others = [("cores", Verdict::Theirs), ("power", Verdict::Theirs)];
    assert_eq!(paths(&told), others);
    // They were applied when it was 1024 already, and it was made less since: on record is still what it was made with.
    let fields = with(json!(["memory"]), 1024);
    assert_eq!(paths(&fields)[1], ("memory", Verdict::Ignored));
    let fields = with(json!([]), 1024);
    assert_eq!(paths(&fields)[1], ("memory", Verdict::Conflict));
    // And what somebody else made as it is wanted by now is nothing more to do.
    let fields = with(json!(["memory"]), 700);
    assert_eq!(paths(&fields)[1], ("memory", Verdict::BothSame));
}

#[test]
fn what_a_person_switched_here_is_no_drift() {
    let spec = wanted(json!({"power": "running"}));
    let stopped = Actual {
        power: Some(WantedPower::Stopped),
        ..actual()
    };
    let by_us = Applied {
        power: Some(WantedPower::Stopped),
        ..given()
    };
    let fields = sides(&by_us, Some(&spec), &stopped);
    assert_eq!(paths(&fields), [("power", Verdict::Ours)]);
    let by_others = Applied {
        power: Some(WantedPower::Running),
        ..given()
    };
    let fields = sides(&by_others, Some(&spec), &stopped);
    assert_eq!(paths(&fields), [("power", Verdict::Theirs)]);
}

#[test]
fn only_the_one_task_that_made_a_difference_tells_who_did() {
    let task = |kind: &str, user: &str, at: i64| Trace {
        kind: kind.to_owned(),
        user: user.to_owned(),
        at: Timestamp(at),
    };
    let disk = changed("rootfs", json!("8G"), json!("9G"));
    let memory = changed("memory", json!(512), json!(640));
    let power = changed("power", json!("running"), json!("stopped"));
    let resize = task("resize", "root@pam", 100);
    let by = |fields: &[Merged], tasks: &[Trace]| {
        traced(fields, tasks, Timestamp(50)).map(|task| task.user.clone())
    };
    let root = Some("root@pam".to_owned());
    let one = std::slice::from_ref(&resize);
    assert_eq!(by(std::slice::from_ref(&disk), one), root);
    let other = task("vzstart", "ann@pve", 110);
    assert_eq!(
        by(std::slice::from_ref(&disk), &[resize.clone(), other]),
        root
    );
    let stop = task("vzstop", "root@pam", 100);
    assert_eq!(by(std::slice::from_ref(&power), &[stop]), root);
    // A configuration is changed without a task; what was there before made nothing of it; of two it is not known which.
    assert_eq!(by(std::slice::from_ref(&memory), one), None);
    assert!(leaves_a_task(std::slice::from_ref(&disk)));
    assert!(!leaves_a_task(std::slice::from_ref(&memory)));
    assert_eq!(by(&[disk.clone(), memory], one), None);
    assert_eq!(
        by(
            std::slice::from_ref(&disk),
            &[task("resize", "root@pam", 49)]
        ),
        None
    );
    assert_eq!(
        by(&[disk], &[resize.clone(), task("resize", "ann@pve", 120)]),
        None
    );
    assert_eq!(by(&[], one), None);
    assert!(!leaves_a_task(&[]) && leaves_a_task(&[power]));
    assert_eq!(since_last_seen(Timestamp(60_050)), Timestamp(50));
}

/// Somebody stopped it, it was started again, and went down by itself: nobody's task made it so.
#[test]
fn whoever_was_there_before_something_else_made_it_so_is_not_named() {
    let task = |kind: &str, at: i64| Trace {
        kind: kind.to_owned(),
        user: "ann@pve".to_owned(),
        at: Timestamp(at),
    };
    let is_named = |field: &Merged, tasks: &[Trace]| {
        traced(std::slice::from_ref(field), tasks, Timestamp(50)).is_some()
    };
    let off = changed("power", json!("running"), json!("stopped"));
    for (other, later) in [("vzstart", 110), ("vzstart", 100), ("vzrollback", 110)] {
        let tasks = [task("vzstop", 100), task(other, later)];
        assert!(!is_named(&off, &tasks), "{other} at {later}");
    }
    let tasks = [task("vzstart", 90), task("vzstop", 100)];
    assert!(is_named(&off, &tasks), "it ran before it was stopped");
    let on = changed("power", json!("stopped"), json!("running"));
    assert!(is_named(&on, &[task("vzstart", 100)]));
    assert!(!is_named(&on, &[task("vzstart", 100), task("vzstop", 110)]));
    let disk = changed("rootfs", json!("8G"), json!("9G"));
    assert!(is_named(&disk, &[task("resize", 100), task("vzstop", 110)]));
    assert!(!is_named(
        &disk,
        &[task("resize", 100), task("vzrollback", 110)]
    ));
}

fn side() -> impl Strategy<Value = Fields> {
    let values = proptest::collection::vec(0_u8..3, 4);
    values.prop_map(|values| {
        let named = ["a", "b", "c", "d"].into_iter().zip(values);
        named
            .map(|(path, value)| (path.to_owned(), json!(value)))
            .collect()
    })
}

proptest! {
    #[test]
    fn two_sides_change_places_and_so_do_their_verdicts(
        last in side(), wanted in side(), now in side(),
    ) {
        let there = merge(&last, &wanted, &now);
        let back = merge(&last, &now, &wanted);
        prop_assert_eq!(there.len(), back.len());
        for (one, other) in there.iter().zip(&back) {
            let swapped = match one.verdict {
                Verdict::Ours => Verdict::Theirs,
                Verdict::Theirs => Verdict::Ours,
                same @ (Verdict::Unchanged
                | Verdict::BothSame
                | Verdict::Conflict
                | Verdict::Ignored) => same,
            };
            prop_assert_eq!((&one.path, swapped), (&other.path, other.verdict));
        }
    }

    #[test]
    fn nothing_differs_where_the_sides_are_one(x in side(), y in side()) {
        let is_unchanged = |field: &Merged| field.verdict == Verdict::Unchanged;
        prop_assert!(merge(&x, &x, &x).iter().all(is_unchanged));
        // What is as applied, or as wanted, nobody else made otherwise.
        prop_assert!(drifted(&merge(&x, &y, &x)).is_empty());
        prop_assert!(drifted(&merge(&x, &y, &y)).is_empty());
        let theirs = drifted(&merge(&x, &x, &y));
        prop_assert_eq!(theirs.is_empty(), x == y);
        for field in merge(&x, &y, &x) {
            let is_as_wanted = field.actual.as_ref() == Some(&field.wanted);
            prop_assert_eq!(field.verdict.source().is_none(), is_as_wanted);
        }
    }

    #[test]
    fn what_is_ignored_never_drifts_and_what_is_not_is_as_without(
        applied in (1_u64..3, 1_u32..3, 1_u32..3),
        wish in (1_u64..3, 1_u32..3, 1_u32..3),
        now in (1_u64..3, prop::option::of(1_u64..3), 1_u64..3),
        ignored in prop::sample::subsequence(vec!["memory", "cores", "rootfs"], 0..=3),
    ) {
        let applied = Applied {
            resources: Some(Resources {
                memory_mib: applied.0,
                cores: applied.1,
                disk_gib: applied.2,
            }),
            power: None,
        };
        let now = Actual {
            memory_mib: now.0,
            cores: now.1,
            disk_bytes: Some(now.2 << 30),
            ..actual()
        };
        let of = |ignored: &[&str]| {
            let resources = json!({"memory_mib": wish.0, "cores": wish.1, "disk_gib": wish.2});
            let spec = wanted(json!({"resources": resources, "ignore": ignored}));
            sides(&applied, Some(&spec), &now)
        };
        let (with, without) = (of(&ignored), of(&[]));
        for field in drifted(&with) {
            prop_assert!(!ignored.contains(&field.path.as_str()));
        }
        let others = |fields: &[Merged]| -> Vec<Merged> {
            let others = fields.iter().filter(|one| !ignored.contains(&one.path.as_str()));
            others.cloned().collect()
        };
        prop_assert_eq!(others(&with), others(&without));
        prop_assert_eq!(with.len(), without.len(), "nothing is hidden");
    }
}
