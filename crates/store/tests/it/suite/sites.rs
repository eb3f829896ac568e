//! Host names that apps are led to under: one app each, kept with what was fetched, and gone with their app.

use proximity_domain::ids::AppId;
use proximity_domain::operation::OperationKind;
use proximity_domain::site::{CertificateFiles, Site};
use proximity_store::StoreError;
use proximity_store::effects::Effects;
use proximity_store::exposure::Exposure;
use proximity_store::records::{AppRecord, AppSite};
use serde_json::json;

use super::adoptions::adopted;
use super::world::{Make, World};

fn site(name: &str) -> Site {
    Site {
        name: name.parse().unwrap(),
        certificate: None,
    }
}

fn with_files(name: &str) -> Site {
    let files = CertificateFiles::new("/tls/cert.pem".to_owned(), "/tls/key.pem".to_owned());
    Site {
        certificate: Some(files.unwrap()),
        ..site(name)
    }
}

async fn set(world: &World, app: AppId, site: Option<Site>) -> Result<AppRecord, StoreError> {
    let store = &world.store;
    store.set_site(app, site, &world.actor, world.at()).await
}

async fn fetched(world: &World, app: AppId, by: &Site, fetched: Result<&str, &str>) -> bool {
    let fetched = fetched.map(str::to_owned).map_err(str::to_owned);
    let written = world.store.site_fetched(app, by, fetched).await;
    written.unwrap()
}

pub async fn are_kept_with_what_was_fetched(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = world.deployed("web", 101).await;
    let before = world.app(app.id).await;
    assert_eq!(before.site, None);
    let blog = with_files("blog.example.org");
    let named = set(&world, app.id, Some(blog.clone())).await.unwrap();
    let wanted = AppSite {
        site: blog.clone(),
        url: None,
        trouble: None,
    };
    assert_eq!(named.site.as_ref(), Some(&wanted));
    assert_eq!(
        named.shown_url(),
        before.url.as_deref(),
        "not fetched by its name yet"
    );
    assert!(fetched(&world, app.id, &blog, Err("no certificate yet\0")).await);
    let kept = world.app(app.id).await.site.unwrap();
    assert_eq!(
        (kept.url, kept.trouble.as_deref()),
        (None, Some("no certificate yet\u{fffd}"))
    );
    assert!(fetched(&world, app.id, &blog, Ok("https://blog.example.org/")).await);
    let kept = world.app(app.id).await;
    assert_eq!(kept.shown_url(), Some("https://blog.example.org/"));
    assert_eq!(kept.site.as_ref().unwrap().trouble, None);
    let routed = world.store.exposed_apps().await.unwrap();
    assert_eq!(routed.len(), 1);
    assert_eq!(routed[0].site, kept.site);
    let none = set(&world, app.id, None).await.unwrap();
    assert_eq!(
        (none.site.as_ref(), none.shown_url()),
        (None, before.url.as_deref())
    );
    let audit = world.audit(100, 0).await;
    let said = |action: &str| audit.iter().any(|entry| entry.action == action);
    assert!(said("app.lead_by_name") && said("app.end_name"));
    world.assert_sound().await;
}

pub async fn have_a_name_alone(make: &impl Make) {
    let mut world = World::new(make).await;
    let (web, _) = world.deployed("web", 101).await;
    let (other, _) = world.deployed("other", 102).await;
    let blog = site("blog.example.org");
    set(&world, web.id, Some(blog.clone())).await.unwrap();
    let taken = set(&world, other.id, Some(with_files("blog.example.org"))).await;
    assert!(
        matches!(&taken, Err(StoreError::Exists { what: "host name", id }) if id == "blog.example.org"),
        "{taken:?}"
    );
    // Its own name is nobody else's.
    set(&world, web.id, Some(blog.clone())).await.unwrap();
    set(&world, web.id, None).await.unwrap();
    set(&world, other.id, Some(blog)).await.unwrap();
    let nobody = AppId(world.id());
    let absent = set(&world, nobody, None).await;
    assert!(
        matches!(absent, Err(StoreError::NotFound { what: "app", .. })),
        "{absent:?}"
    );
    world.enqueue(OperationKind::Stop, other.id, None).await;
    let busy = set(&world, other.id, None).await;
    assert!(matches!(busy, Err(StoreError::Busy { .. })), "{busy:?}");
    world.assert_sound().await;
}

pub async fn are_there_from_the_beginning(make: &impl Make) {
    let mut world = World::new(make).await;
    let blog = with_files("blog.example.org");
    let (mut app, operation) = world.new_app("web");
    app.site = Some(blog.clone());
    let made = world
        .store
        .create_app(app, operation, &world.actor, None, world.at());
    assert_eq!(made.await.unwrap().site.unwrap().site, blog);
    let (mut next, operation) = world.new_app("next");
    next.site = Some(site("blog.example.org"));
    let refused = world
        .store
        .create_app(next, operation, &world.actor, None, world.at());
    let refused = refused.await;
    assert!(
        matches!(
            refused,
            Err(StoreError::Exists {
                what: "host name",
                ..
            })
        ),
        "{refused:?}"
    );
    assert!(world.store.app_by_hostname("next").await.unwrap().is_none());
    world.assert_sound().await;
}

pub async fn go_with_their_app(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = world.deployed("web", 101).await;
    let blog = with_files("blog.example.org");
    set(&world, app.id, Some(blog.clone())).await.unwrap();
    let app = world.app(app.id).await;
    world.removed(&app, guest.id, false).await;
    let kept = world.store.archived_app(app.id).await.unwrap().unwrap();
    assert_eq!(
        kept.record.site.unwrap().site,
        blog,
        "the archive tells of it"
    );
    let (next, _) = world.deployed("next", 102).await;
    set(&world, next.id, Some(blog)).await.unwrap();
    world.assert_sound().await;
}

pub async fn are_fetched_anew_after_a_change(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = adopted(&mut world, "found", 105).await;
    let (blog, other) = (site("blog.example.org"), site("other.example.org"));
    let is_fetched = async |world: &World| {
        let site = world.app(app.id).await.site.unwrap();
        site.url.is_some()
    };
    set(&world, app.id, Some(blog.clone())).await.unwrap();
    assert!(!fetched(&world, app.id, &other, Ok("https://other.example.org/")).await);
    assert!(fetched(&world, app.id, &blog, Ok("https://blog.example.org/")).await);
    assert!(is_fetched(&world).await);
    let open = Exposure::Open(Some(6379));
    let (store, at) = (&world.store, world.at());
    store.expose(app.id, open, &world.actor, at).await.unwrap();
    assert!(!is_fetched(&world).await, "it is led to elsewhere");
    assert!(fetched(&world, app.id, &blog, Ok("https://blog.example.org/")).await);
    set(&world, app.id, Some(other.clone())).await.unwrap();
    assert!(!is_fetched(&world).await, "it has another name");
    assert!(!fetched(&world, app.id, &blog, Ok("https://blog.example.org/")).await);
    assert!(fetched(&world, app.id, &other, Ok("https://other.example.org/")).await);
    world.enqueue(OperationKind::Stop, app.id, None).await;
    assert!(
        !fetched(&world, app.id, &other, Err("it is stopped")).await,
        "an operation works on it"
    );
    let (_, fence) = world.claim().await;
    world.begin(&fence, 0, "withdraw_route").await;
    let effects = Effects {
        url: Some(None),
        ..Effects::default()
    };
    let (store, at) = (&world.store, world.at());
    let done = store.finish_step(&fence, 0, json!({}), effects, at);
    done.await.unwrap();
    assert!(!is_fetched(&world).await, "its ports are closed");
    world.assert_sound().await;
}
