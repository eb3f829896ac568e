//! Stacks are started and stopped in the order of what their apps need, and go on where they were.

use std::collections::BTreeMap;

use proximity_domain::app::StatusLabel;
use proximity_domain::apply::ApplyState;
use proximity_domain::manifest::{Manifest, StackApp, StackSpec, WantedPower};
use proximity_domain::stack::{Part, RunState, StackAct};
use proximity_engine::commands::{Action, StackRequest, StackRun};
use proximity_engine::engine::EngineLimits;
use proximity_pve_emulator::core::Access;
use proximity_testkit::world::TestWorld;
use tokio::sync::Mutex;

use super::{Stand, app, spec};

/// A page that needs a database.
fn shop() -> Manifest {
    let member = |name: &str, needs: &[&str]| {
        let mut document = app(name, needs);
        StackApp {
            name: name.parse().unwrap(),
            spec: spec(&mut document).clone(),
        }
    };
    Manifest::Stack {
        name: "shop".parse().unwrap(),
        spec: StackSpec {
            apps: vec![member("web", &["dbs"]), member("dbs", &[])],
            values: BTreeMap::new(),
            depends_on: Vec::new(),
        },
    }
}

async fn stand() -> Stand {
    let limits = EngineLimits {
        shutdown_s: 1,
        ..EngineLimits::default()
    };
    let world = TestWorld::start_with(Access::Full, limits).await.unwrap();
    let s = Stand::over(world);
    let id = s.apply(&[shop()]).await;
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Done, "{changes:?}");
    s
}

/// Goes on with a run until it is over.
async fn over(s: &Stand, act: StackAct, run: Option<String>) -> StackRun {
    let last = Mutex::new((run, None));
    let is_over = async || {
        let mut last = last.lock().await;
        let request = StackRequest {
            act,
            force: false,
            run: last.0.clone(),
            sees_only: None,
        };
        let acted = s.w.engine.act_on_stack(&s.w.actor, "shop", request).await;
        let acted = acted.unwrap();
        let is_over = acted.state != RunState::Going;
        *last = (Some(acted.run.clone()), Some(acted));
        is_over
    };
    s.w.until(is_over).await.unwrap();
    last.into_inner().1.unwrap()
}

async fn vmid(s: &Stand, name: &str) -> u32 {
    let app = s.w.store.app_by_hostname(name).await.unwrap().unwrap();
    let guests = s.w.store.native_guests(app.id).await.unwrap();
    guests[0].identity.vmid.get()
}

async fn status(s: &Stand, name: &str) -> StatusLabel {
    let app = s.w.store.app_by_hostname(name).await.unwrap().unwrap();
    app.status.label()
}

/// Which power calls were sent since, by name.
async fn sent(s: &Stand, since: usize) -> Vec<String> {
    let names = [("web", vmid(s, "web").await), ("dbs", vmid(s, "dbs").await)];
    let calls = s.w.pve.changes().split_off(since);
    let power = calls.iter().filter_map(|call| {
        let (at, what) = call.split_once("/status/")?;
        let of = names
            .iter()
            .find(|(_, vmid)| at.ends_with(&format!("/lxc/{vmid}")))?;
        Some(format!("{what} {}", of.0))
    });
    power.collect()
}

#[tokio::test]
async fn are_stopped_and_started_in_order_and_once() {
    let s = stand().await;
    let stacks = s.w.engine.stacks(None).await.unwrap();
    assert_eq!(stacks.len(), 1);
    assert_eq!(stacks[0].apps[1].depends_on[0].as_str(), "dbs");
    let before = s.w.pve.changes().len();
    let stopped = over(&s, StackAct::Stop, None).await;
    assert_eq!(stopped.state, RunState::Done, "{stopped:?}");
    assert_eq!(sent(&s, before).await, ["shutdown web", "shutdown dbs"]);
    assert_eq!(status(&s, "dbs").await, StatusLabel::Stopped);
    let again = over(&s, StackAct::Stop, None).await;
    assert_eq!(again.state, RunState::Done);
    assert_eq!(sent(&s, before).await.len(), 2, "it is so already");

    let before = s.w.pve.changes().len();
    let started = over(&s, StackAct::Start, None).await;
    assert_eq!(started.state, RunState::Done, "{started:?}");
    assert_eq!(sent(&s, before).await, ["start dbs", "start web"]);

    let before = s.w.pve.changes().len();
    let restarted = over(&s, StackAct::Restart, None).await;
    assert_eq!(restarted.state, RunState::Done, "{restarted:?}");
    let all = ["shutdown web", "shutdown dbs", "start dbs", "start web"];
    assert_eq!(sent(&s, before).await, all);
    let over_again = over(&s, StackAct::Restart, Some(restarted.run)).await;
    assert_eq!(over_again.state, RunState::Done);
    assert_eq!(sent(&s, before).await, all, "a run is done once");
}

#[tokio::test]
async fn end_at_the_first_failure_and_go_on_when_it_is_mended() {
    let s = stand().await;
    let before = s.w.pve.changes().len();
    s.w.pve.guests.ignore_shutdown(vmid(&s, "web").await);
    let failed = over(&s, StackAct::Stop, None).await;
    assert_eq!(failed.state, RunState::Failed, "{failed:?}");
    let [dbs, web] = failed.apps.as_slice() else {
        panic!("{failed:?}");
    };
    assert_eq!((dbs.down.part, web.down.part), (Part::Open, Part::Failed));
    let why = web.down.why.as_ref().unwrap();
    assert_eq!(why.code, "shutdown_timed_out");
    let calls = sent(&s, before).await;
    assert!(calls.iter().all(|call| call.ends_with("web")), "{calls:?}");
    let again = over(&s, StackAct::Stop, Some(failed.run.clone())).await;
    assert_eq!(again.state, RunState::Failed, "nothing is tried by itself");

    let force = Action::Stop { force: true };
    let mended = s.w.engine.act(&s.w.actor, "web", force).await.unwrap();
    s.w.settled(mended.id).await.unwrap();
    let done = over(&s, StackAct::Stop, Some(failed.run)).await;
    assert_eq!(done.state, RunState::Done, "{done:?}");
    assert_eq!(status(&s, "dbs").await, StatusLabel::Stopped);
}

#[tokio::test]
async fn leave_out_what_documents_want_stopped_and_what_is_gone() {
    let s = stand().await;
    over(&s, StackAct::Stop, None).await;
    let mut document = shop();
    if let Manifest::Stack { spec, .. } = &mut document {
        spec.apps[0].spec.power = Some(WantedPower::Stopped);
    }
    s.w.pve.meddle(|world| world.tell_now());
    let id = s.apply(&[document]).await;
    s.ended(id).await;
    let started = over(&s, StackAct::Start, None).await;
    assert_eq!(started.state, RunState::Done, "{started:?}");
    assert_eq!(started.apps[1].up.part, Part::Left);
    assert_eq!(status(&s, "web").await, StatusLabel::Stopped);
    assert_eq!(status(&s, "dbs").await, StatusLabel::Running);

    let others = s.w.engine.stack("shop", Some("somebody")).await;
    assert_eq!(others.unwrap_err().code(), "not_found");
    let request = StackRequest {
        act: StackAct::Start,
        force: false,
        run: Some("x".to_owned()),
        sees_only: None,
    };
    let wrong = s.w.engine.act_on_stack(&s.w.actor, "shop", request).await;
    assert_eq!(wrong.unwrap_err().code(), "invalid_value");
}
