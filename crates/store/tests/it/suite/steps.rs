//! The step log forwards.

use proximity_domain::app::Status;
use proximity_domain::event::EventKind;
use proximity_domain::ids::Epoch;
use proximity_domain::operation::{OperationState, StuckWas};
use proximity_domain::saga::StepState;
use proximity_store::effects::{Effects, MutationAudit, NewEvent, NewLogLine};
use proximity_store::records::LogLevel;
use proximity_store::views::AuditKind;
use proximity_store::{StepOutput, StoreError};
use serde_json::json;

use super::world::{LEASE_MS, Make, World, assert_illegal, failure, with_status};

pub async fn are_logged_intent_first(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("web").await;
    let (operation, fence) = world.claim().await;
    let (intent, none) = (json!({"vmid": 101}), Effects::default());
    let begun = world
        .store
        .begin_step(&fence, 0, "create", intent.clone(), none, world.at());
    begun.await.unwrap();
    let upid = world.store.record_upid(&fence, 0, "UPID:1", world.at());
    upid.await.unwrap();
    let step = world.store.steps(operation.id).await.unwrap().remove(0);
    assert_eq!((step.index, step.name.as_str()), (0, "create"));
    assert_eq!((step.state, step.epoch), (StepState::Started, Epoch(1)));
    assert_eq!(
        (step.intent, step.upid.as_deref()),
        (intent, Some("UPID:1"))
    );
    assert_eq!((step.output, step.failure), (None, None));
    let started_at = world.at();
    world.pass(2000);
    let (output, none) = (json!({"ok": true}), Effects::default());
    let done = world
        .store
        .finish_step(&fence, 0, output.clone(), none, world.at());
    done.await.unwrap();
    let step = world.store.steps(operation.id).await.unwrap().remove(0);
    assert_eq!(
        (step.state, step.output),
        (StepState::Succeeded, Some(output))
    );
    assert_eq!((step.started_at, step.changed_at), (started_at, world.at()));
    world.complete(&fence).await;
    let ended = world.operation(operation.id).await;
    assert_eq!(
        (ended.state, ended.percent),
        (OperationState::Succeeded, 100)
    );
    assert_eq!((ended.finished_at, ended.lease), (Some(world.at()), None));
    assert_eq!(world.app(operation.app).await.operation, None);
    world.assert_sound().await;
}

pub async fn give_sealed_outputs_back(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("web").await;
    let (operation, fence) = world.claim().await;
    for (index, output) in [(0, json!({"env": "größer"})), (1, json!(null))] {
        let none = Effects::default();
        let begun = world
            .store
            .begin_step(&fence, index, "read", json!({}), none, world.at());
        begun.await.unwrap();
        let (sealed, none) = (StepOutput::Sealed(output.clone()), Effects::default());
        let done = world
            .store
            .finish_step(&fence, index, sealed, none, world.at());
        done.await.unwrap();
        let mut log = world.store.steps(operation.id).await.unwrap();
        let step = log.remove(usize::try_from(index).unwrap());
        assert_eq!(step.output, Some(output));
    }
    world.complete(&fence).await;
    world.assert_sound().await;
}

pub async fn carry_their_effects(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("web").await;
    let (operation, fence) = world.claim().await;
    let line = NewLogLine {
        level: LogLevel::Info,
        step: Some("create".to_owned()),
        message: "Creating LXC container".to_owned(),
        percent: Some(30),
    };
    let event = NewEvent {
        kind: EventKind::AppStarted,
        body: json!({"app": app.id, "hostname": "web", "operation": operation.id}),
    };
    let effects = Effects {
        percent: Some(30),
        url: Some(Some("http://192.0.2.1:8100/".to_owned())),
        log: vec![line.clone()],
        events: vec![event.clone()],
        ..with_status(Status::Running)
    };
    let begun = world
        .store
        .begin_step(&fence, 0, "create", json!({}), effects, world.at());
    begun.await.unwrap();
    assert_eq!(world.operation(operation.id).await.percent, 30);
    let log = world.log(app.id, 0, 10).await;
    assert_eq!((log.len(), &log[0].message), (1, &line.message));
    assert_eq!(
        (log[0].percent, log[0].operation),
        (Some(30), Some(operation.id))
    );
    let later = world.log(app.id, log[0].seq, 10).await;
    assert_eq!(later, []);
    let events = world.events(0, 100).await;
    assert_eq!(events.last().unwrap().2, event);
    let now = world.app(app.id).await;
    assert_eq!((now.status, now.url.is_some()), (Status::Running, true));
    let effects = Effects {
        url: Some(None),
        ..Effects::default()
    };
    let done = world
        .store
        .finish_step(&fence, 0, json!({}), effects, world.at());
    done.await.unwrap();
    assert_eq!(world.app(app.id).await.url, None);
    let steps = world.store.steps(operation.id).await.unwrap();
    let said = Effects {
        log: vec![line],
        ..Effects::default()
    };
    world.store.note(&fence, said, world.at()).await.unwrap();
    assert_eq!(world.log(app.id, 0, 10).await.len(), 2);
    assert_eq!(
        world.store.steps(operation.id).await.unwrap(),
        steps,
        "a note is no step"
    );
    world.assert_sound().await;
}

pub async fn begin_in_order(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("web").await;
    let (_, fence) = world.claim().await;
    let begin = async |index: u32| {
        let begun = world.store.begin_step(
            &fence,
            index,
            "s",
            json!({}),
            Effects::default(),
            world.at(),
        );
        begun.await
    };
    assert_illegal(begin(1).await);
    begin(0).await.unwrap();
    assert_illegal(begin(1).await);
    let unbegun = world
        .store
        .finish_step(&fence, 1, json!({}), Effects::default(), world.at());
    assert_illegal(unbegun.await);
    let finish = async || {
        world
            .store
            .finish_step(&fence, 0, json!({}), Effects::default(), world.at())
            .await
    };
    finish().await.unwrap();
    assert_illegal(finish().await);
    assert_illegal(begin(0).await);
    let late = world.store.fail_step(
        &fence,
        Some(0),
        failure("late"),
        Effects::default(),
        world.at(),
    );
    assert_illegal(late.await);
    begin(1).await.unwrap();
    let nowhere = world.store.record_upid(&fence, 2, "UPID", world.at()).await;
    assert!(
        matches!(nowhere, Err(StoreError::NotFound { what: "step", .. })),
        "{nowhere:?}"
    );
    let nowhere = world
        .store
        .amend_intent(&fence, 2, json!({}), world.at())
        .await;
    assert!(
        matches!(nowhere, Err(StoreError::NotFound { what: "step", .. })),
        "{nowhere:?}"
    );
    world.assert_sound().await;
}

pub async fn may_begin_again_until_they_succeed(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("web").await;
    let (operation, fence) = world.claim().await;
    let begin = async |fence: &_, vmid: u32, at| {
        let intent = json!({"vmid": vmid});
        world
            .store
            .begin_step(fence, 0, "create", intent, Effects::default(), at)
            .await
            .unwrap();
    };
    begin(&fence, 101, world.at()).await;
    world
        .store
        .record_upid(&fence, 0, "UPID:1", world.at())
        .await
        .unwrap();
    world
        .store
        .amend_intent(&fence, 0, json!({"vmid": 101, "n": 1}), world.at())
        .await
        .unwrap();
    let step = world.store.steps(operation.id).await.unwrap().remove(0);
    assert_eq!(step.intent, json!({"vmid": 101, "n": 1}));
    assert_eq!(step.upid.as_deref(), Some("UPID:1"), "nothing else changed");
    begin(&fence, 102, world.at()).await;
    let step = world.store.steps(operation.id).await.unwrap().remove(0);
    assert_eq!((step.intent, step.upid), (json!({"vmid": 102}), None));
    world.pass(LEASE_MS);
    let (_, fence) = world.claim_again().await;
    world.finish(&fence, 0).await;
    let step = world.store.steps(operation.id).await.unwrap().remove(0);
    assert_eq!(
        (step.state, step.epoch),
        (StepState::Succeeded, Epoch(2)),
        "resumed under the new claim"
    );
    world.assert_sound().await;
}

/// Recovery asks right after: it does not wait for numbers.
pub async fn a_mutation_is_there_as_soon_as_it_was_recorded(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("web").await;
    let (operation, fence) = world.claim().await;
    world.begin(&fence, 0, "create").await;
    let mut recorded = Vec::new();
    for n in 0..40 {
        let call = format!("POST /{n}");
        let audit = MutationAudit {
            call: call.clone(),
            target: "lab/pve1/101".to_owned(),
            details: json!({}),
        };
        let done = world
            .store
            .record_mutation(&fence, 0, audit, Effects::default(), world.at())
            .await;
        done.unwrap();
        recorded.push(call);
        let found = world.store.mutations(operation.id, 0).await.unwrap();
        let calls: Vec<String> = found.into_iter().map(|m| m.action).collect();
        assert_eq!(calls, recorded);
    }
    world.assert_sound().await;
}

pub async fn every_mutation_has_one_entry(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("web").await;
    let (operation, fence) = world.claim().await;
    let said = |message: &str| Effects {
        log: vec![NewLogLine {
            level: LogLevel::Info,
            step: None,
            message: message.to_owned(),
            percent: None,
        }],
        ..Effects::default()
    };
    let audit = MutationAudit {
        call: "POST /nodes/pve1/lxc".to_owned(),
        target: "lab/pve1/101".to_owned(),
        details: json!({"hostname": "web"}),
    };
    let early = world
        .store
        .record_mutation(&fence, 0, audit.clone(), said("Too early"), world.at())
        .await;
    assert!(
        matches!(early, Err(StoreError::NotFound { what: "step", .. })),
        "{early:?}"
    );
    world.begin(&fence, 0, "create").await;
    world
        .store
        .record_mutation(&fence, 0, audit, said("Creating it"), world.at())
        .await
        .unwrap();
    let lines = world.log(app.id, 0, 100).await;
    let lines: Vec<&str> = lines.iter().map(|line| line.message.as_str()).collect();
    assert!(lines.contains(&"Creating it"), "{lines:?}");
    assert!(!lines.contains(&"Too early"), "{lines:?}");
    let entries = world.audit(100, 0).await;
    let made: Vec<_> = entries
        .iter()
        .filter(|e| e.kind == AuditKind::Mutation)
        .collect();
    assert_eq!(made.len(), 1);
    assert_eq!(
        (made[0].action.as_str(), made[0].account.as_str()),
        ("POST /nodes/pve1/lxc", "admin")
    );
    assert_eq!(
        (made[0].operation, made[0].step),
        (Some(operation.id), Some(0))
    );
    assert_eq!(made[0].epoch, Some(fence.epoch));
    let seqs: Vec<i64> = entries.iter().map(|e| e.seq).collect();
    assert_eq!(seqs, (1..=entries.len() as i64).collect::<Vec<_>>());
    assert_eq!(world.audit(1, 1).await[0].seq, 2);
    world.assert_sound().await;
}

pub async fn an_operation_ends_only_when_all_succeeded(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("web").await;
    let (operation, fence) = world.claim().await;
    world.begin(&fence, 0, "create").await;
    assert_illegal(
        world
            .store
            .complete(&fence, with_status(Status::Running), world.at())
            .await,
    );
    world.stick(&fence, Some(0), "odd").await;
    let state = world.operation(operation.id).await.state;
    let OperationState::Stuck {
        was: StuckWas::Running,
        failure,
    } = state
    else {
        panic!("{state:?}");
    };
    assert_eq!(failure.step.as_deref(), Some("create"));
    assert!(
        world.store.check_fence(&fence).await.is_err(),
        "nobody works on a stuck one"
    );
    let none = world
        .store
        .claim(world.holder, LEASE_MS, true, world.at())
        .await
        .unwrap();
    assert!(none.is_none());
    world.assert_sound().await;
}

pub async fn an_end_leaves_no_app_on_its_way(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("web").await;
    let (_, fence) = world.claim().await;
    world.step(&fence, 0).await;
    assert_illegal(
        world
            .store
            .complete(&fence, Effects::default(), world.at())
            .await,
    );
    assert_eq!(world.app(app.id).await.status, Status::Deploying);
    world.store.check_fence(&fence).await.unwrap();
    world.complete(&fence).await;
    world.assert_sound().await;
}
