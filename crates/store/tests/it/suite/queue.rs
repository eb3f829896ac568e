//! Asking for operations, claiming them, leases.

use proximity_domain::app::Status;
use proximity_domain::event::EventKind;
use proximity_domain::failure::Failure;
use proximity_domain::ids::{Epoch, HolderId, OperationId};
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_domain::ports::PortRange;
use proximity_domain::time::Timestamp;
use proximity_store::effects::{Effects, NewLogLine};
use proximity_store::records::{Actor, Claimable, LogLevel, Wait};
use proximity_store::views::OperationFilter;
use proximity_store::{LOG_LINE_CHARS, LOG_LINES_PER_OPERATION, QUEUED_OPERATIONS, StoreError};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::world::{LEASE_MS, Make, Shape, World, error_status, failure, with_status};

fn other() -> HolderId {
    HolderId(Uuid::from_u128(99))
}

pub async fn the_oldest_is_claimed_first(make: &impl Make) {
    let mut world = World::new(make).await;
    let first = world.create("app-a").await;
    world.pass(1);
    let second = world.create("app-b").await;
    let (operation, fence) = world.claim().await;
    assert_eq!(operation.app, first.id);
    assert_eq!(operation.state, OperationState::Running);
    assert_eq!((operation.epoch, fence.epoch), (Epoch(1), Epoch(1)));
    let (holder, until) = operation.lease.unwrap();
    assert_eq!((holder, until.0), (world.holder, world.at().0 + LEASE_MS));
    assert_eq!(world.claim().await.0.app, second.id);
    let none = world
        .store
        .claim(world.holder, LEASE_MS, false, world.at())
        .await
        .unwrap();
    assert!(none.is_none());
    world.assert_sound().await;
}

pub async fn a_lease_keeps_others_away(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("app-a").await;
    let (_, fence) = world.claim().await;
    world.pass(LEASE_MS - 1);
    assert!(
        world
            .store
            .claim(other(), LEASE_MS, false, world.at())
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        !world
            .store
            .renew(&fence, LEASE_MS, world.at())
            .await
            .unwrap()
    );
    world.pass(LEASE_MS - 1);
    assert!(
        world
            .store
            .claim(other(), LEASE_MS, false, world.at())
            .await
            .unwrap()
            .is_none()
    );
    world.store.check_fence(&fence).await.unwrap();
}

/// Many are claimed at once, in the order given; one that was renewed since it was seen is left to its holder, and one that
/// is not there at all leaves everything as it was.
pub async fn many_are_claimed_in_one_commit(make: &impl Make) {
    let mut world = World::new(make).await;
    for name in ["app-a", "app-b", "app-c"] {
        world.create(name).await;
    }
    let (_, alive) = world.claim().await;
    let (_, dead) = world.claim().await;
    let mut seen = world.store.claimable().await.unwrap();
    world
        .store
        .renew(&alive, LEASE_MS, world.at())
        .await
        .unwrap();
    seen.reverse();
    let strange = Claimable {
        id: OperationId(world.id()),
        ..seen[0].clone()
    };
    let mut with_strange = seen.clone();
    with_strange.push(strange);
    let refused = world
        .store
        .claim_all_as_seen(&with_strange, other(), LEASE_MS, world.at())
        .await;
    assert!(
        matches!(refused, Err(StoreError::NotFound { .. })),
        "{refused:?}"
    );
    world.store.check_fence(&dead).await.unwrap();
    let claimed = world
        .store
        .claim_all_as_seen(&seen, other(), LEASE_MS, world.at())
        .await
        .unwrap();
    let got: Vec<_> = claimed
        .iter()
        .map(|(_, f)| (f.operation, f.epoch))
        .collect();
    assert_eq!(got, [(seen[0].id, Epoch(1)), (dead.operation, Epoch(2))]);
    world.store.check_fence(&alive).await.unwrap();
    assert!(world.store.check_fence(&dead).await.is_err());
    for (_, fence) in &claimed {
        world.store.check_fence(fence).await.unwrap();
    }
    let none = world
        .store
        .claim_all_as_seen(&[], other(), LEASE_MS, world.at())
        .await;
    assert!(none.unwrap().is_empty());
    world.assert_sound().await;
}

/// The clock alone ends no claim; one who has seen that the holder is silent takes over what it saw.
pub async fn a_silent_holder_is_taken_over_as_seen(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("app-a").await;
    let (_, old) = world.claim().await;
    world.step(&old, 0).await;
    world.pass(1_000 * LEASE_MS);
    let by_clock = world
        .store
        .claim(other(), LEASE_MS, false, world.at())
        .await
        .unwrap();
    assert!(by_clock.is_none(), "{by_clock:?}");
    let seen = world.store.claimable().await.unwrap().pop().unwrap();
    let lease = seen.lease.unwrap();
    assert_eq!((lease.holder, lease.lease_ms), (world.holder, LEASE_MS));
    // A renewal is seen even if the clock has gone back in the meantime.
    world.pass(-2_000 * LEASE_MS);
    world.store.renew(&old, LEASE_MS, world.at()).await.unwrap();
    let refused = world
        .store
        .claim_as_seen(&seen, other(), LEASE_MS, world.at())
        .await
        .unwrap();
    assert!(refused.is_none(), "it was renewed since: {refused:?}");
    let seen = world.store.claimable().await.unwrap().pop().unwrap();
    assert!(seen.lease.unwrap().until > lease.until);
    let taken = world
        .store
        .claim_as_seen(&seen, other(), LEASE_MS, world.at())
        .await
        .unwrap();
    let (operation, new) = taken.unwrap();
    assert_eq!((new.epoch, new.holder), (Epoch(2), other()));
    assert_eq!(operation.state, OperationState::Running);
    assert_eq!(world.store.steps(operation.id).await.unwrap().len(), 1);
    let refused = world.store.check_fence(&old).await;
    assert!(
        matches!(refused, Err(StoreError::LeaseLost { .. })),
        "{refused:?}"
    );
    let refused = world.store.renew(&old, LEASE_MS, world.at()).await;
    assert!(
        matches!(refused, Err(StoreError::LeaseLost { .. })),
        "{refused:?}"
    );
    world.assert_sound().await;
}

/// A wait is kept with its number and its reason, is over when due, and ends at once with a cancel.
pub async fn a_wait_gives_the_claim_back(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("app-a").await;
    let (operation, fence) = world.claim().await;
    world.begin(&fence, 0, "create").await;
    let due_at = Timestamp(world.at().0 + 4_000);
    let wait = Wait {
        due_at,
        because: failure("pve_unreachable"),
    };
    let none = Effects::default;
    world
        .store
        .wait(&fence, 2, wait.clone(), none(), world.at())
        .await
        .unwrap();
    let waits = world.operation(operation.id).await;
    assert_eq!((waits.state, waits.lease), (OperationState::Running, None));
    assert_eq!((waits.attempt, waits.wait), (2, Some(wait.clone())));
    let refused = world.store.check_fence(&fence).await;
    assert!(
        matches!(refused, Err(StoreError::LeaseLost { .. })),
        "{refused:?}"
    );
    let claim = async |world: &World| {
        let claimed = world
            .store
            .claim(world.holder, LEASE_MS, false, world.at())
            .await;
        claimed.unwrap()
    };
    world.pass(3_999);
    assert!(claim(&world).await.is_none(), "not due yet");
    world.pass(1);
    let (again, fence) = claim(&world).await.unwrap();
    assert_eq!((again.attempt, again.wait), (2, None));
    // The next step counts anew.
    world.finish(&fence, 0).await;
    assert_eq!(world.operation(operation.id).await.attempt, 1);
    world
        .store
        .wait(&fence, 3, wait.clone(), none(), world.at())
        .await
        .unwrap();
    world
        .store
        .request_cancel(operation.id, &world.actor, world.at())
        .await
        .unwrap();
    let (cancelled, fence) = claim(&world).await.unwrap();
    assert!(cancelled.cancel_requested);
    let store = &world.store;
    store
        .begin_unwind_cancelled(&fence, world.at())
        .await
        .unwrap();
    let waits = store.wait(&fence, 2, wait.clone(), none(), world.at());
    waits.await.unwrap();
    assert_eq!(
        world.operation(operation.id).await.wait,
        Some(wait),
        "it turns back already"
    );
    world.assert_sound().await;
}

pub async fn a_released_claim_is_free_at_once(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("app-a").await;
    let (_, fence) = world.claim().await;
    world.store.release(&fence).await.unwrap();
    assert!(world.store.release(&fence).await.is_err());
    let (_, again) = world.claim().await;
    assert_eq!(again.epoch, Epoch(2));
}

/// Whose claim it was is told with the next one: nobody's any more, or that of a worker that has not given it back.
pub async fn a_claim_tells_whether_it_is_in_place_of_a_silent_worker(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("app-a").await;
    let (_, fence) = world.claim().await;
    world.store.release(&fence).await.unwrap();
    world.claim().await;
    let successor = HolderId(Uuid::from_u128(4_711));
    let claimed = world.store.claim(successor, LEASE_MS, true, world.at());
    claimed.await.unwrap().unwrap();
    let events = world.events(0, 100).await;
    let told: Vec<bool> = events
        .iter()
        .filter(|(_, _, event, ..)| event.kind == EventKind::OperationTakenOver)
        .map(|(_, _, event, ..)| event.body["silent"].as_bool().unwrap())
        .collect();
    assert_eq!(told, [false, true]);
    world.assert_sound().await;
}

pub async fn the_queue_has_an_end(make: &impl Make) {
    let range = |first| PortRange {
        first,
        last: first + 2_000,
    };
    let shape = Shape {
        public: range(10_000),
        internal: range(20_000),
    };
    let mut world = World::shaped(make, shape).await;
    let room = usize::try_from(QUEUED_OPERATIONS).unwrap();
    let mut asking = JoinSet::new();
    for n in 0..room {
        let (app, operation) = world.new_app(&format!("app-{n}"));
        let (store, actor, at) = (world.store.clone(), world.actor.clone(), world.at());
        asking.spawn(async move { store.create_app(app, operation, &actor, None, at).await });
        // Not all at once: a caller waits half a minute for its turn at most, whatever the machine does besides.
        if asking.len() == 64 {
            asking.join_next().await.unwrap().unwrap().unwrap();
        }
    }
    for asked in asking.join_all().await {
        asked.unwrap();
    }
    let (app, operation) = world.new_app("one-too-many");
    let refused = world
        .store
        .create_app(app, operation, &world.actor, None, world.at())
        .await;
    assert!(
        matches!(refused, Err(StoreError::QueueFull { .. })),
        "{refused:?}"
    );
    world.claim().await;
    world.create("has-room").await;
}

pub async fn an_operation_that_talks_without_end_is_cut_short(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("app-a").await;
    let (_, fence) = world.claim().await;
    let line = |level, message: String| NewLogLine {
        level,
        step: None,
        message,
        percent: None,
    };
    let room = usize::try_from(LOG_LINES_PER_OPERATION).unwrap();
    let effects = Effects {
        log: (0..room + 50)
            .map(|n| line(LogLevel::Info, format!("{n}")))
            .chain([line(LogLevel::Error, "x".repeat(3 * LOG_LINE_CHARS))])
            .collect(),
        ..Effects::default()
    };
    world.store.note(&fence, effects, world.at()).await.unwrap();
    let mut lines = world.log(app.id, 0, 1_000).await;
    let last = lines.last().unwrap().seq;
    lines.extend(world.log(app.id, last, 1_000).await);
    assert_eq!(lines.len(), room + 2);
    assert!(lines[room].message.contains("left out"));
    assert_eq!(lines[room + 1].message.chars().count(), LOG_LINE_CHARS);
}

/// PostgreSQL's text holds no NUL: what was said is told all the same, and the work that said it goes on.
pub async fn what_a_guest_says_is_kept_whatever_it_is(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("app-a").await;
    let (_, fence) = world.claim().await;
    world.begin(&fence, 0, "install").await;
    let said = |message: &str| Effects {
        log: vec![NewLogLine {
            level: LogLevel::Info,
            step: Some("install".to_owned()),
            message: message.to_owned(),
            percent: None,
        }],
        ..Effects::default()
    };
    let because = || Failure::new("exec_failed", "failed: a\0b".to_owned(), "Look at it: \0.");
    let noted = world.store.note(&fence, said("noted: a\0b"), world.at());
    noted.await.unwrap();
    let wait = Wait {
        due_at: world.at(),
        because: because(),
    };
    let waits = world
        .store
        .wait(&fence, 2, wait, said("waits: a\0b"), world.at());
    waits.await.unwrap();
    let (operation, fence) = world.claim().await;
    assert_eq!(operation.attempt, 2);
    let failed = world
        .store
        .fail_step(&fence, Some(0), because(), said("\0"), world.at());
    failed.await.unwrap();
    let lines = world.log(app.id, 0, 10).await;
    let messages: Vec<&str> = lines.iter().map(|line| line.message.as_str()).collect();
    let replaced = [
        "noted: a\u{fffd}b",
        "waits: a\u{fffd}b",
        "\u{fffd}",
        "failed: a\u{fffd}b",
    ];
    assert_eq!(messages, replaced);
    let step = world.store.steps(operation.id).await.unwrap().remove(0);
    assert_eq!(step.failure, Some(because().at("install")));
}

pub async fn a_dead_holder_is_taken_over_at_once(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("app-a").await;
    let (_, old) = world.claim().await;
    let own = world
        .store
        .claim(world.holder, LEASE_MS, true, world.at())
        .await
        .unwrap();
    assert!(own.is_none(), "its own lease stands");
    let taken = world
        .store
        .claim(other(), LEASE_MS, true, world.at())
        .await
        .unwrap();
    assert_eq!(taken.unwrap().1.epoch, Epoch(2));
    assert!(world.store.check_fence(&old).await.is_err());
}

pub async fn one_operation_per_app(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("app-a").await;
    let live = app.operation.unwrap();
    let refuse = async |world: &mut World, stage: &str| {
        let stop = world.new_operation(OperationKind::Stop, app.id);
        let refused = world
            .store
            .enqueue(stop, None, &world.actor, world.at())
            .await;
        assert!(
            matches!(refused, Err(StoreError::Busy { operation, .. }) if operation == live),
            "{stage}: {refused:?}"
        );
    };
    refuse(&mut world, "queued").await;
    let (_, fence) = world.claim().await;
    refuse(&mut world, "running").await;
    world.stick(&fence, None, "odd").await;
    refuse(&mut world, "stuck").await;
    world
        .store
        .abandon(live, failure("given_up"), &world.actor, world.at())
        .await
        .unwrap();
    world.enqueue(OperationKind::Start, app.id, None).await;
    world.assert_sound().await;
}

pub async fn statuses_follow_the_table(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = world.deployed("app-a", 101).await;
    let deploy = world.new_operation(OperationKind::Deploy, app.id);
    let refused = world
        .store
        .enqueue(deploy, Some(Status::Deploying), &world.actor, world.at())
        .await;
    assert!(
        matches!(refused, Err(StoreError::IllegalTransition { .. })),
        "{refused:?}"
    );
    assert_eq!(world.app(app.id).await, app, "nothing was written");
    world.pass(5);
    let queued = world
        .enqueue(OperationKind::Remove, app.id, Some(Status::Removing))
        .await;
    let now = world.app(app.id).await;
    assert_eq!(
        (now.status, now.status_changed_at),
        (Status::Removing, world.at())
    );
    assert_eq!(now.operation, Some(queued.id));
    let unknown = proximity_domain::ids::AppId(world.id());
    let stop = world.new_operation(OperationKind::Stop, unknown);
    let refused = world
        .store
        .enqueue(stop, None, &world.actor, world.at())
        .await;
    assert!(
        matches!(refused, Err(StoreError::NotFound { what: "app", .. })),
        "{refused:?}"
    );
    world.assert_sound().await;
}

pub async fn only_a_failed_one_is_repeated(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("app-a").await;
    let first = app.operation.unwrap();
    let (_, fence) = world.claim().await;
    world.fail(&fence, None, "x").await;
    let status = with_status(error_status(world.at()));
    world
        .store
        .end_unwound(&fence, status, world.at())
        .await
        .unwrap();
    let mut retry = world.new_operation(OperationKind::Deploy, app.id);
    retry.retry_of = Some(first);
    let queued = world
        .store
        .enqueue(retry, Some(Status::Deploying), &world.actor, world.at());
    let queued = queued.await.unwrap();
    assert_eq!(queued.retry_of, Some(first));
    let (other, _) = {
        let (_, fence) = world.claim().await;
        world.complete(&fence).await;
        world.deployed("app-b", 102).await
    };
    for (of, on) in [(first, other.id), (queued.id, app.id)] {
        let mut bad = world.new_operation(OperationKind::Start, on);
        bad.retry_of = Some(of);
        let refused = world
            .store
            .enqueue(bad, None, &world.actor, world.at())
            .await;
        assert!(
            matches!(refused, Err(StoreError::IllegalTransition { .. })),
            "{refused:?}"
        );
    }
    world.assert_sound().await;
}

pub async fn lists_are_paged(make: &impl Make) {
    let mut world = World::new(make).await;
    let mut ids = Vec::new();
    for name in ["app-a", "app-b", "app-c"] {
        ids.push(world.create(name).await.operation.unwrap());
    }
    ids.reverse();
    let list = async |filter: OperationFilter| -> Vec<_> {
        let rows = world.store.operations(filter).await.unwrap();
        rows.iter().map(|o| o.id).collect()
    };
    let all = OperationFilter::default();
    assert_eq!(list(all.clone()).await, ids);
    assert_eq!(
        list(OperationFilter {
            limit: 1,
            ..all.clone()
        })
        .await,
        ids[..1]
    );
    let older = OperationFilter {
        before: Some(ids[0]),
        ..all.clone()
    };
    assert_eq!(list(older).await, ids[1..], "same moment, told apart by id");
    world.claim().await;
    let running = OperationFilter {
        state: Some("running".to_owned()),
        ..all.clone()
    };
    assert_eq!(list(running).await, ids[2..]);
    let app = world.operation(ids[1]).await.app;
    assert_eq!(
        list(OperationFilter {
            app: Some(app),
            ..all
        })
        .await,
        ids[1..2]
    );
    let live: Vec<_> = world
        .store
        .live_operations()
        .await
        .unwrap()
        .iter()
        .map(|o| o.id)
        .collect();
    assert_eq!(live, [ids[2], ids[1], ids[0]], "oldest first");
}

/// What is logged of the work can be found by what was logged of the request.
pub async fn keep_the_id_of_their_request(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, operation) = world.new_app("web");
    let id = operation.id;
    let asked = Actor {
        request: Some("deploy-7".to_owned()),
        ..world.actor.clone()
    };
    world
        .store
        .create_app(app, operation, &asked, None, world.at())
        .await
        .unwrap();
    let kept = world.operation(id).await.request_id;
    assert_eq!(kept.as_deref(), Some("deploy-7"));
    let (claimed, _) = world.claim().await;
    assert_eq!(claimed.request_id, kept);
    world.create("without").await;
    assert_eq!(world.claim().await.0.request_id, None);
    world.assert_sound().await;
}
