//! Containers that somebody switched otherwise than documents want them: switched back where the policy is `revert`, a few times, and
//! not while Proxmox VE itself switches.

use std::sync::Arc;

use proximity_domain::app::StatusLabel;
use proximity_domain::event::EventKind;
use proximity_domain::ids::OperationId;
use proximity_domain::operation::OperationState;
use proximity_engine::policy::{MOST_IN_AN_HOUR, Reverter};
use proximity_engine::reconcile::Pass;
use proximity_pve::transport::Method;
use proximity_pve_emulator::core::Reach;
use proximity_store::records::OperationRecord;
use proximity_testkit::pve::Pve;
use proximity_testkit::sources::MovedClock;
use proximity_testkit::world::WorldParts;

use super::hand_edits::{place, sweep, told};
use super::*;

/// Longer than a policy rests between two changes of an app, and than a task that switches all of a node counts.
const AGAIN_MS: u64 = 12 * 60_000;

struct Switched {
    s: Stand,
    clock: Arc<MovedClock>,
}

impl Switched {
    async fn over(nodes: &[&str]) -> Self {
        let clock = Arc::new(MovedClock::default());
        let parts = WorldParts {
            clock: Some(clock.clone()),
            clusters: vec![Pve::cluster(0, nodes, Access::Full)],
            ..WorldParts::default()
        };
        let world = TestWorld::start_of(parts).await.unwrap();
        let s = Stand::over(world);
        Self { s, clock }
    }

    /// An app that documents want switched so.
    async fn wanted(nodes: &[&str], policy: Policy, power: Option<WantedPower>) -> Self {
        let switched = Self::over(nodes).await;
        let mut document = app("web", &[]);
        spec(&mut document).policy = policy;
        spec(&mut document).power = power;
        switched.apply(document).await;
        switched
    }

    /// A container that was taken over, running, which documents want switched so.
    async fn taken_over(power: Option<WantedPower>) -> Self {
        let switched = Self::over(&["pve1"]).await;
        let pve = &switched.s.w.pve;
        assert_eq!(pve.stranger_creates("pve1", 150).await.status, 200);
        let start = "/nodes/pve1/lxc/150/status/start";
        assert_eq!(pve.as_root(Method::Post, start, &[]).await.status, 200);
        let is_up =
            async || pve.meddle(|world| world.guests().any(|(id, g)| id == 150 && g.is_running()));
        switched.s.w.until(is_up).await.unwrap();
        pve.quiet().await;
        let mut document = found("web", 150);
        match &mut document {
            Manifest::AdoptedApp { spec, .. } => {
                spec.policy = Policy::Revert;
                spec.guard = false;
                spec.power = power;
            }
            other => panic!("{other:?}"),
        }
        switched.apply(document).await;
        switched
    }

    async fn apply(&self, document: Manifest) {
        let id = self.s.apply(&[document]).await;
        let (state, changes) = self.s.ended(id).await;
        assert_eq!(state, ApplyState::Done, "{changes:?}");
    }

    /// Asks Proxmox VE as root.
    async fn asks(&self, path: &str, params: &[(&str, &str)]) {
        let answer = self.s.w.pve.as_root(Method::Post, path, params).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.reason);
    }

    /// Somebody switches it by hand; the record follows, and the sweep sees it.
    async fn by_hand(&self, act: &str, then: StatusLabel) {
        let place = place(&self.s).await;
        let path = format!("/nodes/{}/lxc/{}/status/{act}", place.node, place.vmid);
        self.asks(&path, &[]).await;
        self.follows(then).await;
        sweep(&self.s).await;
    }

    async fn status(&self) -> StatusLabel {
        let store = &self.s.w.store;
        let web = store.app_by_hostname("web").await.unwrap().unwrap();
        web.status.label()
    }

    /// Looks until the record has followed.
    async fn follows(&self, then: StatusLabel) {
        let has_followed = async || {
            self.s.w.pve.meddle(|world| world.tell_now());
            let reconciler = self.s.w.engine.reconciler();
            reconciler.pass(&Pass::Work).await.unwrap();
            self.status().await == then
        };
        self.s.w.until(has_followed).await.unwrap();
        let is_over =
            async || (self.s.w.pve).meddle(|world| world.tasks().all(|task| !task.is_running()));
        self.s.w.until(is_over).await.unwrap();
    }

    /// What the policy asks for now, by a loop that has just begun.
    async fn asked(&self) -> Vec<OperationId> {
        let reverter = Reverter::new(self.s.w.engine.clone());
        reverter.pass().await.unwrap()
    }

    /// The one operation that the policy asks for now, once it has ended well.
    async fn reverted(&self) -> OperationRecord {
        let [operation] = self.asked().await[..] else {
            panic!("one operation");
        };
        let record = self.s.w.settled(operation).await.unwrap();
        assert_eq!(record.state, OperationState::Succeeded);
        record
    }

    async fn drifts(&self) -> usize {
        told(&self.s, EventKind::DesiredDrifted).await.len()
    }

    async fn is_sound(&self) {
        let broken = self.s.w.store.invariants().await.unwrap();
        assert_eq!(broken, Vec::<String>::new());
    }
}

const RUNS: Option<WantedPower> = Some(WantedPower::Running);
const STANDS: Option<WantedPower> = Some(WantedPower::Stopped);

#[tokio::test]
async fn what_was_stopped_by_hand_is_started_once_in_the_name_of_the_policy() {
    let w = Switched::wanted(&["pve1"], Policy::Revert, RUNS).await;
    assert!(w.asked().await.is_empty(), "nothing differs");
    w.by_hand("stop", StatusLabel::Stopped).await;
    let event = told(&w.s, EventKind::DesiredDrifted).await.remove(0);
    assert_eq!(event["fields"][0]["field"], "power", "{event}");
    let record = w.reverted().await;
    assert_eq!(record.kind, OperationKind::Start);
    assert_eq!(record.requested_by, "system");
    let because = record.input["because"].as_str().unwrap();
    assert!(because.starts_with("policy revert"), "{because}");
    assert_eq!(w.status().await, StatusLabel::Running);
    assert!(w.asked().await.is_empty(), "it was just done");
    sweep(&w.s).await;
    assert_eq!(told(&w.s, EventKind::DesiredDriftEnded).await.len(), 1);
    w.clock.pass(AGAIN_MS);
    assert!(w.asked().await.is_empty(), "nothing differs any more");
    assert_eq!(w.s.operations(OperationKind::Start).await, 1);
    let audit = w.s.w.store.audit(1_000, 0).await.unwrap();
    let by_policy = |action: &str| {
        let rows = audit.iter().filter(|row| row.account == "system");
        rows.filter(|row| row.action == action).count()
    };
    assert_eq!((by_policy("app.start"), by_policy("app.stop")), (1, 0));
    w.is_sound().await;
}

#[tokio::test]
async fn what_was_started_by_hand_is_shut_down_again() {
    let w = Switched::wanted(&["pve1"], Policy::Revert, STANDS).await;
    assert_eq!(w.status().await, StatusLabel::Stopped);
    let before = w.s.operations(OperationKind::Stop).await;
    w.by_hand("start", StatusLabel::Running).await;
    let record = w.reverted().await;
    assert_eq!(record.kind, OperationKind::Stop);
    assert_eq!(record.input["force"], false);
    assert_eq!(w.status().await, StatusLabel::Stopped);
    assert_eq!(w.s.operations(OperationKind::Stop).await, before + 1);
    w.is_sound().await;
}

#[tokio::test]
async fn whoever_goes_on_stopping_it_wins_after_a_few_times_and_that_stays_told() {
    let w = Switched::wanted(&["pve1"], Policy::Revert, RUNS).await;
    for _ in 0..MOST_IN_AN_HOUR {
        w.by_hand("stop", StatusLabel::Stopped).await;
        w.reverted().await;
        sweep(&w.s).await;
        w.clock.pass(AGAIN_MS);
    }
    w.by_hand("stop", StatusLabel::Stopped).await;
    assert!(w.asked().await.is_empty(), "often enough");
    assert_eq!(w.drifts().await, MOST_IN_AN_HOUR + 1);
    let view = w.s.w.engine.drift("web").await.unwrap();
    assert!(view.told_since.is_some(), "{view:?}");
    assert_eq!(
        w.s.operations(OperationKind::Start).await,
        MOST_IN_AN_HOUR,
        "{view:?}"
    );
    assert_eq!(w.status().await, StatusLabel::Stopped);
    w.clock.pass(60 * 60_000);
    w.reverted().await;
}

#[tokio::test]
async fn a_warning_and_what_no_document_says_switch_nothing() {
    for (policy, power, drifts) in [(Policy::Warn, RUNS, 1), (Policy::Revert, None, 0)] {
        let w = Switched::wanted(&["pve1"], policy, power).await;
        let changes = w.s.w.pve.changes();
        w.by_hand("stop", StatusLabel::Stopped).await;
        assert_eq!(w.drifts().await, drifts);
        assert!(w.asked().await.is_empty());
        assert_eq!(w.s.w.pve.changes(), changes, "nothing is sent");
    }
}

/// What a person asks for here is no change of somebody else, whatever documents want.
#[tokio::test]
async fn what_a_person_stopped_with_proximity_stays_stopped() {
    let w = Switched::wanted(&["pve1"], Policy::Revert, RUNS).await;
    let stop = Action::Stop { force: false };
    let asked = w.s.w.engine.act(&w.s.w.actor, "web", stop).await.unwrap();
    w.s.w.settled(asked.id).await.unwrap();
    sweep(&w.s).await;
    assert!(w.asked().await.is_empty());
    assert_eq!(w.s.operations(OperationKind::Start).await, 0);

    // What was told is some minutes old when the policy looks: meanwhile a person switched it here.
    let w = Switched::wanted(&["pve1"], Policy::Revert, RUNS).await;
    w.by_hand("stop", StatusLabel::Stopped).await;
    for action in [Action::Start, Action::Stop { force: false }] {
        let asked = w.s.w.engine.act(&w.s.w.actor, "web", action).await.unwrap();
        w.s.w.settled(asked.id).await.unwrap();
    }
    assert!(w.asked().await.is_empty());
    assert_eq!(w.s.operations(OperationKind::Start).await, 1);
    assert_eq!(w.status().await, StatusLabel::Stopped);
}

#[tokio::test]
async fn a_container_that_was_taken_over_is_switched_only_where_its_document_says_power() {
    let w = Switched::taken_over(RUNS).await;
    w.by_hand("stop", StatusLabel::Stopped).await;
    let record = w.reverted().await;
    assert_eq!(record.kind, OperationKind::Start);
    assert_eq!(w.status().await, StatusLabel::Running);
    w.is_sound().await;

    let w = Switched::taken_over(None).await;
    let changes = w.s.w.pve.changes();
    w.by_hand("stop", StatusLabel::Stopped).await;
    assert_eq!(w.drifts().await, 0);
    assert!(w.asked().await.is_empty());
    assert_eq!(w.s.w.pve.changes(), changes);
}

#[tokio::test]
async fn what_high_availability_switches_is_left_to_it() {
    let w = Switched::wanted(&["pve1"], Policy::Revert, RUNS).await;
    w.by_hand("stop", StatusLabel::Stopped).await;
    let sid = format!("ct:{}", place(&w.s).await.vmid);
    let member = [("sid", sid.as_str()), ("state", "stopped")];
    w.asks("/cluster/ha/resources", &member).await;
    let changes = w.s.w.pve.changes();
    assert!(w.asked().await.is_empty());
    assert_eq!(w.s.w.pve.changes(), changes);
    assert_eq!(w.status().await, StatusLabel::Stopped, "and in no error");
    let member = format!("/cluster/ha/resources/{sid}");
    let taken_out = w.s.w.pve.as_root(Method::Delete, &member, &[]).await;
    assert_eq!(taken_out.status, 200, "{}", taken_out.reason);
    assert_eq!(w.reverted().await.kind, OperationKind::Start);
}

/// As Proxmox VE does when a node goes down: all of its guests are shut down in one task, and some minutes later it is off.
#[tokio::test]
async fn what_goes_down_with_its_node_is_left_until_that_is_over() {
    let w = Switched::wanted(&["pve1"], Policy::Revert, RUNS).await;
    w.asks("/nodes/pve1/stopall", &[]).await;
    w.follows(StatusLabel::Stopped).await;
    sweep(&w.s).await;
    assert_eq!(w.drifts().await, 1);
    assert!(w.asked().await.is_empty(), "its node is going down");
    assert_eq!(w.s.operations(OperationKind::Start).await, 0);
    w.clock.pass(AGAIN_MS);
    assert_eq!(w.reverted().await.kind, OperationKind::Start);
}

#[tokio::test]
async fn nothing_is_switched_on_a_node_that_is_off() {
    let w = Switched::wanted(&["pve1", "pve2", "pve3"], Policy::Revert, RUNS).await;
    let node = place(&w.s).await.node.to_string();
    let is = |reach| {
        let pve = &w.s.w.pve;
        pve.meddle(|world| world.node_mut(&node).unwrap().reach = reach);
    };
    // The list says nothing of what is on it: no drift comes of that.
    is(Reach::Refused);
    let reconciler = w.s.w.engine.reconciler();
    reconciler.pass(&Pass::Work).await.unwrap();
    reconciler.sweep().await.unwrap();
    assert_eq!(w.drifts().await, 0);
    assert_eq!(w.status().await, StatusLabel::Running);
    is(Reach::Up);
    w.clock.pass(AGAIN_MS);
    w.by_hand("stop", StatusLabel::Stopped).await;
    is(Reach::Refused);
    assert!(w.asked().await.is_empty());
    assert_eq!(w.s.operations(OperationKind::Start).await, 0);
    is(Reach::Up);
    assert_eq!(w.reverted().await.kind, OperationKind::Start);
}
