//! Secrets that nobody gives are made, once, and are seen nowhere but in the container; settings that are not asked for are not taken.

use std::path::Path;

use proximity_domain::operation::OperationState;
use proximity_engine::commands::{CreateApp, UpdateApp};
use proximity_engine::error::EngineError;
use proximity_pve_emulator::core::Access;
use proximity_store::records::AppRecord;
use proximity_testkit::guests::address;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{Place, TestWorld, WorldParts};
use serde_json::{Map, Value, json};

/// An app whose page is its secret.
const VAULT: &str = r#"
format: 1
id: vault
name: Vault
version: 1.0.0
summary: Shows its secret
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
  - { name: token, type: secret, generate: { length: 40 }, help: What it keeps. }
  - { name: mode, type: enum, options: [bare, named], default: bare, help: How it is told. }
  - name: owner
    type: string
    required: true
    shown_when: { setting: mode, equals: named }
    help: Whose it is.
  - { name: spare_port, type: port, default: 9000, help: Another port. }
  - { name: store, type: path, default: /var/lib/vault, help: Where it keeps things. }
install:
  - file:
      path: /srv/vault/index.html
      mode: "0600"
      escape: html
      content: "vault {{ settings.token }}{% if settings.mode == 'named' %} {{ settings.owner }}{% endif %}"
  - file: { path: /etc/vault.env, escape: shell-env, content: "P={{ settings.spare_port }}\nS={{ settings.store }}\n" }
  - file:
      path: /etc/systemd/system/vault.service
      escape: plain
      content: |
        [Service]
        ExecStart=/bin/busybox httpd -f -p {{ port }} -h /srv/vault
        [Install]
        WantedBy=multi-user.target
  - service: { name: vault, state: restarted }
health:
  http: { path: /, body_contains: vault }
  attempts: 20
"#;

async fn world(at: &Path) -> TestWorld {
    let catalog = at.join("catalog");
    std::fs::create_dir_all(catalog.join("vault")).unwrap();
    std::fs::write(catalog.join("vault/app.yaml"), VAULT).unwrap();
    let state = at.join("state");
    std::fs::create_dir(&state).unwrap();
    TestWorld::start_of(WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        catalog: Some(catalog),
        place: Place::Folder(state),
        ..WorldParts::default()
    })
    .await
    .unwrap()
}

fn map(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

fn request(hostname: &str, environment: Value) -> CreateApp {
    CreateApp {
        catalog_id: "vault".to_owned(),
        hostname: hostname.to_owned(),
        environment: map(environment),
        ..CreateApp::default()
    }
}

async fn deployed(w: &TestWorld, hostname: &str, environment: Value) -> AppRecord {
    let request = request(hostname, environment);
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let ended = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
    w.store.app(app.id).await.unwrap().unwrap()
}

/// What the page of the container says behind its first word.
fn page(w: &TestWorld, vmid: u32) -> String {
    let at = (address(vmid), 8080).into();
    let (status, page) = w.pve.guests.fetch(at, "/").unwrap();
    assert_eq!(status, 200);
    page.strip_prefix("vault ").unwrap().to_owned()
}

fn holds(folder: &Path, text: &str) -> bool {
    let files = std::fs::read_dir(folder).unwrap();
    files
        .map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .any(|content| {
            content
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        })
}

#[tokio::test]
async fn a_secret_that_nobody_gives_is_made_and_seen_in_the_container_alone() {
    let folder = tempfile::tempdir().unwrap();
    let w = world(folder.path()).await;
    let one = deployed(&w, "one", json!({})).await;
    let other = deployed(&w, "other", json!({})).await;
    let (first, second) = (page(&w, 100), page(&w, 101));
    assert_ne!(first, second);
    for (app, secret) in [(&one, &first), (&other, &second)] {
        assert_eq!(secret.len(), 40);
        assert!(secret.bytes().all(|sign| sign.is_ascii_alphanumeric()));
        assert_eq!(app.environment["TOKEN"], Value::Null);
        assert!(app.environment.get("OWNER").is_none(), "{app:?}");
        assert_eq!(app.environment["SPARE_PORT"], 9000);
        let log = w.store.log(app.id, 0, 1_000).await.unwrap();
        assert!(!log.is_empty());
        assert!(log.iter().all(|line| !line.message.contains(secret)));
        assert!(!holds(&folder.path().join("state"), secret));
    }
}

#[tokio::test]
async fn it_stays_when_other_settings_change_and_one_that_is_given_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let w = world(folder.path()).await;
    deployed(&w, "one", json!({})).await;
    let secret = page(&w, 100);
    let update = UpdateApp {
        settings: map(json!({"mode": "named", "owner": "ada"})),
        ..UpdateApp::default()
    };
    let op = w.engine.update_app(&w.actor, "one", update).await.unwrap();
    let ended = w.settled(op.id).await.unwrap();
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
    assert_eq!(page(&w, 100), format!("{secret} ada"));
    deployed(&w, "other", json!({"TOKEN": "given-by-a-person"})).await;
    assert_eq!(page(&w, 101), "given-by-a-person");
}

#[tokio::test]
async fn what_is_not_asked_for_is_not_taken_and_what_is_asked_for_must_be_given() {
    let folder = tempfile::tempdir().unwrap();
    let w = world(folder.path()).await;
    for (environment, told) in [
        (json!({"OWNER": "ada"}), "is only for where mode is named"),
        (json!({"MODE": "named"}), "must be given"),
    ] {
        let request = request("web", environment);
        let refused = w.engine.create_app(&w.actor, request).await;
        match refused {
            Err(EngineError::Settings(errors)) => assert_eq!(errors.fields()["OWNER"], told),
            other => panic!("{other:?}"),
        }
    }
    for (name, value) in [("SPARE_PORT", json!(0)), ("STORE", json!("/var/../etc"))] {
        let request = request("web", json!({ name: value }));
        let refused = w.engine.create_app(&w.actor, request).await;
        assert!(
            matches!(refused, Err(EngineError::Settings(_))),
            "{refused:?}"
        );
    }
}
