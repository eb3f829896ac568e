//! Apps under host names: on record, at the ingress, and in their URL.

use proximity_domain::operation::OperationState;
use proximity_domain::preflight::{Verdict, What};
use proximity_domain::site::Site;
use proximity_engine::commands::{Action, CreateApp};
use proximity_engine::route_sweep::sweep;
use proximity_engine::seams::{Ingress, LedName};
use proximity_pve_emulator::core::Access;
use proximity_store::exposure::Exposure;
use proximity_store::records::AppRecord;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{Names, TestWorld, WorldParts};

mod away;
mod real_caddy;

const BLOG: &str = "https://blog.example.org/";

fn site(name: &str) -> Site {
    Site {
        name: name.parse().unwrap(),
        certificate: None,
    }
}

/// A world with one app, `web`, that was deployed.
async fn world(names: Option<Names>) -> (TestWorld, AppRecord) {
    let parts = WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        names,
        ..WorldParts::default()
    };
    let w = TestWorld::start_of(parts).await.unwrap();
    let app = deploy(&w, "web").await;
    (w, app)
}

async fn deploy(w: &TestWorld, hostname: &str) -> AppRecord {
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: hostname.to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    now_is(w, &app).await
}

async fn now_is(w: &TestWorld, app: &AppRecord) -> AppRecord {
    w.store.app(app.id).await.unwrap().unwrap()
}

async fn act(w: &TestWorld, action: Action) {
    let op = w.engine.act(&w.actor, "web", action).await.unwrap();
    let op = w.settled(op.id).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
}

/// Under which name the only route leads.
async fn name(w: &TestWorld) -> LedName {
    let mut routes = w.routes.routes().await.unwrap();
    assert_eq!(routes.len(), 1);
    routes.remove(0).name
}

#[tokio::test]
async fn an_app_is_led_to_under_a_host_name_and_its_url_is_the_one_that_was_fetched() {
    let (w, app) = world(Some(Names::InMemory)).await;
    let by_port = app.url.clone();
    assert!(by_port.is_some() && app.site.is_none());
    let blog = site("blog.example.org");
    let led = w.engine.lead_by_name(&w.actor, "web", None, blog.clone());
    let led = led.await.unwrap();
    assert_eq!(
        (led.app.shown_url(), led.trouble.as_deref()),
        (Some(BLOG), None)
    );
    assert_eq!(led.app.url, by_port, "that is still so");
    let target = led.target.unwrap();
    let right = LedName::As {
        site: blog.clone(),
        target,
    };
    assert_eq!(name(&w).await, right);
    assert_eq!(sweep(&w.engine).await.unwrap(), 0, "nothing to do");

    // Somebody takes it away.
    w.routes.withdraw_name(app.id).await.unwrap();
    assert_eq!(name(&w).await, LedName::Nobody);
    assert_eq!(sweep(&w.engine).await.unwrap(), 1);
    assert_eq!(name(&w).await, right);

    // A stop ends it before its address may become another one's, and nothing is said to be fetched any more.
    act(&w, Action::Stop { force: false }).await;
    assert!(w.routes.routes().await.unwrap().is_empty());
    let stopped = now_is(&w, &app).await;
    assert_eq!(stopped.shown_url(), None);
    assert_eq!(stopped.site.unwrap().site, blog);
    act(&w, Action::Start).await;
    assert_eq!(name(&w).await, right);
    sweep(&w.engine).await.unwrap();
    assert_eq!(now_is(&w, &app).await.shown_url(), Some(BLOG));

    // Without the name it keeps its ports.
    let ended = w
        .engine
        .expose(&w.actor, "web", Exposure::Closed)
        .await
        .unwrap();
    assert!(
        ended.app.site.is_none() && ended.app.exposed && ended.listening,
        "{ended:?}"
    );
    assert_eq!(name(&w).await, LedName::Nobody);
    assert!(
        now_is(&w, &app)
            .await
            .shown_url()
            .is_some_and(|url| url != BLOG)
    );
    let again = w.engine.expose(&w.actor, "web", Exposure::Closed).await;
    assert_eq!(again.unwrap_err().code(), "not_in_state");
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn an_app_is_deployed_under_a_host_name_that_no_other_has() {
    let (w, _) = world(Some(Names::InMemory)).await;
    let request = |hostname: &str| CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: hostname.to_owned(),
        site: Some(site("blog.example.org")),
        ..CreateApp::default()
    };
    let app = w
        .engine
        .create_app(&w.actor, request("blog"))
        .await
        .unwrap();
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    let routes = w.routes.routes().await.unwrap();
    let route = routes.iter().find(|route| route.app == app.id).unwrap();
    let led = LedName::As {
        site: site("blog.example.org"),
        target: route.target.unwrap(),
    };
    assert_eq!(route.name, led);
    sweep(&w.engine).await.unwrap();
    assert_eq!(now_is(&w, &app).await.shown_url(), Some(BLOG));
    let found = w.engine.preflight(request("other")).await.unwrap();
    let line = found.lines.iter().find(|line| line.line.what == What::Site);
    let line = line.unwrap();
    assert_eq!(
        (line.line.verdict, line.line.code),
        (Verdict::Stop, Some("exists"))
    );
    assert!(!found.deployable && !line.hint.is_empty(), "{found:?}");
    let taken = w.engine.create_app(&w.actor, request("other")).await;
    assert_eq!(taken.unwrap_err().code(), "exists");
    assert!(w.store.app_by_hostname("other").await.unwrap().is_none());
}

#[tokio::test]
async fn a_name_that_an_app_no_longer_has_is_the_next_ones() {
    let (w, app) = world(Some(Names::InMemory)).await;
    let other = deploy(&w, "other").await;
    let blog = site("blog.example.org");
    let led = w.engine.lead_by_name(&w.actor, "web", None, blog.clone());
    led.await.unwrap();
    let taken = w.engine.lead_by_name(&w.actor, "other", None, blog.clone());
    assert_eq!(taken.await.unwrap_err().code(), "exists");
    let port = w
        .engine
        .lead_by_name(&w.actor, "other", Some(80), site("other.example.org"));
    assert_eq!(port.await.unwrap_err().code(), "invalid_value");
    // The next wish for the same app replaces its name.
    let renamed = w
        .engine
        .lead_by_name(&w.actor, "web", None, site("new.example.org"));
    assert_eq!(
        renamed.await.unwrap().app.shown_url(),
        Some("https://new.example.org/")
    );
    let led = w.engine.lead_by_name(&w.actor, "other", None, blog);
    assert_eq!(led.await.unwrap().app.shown_url(), Some(BLOG));
    let routes = w.routes.routes().await.unwrap();
    let name_of = |app: &AppRecord| {
        let route = routes.iter().find(|route| route.app == app.id);
        match &route.unwrap().name {
            LedName::As { site, .. } => site.name.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(name_of(&app), "new.example.org");
    assert_eq!(name_of(&other), "blog.example.org");
}

#[tokio::test]
async fn where_nothing_leads_under_names_none_is_taken() {
    let (w, app) = world(None).await;
    let refused = w
        .engine
        .lead_by_name(&w.actor, "web", None, site("blog.example.org"));
    let refused = refused.await.unwrap_err();
    assert_eq!(refused.code(), "invalid_value");
    assert!(refused.to_string().contains("ingress.driver"), "{refused}");
    assert_eq!(now_is(&w, &app).await, app);
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "blog".to_owned(),
        site: Some(site("blog.example.org")),
        ..CreateApp::default()
    };
    let refused = w.engine.preflight(request.clone()).await;
    assert_eq!(refused.unwrap_err().code(), "invalid_value");
    let refused = w.engine.create_app(&w.actor, request).await;
    assert_eq!(refused.unwrap_err().code(), "invalid_value");
    // One that is on record from before leads nowhere, and troubles nobody.
    let blog = Some(site("blog.example.org"));
    let set = w.store.set_site(app.id, blog, &w.actor, app.created_at);
    set.await.unwrap();
    assert_eq!(sweep(&w.engine).await.unwrap(), 0);
    let routes = w.routes.routes().await.unwrap();
    assert_eq!(routes.len(), 1);
    assert_eq!(routes[0].name, LedName::Nobody);
}
