//! What apps are made with, and root's passwords, which are shown once.

use proximity_domain::app::Status;
use proximity_domain::ids::AppId;
use proximity_domain::names::Hostname;
use proximity_domain::network::NetworkWish;
use proximity_domain::operation::OperationKind;
use proximity_store::StoreError;
use proximity_store::records::AppRecord;
use secrecy::{ExposeSecret, SecretString};

use super::world::{Make, World};

/// A recorded app whose root is to have this password.
async fn recorded(world: &mut World, password: &str) -> AppRecord {
    let (mut app, operation) = world.new_app("web");
    app.made_with.root_password = true;
    app.root_password = Some(password.into());
    let (store, at) = (&world.store, world.at());
    let made = store.create_app(app, operation, &world.actor, None, at);
    made.await.unwrap()
}

async fn shown(world: &World, app: AppId) -> Result<String, StoreError> {
    let shown = world
        .store
        .show_root_password(app, &world.actor, world.at())
        .await;
    shown.map(|password| password.expose_secret().to_owned())
}

pub async fn is_kept_with_the_app(make: &impl Make) {
    let mut world = World::new(make).await;
    let (mut app, operation) = world.new_app("web");
    let wish = NetworkWish {
        vlan: Some(30),
        ipv6: Some("auto".to_owned()),
        ..NetworkWish::default()
    };
    app.made_with.network = wish.check().unwrap();
    app.made_with.root_keys = vec!["ssh-ed25519 AAAA".to_owned()];
    let made_with = app.made_with.clone();
    let (store, at) = (&world.store, world.at());
    let made = store.create_app(app, operation, &world.actor, None, at);
    let made = made.await.unwrap();
    assert_eq!(made.made_with, made_with);
    assert_eq!(world.app(made.id).await.made_with, made_with);
    world.assert_sound().await;
}

pub async fn who_is_kept_apart_is_changed_where_nobody_is_at_work(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = world.deployed("web", 101).await;
    let from: Vec<Hostname> = vec!["other".parse().unwrap(), "third".parse().unwrap()];
    let kept = world
        .store
        .keep_apart(app.id, from.clone(), &world.actor, world.at())
        .await;
    assert_eq!(kept.unwrap().made_with.apart_from, from);
    assert_eq!(world.app(app.id).await.made_with.apart_from, from);
    let third = &from[1];
    let away = world.store.apps_apart_from(third).await.unwrap();
    assert_eq!(away.iter().map(|app| app.id).collect::<Vec<_>>(), [app.id]);
    let none = world.store.apps_apart_from(&app.hostname).await.unwrap();
    assert!(none.is_empty(), "{none:?}");
    world.enqueue(OperationKind::Stop, app.id, None).await;
    let busy = world
        .store
        .keep_apart(app.id, Vec::new(), &world.actor, world.at())
        .await;
    assert!(matches!(busy, Err(StoreError::Busy { .. })), "{busy:?}");
    assert_eq!(world.app(app.id).await.made_with.apart_from, from);
    world.assert_sound().await;
}

pub async fn roots_password_is_shown_once_and_not_before_it_is_roots(make: &impl Make) {
    let mut world = World::new(make).await;
    let made = recorded(&mut world, "correct horse").await;
    let app = made.id;
    let early = shown(&world, app).await;
    assert!(matches!(early, Err(StoreError::Busy { .. })), "{early:?}");
    let kept = world.store.root_password(app).await.unwrap();
    let kept = kept.as_ref().map(SecretString::expose_secret);
    assert_eq!(kept, Some("correct horse"), "the deploy needs it");
    world.deploy(made, 101).await;
    assert_eq!(world.app(app).await.status, Status::Running);
    assert_eq!(shown(&world, app).await.unwrap(), "correct horse");
    assert!(world.store.root_password(app).await.unwrap().is_none());
    let again = shown(&world, app).await;
    assert!(
        matches!(again, Err(StoreError::NotFound { .. })),
        "{again:?}"
    );
    let (other, _) = world.deployed("other", 102).await;
    let none = shown(&world, other.id).await;
    assert!(matches!(none, Err(StoreError::NotFound { .. })), "{none:?}");
    world.assert_sound().await;
}
