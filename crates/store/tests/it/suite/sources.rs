//! Sources of documents: kept with their secrets, and what is told of them is told once.

use proximity_domain::event::EventKind;
use proximity_domain::failure::Failure;
use proximity_domain::ids::{ApplyId, PlanId, SourceId};
use proximity_domain::names::CommitId;
use proximity_domain::source::{
    Due, MOST_SOURCES, Sight, SourcePolicy, SourceProblem, SourceState,
};
use proximity_domain::time::Timestamp;
use proximity_store::StoreError;
use proximity_store::sources::{NewSource, SourceRecord, SourceSecrets};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::world::{Make, World, assert_illegal};

fn new(world: &mut World, name: &str) -> NewSource {
    NewSource {
        id: SourceId(world.id()),
        name: name.parse().unwrap(),
        url: "ssh://git@example.org/apps.git".parse().unwrap(),
        branch: "main".parse().unwrap(),
        path: Some("apps/home".parse().unwrap()),
        every_s: 60,
        policy: SourcePolicy::Apply,
        prune: false,
        signers: Some("me ssh-ed25519 AAAA".to_owned()),
        owner: Some("admin".to_owned()),
        secrets: SourceSecrets {
            hook: SecretString::from("swordfish"),
            credential: Some(SecretString::from("herring")),
        },
    }
}

async fn add(world: &World, new: &NewSource) -> Result<SourceRecord, StoreError> {
    let (store, actor) = (&world.store, &world.actor);
    store.add_source(new, actor, world.at()).await
}

fn due(world: &World) -> Due {
    Due {
        now: world.at(),
        every_s: 60,
    }
}

fn commit(n: u8) -> CommitId {
    format!("{n:040x}").parse().unwrap()
}

fn why(code: &str) -> Failure {
    Failure::new(code, "what it is", "what to do")
}

async fn note(world: &World, seen: &SourceRecord, sight: &Sight) -> SourceRecord {
    let store = &world.store;
    store.note_source(seen, sight, world.at()).await.unwrap()
}

async fn told(world: &World) -> Vec<EventKind> {
    let of_sources = [
        EventKind::SourceFailed,
        EventKind::SourceRecovered,
        EventKind::SourceWaits,
        EventKind::SourceApplied,
    ];
    let events = world.events(0, 1_000).await.into_iter();
    let kinds = events.map(|event| event.2.kind);
    kinds.filter(|kind| of_sources.contains(kind)).collect()
}

pub async fn are_kept_with_their_secrets(make: &impl Make) {
    let mut world = World::new(make).await;
    let web = new(&mut world, "web");
    let added = add(&world, &web).await.unwrap();
    assert!(added.has_credential);
    assert_eq!(added.sight, Sight::new(world.at()));
    let store = world.store.clone();
    assert_eq!(store.source(&web.name).await.unwrap(), Some(added.clone()));
    assert_eq!(store.sources().await.unwrap(), [added]);
    let secrets = store.source_secrets(&web.name).await.unwrap().unwrap();
    assert_eq!(secrets.hook.expose_secret(), "swordfish");
    assert_eq!(secrets.credential.unwrap().expose_secret(), "herring");
    let again = NewSource {
        id: SourceId(world.id()),
        ..web.clone()
    };
    let refused = add(&world, &again).await;
    assert!(matches!(
        refused,
        Err(StoreError::Exists { what: "source", .. })
    ));
    let (actor, at) = (world.actor.clone(), world.at());
    store.remove_source(&web.name, &actor, at).await.unwrap();
    let gone = store.remove_source(&web.name, &actor, at).await;
    assert!(matches!(
        gone,
        Err(StoreError::NotFound { what: "source", .. })
    ));
    assert!(store.source_secrets(&web.name).await.unwrap().is_none());
    let text = format!("{:?}", world.audit(1_000, 0).await);
    assert!(text.contains("source.add") && text.contains("source.remove"));
    assert!(!text.contains("swordfish") && !text.contains("herring"));
    world.assert_sound().await;
}

pub async fn that_prune_are_alone_and_of_others_there_is_an_end(make: &impl Make) {
    let mut world = World::new(make).await;
    let prunes = NewSource {
        prune: true,
        ..new(&mut world, "all")
    };
    let other = new(&mut world, "some");
    add(&world, &prunes).await.unwrap();
    assert_illegal(add(&world, &other).await);
    let (store, actor, at) = (world.store.clone(), world.actor.clone(), world.at());
    store.remove_source(&prunes.name, &actor, at).await.unwrap();
    add(&world, &other).await.unwrap();
    assert_illegal(add(&world, &prunes).await);
    for n in 1..MOST_SOURCES {
        let one = new(&mut world, &format!("more-{n}"));
        add(&world, &one).await.unwrap();
    }
    let one_more = new(&mut world, "one-more");
    assert_illegal(add(&world, &one_more).await);
}

pub async fn tell_what_became_of_them_once(make: &impl Make) {
    let mut world = World::new(make).await;
    let web = new(&mut world, "web");
    let mut seen = add(&world, &web).await.unwrap();
    let problems = vec![SourceProblem {
        place: "apps/web.yaml:3:7".to_owned(),
        message: "it is wrong".to_owned(),
    }];
    for _ in 0..2 {
        world.pass(60_000);
        let wrong = seen.sight.troubled(
            SourceState::Wrong,
            Some(commit(1)),
            why("manifest_invalid"),
            due(&world),
        );
        seen = note(&world, &seen, &wrong.with(problems.clone())).await;
    }
    assert_eq!(told(&world).await, [EventKind::SourceFailed]);
    let kept = world.store.source(&web.name).await.unwrap().unwrap();
    assert_eq!(kept, seen);
    assert_eq!((&kept.sight.problems, kept.sight.failures), (&problems, 2));
    let plan = PlanId(world.id());
    let waits = seen
        .sight
        .waits(commit(2), plan, why("source_waits"), due(&world));
    seen = note(&world, &seen, &waits).await;
    let apply = ApplyId(world.id());
    let applies = seen.sight.applies(commit(2), plan, apply, due(&world));
    seen = note(&world, &seen, &applies).await;
    let done = seen.sight.as_wanted(commit(2), due(&world));
    seen = note(&world, &seen, &done).await;
    note(&world, &seen, &seen.sight.still(due(&world))).await;
    let expected = [
        EventKind::SourceFailed,
        EventKind::SourceRecovered,
        EventKind::SourceWaits,
        EventKind::SourceApplied,
    ];
    assert_eq!(told(&world).await, expected);
    let events = world.events(0, 1_000).await;
    let last = events
        .iter()
        .rfind(|event| event.2.kind == EventKind::SourceApplied);
    let body = json!({
        "source": "web", "branch": "main", "commit": commit(2), "state": "as_wanted",
        "plan": plan, "apply": apply, "problem": null, "message": null,
    });
    assert_eq!(last.unwrap().2.body, body);
}

pub async fn a_nudge_during_a_look_is_not_lost(make: &impl Make) {
    let mut world = World::new(make).await;
    let web = new(&mut world, "web");
    let seen = add(&world, &web).await.unwrap();
    world.pass(1_000);
    let store = world.store.clone();
    let at = world.at();
    store.nudge_source(&web.name, false, at).await.unwrap();
    let done = seen.sight.as_wanted(commit(1), due(&world));
    let after = note(&world, &seen, &done).await;
    let soon = Timestamp(world.at().0 + 10_000);
    assert_eq!(after.sight.due_at, soon, "and not a minute later");
    let quiet = note(&world, &after, &after.sight.still(due(&world))).await;
    assert_eq!(quiet.sight.due_at, Timestamp(world.at().0 + 60_000));
    // What a person asks for is done anew.
    let asked = store.nudge_source(&web.name, true, at).await.unwrap();
    assert_eq!(asked.sight.state, SourceState::New);
    assert_eq!(asked.sight.applied, Some(commit(1)));
    store
        .remove_source(&web.name, &world.actor, world.at())
        .await
        .unwrap();
    let same_name = NewSource {
        id: SourceId(world.id()),
        ..web.clone()
    };
    add(&world, &same_name).await.unwrap();
    let late = store.note_source(&quiet, &done, world.at()).await;
    assert!(matches!(
        late,
        Err(StoreError::NotFound { what: "source", .. })
    ));
}

pub async fn what_is_asked_for_during_a_look_is_done_anew(make: &impl Make) {
    let mut world = World::new(make).await;
    let web = new(&mut world, "web");
    let added = add(&world, &web).await.unwrap();
    let wanted = added.sight.as_wanted(commit(1), due(&world));
    let seen = note(&world, &added, &wanted).await;
    world.pass(1_000);
    let store = world.store.clone();
    let at = world.at();
    store.nudge_source(&web.name, true, at).await.unwrap();
    let after = note(&world, &seen, &seen.sight.still(due(&world))).await;
    assert_eq!(after.sight.state, SourceState::New);
    assert_eq!(after.sight.due_at, Timestamp(world.at().0 + 10_000));
}

pub async fn two_looks_at_the_same_time_lose_no_apply(make: &impl Make) {
    let mut world = World::new(make).await;
    let web = new(&mut world, "web");
    let seen = add(&world, &web).await.unwrap();
    let (plan, apply) = (PlanId(world.id()), ApplyId(world.id()));
    let applies = seen.sight.applies(commit(1), plan, apply, due(&world));
    let first = note(&world, &seen, &applies).await;
    world.pass(1);
    let other = PlanId(world.id());
    let waits = seen
        .sight
        .waits(commit(1), other, why("apply_overlaps"), due(&world));
    assert_eq!(note(&world, &seen, &waits).await, first);
    assert_eq!(told(&world).await, []);
    // The other way round.
    let done = first.sight.as_wanted(commit(1), due(&world));
    let seen = note(&world, &first, &done).await;
    world.pass(1);
    let waits = seen
        .sight
        .waits(commit(2), other, why("apply_overlaps"), due(&world));
    note(&world, &seen, &waits).await;
    world.pass(1);
    let applies = seen.sight.applies(commit(2), plan, apply, due(&world));
    let kept = note(&world, &seen, &applies).await;
    assert_eq!(
        (kept.sight.state, kept.sight.apply),
        (SourceState::Applying, Some(apply))
    );
}
