//! A process that dies in the middle, and values that nobody sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use proximity_domain::apply::{ApplyState, ChangeState, Next};
use proximity_domain::ids::HolderId;
use proximity_domain::manifest::{SecretReference, SettingSource, WantedPower};
use proximity_domain::operation::OperationKind;
use proximity_domain::time::Clock;
use proximity_engine::apply::Applier;
use proximity_engine::commands::CreateApp;
use proximity_pve::transport::{RawResponse, Request, TransportError};
use proximity_pve_emulator::core::Access;
use proximity_store::records::RequestKey;
use proximity_testkit::pve::Pve;
use proximity_testkit::sources::RealClock;
use proximity_testkit::world::{TestWorld, WorldParts};
use secrecy::ExposeSecret;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Stand, app, spec};

const SECRET: &str = "correct-horse$battery";

/// An app that is told a secret.
const KEEPER: &str = r#"
format: 1
id: keeper
name: Keeper
version: 1.0.0
summary: Keeps a password
description: For tests.
category: test
os_template: debian-12-standard
resources:
  memory_mib: { min: 32, default: 64 }
  cores: { default: 1 }
  disk_gib: { default: 1 }
port: 8080
protocol: http
settings:
  - { name: password, type: secret, required: true, min: 8, help: A password. }
install:
  - file: { path: /srv/keeper/index.html, escape: html, content: "proximity-app-keeper" }
  - file:
      path: /etc/keeper.env
      mode: "0640"
      escape: shell-env
      content: "PASSWORD={{ settings.password }}\n"
  - file:
      path: /etc/systemd/system/keeper.service
      escape: plain
      content: |
        [Service]
        ExecStart=/bin/busybox httpd -f -p {{ port }} -h /srv/keeper
        [Install]
        WantedBy=multi-user.target
  - service: { name: keeper, state: restarted }
health:
  http: { path: /, body_contains: proximity-app-keeper }
  timeout_s: 2
  interval_s: 1
  attempts: 20
"#;

/// The process died after its command was committed, and before that was written down beside the apply.
#[tokio::test]
async fn what_was_begun_before_a_crash_is_found_and_not_begun_again() {
    let s = Stand::start().await;
    let documents = [app("data", &[]), app("web", &["data"])];
    let id = s.apply(&documents).await;
    let (store, now) = (&s.w.store, RealClock.now());
    let seen = store.claimable_applies().await.unwrap().remove(0);
    let dead = HolderId(Uuid::from_u128(77));
    let claimed = store.claim_apply_as_seen(&seen, dead, 1_000, now).await;
    let (_, fence) = claimed.unwrap().unwrap();
    let next = Next {
        start: vec![0],
        ..Next::default()
    };
    store.turn_changes(&fence, &next, now).await.unwrap();
    let key = store.apply_changes(id).await.unwrap()[0]
        .request_key
        .clone();
    let parts = ["apply", key.as_str(), "create"].map(str::as_bytes);
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "data".to_owned(),
        key: Some(RequestKey {
            fingerprint: store.fingerprint(&parts),
            key,
        }),
        ..CreateApp::default()
    };
    let made = s.w.engine.create_app(&s.w.actor, request).await.unwrap();

    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Done, "{changes:?}");
    assert_eq!(changes[0].app, Some(made.id));
    assert_eq!(changes[0].operation, made.operation);
    assert_eq!(s.operations(OperationKind::Deploy).await, 2);
    assert_eq!(s.hostnames().await, ["data", "web"]);
}

#[tokio::test]
async fn another_process_goes_on_where_one_has_died() {
    let s = Stand::start().await;
    let documents = [app("data", &[]), app("web", &["data"])];
    let id = s.apply(&documents).await;
    s.has_begun(id, 0).await;
    // The next one knows that every other is dead, as a server that holds the lock of its data directory does.
    *s.applier.lock().await = Applier::new(s.w.engine.clone(), true);
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Done, "{changes:?}");
    assert!(changes.iter().all(|one| one.state == ChangeState::Done));
    assert_eq!(s.operations(OperationKind::Deploy).await, 2);
}

#[tokio::test]
async fn a_fault_of_the_program_ends_one_change_and_not_the_loop() {
    let s = Stand::start().await;
    let documents = [app("data", &[]), app("web", &["data"])];
    let id = s.apply(&documents).await;
    s.w.pve.distort(Some(Arc::new(
        |_: &Request,
         _: Result<RawResponse, TransportError>|
         -> Result<RawResponse, TransportError> { panic!("a fault of the test") },
    )));
    s.pass().await;
    s.w.pve.distort(None);
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Failed);
    let why = changes[0].why.as_ref().map(|why| why.code.as_str());
    assert_eq!(why, Some("internal"), "{changes:?}");
    assert_eq!(changes[1].state, ChangeState::HeldUp);
    let again = s.apply(&documents).await;
    assert_eq!(s.ended(again).await.0, ApplyState::Done);
}

#[tokio::test]
async fn it_wakes_when_it_is_asked_and_gives_its_claims_back_at_a_shutdown() {
    let mut s = Stand::start().await;
    let stop = CancellationToken::new();
    let applier = Applier::new(s.w.engine.clone(), true);
    let running = tokio::spawn(applier.run(stop.clone()));
    let first = s.apply(&[app("data", &[])]).await;
    let is_over = async || {
        let apply = s.w.store.apply(first).await.unwrap().unwrap();
        apply.state == ApplyState::Done
    };
    s.w.until(is_over).await.unwrap();
    // From now on nobody carries operations out, so that the next one does not end.
    s.w.crash_worker().await;
    let second = s.apply(&[app("web", &[])]).await;
    let is_begun = async || {
        let changes = s.w.store.apply_changes(second).await.unwrap();
        changes[0].operation.is_some()
    };
    s.w.until(is_begun).await.unwrap();
    stop.cancel();
    running.await.unwrap();
    let left = s.w.store.claimable_applies().await.unwrap();
    assert_eq!((left.len(), left[0].id, left[0].lease), (1, second, None));
}

pub(super) async fn with_keeper(folder: &std::path::Path) -> Stand {
    let entry = folder.join("keeper");
    std::fs::create_dir_all(&entry).unwrap();
    std::fs::write(entry.join("app.yaml"), KEEPER).unwrap();
    let world = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        catalog: Some(folder.to_owned()),
        ..WorldParts::default()
    });
    Stand::over(world.await.unwrap())
}

#[tokio::test]
async fn a_secret_is_named_by_documents_and_reaches_the_app_unseen() {
    let folder = tempfile::tempdir().unwrap();
    let s = with_keeper(folder.path()).await;
    let mut document = app("web", &[]);
    spec(&mut document).catalog_id = "keeper".parse().unwrap();
    let secret = SettingSource::Secret(SecretReference {
        secret: "db".parse().unwrap(),
    });
    let settings = [("password".parse().unwrap(), secret)];
    spec(&mut document).settings = settings.into_iter().collect();
    let documents = [document];
    let lacking = s.plan(&documents, false).await.plan;
    let lacking = &lacking.changes[0].obstacles[0];
    assert_eq!(lacking.code, "secret_not_found");
    assert!(
        lacking.hint.contains("proximity secrets set"),
        "{lacking:?}"
    );

    let (engine, actor) = (&s.w.engine, &s.w.actor);
    let name = "db".parse().unwrap();
    let empty = engine.set_secret(actor, &name, &String::new().into()).await;
    assert_eq!(empty.unwrap_err().code(), "invalid_value");
    let value = SECRET.to_owned().into();
    engine.set_secret(actor, &name, &value).await.unwrap();
    let id = s.apply(&documents).await;
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Done, "{changes:?}");
    let made = s.w.store.app_by_hostname("web").await.unwrap().unwrap();
    assert_eq!(made.environment, json!({ "PASSWORD": null }));
    let sealed = s.w.store.app_environment(made.id).await.unwrap();
    assert!(sealed.expose_secret().contains("correct-horse"));
    let kept = engine.remove_secret(actor, &name).await.unwrap_err();
    assert_eq!(kept.code(), "secret_in_use");
    let told = format!("{changes:?}{:?}", s.plan(&documents, false).await);
    assert!(!told.contains(SECRET));
}

/// Polls `work` so often at most, and lets go of it: a process that dies somewhere in the middle.
async fn cut_off(polls: u32, work: impl Future) {
    let mut work = std::pin::pin!(work);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        let is_done = work.as_mut().poll(cx).is_ready();
        left = left.saturating_sub(1);
        match is_done || left == 0 {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

#[tokio::test]
async fn wherever_it_is_cut_off_nothing_is_begun_twice_and_nothing_is_left_out() {
    let s = Stand::start().await;
    let mut last = app("web", &["data"]);
    spec(&mut last).power = Some(WantedPower::Stopped);
    let id = s.apply(&[app("data", &[]), last]).await;
    let deaths = AtomicU32::new(0);
    let is_over = async || {
        let mut applier = s.applier.lock().await;
        *applier = Applier::new(s.w.engine.clone(), true);
        // A little further each time, and from the beginning again.
        let polls = deaths.fetch_add(1, Ordering::Relaxed) % 64 + 1;
        cut_off(polls, applier.pass()).await;
        let apply = s.w.store.apply(id).await.unwrap().unwrap();
        apply.state.is_over()
    };
    s.w.within(Duration::from_secs(100), is_over).await.unwrap();
    let changes = s.w.store.apply_changes(id).await.unwrap();
    assert!(
        changes.iter().all(|one| one.state == ChangeState::Done),
        "{changes:?}"
    );
    let counted = (
        s.operations(OperationKind::Deploy).await,
        s.operations(OperationKind::Stop).await,
    );
    assert_eq!(counted, (2, 1));
    assert_eq!(s.hostnames().await, ["data", "web"]);
}
