//! New apps and lists of them.

use std::time::Duration;

use proximity_domain::app::{Status, StatusLabel};
use proximity_domain::create::Resources;
use proximity_domain::event::EventKind;
use proximity_domain::ids::HostId;
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_domain::ports::PortPair;
use proximity_store::StoreError;
use proximity_store::effects::{AppChange, Effects, NewEntry, NewSettings};
use proximity_store::views::{AppFilter, AuditKind};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::world::{Make, World, request_key, with_status};

pub async fn are_created_in_one_commit(make: &impl Make) {
    let mut world = World::new(make).await;
    let before = world.events(0, 100).await.len();
    let (app, operation) = world.new_app("web");
    let made = world.store.create_app(
        app.clone(),
        operation.clone(),
        &world.actor,
        None,
        world.at(),
    );
    let made = made.await.unwrap();
    assert_eq!(made.status, Status::Deploying);
    assert_eq!(
        made.ports,
        Some(PortPair {
            public: 8100,
            internal: 9100
        })
    );
    assert_eq!(made.operation, Some(operation.id));
    assert_eq!(made.url, None);
    assert_eq!(made.environment, app.environment);
    assert_eq!(world.app(app.id).await, made);
    let by_name = world.store.app_by_hostname("web").await.unwrap().unwrap();
    assert_eq!(by_name, made);
    let queued = world.operation(operation.id).await;
    assert_eq!(
        (queued.kind, queued.state),
        (OperationKind::Deploy, OperationState::Queued)
    );
    assert_eq!(queued.requested_by, "admin");
    let events = world.events(0, 100).await;
    let [first, second] = &events[before..] else {
        panic!("two events: {events:?}");
    };
    for ((_, at, event, of_app, of_operation), kind) in [
        (first, EventKind::AppCreated),
        (second, EventKind::OperationQueued),
    ] {
        assert_eq!((event.kind, *at), (kind, world.at()));
        assert_eq!((*of_app, *of_operation), (Some(app.id), Some(operation.id)));
    }
    let audit = world.audit(100, 0).await;
    let entry = audit.last().unwrap();
    assert_eq!(
        (entry.kind, entry.action.as_str()),
        (AuditKind::Request, "app.create")
    );
    assert_eq!(
        (entry.token, entry.operation),
        (world.actor.token, Some(operation.id))
    );
    world.assert_sound().await;
}

pub async fn keep_their_host_name_alone(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("web").await;
    let before = world.audit(100, 0).await.len();
    let (app, operation) = world.new_app("web");
    let refused = world
        .store
        .create_app(
            app.clone(),
            operation.clone(),
            &world.actor,
            None,
            world.at(),
        )
        .await;
    assert!(
        matches!(&refused, Err(StoreError::HostnameTaken { hostname }) if hostname == "web"),
        "{refused:?}"
    );
    assert!(world.store.app(app.id).await.unwrap().is_none());
    assert!(world.store.operation(operation.id).await.unwrap().is_none());
    assert_eq!(world.store.ports().await.unwrap().held.len(), 1);
    assert_eq!(world.audit(100, 0).await.len(), before);
    let (app, mut operation) = world.new_app("other");
    operation.kind = OperationKind::Start;
    let refused = world
        .store
        .create_app(app, operation, &world.actor, None, world.at())
        .await;
    assert!(
        matches!(refused, Err(StoreError::IllegalTransition { .. })),
        "{refused:?}"
    );
    world.assert_sound().await;
}

pub async fn same_key_gives_the_first(make: &impl Make) {
    let mut world = World::new(make).await;
    let key = || Some(request_key("k1"));
    let (app, operation) = world.new_app("web");
    let first = world
        .store
        .create_app(app, operation, &world.actor, key(), world.at());
    let first = first.await.unwrap();
    let (again, operation) = world.new_app("web");
    let second = world
        .store
        .create_app(again.clone(), operation, &world.actor, key(), world.at());
    assert_eq!(second.await.unwrap(), first);
    assert!(world.store.app(again.id).await.unwrap().is_none());
    let (mut foreign, operation) = world.new_app("web2");
    foreign.owner = "other".to_owned();
    let made = world
        .store
        .create_app(foreign.clone(), operation, &world.actor, key(), world.at());
    assert_eq!(
        made.await.unwrap().id,
        foreign.id,
        "another owner's key is another key"
    );
    assert_eq!(world.store.apps(AppFilter::default()).await.unwrap().1, 2);

    let (_, fence) = world.claim().await;
    assert_eq!(fence.operation, first.operation.unwrap());
    let end = Effects {
        archive: true,
        ..Default::default()
    };
    world.store.complete(&fence, end, world.at()).await.unwrap();
    let (again, operation) = world.new_app("web");
    let third = world
        .store
        .create_app(again, operation, &world.actor, key(), world.at())
        .await
        .unwrap();
    assert_eq!(
        (third.id, third.ports, third.operation),
        (first.id, None, None),
        "as it was archived"
    );
    world.assert_sound().await;
}

pub async fn of_an_unknown_host_are_refused(make: &impl Make) {
    let mut world = World::new(make).await;
    let (mut app, operation) = world.new_app("web");
    app.host = HostId(world.id());
    let refused = world
        .store
        .create_app(app, operation, &world.actor, None, world.at())
        .await;
    assert!(
        matches!(refused, Err(StoreError::NotFound { what: "host", .. })),
        "{refused:?}"
    );
    assert!(world.store.ports().await.unwrap().held.is_empty());
}

pub async fn are_listed_page_by_page(make: &impl Make) {
    let mut world = World::new(make).await;
    world.deployed("blog", 101).await;
    for n in 0..4 {
        world.pass(1);
        world.create(&format!("shop-{n}")).await;
    }
    let names = async |filter: AppFilter| {
        let (apps, total) = world.store.apps(filter).await.unwrap();
        let names: Vec<String> = apps.iter().map(|a| a.hostname.to_string()).collect();
        (names.join(" "), total)
    };
    let all = AppFilter::default();
    assert_eq!(
        names(all.clone()).await,
        ("shop-3 shop-2 shop-1 shop-0 blog".to_owned(), 5)
    );
    let page = |page| AppFilter {
        page,
        per_page: 2,
        ..AppFilter::default()
    };
    assert_eq!(names(page(1)).await.0, "shop-3 shop-2");
    assert_eq!(names(page(3)).await, ("blog".to_owned(), 5));
    assert_eq!(names(page(4)).await, (String::new(), 5));
    let running = AppFilter {
        status: Some(StatusLabel::Running),
        ..all.clone()
    };
    assert_eq!(names(running).await, ("blog".to_owned(), 1));
    let search = |text: &str| AppFilter {
        search: Some(text.to_owned()),
        ..AppFilter::default()
    };
    assert_eq!(names(search("OP-1")).await, ("shop-1".to_owned(), 1));
    assert_eq!(
        names(search("NGINX")).await.1,
        5,
        "the catalog id is searched too"
    );
    for wildcard in ["%", "_", "!", "'"] {
        assert_eq!(
            names(search(wildcard)).await.1,
            0,
            "{wildcard} is text, not a pattern"
        );
    }
    let live = world.store.apps_by_id(None).await.unwrap();
    assert_eq!(live.len(), 5);
    assert!(live.is_sorted_by_key(|app| app.id));
    let behind = world.store.apps_by_id(Some(live[1].id)).await.unwrap();
    assert_eq!(behind, live[2..]);
    assert_eq!(world.store.apps_by_id(Some(live[4].id)).await.unwrap(), []);
    let foreign = AppFilter {
        owner: Some("other".to_owned()),
        ..all
    };
    assert_eq!(names(foreign).await.1, 0);
}

pub async fn keep_their_settings_sealed(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("web").await;
    let settings = world.store.app_environment(app.id).await.unwrap();
    assert_eq!(settings.expose_secret(), "{\"PASSWORD\":\"secret-of-web\"}");
    let audit = format!("{:?}", world.audit(100, 0).await);
    let events = format!("{:?}", world.events(0, 100).await);
    for shown in [audit, events, format!("{app:?} {:?}", world.store)] {
        assert!(!shown.contains("secret-of-"), "{shown}");
    }
}

/// Record, status and the end of the operation are one commit; what it was given sealed is gone with it.
pub async fn are_changed_in_place_in_one_commit(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = world.deployed("web", 101).await;
    let update = world.new_operation(OperationKind::Update, app.id);
    let secret = SecretString::from("{\"PASSWORD\":\"new-secret-of-web\"}");
    let queued = world.store.enqueue_sealed(
        update.clone(),
        Some(secret.clone()),
        Some(Status::Updating),
        &world.actor,
        world.at(),
    );
    queued.await.unwrap();
    let (operation, fence) = world.claim().await;
    assert_eq!(world.app(app.id).await.status, Status::Updating);
    let given = world.store.sealed_input(operation.id).await.unwrap();
    assert_eq!(given.unwrap().expose_secret(), secret.expose_secret());
    let resources = Resources {
        memory_mib: 1024,
        cores: 2,
        disk_gib: 8,
    };
    let change = AppChange {
        resources,
        settings: Some(NewSettings {
            open: json!({"TITLE": "other", "PASSWORD": null}),
            sealed: secret.clone(),
        }),
        entry: Some(NewEntry {
            hash: "ab".repeat(32),
            version: "2".to_owned(),
        }),
    };
    let effects = Effects {
        change: Some(change),
        ..with_status(Status::Running)
    };
    world.step(&fence, 0).await;
    let completed = world.store.complete(&fence, effects, world.at());
    completed.await.unwrap();
    let now = world.app(app.id).await;
    assert_eq!((now.resources, now.status), (resources, Status::Running));
    assert_eq!(now.environment["TITLE"], "other");
    assert_eq!(now.entry_hash, Some("ab".repeat(32)));
    assert_eq!(now.catalog_version, "2");
    let settings = world.store.app_environment(app.id).await.unwrap();
    assert_eq!(settings.expose_secret(), secret.expose_secret());
    assert!(
        world
            .store
            .sealed_input(operation.id)
            .await
            .unwrap()
            .is_none()
    );
    let shown = format!(
        "{:?} {:?}",
        world.audit(100, 0).await,
        world.events(0, 200).await
    );
    assert!(!shown.contains("new-secret"), "{shown}");
    world.assert_sound().await;
}

/// A caller that goes away in the middle (a client that hangs up, a time-out) leaves a whole commit or none, and a
/// writer that works.
pub async fn a_dropped_write_is_whole_or_nothing(make: &impl Make) {
    let mut world = World::new(make).await;
    let (mut finished, mut dropped) = (0, 0);
    for n in 0..120_u64 {
        let (app, operation) = world.new_app(&format!("app-{n}"));
        let (store, id) = (world.store.clone(), app.id);
        let write = store.create_app(app, operation, &world.actor, None, world.at());
        match tokio::time::timeout(Duration::from_micros(n * 25), write).await {
            Ok(made) => {
                made.unwrap();
                finished += 1;
                assert!(world.store.app(id).await.unwrap().is_some());
            }
            Err(_) => dropped += 1,
        }
    }
    assert_eq!(dropped > 0, make.waits(), "{dropped} writes were dropped");
    world.create("last").await;
    let (_, total) = world.store.apps(AppFilter::default()).await.unwrap();
    assert!((finished + 1..=finished + dropped + 1).contains(&total));
    world.assert_sound().await;
}

pub async fn have_no_name_that_no_database_takes(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("web").await;
    for name in ["web\0", "\0"] {
        assert!(world.store.app_by_hostname(name).await.unwrap().is_none());
        assert!(world.store.host_by_label(name).await.unwrap().is_none());
    }
}

/// Running and removed apps take what PVE shows; only what is still being made is promised.
pub async fn are_promised_while_they_are_made(make: &impl Make) {
    let mut world = World::new(make).await;
    assert_eq!(world.store.promised().await.unwrap(), Vec::new());
    let (blog, guest) = world.deployed("blog", 101).await;
    world.removed(&blog, guest.id, false).await;
    world.deployed("shop", 102).await;
    let mut nodes = Vec::new();
    for (name, node, memory_mib, disk_gib) in [
        ("one", "pve2", 512, 4),
        ("two", "pve1", 1024, 8),
        ("three", "pve2", 512, 4),
        ("four", "pve2", 256, 2),
    ] {
        let (mut app, operation) = world.new_app(name);
        app.node = node.parse().unwrap();
        app.resources.memory_mib = memory_mib;
        app.resources.disk_gib = disk_gib;
        nodes.push((app.host, app.node.clone()));
        let asked = world
            .store
            .create_app(app, operation, &world.actor, None, world.at());
        asked.await.unwrap();
    }
    let promised = world.store.promised().await.unwrap();
    let sums: Vec<_> = promised
        .iter()
        .map(|there| (there.node.as_str(), there.memory_mib, there.disk_gib))
        .collect();
    assert_eq!(sums, [("pve1", 1024, 8), ("pve2", 1280, 10)]);
    assert!(promised.iter().all(|there| there.host == nodes[0].0));
}
