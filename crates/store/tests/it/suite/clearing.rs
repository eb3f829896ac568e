//! Clearing the journals away: what may go goes and is counted, what must not stays whoever asks.

use proximity_domain::ids::{AppId, OperationId};
use proximity_domain::notify::{ChannelName, Severity, Waiting};
use proximity_domain::operation::OperationKind;
use proximity_domain::retention::EndedOperation;
use proximity_store::clearing::{Journal, OperationsCleared};
use proximity_store::effects::{Effects, MutationAudit, NewLogLine};
use proximity_store::notices::{NewNotice, TakeUp};
use proximity_store::records::{Fence, LogLevel};
use serde_json::json;

use super::world::{Make, World};

/// Rows that are there and rows that went.
async fn counts(world: &World, journal: Journal) -> (u64, u64) {
    let counts = world.store.journal_counts().await.unwrap();
    let found = counts.iter().find(|count| count.journal == journal);
    let found = found.unwrap();
    (found.kept, found.cleared)
}

async fn clear(world: &World, operations: &[OperationId]) -> OperationsCleared {
    world.journal_numbered().await;
    let cleared = world.store.clear_operations(operations, world.at());
    cleared.await.unwrap()
}

async fn ended(world: &World) -> Vec<EndedOperation> {
    world.store.ended_operations(None, 1000).await.unwrap()
}

fn says(message: &str, times: usize) -> Effects {
    let line = NewLogLine {
        level: LogLevel::Info,
        step: None,
        message: message.to_owned(),
        percent: None,
    };
    Effects {
        log: vec![line; times],
        ..Effects::default()
    }
}

/// A restart of one step, to its end.
async fn restart(world: &mut World, app: AppId) -> OperationId {
    let operation = world.enqueue(OperationKind::Restart, app, None).await;
    let (_, fence) = world.claim().await;
    end(world, &fence).await;
    operation.id
}

async fn end(world: &World, fence: &Fence) {
    world.step(fence, 0).await;
    let done = world
        .store
        .complete(fence, says("Restarted", 1), world.at());
    done.await.unwrap();
}

async fn messages(world: &World, app: AppId) -> Vec<String> {
    let lines = world.log(app, 0, 1000).await;
    lines.into_iter().map(|line| line.message).collect()
}

pub async fn takes_the_oldest_events_and_counts_them(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("web").await;
    world.create("mail").await;
    let before = world.events(0, 1000).await;
    let newest = before.last().unwrap().0;
    assert_eq!(world.store.cleared_events().await.unwrap(), 0);
    let old = world.store.old_events(2).await.unwrap();
    assert_eq!((old.newest, old.unseen, old.untold), (newest, None, None));
    assert_eq!(old.oldest, [(1, before[0].1), (2, before[1].1)]);
    assert_eq!(world.store.clear_events(2).await.unwrap(), 2);
    assert_eq!(world.store.clear_events(2).await.unwrap(), 0, "once");
    assert_eq!(world.store.cleared_events().await.unwrap(), 2);
    assert_eq!(world.events(0, 1000).await, before[2..]);
    let old = world.store.old_events(1).await.unwrap();
    assert_eq!(old.oldest, [(3, before[2].1)]);
    world.assert_sound().await;
    // Whatever is asked for, the next event is numbered behind the newest.
    let gone = world.store.clear_events(i64::MAX).await.unwrap();
    assert_eq!(i64::try_from(gone).unwrap(), newest - 3);
    assert_eq!(world.events(0, 1000).await, before[before.len() - 1..]);
    let cleared = u64::try_from(newest - 1).unwrap();
    assert_eq!(counts(&world, Journal::Events).await, (1, cleared));
    world.create("blog").await;
    assert_eq!(world.events(0, 1000).await[1].0, newest + 1);
    world.assert_sound().await;
}

pub async fn leaves_what_a_channel_needs(make: &impl Make) {
    let mut world = World::new(make).await;
    let mail: ChannelName = "mail".parse().unwrap();
    let names = std::slice::from_ref(&mail);
    world.journal_numbered().await;
    world.store.keep_notice_channels(names).await.unwrap();
    let from = world.store.newest_event().await.unwrap();
    world.create("web").await;
    world.create("blog").await;
    world.journal_numbered().await;
    let newest = world.store.newest_event().await.unwrap();
    let needed = async || {
        let old = world.store.old_events(1).await.unwrap();
        (old.unseen, old.untold)
    };
    // Not looked at yet.
    assert_eq!(needed().await, (Some(from + 1), None));
    world.store.clear_events(i64::MAX).await.unwrap();
    assert_eq!(world.store.cleared_events().await.unwrap(), from);
    // Looked at, and not told of yet.
    let waiting = Waiting {
        seq: from + 2,
        severity: Severity::Info,
        held: false,
    };
    let subject = None;
    let notices = vec![NewNotice { waiting, subject }];
    let to = newest;
    let take = TakeUp { from, to, notices };
    let taken = world.store.take_up_notices(&mail, &take, world.at()).await;
    assert!(taken.unwrap());
    assert_eq!(needed().await, (Some(newest + 1), Some(from + 2)));
    world.store.clear_events(i64::MAX).await.unwrap();
    assert_eq!(world.store.cleared_events().await.unwrap(), from + 1);
    // Told.
    let delivered = [from + 2];
    let told = world
        .store
        .notices_delivered(&mail, &delivered, 0, world.at());
    told.await.unwrap();
    assert_eq!(needed().await, (Some(newest + 1), None));
    world.store.clear_events(i64::MAX).await.unwrap();
    assert_eq!(world.store.cleared_events().await.unwrap(), newest - 1);
    world.assert_sound().await;
}

pub async fn takes_steps_and_lines_and_leaves_the_rest(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = world.deployed("web", 100).await;
    world.enqueue(OperationKind::Restart, app.id, None).await;
    let (_, fence) = world.claim().await;
    world.begin(&fence, 0, "stop").await;
    let audit = MutationAudit {
        call: "POST".to_owned(),
        target: "lab".to_owned(),
        details: json!({}),
    };
    let sent = world
        .store
        .record_mutation(&fence, 0, audit, says("Sent", 2), world.at());
    sent.await.unwrap();
    world.finish(&fence, 0).await;
    world.complete(&fence).await;
    world.removed(&app, guest.id, false).await;
    let found = ended(&world).await;
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|one| !one.is_newest_of_live_app));
    let operations: Vec<OperationId> = found.iter().map(|one| one.id).collect();
    let audited = world.audit(1000, 0).await;
    world.pass(1_000);
    let done = clear(&world, &operations).await;
    let all = OperationsCleared {
        dealt_with: 3,
        operations: 3,
        steps: 4,
        log_lines: 3,
    };
    assert_eq!(done, all);
    // The newest line of the app says what became of it; what it was asked and what was sent is all there.
    assert_eq!(messages(&world, app.id).await, ["Removed"]);
    assert_eq!(world.audit(1000, 0).await, audited);
    let calls = world.store.mutations_of_app(app.id, 10).await.unwrap();
    assert_eq!(calls.len(), 1);
    for operation in &operations {
        let steps = world.store.steps(*operation).await.unwrap();
        assert!(steps.is_empty(), "{steps:?}");
        let record = world.operation(*operation).await;
        assert_eq!(record.cleared_at, Some(world.at()));
        assert_eq!(record.state.label(), "succeeded");
    }
    assert!(world.store.archived_app(app.id).await.unwrap().is_some());
    assert_eq!(counts(&world, Journal::LogLines).await, (1, 3));
    assert_eq!(counts(&world, Journal::Operations).await, (0, 3));
    world.assert_sound().await;
    let again = clear(&world, &operations).await;
    let nothing = OperationsCleared {
        dealt_with: 3,
        ..OperationsCleared::default()
    };
    assert_eq!(again, nothing);
}

pub async fn leaves_the_newest_of_a_live_app_and_what_is_at_work(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = world.deployed("web", 100).await;
    let deploy = ended(&world).await.remove(0);
    assert!(deploy.is_newest_of_live_app);
    assert_eq!(clear(&world, &[deploy.id]).await.operations, 0);
    let restarted = restart(&mut world, app.id).await;
    let found = ended(&world).await;
    let newest = found.iter().map(|o| (o.id, o.is_newest_of_live_app));
    let newest: Vec<_> = newest.collect();
    assert_eq!(newest, [(deploy.id, false), (restarted, true)]);
    let operation = world.enqueue(OperationKind::Restart, app.id, None).await;
    let (_, fence) = world.claim().await;
    world.begin(&fence, 0, "stop").await;
    let said = world.store.note(&fence, says("Stopping", 1), world.at());
    said.await.unwrap();
    // One that is at work keeps all it has, and what it follows is the newest no more.
    assert_eq!(clear(&world, &[operation.id]).await.operations, 0);
    assert_eq!(world.store.steps(operation.id).await.unwrap().len(), 1);
    let done = clear(&world, &[deploy.id, restarted]).await;
    assert_eq!((done.operations, done.log_lines), (2, 2));
    assert_eq!(messages(&world, app.id).await, ["Stopping"]);
    world.assert_sound().await;
    world.finish(&fence, 0).await;
    world.complete(&fence).await;
    assert_eq!(clear(&world, &[operation.id]).await.operations, 0);
    world.assert_sound().await;
}

pub async fn ends_where_it_is_enough_for_one_commit(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = world.deployed("web", 100).await;
    let operation = world.enqueue(OperationKind::Restart, app.id, None).await;
    let (_, fence) = world.claim().await;
    world.begin(&fence, 0, "stop").await;
    let said = world.store.note(&fence, says("Waiting", 600), world.at());
    said.await.unwrap();
    world.finish(&fence, 0).await;
    world.complete(&fence).await;
    let last = restart(&mut world, app.id).await;
    let newest = restart(&mut world, app.id).await;
    let deploy = ended(&world).await.remove(0).id;
    let all = [deploy, operation.id, last, newest];
    let done = clear(&world, &all).await;
    assert_eq!((done.dealt_with, done.operations), (2, 2));
    assert_eq!(done.log_lines, 601, "none is cleared by half");
    let done = clear(&world, &all[done.dealt_with..]).await;
    assert_eq!((done.dealt_with, done.operations), (2, 1));
    world.assert_sound().await;
}

pub async fn goes_from_the_first_that_ended(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = world.deployed("web", 100).await;
    for _ in 0..3 {
        world.pass(1_000);
        restart(&mut world, app.id).await;
    }
    let all = ended(&world).await;
    assert_eq!(all.len(), 4);
    assert!(all.is_sorted_by_key(|one| (one.finished_at, one.id)));
    let first = world.store.ended_operations(None, 3).await.unwrap();
    assert_eq!(first, all[..3]);
    let place = first.last().map(|one| (one.finished_at, one.id));
    let rest = world.store.ended_operations(place, 3).await.unwrap();
    assert_eq!(rest, all[3..]);
    assert_eq!(counts(&world, Journal::Operations).await, (4, 0));
    clear(&world, &[all[0].id]).await;
    assert_eq!(ended(&world).await, all[1..]);
    assert_eq!(counts(&world, Journal::Operations).await, (3, 1));
}
