//! Plans that are carried out.

use std::collections::BTreeMap;

use proximity_domain::apply::{ApplyState, ChangeState, Next, Order};
use proximity_domain::desired::Documents;
use proximity_domain::event::EventKind;
use proximity_domain::failure::Failure;
use proximity_domain::ids::{AppId, ApplyId, Epoch, HolderId, OperationId, PlanId};
use proximity_domain::manifest::Manifest;
use proximity_domain::names::Hostname;
use proximity_domain::plan::{Act, Change, Plan};
use proximity_domain::time::Timestamp;
use proximity_store::StoreError;
use proximity_store::applies::{
    APPLIES_KEPT, ApplyChange, ApplyFence, ApplyRecord, ChangeEnd, ClaimableApply, NewApply,
};
use proximity_store::plans::{PLANS_KEPT, PlanRecord};
use proximity_store::removals::BrakeBasis;
use serde_json::{Value, json};
use uuid::Uuid;

use super::world::{LEASE_MS, Make, World, failure, request_key};

pub fn name(name: &str) -> Hostname {
    name.parse().unwrap()
}

/// A change; what is given goes before the rest.
pub fn change(of: &str, act: Act, app: Option<AppId>, needs: &[&str]) -> Change {
    let change = json!({
        "name": of, "app": app, "class": "native", "layer": 0, "depends_on": needs, "act": act, "fields": [],
        "place": {"host_id": null, "host": null, "node": null, "vmid": null}, "downtime": "none",
        "at_risk": [], "lacks": [], "obstacles": [], "notes": [],
    });
    serde_json::from_value(change).unwrap()
}

/// The document of an app with these settings.
pub fn document(of: &str, settings: Value) -> Manifest {
    let spec = json!({"catalog_id": "nginx", "settings": settings});
    Manifest::App {
        name: name(of),
        spec: serde_json::from_value(spec).unwrap(),
    }
}

/// A plan that is kept.
pub async fn kept(world: &mut World, changes: Vec<Change>, documents: &[Manifest]) -> PlanId {
    let record = PlanRecord {
        id: PlanId(world.id()),
        made_at: world.at(),
        made_by: "admin".to_owned(),
        plan: Plan {
            digest: "d".repeat(64),
            basis: "b".repeat(64),
            prune: false,
            changes,
            unchanged: 0,
            uncompared: 0,
            ignored: Vec::new(),
            brake: None,
            rollback: None,
        },
        applied_at: None,
    };
    let documents = Documents::of(documents);
    let kept = world.store.keep_plan(&record, &documents, &world.actor);
    kept.await.unwrap();
    record.id
}

pub async fn try_start(world: &mut World, plan: PlanId) -> Result<ApplyRecord, StoreError> {
    let new = NewApply {
        id: ApplyId(world.id()),
        plan,
        parallel: 2,
        key: None,
        brake: None,
        unless_rejected: false,
    };
    let started = world.store.start_apply(new, &world.actor, world.at());
    started.await
}

/// An apply of such a plan, and the claim on it.
pub async fn begun(
    world: &mut World,
    changes: Vec<Change>,
    documents: &[Manifest],
) -> (ApplyRecord, ApplyFence) {
    let plan = kept(world, changes, documents).await;
    let started = try_start(world, plan).await.unwrap();
    let all = world.store.claimable_applies().await.unwrap();
    let seen = all.iter().find(|seen| seen.id == started.id).unwrap();
    claim(world, seen, world.holder).await.unwrap()
}

async fn claim(
    world: &World,
    seen: &ClaimableApply,
    holder: HolderId,
) -> Option<(ApplyRecord, ApplyFence)> {
    let claimed = world
        .store
        .claim_apply_as_seen(seen, holder, LEASE_MS, world.at());
    claimed.await.unwrap()
}

pub fn starts(these: &[usize]) -> Next {
    Next {
        start: these.to_vec(),
        ..Next::default()
    }
}

async fn changes(world: &World, id: ApplyId) -> Vec<ApplyChange> {
    world.store.apply_changes(id).await.unwrap()
}

/// A change that is started and done.
pub async fn does(world: &World, fence: &ApplyFence, position: u32) {
    let next = starts(&[position as usize]);
    let turned = world.store.turn_changes(fence, &next, world.at());
    turned.await.unwrap();
    let (done, at) = (ChangeEnd::Done, world.at());
    let ended = world.store.end_change(fence, position, done, at);
    ended.await.unwrap();
}

async fn told(world: &World, kind: EventKind) -> Vec<Value> {
    let events = world.events(0, 1_000).await;
    let told = events.into_iter().filter(|event| event.2.kind == kind);
    told.map(|event| event.2.body).collect()
}

pub async fn are_begun_in_one_commit(make: &impl Make) {
    let mut world = World::new(make).await;
    let plan = vec![
        change("dbs", Act::Create, None, &[]),
        change("web", Act::Create, None, &["dbs"]),
        change("odd", Act::NoOp, None, &[]),
    ];
    let documents = [document("dbs", json!({})), document("web", json!({}))];
    let plan = kept(&mut world, plan, &documents).await;
    let new = NewApply {
        id: ApplyId(world.id()),
        plan,
        parallel: 1_000,
        key: Some(request_key("once")),
        brake: None,
        unless_rejected: false,
    };
    let (store, actor, at) = (world.store.clone(), world.actor.clone(), world.at());
    let started = store.start_apply(new.clone(), &actor, at).await.unwrap();
    assert_eq!((started.state, started.parallel), (ApplyState::Running, 32));
    assert_eq!((started.plan, started.actor()), (plan, actor.clone()));
    let counts = [(ChangeState::Waiting, 2), (ChangeState::Quiet, 1)];
    assert_eq!(started.counts, BTreeMap::from(counts));
    assert_eq!(
        store.apply(started.id).await.unwrap(),
        Some(started.clone())
    );
    let found = changes(&world, started.id).await;
    assert_eq!(found[1].depends_on, [name("dbs")]);
    let key = format!("apply:{}:1", started.id);
    assert_eq!((found[1].position, &found[1].request_key), (1, &key));
    let record = store.plan(plan).await.unwrap().unwrap();
    assert_eq!(record.applied_at, Some(at));
    let again = NewApply {
        id: ApplyId(world.id()),
        ..new
    };
    let again = store.start_apply(again, &actor, at).await.unwrap();
    assert_eq!(again, started, "the same key is the same request");
    let body = json!({"apply": started.id, "plan": plan, "changes": 2});
    assert_eq!(told(&world, EventKind::ApplyStarted).await, [body]);
    let audit = world.audit(1_000, 0).await;
    let of_start: Vec<_> = audit.iter().filter(|a| a.action == "apply.start").collect();
    assert_eq!(of_start.len(), 1);
    assert_eq!(of_start[0].target, started.id.to_string());
    world.assert_sound().await;
}

pub async fn come_once_for_a_plan_and_alone_for_an_app(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("old").await.id;
    let unknown = PlanId(world.id());
    let refused = try_start(&mut world, unknown).await;
    assert!(matches!(
        refused,
        Err(StoreError::NotFound { what: "plan", .. })
    ));
    let of_web = || vec![change("web", Act::Create, None, &[])];
    let plan = kept(&mut world, of_web(), &[document("web", json!({}))]).await;
    let first = try_start(&mut world, plan).await.unwrap();
    match try_start(&mut world, plan).await {
        Err(StoreError::PlanApplied { plan: of, apply }) => {
            assert_eq!((of, apply), (plan, Some(first.id)));
        }
        other => panic!("{other:?}"),
    }
    // By its name, also as one that stays as it is; by its app, whatever it is called.
    let own = vec![change("one", Act::Update, Some(app), &[])];
    let (_, fence) = begun(&mut world, own, &[document("one", json!({}))]).await;
    for (changes, documents, by) in [
        (of_web(), vec![document("web", json!({}))], first.id),
        (vec![], vec![document("web", json!({}))], first.id),
        (
            vec![change("two", Act::Destroy, Some(app), &[])],
            vec![],
            fence.apply,
        ),
    ] {
        let plan = kept(&mut world, changes, &documents).await;
        match try_start(&mut world, plan).await {
            Err(StoreError::ApplyOverlaps { apply, .. }) => assert_eq!(apply, by),
            other => panic!("{other:?}"),
        }
        let record = world.store.plan(plan).await.unwrap().unwrap();
        assert_eq!(record.applied_at, None, "nothing was written");
    }
    let other = kept(&mut world, vec![], &[document("shop", json!({}))]).await;
    try_start(&mut world, other).await.unwrap();
    // What is over stands in nobody's way.
    does(&world, &fence, 0).await;
    let (store, at) = (world.store.clone(), world.at());
    store.end_apply(&fence, at).await.unwrap();
    let next = vec![change("two", Act::Destroy, Some(app), &[])];
    let plan = kept(&mut world, next, &[]).await;
    try_start(&mut world, plan).await.unwrap();
    world.assert_sound().await;
}

/// Each was let go when it was looked at, for neither was there yet.
pub async fn that_begin_beside_each_other_are_stopped_by_the_mass_brake_together(make: &impl Make) {
    let mut world = World::new(make).await;
    let from = Timestamp(world.at().0 - 1);
    let basis = BrakeBasis {
        live: 4,
        done: 0,
        from,
    };
    let removes = |names: [&str; 2]| {
        let changes = names.map(|name| change(name, Act::Destroy, None, &[]));
        changes.to_vec()
    };
    let new = |id, plan, brake| NewApply {
        id: ApplyId(id),
        plan,
        parallel: 1,
        key: None,
        brake,
        unless_rejected: false,
    };
    let first = kept(&mut world, removes(["aaa", "bbb"]), &[]).await;
    let second = kept(&mut world, removes(["ccc", "ddd"]), &[]).await;
    let (store, actor, at) = (world.store.clone(), world.actor.clone(), world.at());
    let begin = new(world.id(), first, Some(basis));
    let begun = store.start_apply(begin, &actor, at).await.unwrap();
    assert_eq!(store.removals_after(from).await.unwrap(), 2);
    let again = new(world.id(), second, Some(basis));
    match store.start_apply(again, &actor, at).await {
        Err(StoreError::BrakeStops {
            removed,
            done,
            limit,
        }) => assert_eq!((removed, done, limit), (2, 2, 3)),
        other => panic!("{other:?}"),
    }
    let record = store.plan(second).await.unwrap().unwrap();
    assert_eq!(record.applied_at, None, "nothing was written");
    // What was done counts for as long as it is looked back on; what was not begun any more does not.
    let seen = store.claimable_applies().await.unwrap().remove(0);
    let (_, fence) = claim(&world, &seen, world.holder).await.unwrap();
    does(&world, &fence, 0).await;
    let next = Next {
        not_started: vec![1],
        ..Next::default()
    };
    store.turn_changes(&fence, &next, at).await.unwrap();
    assert_eq!(store.removals_after(from).await.unwrap(), 1);
    assert_eq!(store.removals_after(at).await.unwrap(), 0);
    store.end_apply(&fence, at).await.unwrap();
    assert_eq!(store.removals_after(from).await.unwrap(), 1, "{begun:?}");
    // Of a hundred apps that is no mass, and whoever typed the number is asked no more.
    let larger = BrakeBasis { live: 100, ..basis };
    let third = new(world.id(), second, Some(larger));
    store.start_apply(third, &actor, at).await.unwrap();
    let last = kept(&mut world, removes(["eee", "fff"]), &[]).await;
    let typed = new(world.id(), last, None);
    store.start_apply(typed, &actor, at).await.unwrap();
    world.assert_sound().await;
}

pub async fn are_claimed_as_seen_and_fenced(make: &impl Make) {
    let mut world = World::new(make).await;
    let plan = vec![change("web", Act::Create, None, &[])];
    let plan = kept(&mut world, plan, &[]).await;
    let id = try_start(&mut world, plan).await.unwrap().id;
    let (store, at) = (world.store.clone(), world.at());
    let seen = store.claimable_applies().await.unwrap();
    assert_eq!((seen.len(), seen[0].id, seen[0].epoch), (1, id, Epoch(0)));
    let (record, first) = claim(&world, &seen[0], world.holder).await.unwrap();
    assert_eq!((record.epoch, first.epoch), (Epoch(1), Epoch(1)));
    assert_eq!(claim(&world, &seen[0], world.holder).await, None, "stale");
    let held = store.claimable_applies().await.unwrap().remove(0);
    assert!(!store.renew_apply(&first, LEASE_MS, at).await.unwrap());
    let other = HolderId(Uuid::from_u128(9));
    assert_eq!(claim(&world, &held, other).await, None, "it was renewed");
    // It fell silent.
    let silent = store.claimable_applies().await.unwrap().remove(0);
    let (last, now) = (held.lease.unwrap().until, silent.lease.unwrap().until);
    assert!(now > last, "it grows though the clock stands still");
    let (_, second) = claim(&world, &silent, other).await.unwrap();
    assert_eq!(every_write(&world, &first).await, Vec::<&str>::new());
    store.check_apply_fence(&second).await.unwrap();
    store.release_apply(&second).await.unwrap();
    assert_eq!(every_write(&world, &second).await, Vec::<&str>::new());
    let free = store.claimable_applies().await.unwrap().remove(0);
    assert_eq!((free.lease, free.epoch), (None, Epoch(2)));
    let (_, third) = claim(&world, &free, world.holder).await.unwrap();
    does(&world, &third, 0).await;
    store.end_apply(&third, at).await.unwrap();
    assert_eq!(every_write(&world, &third).await, Vec::<&str>::new());
    assert_eq!(store.claimable_applies().await.unwrap(), []);
    assert_eq!(claim(&world, &free, other).await, None);
    world.assert_sound().await;
}

/// Everything the loop can write under `fence`; says which was not refused.
async fn every_write(world: &World, fence: &ApplyFence) -> Vec<&'static str> {
    let (s, now) = (&world.store, world.at());
    let results = [
        ("check", s.check_apply_fence(fence).await),
        (
            "renew",
            s.renew_apply(fence, LEASE_MS, now).await.map(|_| ()),
        ),
        ("release", s.release_apply(fence).await),
        ("turn", s.turn_changes(fence, &starts(&[0]), now).await),
        ("record", s.record_change(fence, 0, None, None).await),
        ("change", s.end_change(fence, 0, ChangeEnd::Done, now).await),
        ("end", s.end_apply(fence, now).await.map(|_| ())),
    ];
    let through = results.into_iter();
    let through = through.filter(|(_, done)| !matches!(done, Err(StoreError::ApplyLost { .. })));
    through.map(|(name, _)| name).collect()
}

fn refused(done: &Result<(), StoreError>) -> bool {
    matches!(done, Err(StoreError::IllegalTransition { .. }))
}

/// That one of three changes failed and held another one up, and nothing else of its end.
async fn assert_failure_is_told(world: &World, over: &ApplyRecord) {
    let body = json!({
        "apply": over.id, "plan": over.plan, "state": "failed",
        "done": 1, "failed": 1, "held_up": 1, "not_started": 0,
    });
    assert_eq!(told(world, EventKind::ApplyFailed).await, [body]);
    assert_eq!(
        told(world, EventKind::ApplyEnded).await,
        Vec::<Value>::new()
    );
}

pub async fn start_each_change_once_and_end_as_their_changes_did(make: &impl Make) {
    let mut world = World::new(make).await;
    let plan = vec![
        change("dbs", Act::Create, None, &[]),
        change("web", Act::Create, None, &["dbs"]),
        change("shop", Act::Create, None, &[]),
    ];
    let order = plan
        .iter()
        .map(|one| (&one.name, one.depends_on.as_slice()));
    let order = Order::of(order);
    let (_, fence) = begun(&mut world, plan.clone(), &[]).await;
    let (store, at) = (world.store.clone(), world.at());
    let next = order.next(&[ChangeState::Waiting; 3], 2, false);
    assert_eq!(next.start, [0, 2]);
    store.turn_changes(&fence, &next, at).await.unwrap();
    assert!(
        refused(&store.turn_changes(&fence, &next, at).await),
        "twice"
    );
    assert!(refused(
        &store.end_change(&fence, 1, ChangeEnd::Done, at).await
    ));
    let early = store.end_apply(&fence, at).await;
    assert!(matches!(early, Err(StoreError::IllegalTransition { .. })));
    let nowhere = store.record_change(&fence, 7, None, None).await;
    assert!(matches!(
        nowhere,
        Err(StoreError::NotFound { what: "change", .. })
    ));
    let (app, operation) = (AppId(world.id()), OperationId(world.id()));
    for (app, operation) in [(Some(app), None), (None, Some(operation))] {
        let recorded = store.record_change(&fence, 2, app, operation).await;
        recorded.unwrap();
    }
    world.pass(7);
    let failed = ChangeEnd::Failed(failure("health_failed"));
    store
        .end_change(&fence, 0, failed, world.at())
        .await
        .unwrap();
    let states = changes(&world, fence.apply).await;
    let states: Vec<ChangeState> = states.iter().map(|one| one.state).collect();
    let next = order.next(&states, 2, false);
    assert_eq!(next.held_up, [(1, 0)]);
    store.turn_changes(&fence, &next, world.at()).await.unwrap();
    store
        .end_change(&fence, 2, ChangeEnd::Done, world.at())
        .await
        .unwrap();
    let over = store.end_apply(&fence, world.at()).await.unwrap();
    assert_eq!(
        (over.state, over.ended_at, &over.lease),
        (ApplyState::Failed, Some(world.at()), &None)
    );
    assert_eq!(over.why, Some(failure("health_failed")));
    let found = changes(&world, fence.apply).await;
    assert_eq!(
        (found[2].app, found[2].operation),
        (Some(app), Some(operation))
    );
    assert_eq!(
        (found[2].started_at, found[2].ended_at),
        (Some(at), Some(world.at()))
    );
    let why: Option<&Failure> = found[1].why.as_ref();
    assert!(why.is_some_and(|why| why.code == "held_up" && why.message.contains("dbs")));
    assert_failure_is_told(&world, &over).await;
    world.assert_sound().await;
}

pub async fn that_are_stopped_start_no_more(make: &impl Make) {
    let mut world = World::new(make).await;
    let plan = vec![
        change("dbs", Act::Create, None, &[]),
        change("web", Act::Create, None, &["dbs"]),
    ];
    let (_, fence) = begun(&mut world, plan, &[]).await;
    let (store, actor, at) = (world.store.clone(), world.actor.clone(), world.at());
    store.turn_changes(&fence, &starts(&[0]), at).await.unwrap();
    let unknown = ApplyId(world.id());
    let refusal = store.stop_apply(unknown, &actor, at).await;
    assert!(matches!(
        refusal,
        Err(StoreError::NotFound { what: "apply", .. })
    ));
    let stopped = store.stop_apply(fence.apply, &actor, at).await.unwrap();
    assert_eq!(stopped.state, ApplyState::Stopping);
    assert_eq!(stopped.stopped_by, Some("admin".to_owned()));
    let again = store.stop_apply(fence.apply, &actor, at).await.unwrap();
    assert_eq!(again, stopped);
    assert!(store.renew_apply(&fence, LEASE_MS, at).await.unwrap());
    assert!(refused(
        &store.turn_changes(&fence, &starts(&[1]), at).await
    ));
    store
        .end_change(&fence, 0, ChangeEnd::Done, at)
        .await
        .unwrap();
    let next = Next {
        not_started: vec![1],
        ..Next::default()
    };
    store.turn_changes(&fence, &next, at).await.unwrap();
    let over = store.end_apply(&fence, at).await.unwrap();
    assert_eq!((over.state, over.why), (ApplyState::Stopped, None));
    let late = store.stop_apply(fence.apply, &actor, at).await;
    assert!(matches!(late, Err(StoreError::IllegalTransition { .. })));
    assert_eq!(told(&world, EventKind::ApplyEnded).await.len(), 1);
    let audit = world.audit(1_000, 0).await;
    let stops = audit.iter().filter(|entry| entry.action == "apply.stop");
    assert_eq!(stops.count(), 1);
    world.assert_sound().await;
}

pub async fn of_many_the_newest_stay_and_those_at_work(make: &impl Make) {
    let mut world = World::new(make).await;
    let running = vec![change("web", Act::Create, None, &[])];
    let (running, _) = begun(&mut world, running, &[]).await;
    let (store, actor) = (world.store.clone(), world.actor.clone());
    let mut over = Vec::new();
    for _ in 0..=APPLIES_KEPT {
        world.pass(1);
        let (record, fence) = begun(&mut world, vec![], &[]).await;
        store.end_apply(&fence, world.at()).await.unwrap();
        over.push(record.id);
    }
    assert_eq!(store.apply(over[0]).await.unwrap(), None);
    assert_eq!(
        store.apply(over[1]).await.unwrap().map(|one| one.id),
        Some(over[1])
    );
    let oldest = store.apply(running.id).await.unwrap();
    assert_eq!(oldest.map(|one| one.state), Some(ApplyState::Running));
    let plan = store.plan(running.plan).await.unwrap();
    assert!(
        plan.is_some(),
        "of {PLANS_KEPT} newer ones none takes its place"
    );
    let all = store.applies(None, 1_000).await.unwrap();
    assert_eq!(all.len(), APPLIES_KEPT as usize + 1);
    assert!(all.is_sorted_by(|a, b| a.started_at >= b.started_at));
    let two = store.applies(Some("admin"), 2).await.unwrap();
    assert_eq!(
        two.iter().map(|one| one.id).collect::<Vec<_>>(),
        [over[100], over[99]]
    );
    assert_eq!(store.applies(Some("nobody"), 2).await.unwrap(), []);
    // Those of others take no place of these.
    let mut other = actor;
    other.account = "robot".to_owned();
    let plan = kept(&mut world, vec![], &[]).await;
    let new = NewApply {
        id: ApplyId(world.id()),
        plan,
        parallel: 1,
        key: None,
        brake: None,
        unless_rejected: false,
    };
    store.start_apply(new, &other, Timestamp(0)).await.unwrap();
    assert!(store.apply(over[1]).await.unwrap().is_some());
    world.assert_sound().await;
}
