//! While Caddy is away, what has no host name needs nothing of it.

use proximity_domain::operation::OperationState;
use proximity_domain::retry::RetryPolicy;
use proximity_engine::caddy::{AdminAddress, CaddyOptions};
use proximity_engine::commands::{Action, CreateApp};
use proximity_engine::engine::EngineLimits;
use proximity_engine::route_sweep::sweep;
use proximity_engine::seams::{Ingress, RouteSpec};
use proximity_pve_emulator::core::Access;
use proximity_store::records::LogLevel;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{Names, TestWorld, WorldParts};

use super::{act, deploy, now_is, site};

/// A world whose Caddy is not there.
async fn world() -> TestWorld {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let options = CaddyOptions {
        admin: AdminAddress::Unix("/nonexistent/caddy.sock".into()),
        server: "mine".to_owned(),
        address: "127.0.0.1:443".parse().unwrap(),
        https: false,
        ca_pem: None,
    };
    let parts = WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        names: Some(Names::Caddy(options)),
        limits: EngineLimits {
            retry: RetryPolicy {
                first_ms: 1,
                ..RetryPolicy::DEFAULT
            },
            ..EngineLimits::default()
        },
        ..WorldParts::default()
    };
    TestWorld::start_of(parts).await.unwrap()
}

#[tokio::test]
async fn an_app_without_a_host_name_is_deployed_stopped_and_started() {
    let w = world().await;
    let app = deploy(&w, "web").await;
    assert!(app.url.is_some(), "its page was fetched through its port");
    assert_eq!(w.routes.routes().await.unwrap().len(), 1);
    // The gateway lost it: the ports are kept true, and that Caddy is away is told.
    w.routes.withdraw(app.id).await.unwrap();
    let away = sweep(&w.engine).await.unwrap_err();
    assert_eq!(away.code(), "caddy_unreachable");
    assert_eq!(w.routes.routes().await.unwrap().len(), 1);
    act(&w, Action::Stop { force: false }).await;
    assert!(w.routes.routes().await.unwrap().is_empty());
    // One that should not be there goes as well.
    let stray = RouteSpec {
        app: app.id,
        installation: w.store.installation(),
        ports: app.ports.unwrap(),
        target: "192.0.2.9:80".parse().unwrap(),
        site: None,
    };
    w.routes.set_route(&stray).await.unwrap();
    sweep(&w.engine).await.unwrap_err();
    assert!(w.routes.routes().await.unwrap().is_empty());
    act(&w, Action::Start).await;
    assert_eq!(w.routes.routes().await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_route_of_a_host_name_waits_and_that_is_said() {
    let w = world().await;
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        site: Some(site("blog.example.org")),
        ..CreateApp::default()
    };
    let made = w.engine.create_app(&w.actor, request).await.unwrap();
    let op = w.settled(made.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    let app = now_is(&w, &made).await;
    assert!(app.url.is_some() && app.site.as_ref().unwrap().url.is_none());
    let lines = w.store.log(app.id, 0, 1_000).await.unwrap();
    let mut warnings = lines.iter().filter(|line| line.level == LogLevel::Warning);
    let waits = warnings.any(|line| line.message.contains("the route of blog.example.org waits"));
    assert!(waits, "{lines:?}");
    sweep(&w.engine).await.unwrap_err();
    let trouble = now_is(&w, &made).await.site.unwrap().trouble.unwrap();
    assert!(trouble.contains("does not answer"), "{trouble}");
    // It may lead to the container's address still: it is not stopped before Caddy has said that it does not.
    let stop = Action::Stop { force: false };
    let asked = w.engine.act(&w.actor, "web", stop).await.unwrap();
    let stopped = w.settled(asked.id).await.unwrap();
    let OperationState::Failed { failure } = stopped.state else {
        panic!("{stopped:?}");
    };
    assert_eq!(failure.code, "caddy_unreachable");
    assert!(failure.message.contains("blog.example.org"), "{failure:?}");
    assert_eq!(w.routes.routes().await.unwrap().len(), 1);
}
