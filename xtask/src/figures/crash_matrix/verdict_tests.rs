use super::*;

const APP: &str = "01a1-app";

fn records() -> Records {
    let app = AppRow {
        id: APP.to_owned(),
        hostname: "web".to_owned(),
        status: "running".to_owned(),
    };
    let guest = GuestRow {
        app: APP.to_owned(),
        vmid: 101,
    };
    let held = HeldRow {
        app: APP.to_owned(),
        public: 8100,
    };
    Records {
        apps: vec![app],
        guests: vec![guest],
        held: vec![held],
        operations: vec![operation("deploy", "succeeded")],
        desired: vec![DesiredRow {
            name: "web".to_owned(),
            revision: 1,
        }],
        broken: Vec::new(),
    }
}

fn operation(kind: &str, state: &str) -> OperationRow {
    OperationRow {
        kind: kind.to_owned(),
        state: state.to_owned(),
        ended: state != "stuck" && state != "running",
        problem: None,
    }
}

fn world() -> World {
    let one = BTreeSet::from([101]);
    World {
        guests: vec![(101, format!("mark:{APP}:1"))],
        on_disk: one.clone(),
        running: one.clone(),
        leased: one.clone(),
        routes: vec![APP.to_owned()],
        done: vec![("vzcreate".to_owned(), 101), ("vzstart".to_owned(), 101)],
        changed: one,
    }
}

fn removed() -> (Records, World) {
    let records = Records {
        operations: vec![
            operation("remove", "succeeded"),
            operation("deploy", "succeeded"),
        ],
        ..Records::default()
    };
    let world = World {
        done: vec![("vzcreate".to_owned(), 101), ("vzdestroy".to_owned(), 101)],
        changed: BTreeSet::from([101]),
        ..World::default()
    };
    (records, world)
}

const RUNNING: Expected = Expected::Running { page: true };

fn kinds(records: &Records, world: &World, expected: Expected) -> Vec<Kind> {
    let faults = judge(records, world, &BTreeSet::from([101]), expected);
    let kinds: BTreeSet<Kind> = faults.into_iter().map(|fault| fault.kind).collect();
    kinds.into_iter().collect()
}

/// The kinds of fault after one change to a world in which the app runs.
fn running_but(change: impl FnOnce(&mut Records, &mut World)) -> Vec<Kind> {
    let (mut records, mut world) = (records(), world());
    change(&mut records, &mut world);
    kinds(&records, &world, RUNNING)
}

/// The same for a world from which the app was removed.
fn removed_but(change: impl FnOnce(&mut Records, &mut World)) -> Vec<Kind> {
    let (mut records, mut world) = removed();
    change(&mut records, &mut world);
    kinds(&records, &world, Expected::Nothing)
}

#[test]
fn what_is_as_it_should_be_has_no_fault() {
    assert_eq!(running_but(|_, _| {}), []);
    assert_eq!(removed_but(|_, _| {}), []);
}

#[test]
fn a_container_that_is_recorded_and_not_there_is_lost() {
    assert_eq!(
        running_but(|_, world| world.guests.clear()),
        [Kind::Lost, Kind::LeakedPort]
    );
    assert_eq!(running_but(|_, world| world.on_disk.clear()), [Kind::Lost]);
    assert_eq!(running_but(|_, world| world.running.clear()), [Kind::Lost]);
    assert!(running_but(|records, _| records.guests.clear()).contains(&Kind::Lost));
}

#[test]
fn a_container_that_nobody_recorded_is_leaked() {
    let more = |world: &mut World| world.guests.push((102, String::new()));
    assert_eq!(running_but(|_, world| more(world)), [Kind::Leaked]);
    assert_eq!(removed_but(|_, world| more(world)), [Kind::Leaked]);
    assert_eq!(
        removed_but(|_, world| {
            world.on_disk.insert(101);
        }),
        [Kind::Leaked]
    );
    assert_eq!(
        removed_but(|_, world| {
            world.running.insert(101);
        }),
        [Kind::Leaked]
    );
}

#[test]
fn two_containers_of_one_app_or_a_task_done_twice_are_doubled() {
    let twice = running_but(|_, world| world.guests.push((102, format!("mark:{APP}:2"))));
    assert_eq!(twice, [Kind::Leaked, Kind::Doubled]);
    let recorded = running_but(|records, _| {
        records.guests.push(GuestRow {
            app: APP.to_owned(),
            vmid: 102,
        });
    });
    assert_eq!(recorded, [Kind::Lost, Kind::Doubled]);
    let done = |kind: &str| (kind.to_owned(), 101);
    assert_eq!(
        running_but(|_, world| world.done.push(done("vzcreate"))),
        [Kind::Doubled]
    );
    assert_eq!(
        running_but(|_, world| world.done.push(done("vzdestroy"))),
        [Kind::Doubled]
    );
    assert_eq!(
        removed_but(|_, world| world.done.push(done("vzdestroy"))),
        [Kind::Doubled]
    );
    assert_eq!(
        removed_but(|_, world| {
            world.done.pop();
        }),
        [Kind::Unconverged]
    );
}

#[test]
fn an_operation_that_was_begun_twice_and_a_wish_that_was_written_down_twice_are_doubled() {
    let found = running_but(|records, _| {
        records.operations.push(operation("deploy", "succeeded"));
    });
    assert_eq!(found, [Kind::Doubled]);
    let found = running_but(|records, _| records.desired[0].revision = 2);
    assert_eq!(found, [Kind::Doubled]);
}

#[test]
fn ports_routes_and_addresses_without_a_live_app_are_leaked() {
    let held = |records: &mut Records| {
        records.held.push(HeldRow {
            app: "gone".to_owned(),
            public: 8101,
        });
    };
    assert_eq!(running_but(|records, _| held(records)), [Kind::LeakedPort]);
    assert_eq!(removed_but(|records, _| held(records)), [Kind::LeakedPort]);
    assert_eq!(
        removed_but(|_, world| world.routes.push(APP.to_owned())),
        [Kind::LeakedPort]
    );
    assert_eq!(
        removed_but(|_, world| {
            world.leased.insert(101);
        }),
        [Kind::LeakedPort]
    );
}

#[test]
fn what_did_not_come_to_its_end_is_unconverged() {
    for state in ["running", "failed", "stuck"] {
        let found = running_but(|records, _| records.operations[0] = operation("deploy", state));
        assert_eq!(found, [Kind::Unconverged], "{state}");
    }
    assert_eq!(
        running_but(|records, _| records.apps[0].status = "error".to_owned()),
        [Kind::Unconverged]
    );
    assert_eq!(
        running_but(|_, world| world.routes.clear()),
        [Kind::Unconverged]
    );
    assert_eq!(
        running_but(|records, _| records.held.clear()),
        [Kind::Unconverged]
    );
    assert!(running_but(|records, _| records.apps.clear()).contains(&Kind::Unconverged));
    assert_eq!(
        kinds(&records(), &world(), Expected::Running { page: false }),
        [Kind::Unconverged]
    );
    let app = records().apps;
    assert_eq!(
        removed_but(|records, _| records.apps = app),
        [Kind::Unconverged]
    );
}

#[test]
fn strangers_and_contradictions_are_faults() {
    assert_eq!(
        running_but(|_, world| {
            world.changed.insert(100);
        }),
        [Kind::Stranger]
    );
    assert_eq!(
        removed_but(|_, world| {
            world.changed.insert(100);
        }),
        [Kind::Stranger]
    );
    assert_eq!(
        running_but(|records, _| records.broken.push("odd".to_owned())),
        [Kind::Broken]
    );
}
