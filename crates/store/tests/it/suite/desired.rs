//! What is wanted of apps, and the secrets it stands for.

use std::collections::BTreeMap;

use proximity_domain::desired::DesiredSpec;
use proximity_domain::event::EventKind;
use proximity_domain::ids::AppId;
use proximity_domain::names::SecretName;
use proximity_domain::plan::{Act, Change};
use proximity_domain::time::Timestamp;
use proximity_store::StoreError;
use proximity_store::applies::ChangeEnd;
use proximity_store::desired::DesiredRecord;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::applies::{begun, change, document, does, kept, name, starts, try_start};
use super::world::{Make, World, failure};

async fn newest(world: &World, of: &str) -> Option<DesiredRecord> {
    world.store.desired(&name(of)).await.unwrap()
}

/// Revision, app, and whether something is wanted.
async fn revisions(world: &World, of: &str) -> Vec<(u64, Option<AppId>, bool)> {
    let all = world.store.desired_revisions(&name(of)).await.unwrap();
    let all = all.into_iter();
    all.map(|one| (one.revision, one.app, one.spec.is_some()))
        .collect()
}

fn title(record: &DesiredRecord) -> Value {
    match &record.spec {
        Some(DesiredSpec::App(spec)) => serde_json::to_value(&spec.settings).unwrap(),
        Some(DesiredSpec::AdoptedApp(_)) | None => Value::Null,
    }
}

/// Of which app each change of what is wanted was told, and whether that was its end.
async fn told(world: &World) -> Vec<(Option<AppId>, Value)> {
    let events = world.events(0, 1_000).await;
    let told = events
        .iter()
        .filter(|event| event.2.kind == EventKind::DesiredChanged);
    told.map(|event| (event.3, event.2.body["ended"].clone()))
        .collect()
}

/// One change, carried out.
async fn applies(world: &mut World, change: Change, settings: Option<Value>) {
    let documents = settings.map(|settings| document(change.name.as_str(), settings));
    let documents: Vec<_> = documents.into_iter().collect();
    let (_, fence) = begun(world, vec![change], &documents).await;
    does(world, &fence, 0).await;
    world.store.end_apply(&fence, world.at()).await.unwrap();
}

pub async fn is_what_was_applied_last_with_all_before(make: &impl Make) {
    let mut world = World::new(make).await;
    assert_eq!(newest(&world, "web").await, None);
    let made = change("web", Act::Create, None, &[]);
    let (apply, fence) = begun(
        &mut world,
        vec![made],
        &[document("web", json!({"TITLE": "one"}))],
    )
    .await;
    let (store, at) = (world.store.clone(), world.at());
    store.turn_changes(&fence, &starts(&[0]), at).await.unwrap();
    let app = world.create("web").await.id;
    store
        .record_change(&fence, 0, Some(app), None)
        .await
        .unwrap();
    assert_eq!(newest(&world, "web").await, None, "it is not done yet");
    store
        .end_change(&fence, 0, ChangeEnd::Done, at)
        .await
        .unwrap();
    store.end_apply(&fence, at).await.unwrap();
    let first = newest(&world, "web").await.unwrap();
    assert_eq!((first.revision, first.app), (1, Some(app)));
    assert_eq!(title(&first), json!({"TITLE": "one"}));
    assert_eq!((first.apply, first.plan), (apply.id, apply.plan));
    assert_eq!((first.applied_at, first.applied_by.as_str()), (at, "admin"));
    let update = || change("web", Act::Update, Some(app), &[]);
    applies(&mut world, update(), Some(json!({"TITLE": "two"}))).await;
    // The same again is no revision.
    applies(&mut world, update(), Some(json!({"TITLE": "two"}))).await;
    let second = newest(&world, "web").await.unwrap();
    assert_eq!(
        (second.revision, title(&second)),
        (2, json!({"TITLE": "two"}))
    );
    assert_eq!(store.all_desired().await.unwrap(), [second]);
    applies(
        &mut world,
        change("web", Act::Destroy, Some(app), &[]),
        None,
    )
    .await;
    let expected = [
        (1, Some(app), true),
        (2, Some(app), true),
        (3, Some(app), false),
    ];
    assert_eq!(revisions(&world, "web").await, expected);
    assert_eq!(store.all_desired().await.unwrap(), []);
    applies(
        &mut world,
        change("web", Act::Destroy, Some(app), &[]),
        None,
    )
    .await;
    assert_eq!(revisions(&world, "web").await.len(), 3, "it ended before");
    let expected = [false, false, true].map(|ended| (Some(app), json!(ended)));
    assert_eq!(told(&world).await, expected);
    world.assert_sound().await;
}

pub async fn of_a_change_that_failed_is_as_before(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("web").await.id;
    let update = || change("web", Act::Update, Some(app), &[]);
    applies(&mut world, update(), Some(json!({"TITLE": "one"}))).await;
    let documents = [document("web", json!({"TITLE": "two"}))];
    let (_, fence) = begun(&mut world, vec![update()], &documents).await;
    let (store, at) = (world.store.clone(), world.at());
    store.turn_changes(&fence, &starts(&[0]), at).await.unwrap();
    let failed = ChangeEnd::Failed(failure("busy"));
    store.end_change(&fence, 0, failed, at).await.unwrap();
    store.end_apply(&fence, at).await.unwrap();
    assert_eq!(
        title(&newest(&world, "web").await.unwrap()),
        json!({"TITLE": "one"})
    );
    world.assert_sound().await;
}

pub async fn of_apps_that_stay_as_they_are_is_recorded_at_once(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("web").await.id;
    let documents = [
        document("web", json!({"TITLE": "one"})),
        document("shop", json!({})),
    ];
    let made = || vec![change("shop", Act::Create, None, &[])];
    let plan = kept(&mut world, made(), &documents).await;
    let first = try_start(&mut world, plan).await.unwrap();
    let found = newest(&world, "web").await.unwrap();
    assert_eq!(
        (found.revision, found.app, found.apply),
        (1, Some(app), first.id)
    );
    assert_eq!(newest(&world, "shop").await, None);
    // Once more in other documents: nothing is new.
    let (_, fence) = begun(&mut world, vec![], &documents[..1]).await;
    world.store.end_apply(&fence, world.at()).await.unwrap();
    assert_eq!(revisions(&world, "web").await, [(1, Some(app), true)]);
    world.assert_sound().await;
}

pub async fn of_another_name_ends_when_the_app_gets_a_new_one(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("old").await.id;
    for of in ["old", "new"] {
        let renamed = change(of, Act::Update, Some(app), &[]);
        applies(&mut world, renamed, Some(json!({}))).await;
    }
    assert_eq!(
        revisions(&world, "old").await,
        [(1, Some(app), true), (2, Some(app), false)]
    );
    assert_eq!(revisions(&world, "new").await, [(1, Some(app), true)]);
    world.assert_sound().await;
}

fn secret(name: &str) -> SecretName {
    name.parse().unwrap()
}

async fn sets(world: &World, name: &str, value: &str) -> i64 {
    let (name, value) = (secret(name), SecretString::from(value.to_owned()));
    let set = world
        .store
        .set_secret(&name, &value, &world.actor, world.at());
    set.await.unwrap().version
}

pub async fn stands_for_secrets_that_are_kept_apart(make: &impl Make) {
    let mut world = World::new(make).await;
    let (store, actor) = (world.store.clone(), world.actor.clone());
    assert_eq!(sets(&world, "db", "swordfish").await, 1);
    let first = world.at();
    world.pass(5);
    assert_eq!(sets(&world, "db", "swordfish").await, 1, "the same value");
    assert_eq!(sets(&world, "db", "herring").await, 2);
    assert_eq!(sets(&world, "api", "swordfish").await, 1);
    let all = store.secrets().await.unwrap();
    let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["api", "db"]);
    assert_eq!((all[1].made_at, all[1].changed_at), (first, world.at()));
    assert_eq!((all[1].changed_by.as_str(), all[1].version), ("admin", 2));
    let value = store.secret_value(&secret("db")).await.unwrap();
    assert_eq!(value.unwrap().expose_secret(), "herring");
    assert!(store.secret_value(&secret("no")).await.unwrap().is_none());
    store
        .remove_secret(&secret("api"), &actor, world.at())
        .await
        .unwrap();
    let gone = store
        .remove_secret(&secret("api"), &actor, world.at())
        .await;
    assert!(matches!(
        gone,
        Err(StoreError::NotFound { what: "secret", .. })
    ));
    let audit = world.audit(1_000, 0).await;
    let acts = audit
        .iter()
        .filter(|entry| entry.action.starts_with("secret."));
    let acts: Vec<(&str, &str)> = acts
        .map(|one| (one.action.as_str(), one.target.as_str()))
        .collect();
    let set = |name| ("secret.set", name);
    assert_eq!(
        acts,
        [
            set("db"),
            set("db"),
            set("db"),
            set("api"),
            ("secret.remove", "api")
        ]
    );
    let text = format!("{audit:?} {:?}", world.events(0, 1_000).await);
    assert!(!text.contains("swordfish") && !text.contains("herring"));
    world.assert_sound().await;
}

/// A change of settings, with which all secrets of the app are put in.
fn of_settings(app: AppId) -> Change {
    let path = "settings.PASSWORD";
    let field = json!({"path": path, "from": null, "to": null, "source": "documents"});
    Change {
        fields: vec![serde_json::from_value(field).unwrap()],
        ..change("web", Act::Update, Some(app), &[])
    }
}

async fn version(world: &World) -> i64 {
    newest(world, "web").await.unwrap().secrets[&secret("db")]
}

pub async fn says_of_a_secret_what_was_put_in_and_nothing_else(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("web").await.id;
    let settings = || Some(json!({"PASSWORD": {"secret": "db"}}));
    let other = || change("web", Act::Update, Some(app), &[]);
    sets(&world, "db", "one").await;
    // It changes something else, and what is in the app is not known.
    applies(&mut world, other(), settings()).await;
    assert_eq!(version(&world).await, 0);
    applies(&mut world, of_settings(app), settings()).await;
    assert_eq!(version(&world).await, 1);
    sets(&world, "db", "two").await;
    applies(&mut world, other(), settings()).await;
    assert_eq!(version(&world).await, 1, "the new value is not in the app");
    applies(&mut world, of_settings(app), settings()).await;
    assert_eq!(version(&world).await, 2);
    // Another app has its name by now, and got its password from whoever made it.
    let another = AppId(world.id());
    let another = change("web", Act::Update, Some(another), &[]);
    applies(&mut world, another, settings()).await;
    assert_eq!(version(&world).await, 0);
    world.assert_sound().await;
}

pub async fn holds_its_secrets_while_it_names_them(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("web").await.id;
    sets(&world, "db", "one").await;
    sets(&world, "db", "two").await;
    let settings = json!({"PASSWORD": {"secret": "db"}, "KEY": {"secret": "none"}});
    let (_, fence) = begun(
        &mut world,
        vec![of_settings(app)],
        &[document("web", settings.clone())],
    )
    .await;
    let (store, actor, at) = (world.store.clone(), world.actor.clone(), world.at());
    let db = secret("db");
    let remove = || store.remove_secret(&db, &actor, at);
    let held = remove().await;
    assert!(matches!(&held, Err(StoreError::SecretInUse { apps, .. }) if *apps == ["web"]));
    store.turn_changes(&fence, &starts(&[0]), at).await.unwrap();
    // It was put in as it was when the change began.
    sets(&world, "db", "three").await;
    store
        .end_change(&fence, 0, ChangeEnd::Done, at)
        .await
        .unwrap();
    store.end_apply(&fence, at).await.unwrap();
    let versions = [(secret("db"), 2), (secret("none"), 0)];
    let wanted = newest(&world, "web").await.unwrap();
    assert_eq!(wanted.secrets, BTreeMap::from(versions));
    let ties = store.desired_ties().await.unwrap();
    assert_eq!((ties.len(), ties[0].app), (1, app));
    assert_eq!(store.desired_ties_of(&[app]).await.unwrap(), ties);
    let other = AppId(uuid::Uuid::from_u128(77));
    let none = store.desired_ties_of(&[other]).await.unwrap();
    assert!(none.is_empty() && store.desired_ties_of(&[]).await.unwrap().is_empty());
    assert_eq!(
        (&ties[0].secrets, &ties[0].depends_on),
        (&wanted.secrets, &vec![])
    );
    assert!(matches!(
        remove().await,
        Err(StoreError::SecretInUse { .. })
    ));
    // As one that stays as it is it keeps what was put in.
    let (_, fence) = begun(&mut world, vec![], &[document("web", settings)]).await;
    store.end_apply(&fence, at).await.unwrap();
    assert_eq!(newest(&world, "web").await.unwrap(), wanted);
    applies(
        &mut world,
        change("web", Act::Destroy, Some(app), &[]),
        None,
    )
    .await;
    remove().await.unwrap();
    world.assert_sound().await;
}

pub async fn at_a_moment_is_the_revision_that_was_the_newest_then(make: &impl Make) {
    let mut world = World::new(make).await;
    let before = Timestamp(world.at().0 - 1);
    let app = world.create("web").await.id;
    let update = || change("web", Act::Update, Some(app), &[]);
    let mut moments = vec![(before, None)];
    for (title, revision) in [("one", 1), ("two", 2)] {
        applies(&mut world, update(), Some(json!({ "TITLE": title }))).await;
        moments.push((world.at(), Some((revision, true))));
        world.pass(10);
        moments.push((Timestamp(world.at().0 - 1), Some((revision, true))));
    }
    let gone = change("web", Act::Destroy, Some(app), &[]);
    applies(&mut world, gone, None).await;
    moments.push((world.at(), Some((3, false))));
    let other = world.create("other").await.id;
    let young = change("other", Act::Update, Some(other), &[]);
    world.pass(10);
    applies(&mut world, young, Some(json!({}))).await;
    for (at, expected) in moments {
        let then = world.store.desired_at(at).await.unwrap();
        let then: Vec<_> = then
            .iter()
            .map(|one| (one.name.as_str(), (one.revision, one.spec.is_some())))
            .collect();
        let expected: Vec<_> = expected.map(|one| ("web", one)).into_iter().collect();
        assert_eq!(then, expected, "{at:?}");
    }
    let now = world.store.desired_at(world.at()).await.unwrap();
    let names: Vec<&str> = now.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["other", "web"]);
    world.assert_sound().await;
}

pub async fn lets_secrets_go_of_an_app_that_was_removed_by_hand(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = world.deployed("web", 105).await;
    sets(&world, "db", "one").await;
    let settings = json!({"PASSWORD": {"secret": "db"}});
    applies(&mut world, of_settings(app.id), Some(settings)).await;
    let db = secret("db");
    let (store, actor, at) = (world.store.clone(), world.actor.clone(), world.at());
    let held = store.remove_secret(&db, &actor, at).await;
    assert!(matches!(held, Err(StoreError::SecretInUse { .. })));
    world.removed(&app, guest.id, false).await;
    store.remove_secret(&db, &actor, at).await.unwrap();
    world.assert_sound().await;
}
