//! An OS template that is missing is downloaded by the deploy that needs it, once, and only where that is wanted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proximity_domain::operation::OperationState;
use proximity_domain::preflight::{Verdict, What};
use proximity_domain::retry::RetryPolicy;
use proximity_engine::commands::{ChangeHost, CreateApp};
use proximity_engine::engine::EngineLimits;
use proximity_pve::transport::{Method, RawResponse, Request, TransportError};
use proximity_pve_emulator::core::{Access, Template};
use proximity_store::records::AppRecord;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{TestWorld, WorldParts};

/// Newer than what is offered everywhere, and on one node alone.
const NEWEST: &str = "debian-12-standard_12.99-1_amd64.tar.zst";
const FETCH: &str = "POST /nodes/pve2/aplinfo";

/// Two nodes, of which the first alone has the template.
async fn world() -> TestWorld {
    world_with(EngineLimits::default()).await
}

async fn world_with(limits: EngineLimits) -> TestWorld {
    let w = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::cluster(0, &["pve1", "pve2"], Access::Full)],
        limits,
        ..WorldParts::default()
    })
    .await
    .unwrap();
    let template = Template {
        storage: "local".to_owned(),
        node: Some("pve1".to_owned()),
        file: NEWEST.to_owned(),
        size_bytes: 64 << 20,
        ctime_s: 1_700_000_000,
        ostype: "debian".to_owned(),
    };
    w.pve.meddle(|world| world.set_templates(vec![template]));
    w
}

fn on(node: Option<&str>, hostname: &str) -> CreateApp {
    CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: hostname.to_owned(),
        node: node.map(str::to_owned),
        ..CreateApp::default()
    }
}

async fn ask(w: &TestWorld, request: CreateApp) -> AppRecord {
    w.engine.create_app(&w.actor, request).await.unwrap()
}

async fn end_of(w: &TestWorld, app: &AppRecord) -> OperationState {
    w.settled(app.operation.unwrap()).await.unwrap().state
}

fn fetched(w: &TestWorld) -> usize {
    let changes = w.pve.changes();
    changes.iter().filter(|call| call.as_str() == FETCH).count()
}

#[tokio::test]
async fn two_deploys_that_lack_one_template_download_it_once() {
    let w = world().await;
    let first = ask(&w, on(Some("pve2"), "web-a")).await;
    let second = ask(&w, on(Some("pve2"), "web-b")).await;
    for app in [&first, &second] {
        assert_eq!(end_of(&w, app).await, OperationState::Succeeded);
        assert_eq!(app.node.as_str(), "pve2");
    }
    assert_eq!(fetched(&w), 1, "{:?}", w.pve.changes());
    let mut told = Vec::new();
    for app in [&first, &second] {
        let lines = w.store.log_tail(app.id, 100).await.unwrap();
        told.extend(lines.into_iter().map(|line| line.message));
    }
    let said = format!("Downloading the OS template {NEWEST} onto the storage local of node pve2");
    assert_eq!(
        told.iter().filter(|line| **line == said).count(),
        1,
        "{told:?}"
    );
    let third = ask(&w, on(Some("pve2"), "web-c")).await;
    assert_eq!(end_of(&w, &third).await, OperationState::Succeeded);
    assert_eq!(fetched(&w), 1, "it is there");
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}

/// A node that has the template goes before one that has more memory.
#[tokio::test]
async fn nothing_is_downloaded_while_a_node_has_it() {
    let w = world().await;
    w.pve
        .meddle(|world| world.node_mut("pve1").unwrap().memory_used_bytes = 4 << 30);
    let app = ask(&w, on(None, "web")).await;
    assert_eq!(app.node.as_str(), "pve1");
    assert_eq!(end_of(&w, &app).await, OperationState::Succeeded);
    assert_eq!(fetched(&w), 0);
}

#[tokio::test]
async fn the_pre_flight_says_that_it_is_downloaded_first_or_is_missing() {
    let w = world().await;
    let template = async || {
        let found = w.engine.preflight(on(Some("pve2"), "web")).await.unwrap();
        let mut lines = found.lines.into_iter().map(|line| line.line);
        lines.find(|line| line.what == What::Template).unwrap()
    };
    let first = template().await;
    assert_eq!((first.verdict, first.code), (Verdict::Ok, None));
    assert_eq!(first.note, format!("a deploy downloads {NEWEST} first"));

    let by_hand = ChangeHost {
        fetch_templates: Some(false),
        ..ChangeHost::default()
    };
    let host = w.engine.change_host(&w.actor, "lab", by_hand).await;
    assert!(host.unwrap().placement.templates_by_hand);
    let missing = template().await;
    assert_eq!(
        (missing.verdict, missing.code),
        (Verdict::Stop, Some("template_missing"))
    );
    let refused = w.engine.create_app(&w.actor, on(Some("pve2"), "web")).await;
    assert_eq!(refused.unwrap_err().code(), "template_missing");
    assert_eq!(fetched(&w), 0);
}

/// Nobody knows whether it was sent: the next try looks, and no person has to.
#[tokio::test]
async fn a_download_whose_answer_is_lost_is_looked_for_again() {
    let limits = EngineLimits {
        retry: RetryPolicy {
            first_ms: 10,
            ..RetryPolicy::DEFAULT
        },
        ..EngineLimits::default()
    };
    let w = world_with(limits).await;
    let is_lost = AtomicBool::new(false);
    let loses = move |request: &Request, answer: Result<RawResponse, TransportError>| {
        let is_it = request.method == Method::Post && request.path.ends_with("/aplinfo");
        if is_it && !is_lost.swap(true, Ordering::Relaxed) {
            return Err(TransportError::MaybeApplied("no answer".to_owned()));
        }
        answer
    };
    w.pve.distort(Some(Arc::new(loses)));
    let app = ask(&w, on(Some("pve2"), "web")).await;
    assert_eq!(end_of(&w, &app).await, OperationState::Succeeded);
    assert_eq!(fetched(&w), 1, "{:?}", w.pve.changes());
}

/// What PVE's task said is the reason, and nothing is left of the deploy.
#[tokio::test]
async fn a_download_that_fails_fails_the_deploy_and_makes_nothing() {
    let w = world().await;
    w.pve.meddle(|world| world.set_templates(Vec::new()));
    let app = ask(&w, on(Some("pve2"), "web")).await;
    let OperationState::Failed { failure } = end_of(&w, &app).await else {
        panic!("nothing of it can be downloaded")
    };
    assert_eq!(failure.code, "template_missing");
    assert!(failure.message.contains("download failed"), "{failure:?}");
    assert!(failure.hint.contains("pveam update"), "{failure:?}");
    assert_eq!(fetched(&w), 1);
    assert!(w.pve.guests.vmids().is_empty());
    assert!(w.store.native_guests(app.id).await.unwrap().is_empty());
}
