use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::app::AppClass;
use crate::desired::Documents;
use crate::manifest::Manifest;
use crate::names::Hostname;
use crate::plan::{Act, Change, Downtime, FieldDiff, MassBrake, Obstacle, Place, Plan, Source};

use ChangeState::{Done, Failed, HeldUp, NotStarted, Quiet, Started, Waiting};

fn name(n: usize) -> Hostname {
    format!("app-{n}").parse().unwrap()
}

fn order(needs: &[Vec<usize>]) -> Order {
    let names: Vec<Hostname> = (0..needs.len()).map(name).collect();
    let needs = needs.iter();
    let needs: Vec<Vec<Hostname>> = needs
        .map(|its| its.iter().copied().map(name).collect())
        .collect();
    Order::of(names.iter().zip(needs.iter().map(Vec::as_slice)))
}

#[test]
fn labels_are_read_back() {
    for state in ApplyState::ALL {
        assert_eq!(ApplyState::parse(state.label()), Some(state));
    }
    for state in ChangeState::ALL {
        assert_eq!(ChangeState::parse(state.label()), Some(state));
        assert_eq!(serde_json::to_value(state).unwrap(), json!(state.label()));
    }
    assert_eq!(ApplyState::parse("over"), None);
    assert_eq!(ChangeState::parse("over"), None);
}

#[test]
fn changes_are_started_in_order_and_no_more_than_may_be() {
    let order = order(&[vec![], vec![], vec![], vec![0, 1], vec![7]]);
    let mut states = vec![Waiting; 5];
    assert_eq!(order.next(&states, 2, false).start, [0, 1]);
    states[0] = Done;
    states[1] = Started;
    assert_eq!(order.next(&states, 2, false).start, [2]);
    states[2] = Started;
    assert!(order.next(&states, 2, false).is_nothing());
    states[1] = Quiet;
    states[2] = Done;
    assert_eq!(order.next(&states, 2, false).start, [3, 4]);
    assert_eq!(order.next(&states, 0, false).start, [3], "one at least");
}

#[test]
fn a_failed_change_holds_up_what_depends_on_it_and_nothing_else() {
    let order = order(&[vec![], vec![0], vec![1], vec![], vec![3]]);
    let states = [Failed, Waiting, Waiting, Done, Waiting];
    let next = order.next(&states, 4, false);
    assert_eq!(next.held_up, [(1, 0), (2, 1)]);
    assert_eq!((next.start, next.end), (vec![4], None));
    let next = order.next(&[Failed, HeldUp, HeldUp, Done, Done], 4, false);
    assert_eq!(next.end, Some(ApplyState::Failed));
    let why = held_up_by(&name(0));
    assert_eq!(why.code, "held_up");
    assert!(why.message.contains("app-0") && why.hint.contains("app-0"));
}

#[test]
fn a_stop_starts_no_more_and_waits_for_what_was_started() {
    let order = order(&[vec![], vec![], vec![0], vec![1]]);
    let next = order.next(&[Started, Failed, Waiting, Waiting], 4, true);
    assert_eq!(next.not_started, [2]);
    assert_eq!(next.held_up, [(3, 1)], "that is why, and not the stop");
    assert_eq!((next.start.len(), next.end), (0, None));
    let next = order.next(&[Done, Done, Waiting, Waiting], 4, true);
    assert_eq!(next.end, Some(ApplyState::Stopped));
    let next = order.next(&[Done; 4], 4, true);
    assert_eq!(next.end, Some(ApplyState::Done), "it came too late");
    assert_eq!(
        Order::of([]).next(&[], 1, false).end,
        Some(ApplyState::Done)
    );
}

#[test]
fn a_circle_ends_as_well() {
    let order = order(&[vec![1], vec![0], vec![]]);
    assert_eq!(order.next(&[Waiting; 3], 4, false).start, [2]);
    let next = order.next(&[Waiting, Waiting, Done], 4, false);
    assert_eq!(next.held_up, [(0, 1), (1, 0)]);
    assert_eq!(next.end, Some(ApplyState::Failed));
}

/// An apply that is carried out, with what a process that dies leaves of it.
struct Run {
    needs: Vec<Vec<usize>>,
    states: Vec<ChangeState>,
    begun: Vec<u32>,
    stopping: bool,
}

impl Run {
    /// Writes what comes next, as a loop does before it acts. A process that died before knew nothing more.
    fn turn(&mut self, parallel: u32) -> Next {
        let next = order(&self.needs).next(&self.states, parallel, self.stopping);
        for at in &next.start {
            self.begun[*at] += 1;
            let done = self.needs[*at]
                .iter()
                .all(|need| self.states[*need] == Done);
            assert!(done, "{at} was started before what it depends on");
            assert_eq!(self.states[*at], Waiting);
            self.states[*at] = Started;
        }
        for (at, by) in &next.held_up {
            assert!(self.needs[*at].contains(by));
            assert_eq!(self.states[*at], Waiting);
            self.states[*at] = HeldUp;
        }
        for at in &next.not_started {
            assert!(self.stopping && self.states[*at] == Waiting);
            self.states[*at] = NotStarted;
        }
        let started = self.states.iter().filter(|state| **state == Started);
        assert!(started.count() <= parallel.max(1) as usize);
        assert_eq!(next.end, ended(self.states.iter().copied()));
        next
    }

    /// All that a failed change stands before, whichever way.
    fn behind_failed(&self) -> BTreeSet<usize> {
        let mut behind = BTreeSet::new();
        loop {
            let held = |need: &usize| self.states[*need] == Failed || behind.contains(need);
            let more = (0..self.needs.len()).filter(|at| self.needs[*at].iter().any(held));
            let more: BTreeSet<usize> = more.collect();
            if more == behind {
                return behind;
            }
            behind = more;
        }
    }
}

fn needs(most: usize) -> impl Strategy<Value = Vec<Vec<usize>>> {
    let wishes = prop::collection::vec(prop::collection::vec(0..most, 0..4), 1..most);
    wishes.prop_map(|wishes| {
        let each = wishes.into_iter().enumerate();
        let each = each.map(|(one, its)| its.into_iter().filter(|need| *need < one).collect());
        each.collect()
    })
}

proptest! {
    // Outcomes are drawn as they are needed: which of those that are started ends, and how.
    #[test]
    fn every_apply_ends_with_each_change_started_once_at_most(
        needs in needs(24),
        draws in prop::collection::vec((any::<usize>(), 0_u8..10), 200),
        parallel in 0_u32..6,
        stop_at in prop::option::of(0_usize..40),
    ) {
        let count = needs.len();
        let mut run = Run {
            states: vec![Waiting; count],
            begun: vec![0; count],
            stopping: false,
            needs,
        };
        let mut end = None;
        for (turn, (which, how)) in draws.into_iter().enumerate() {
            run.stopping |= stop_at == Some(turn);
            end = run.turn(parallel).end;
            if end.is_some() {
                break;
            }
            let started = run.states.iter().enumerate();
            let started: Vec<usize> = started
                .filter(|(_, state)| **state == Started)
                .map(|(at, _)| at)
                .collect();
            prop_assert!(!started.is_empty(), "it waits for nobody: {:?}", run.states);
            // Every fifth time the process dies instead, and the next one reads what was written.
            if how > 1 {
                run.states[started[which % started.len()]] = if how == 2 { Failed } else { Done };
            }
        }
        let end = end.expect("200 turns are enough for 24 changes");
        prop_assert!(run.begun.iter().all(|times| *times <= 1), "{:?}", run.begun);
        let behind = run.behind_failed();
        for (at, state) in run.states.iter().enumerate() {
            prop_assert!(state.is_over());
            if !run.stopping {
                prop_assert_eq!(*state == HeldUp, behind.contains(&at), "{}", at);
            } else if *state == HeldUp {
                prop_assert!(behind.contains(&at));
            }
        }
        let stopped = run.states.contains(&NotStarted);
        let expected = match (run.states.contains(&Failed), stopped) {
            (true, _) => ApplyState::Failed,
            (false, true) => ApplyState::Stopped,
            (false, false) => ApplyState::Done,
        };
        prop_assert_eq!(end, expected);
    }
}

fn change(at: usize, act: Act, class: AppClass, paths: &[&str]) -> Change {
    let fields = paths.iter().map(|path| FieldDiff {
        path: (*path).to_owned(),
        from: None,
        to: Some(json!(1)),
        source: Source::Documents,
    });
    Change {
        name: name(at),
        app: None,
        class,
        place: Place {
            vmid: Some(105_u32.try_into().unwrap()),
            ..Place::default()
        },
        layer: 0,
        depends_on: Vec::new(),
        act,
        fields: fields.collect(),
        downtime: Downtime::None,
        at_risk: Vec::new(),
        lacks: Vec::new(),
        obstacles: Vec::new(),
        notes: Vec::new(),
    }
}

fn plan(changes: Vec<Change>) -> Plan {
    Plan {
        digest: "d".repeat(64),
        basis: "b".repeat(64),
        prune: true,
        changes,
        unchanged: 0,
        uncompared: 0,
        ignored: Vec::new(),
        brake: None,
        rollback: None,
    }
}

fn judge(plan: &Plan, consent: Consent) -> Result<(), Refusal> {
    may_apply(plan, plan, &Documents::default(), &consent)
}

fn code(judged: Result<(), Refusal>) -> &'static str {
    judged.unwrap_err().code()
}

#[test]
fn a_plan_whose_state_moved_is_not_applied() {
    let shown = plan(vec![change(0, Act::Create, AppClass::Native, &[])]);
    assert_eq!(judge(&shown, Consent::default()), Ok(()));
    let moved = [
        Plan {
            basis: "c".repeat(64),
            ..shown.clone()
        },
        Plan {
            digest: "c".repeat(64),
            ..shown.clone()
        },
        plan(vec![change(0, Act::Destroy, AppClass::Native, &[])]),
        plan(vec![]),
    ];
    for now in moved {
        let judged = may_apply(&shown, &now, &Documents::default(), &Consent::default());
        assert_eq!(code(judged), "plan_outdated");
    }
}

/// A stack that is taken apart has its apps in earlier layers than as one.
#[test]
fn a_plan_is_the_same_in_whichever_order_it_is_told() {
    let changes = [0, 1].map(|at| change(at, Act::Create, AppClass::Native, &[]));
    let shown = plan(changes.to_vec());
    let mut now = shown.clone();
    now.changes.reverse();
    let judged = may_apply(&shown, &now, &Documents::default(), &Consent::default());
    assert_eq!(judged, Ok(()));
}

#[test]
fn what_keeps_changes_back_is_told_of_all_of_them() {
    let mut first = change(0, Act::Update, AppClass::Native, &["node", "power"]);
    let adopted = ["guard", "port", "expose", "type"];
    let mut second = change(1, Act::Update, AppClass::Adopted, &adopted);
    let shown = plan(vec![first.clone(), second.clone()]);
    let refusal = judge(&shown, Consent::default()).unwrap_err();
    assert_eq!(refusal.code(), "plan_unsupported");
    let expected = [("app-0", "node"), ("app-1", "port, type")];
    let expected = expected.map(|(name, paths)| (name.to_owned(), paths.to_owned()));
    assert_eq!(refusal.fields(), BTreeMap::from(expected));
    first.obstacles = vec![Obstacle::new("busy", "it works", "wait")];
    second.obstacles = first.obstacles.clone();
    let shown = plan(vec![first, second]);
    let refusal = judge(&shown, Consent::default()).unwrap_err();
    assert_eq!(refusal.code(), "plan_obstructed");
    assert_eq!(refusal.fields().len(), 2);
    assert!(refusal.to_string().contains("app-0, app-1"));
    assert_eq!(refusal.fields()["app-1"], "it works; wait");
}

#[test]
fn an_app_of_the_catalog_is_changed_where_it_is() {
    let paths = ["memory", "cores", "rootfs", "settings.TITLE", "power"];
    let mut shown = plan(vec![change(0, Act::Update, AppClass::Native, &paths)]);
    assert_eq!(judge(&shown, Consent::default()), Ok(()));
    // The catalog has no such setting any more.
    shown.changes[0].fields[3].to = None;
    let refusal = judge(&shown, Consent::default()).unwrap_err();
    assert_eq!(refusal.code(), "plan_unsupported");
    assert_eq!(refusal.fields()["app-0"], "settings.TITLE");
}

#[test]
fn what_the_token_may_not_do_is_not_begun() {
    let mut one = change(0, Act::Create, AppClass::Native, &[]);
    one.lacks = vec!["VM.Allocate on /pool/apps".to_owned()];
    one.place.host = Some("home".parse().unwrap());
    let other = change(1, Act::Create, AppClass::Native, &[]);
    let refusal = judge(&plan(vec![one, other]), Consent::default()).unwrap_err();
    assert_eq!(refusal.code(), "plan_obstructed");
    let fields = refusal.fields();
    assert_eq!(fields.len(), 1, "{fields:?}");
    let told = &fields["app-0"];
    assert!(
        told.contains("VM.Allocate on /pool/apps") && told.contains("--host home"),
        "{told}"
    );
}

#[test]
fn a_port_is_changed_where_the_gateway_leads_to_it() {
    let shown = plan(vec![change(0, Act::Update, AppClass::Adopted, &["port"])]);
    for expose in [true, false] {
        let spec = json!({"host": "home", "vmid": 105, "expose": expose});
        let document = Manifest::AdoptedApp {
            name: name(0),
            spec: serde_json::from_value(spec).unwrap(),
        };
        let documents = Documents::of(&[document]);
        let judged = may_apply(&shown, &shown, &documents, &Consent::default());
        assert_eq!(judged.is_ok(), expose);
    }
}

#[test]
fn each_removal_wants_its_own_consent() {
    let mut shown = plan(vec![
        change(0, Act::Destroy, AppClass::Native, &[]),
        change(1, Act::Forget, AppClass::Adopted, &[]),
        change(2, Act::Replace, AppClass::Native, &[]),
        change(3, Act::Replace, AppClass::Adopted, &[]),
    ]);
    shown.brake = Some(MassBrake {
        removed: 4,
        done: 0,
        limit: 3,
    });
    let mut consent = Consent::default();
    let refusal = judge(&shown, consent).unwrap_err();
    assert_eq!(refusal.code(), "prune_not_allowed");
    assert!(refusal.to_string().contains("removes 2 app(s)"));
    consent.prune = true;
    for wrong in [None, Some(3), Some(5)] {
        consent.confirm_removed = wrong;
        assert_eq!(code(judge(&shown, consent)), "brake_not_released");
    }
    consent.confirm_removed = Some(4);
    for wrong in [None, Some(1), Some(4)] {
        consent.confirm_destroyed = wrong;
        let refusal = judge(&shown, consent).unwrap_err();
        assert_eq!(refusal.code(), "destroy_not_confirmed");
        assert!(refusal.hint().ends_with("--confirm-destroyed 2"));
    }
    consent.confirm_destroyed = Some(2);
    assert_eq!(judge(&shown, consent), Ok(()));
    let replaced = plan(vec![change(2, Act::Replace, AppClass::Native, &[])]);
    assert_eq!(
        code(judge(&replaced, Consent::default())),
        "destroy_not_confirmed"
    );
}
