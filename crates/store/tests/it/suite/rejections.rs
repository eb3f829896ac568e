//! Content that nothing applies by itself.

use proximity_domain::desired::DesiredSpec;
use proximity_domain::event::EventKind;
use proximity_domain::ids::{ApplyId, PlanId};
use proximity_domain::manifest::Manifest;
use proximity_domain::plan::Act;
use proximity_domain::time::Timestamp;
use proximity_store::StoreError;
use proximity_store::applies::{ApplyRecord, NewApply};
use proximity_store::rejections::{FORGOTTEN_KEPT, NewRejection, RejectedRevision};
use serde_json::json;

use super::applies::{begun, change, document, does, kept, name};
use super::world::{Make, World};

fn content(of: &str, spec_hash: &str) -> NewRejection {
    NewRejection {
        name: name(of),
        spec_hash: spec_hash.to_owned(),
        why: Some("it is too large".to_owned()),
    }
}

async fn rejects(world: &World, new: &[NewRejection]) -> Vec<RejectedRevision> {
    let (store, actor) = (&world.store, &world.actor);
    let rejected = store.reject_revisions(new, "ann", actor, world.at());
    rejected.await.unwrap()
}

async fn in_force(world: &World) -> Vec<(String, String)> {
    let all = world.store.rejected_revisions().await.unwrap();
    let all = all.into_iter().filter(RejectedRevision::is_in_force);
    all.map(|one| (one.name.to_string(), one.spec_hash))
        .collect()
}

fn pair(of: &str, spec_hash: &str) -> (String, String) {
    (of.to_owned(), spec_hash.to_owned())
}

pub async fn are_told_once_and_are_of_one_content(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("web").await;
    // Of a name that no app has yet as well.
    let both = [content("web", "one"), content("new", "one")];
    let anew = rejects(&world, &both).await;
    assert_eq!(anew.len(), 2);
    let (at, by) = (world.at(), "ann".to_owned());
    let expected = RejectedRevision {
        name: name("web"),
        spec_hash: "one".to_owned(),
        at,
        by,
        why: Some("it is too large".to_owned()),
        forgotten_at: None,
    };
    assert_eq!(anew[0], expected);
    assert!(expected.holds_back("one") && !expected.holds_back("two"));
    world.pass(10);
    assert_eq!(rejects(&world, &both).await, [], "it is known");
    let kept = world.store.rejected_revisions().await.unwrap();
    assert_eq!(kept[1], expected, "by name, and when it was told first");
    let of_web = async |spec_hash: &str| {
        let web = name("web");
        let found = world.store.rejected_revision(&web, spec_hash).await;
        found.unwrap()
    };
    assert_eq!(of_web("one").await, Some(expected));
    assert_eq!(of_web("two").await, None);
    // What another one rejects stays beside it, and what is rejected already is no news from anybody.
    let (store, actor) = (world.store.clone(), world.actor.clone());
    let three = [content("web", "three"), content("web", "one")];
    let by_a_source = store.reject_revisions(&three, "source home", &actor, world.at());
    assert_eq!(by_a_source.await.unwrap().len(), 1);
    // Other content takes the place of what the same has rejected before.
    assert_eq!(rejects(&world, &[content("web", "two")]).await.len(), 1);
    let expected = [pair("new", "one"), pair("web", "three"), pair("web", "two")];
    assert_eq!(in_force(&world).await, expected);
    let events = world.events(0, 1_000).await.into_iter();
    let told = events.filter(|event| event.2.kind == EventKind::RevisionRejected);
    let told: Vec<_> = told.map(|event| event.2.body).collect();
    assert_eq!(told.len(), 4);
    assert_eq!(told[0]["app"], json!(app.id));
    assert_eq!(told[1]["app"], json!(null));
    assert_eq!(told[2]["by"], "source home");
    assert_eq!(told[3]["why"], "it is too large");
    let audit = world.audit(1_000, 0).await;
    let entries = audit.iter().filter(|row| row.action == "revision.reject");
    assert_eq!(entries.count(), 4);
    world.assert_sound().await;
}

pub async fn are_forgotten_by_a_person_and_by_what_is_done(make: &impl Make) {
    let mut world = World::new(make).await;
    let (store, actor) = (world.store.clone(), world.actor.clone());
    let wanted = |of: &str| {
        let spec = DesiredSpec::of(&document(of, json!({}))).unwrap();
        store.spec_hash(Some(&spec)).unwrap()
    };
    let (two, web) = (wanted("two"), wanted("web"));
    let all = [
        content("one", "hash"),
        content("two", &two),
        content("web", &web),
    ];
    rejects(&world, &all).await;
    let other = [content("one", "other"), content("web", "other")];
    let by_another = store.reject_revisions(&other, "policy revert", &actor, world.at());
    assert_eq!(by_another.await.unwrap().len(), 2);
    world.pass(10);
    let at = world.at();
    let unreject = async |of: &str, just: Option<&str>| {
        let of = name(of);
        let forgotten = store.unreject_revision(&of, just, &actor, at).await;
        forgotten.map(|one| (one.spec_hash, one.forgotten_at))
    };
    // One of it, and all.
    let forgotten = unreject("one", Some("other")).await.unwrap();
    assert_eq!(forgotten, ("other".to_owned(), Some(at)));
    assert!(in_force(&world).await.contains(&pair("one", "hash")));
    let forgotten = unreject("one", None).await.unwrap();
    assert_eq!(forgotten, ("hash".to_owned(), Some(at)));
    for (of, just) in [("one", None), ("nobody", None), ("two", Some("other"))] {
        let again = unreject(of, just).await;
        assert!(matches!(again, Err(StoreError::NotFound { .. })), "{of}");
    }
    // What is done counts no more; other content of it does, and that of one that was not done.
    let changes = vec![
        change("two", Act::Create, None, &[]),
        change("web", Act::Create, None, &[]),
    ];
    let documents = [document("two", json!({})), document("web", json!({}))];
    let (_, fence) = begun(&mut world, changes, &documents).await;
    does(&world, &fence, 1).await;
    let expected = [pair("two", &two), pair("web", "other")];
    assert_eq!(in_force(&world).await, expected);
    let kept = store.rejected_revisions().await.unwrap();
    assert_eq!(kept.len(), 5, "from when on they count no more is known");
    // It may be rejected once more.
    assert_eq!(rejects(&world, &[content("web", &web)]).await.len(), 1);
    assert_eq!(in_force(&world).await.len(), 3);
    world.assert_sound().await;
}

pub async fn stand_for_what_is_wanted_and_of_the_forgotten_the_newest_stay(make: &impl Make) {
    let mut world = World::new(make).await;
    let spec = |settings| DesiredSpec::of(&document("web", settings)).unwrap();
    let hash = |spec: Option<&DesiredSpec>| world.store.spec_hash(spec).unwrap();
    let one = hash(Some(&spec(json!({"TITLE": "one"}))));
    assert_eq!(one, hash(Some(&spec(json!({"TITLE": "one"})))));
    assert_ne!(one, hash(Some(&spec(json!({"TITLE": "two"})))));
    assert_ne!(one, hash(None), "that nothing is wanted is content as well");
    let most = i64::from(FORGOTTEN_KEPT);
    for n in 0..=most {
        let of = format!("app-{n}");
        rejects(&world, &[content(&of, "hash")]).await;
        let (store, actor) = (&world.store, &world.actor);
        let at = Timestamp(world.at().0 + n);
        let forgotten = store.unreject_revision(&name(&of), None, actor, at).await;
        forgotten.unwrap();
    }
    let new = rejects(&world, &[content("web", "hash")]).await;
    assert_eq!(new.len(), 1);
    let kept = world.store.rejected_revisions().await.unwrap();
    assert_eq!(kept.len(), FORGOTTEN_KEPT as usize + 1);
    assert!(kept.iter().all(|one| one.name != name("app-0")));
    world.pass(1);
    world.assert_sound().await;
}

async fn begins(
    world: &mut World,
    plan: PlanId,
    unless_rejected: bool,
) -> Result<ApplyRecord, StoreError> {
    let new = NewApply {
        id: ApplyId(world.id()),
        plan,
        parallel: 1,
        key: None,
        brake: None,
        unless_rejected,
    };
    let begun = world.store.start_apply(new, &world.actor, world.at());
    begun.await
}

/// What a plan does not change is recorded as its documents say as well.
pub async fn are_judged_of_what_is_recorded_beside_the_changes(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("web").await;
    let changes = vec![change("web", Act::Update, Some(app.id), &[])];
    let first = document("web", json!({}));
    let (_, fence) = begun(&mut world, changes, std::slice::from_ref(&first)).await;
    does(&world, &fence, 0).await;
    let second = document("web", json!({"TITLE": "two"}));
    let hash = |of: &Manifest| {
        let spec = DesiredSpec::of(of);
        world.store.spec_hash(spec.as_ref()).unwrap()
    };
    let (on_record, other) = (hash(&first), hash(&second));
    // What is on record already is let be, whoever rejected it since.
    rejects(&world, &[content("web", &on_record)]).await;
    let plan = kept(&mut world, Vec::new(), &[first]).await;
    begins(&mut world, plan, true).await.unwrap();
    rejects(&world, &[content("web", &other)]).await;
    let plan = kept(&mut world, Vec::new(), std::slice::from_ref(&second)).await;
    match begins(&mut world, plan, true).await {
        Err(StoreError::Rejected { rejected }) => assert_eq!(rejected[0].spec_hash, other),
        begun => panic!("{begun:?}"),
    }
    begins(&mut world, plan, false).await.unwrap();
    let newest = world.store.desired(&name("web")).await.unwrap();
    assert_eq!(newest.unwrap().spec, DesiredSpec::of(&second));
    world.assert_sound().await;
}

/// It was rejected after whoever applies by itself had looked.
pub async fn are_judged_again_in_the_commit_that_begins_an_apply(make: &impl Make) {
    let mut world = World::new(make).await;
    let (store, actor) = (world.store.clone(), world.actor.clone());
    let wanted = |of: &str| {
        let spec = DesiredSpec::of(&document(of, json!({}))).unwrap();
        store.spec_hash(Some(&spec)).unwrap()
    };
    let changes = vec![
        change("gone", Act::Destroy, None, &[]),
        change("odd", Act::NoOp, None, &[]),
        change("web", Act::Create, None, &[]),
    ];
    let documents = [document("odd", json!({})), document("web", json!({}))];
    let plan = kept(&mut world, changes, &documents).await;
    let removal = store.spec_hash(None).unwrap();
    let all = [
        content("gone", &removal),
        content("odd", &wanted("odd")),
        content("web", &wanted("web")),
        content("two", &wanted("two")),
    ];
    rejects(&world, &all).await;
    let held = |refused: Result<ApplyRecord, StoreError>| match refused {
        Err(StoreError::Rejected { rejected }) => {
            let names = rejected.iter().map(|row| row.name.to_string());
            names.collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    // What stays as it is, or is no app of the plan, is no matter.
    let refused = begins(&mut world, plan, true).await;
    assert_eq!(held(refused), ["gone", "web"]);
    let record = store.plan(plan).await.unwrap().unwrap();
    assert_eq!(record.applied_at, None, "nothing was written");
    assert_eq!(store.applies(None, 10).await.unwrap(), []);
    let at = world.at();
    let gone = name("gone");
    let forgotten = store.unreject_revision(&gone, None, &actor, at);
    forgotten.await.unwrap();
    let refused = begins(&mut world, plan, true).await;
    assert_eq!(held(refused), ["web"]);
    // Other content of its name takes the place of what the same rejected before.
    rejects(&world, &[content("web", "other")]).await;
    begins(&mut world, plan, true).await.unwrap();
    // A person applies what they want.
    let two = vec![change("two", Act::Create, None, &[])];
    let plan = kept(&mut world, two, &[document("two", json!({}))]).await;
    let refused = begins(&mut world, plan, true).await;
    assert_eq!(held(refused), ["two"]);
    begins(&mut world, plan, false).await.unwrap();
    world.assert_sound().await;
}
