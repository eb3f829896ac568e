//! How it is known that an app works, where there is no page to ask for: by a connection, or by a program in its container.

use proximity_domain::failure::Failure;
use proximity_domain::operation::OperationState;
use proximity_engine::commands::CreateApp;
use proximity_pve_emulator::core::Access;
use proximity_store::records::{AppRecord, OperationRecord};
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{TestWorld, WorldParts};
use serde_json::Value;

const SECRET: &str = "correct-horse$battery";

/// An app with a program that says how it is.
const LAMP: &str = r#"
format: 1
id: lamp
name: Lamp
version: 1.0.0
summary: Says how it is
description: For tests.
category: test
os_template: debian-12-standard
resources:
  memory_mib: { min: 32, default: 64 }
  cores: { default: 1 }
  disk_gib: { default: 1 }
port: 8080
protocol: tcp
settings:
  - { name: password, type: secret, required: true, min: 8, help: A password. }
install:
  - file: { path: /srv/lamp/index.html, escape: html, content: "on" }
  - file:
      path: /etc/lamp.env
      mode: "0640"
      escape: shell-env
      content: "PASSWORD={{ settings.password }}\n"
  - file:
      path: /srv/lamp/warms-up
      mode: "0755"
      escape: plain
      content: |
        #!/bin/sh
        if [ -e /srv/lamp/warm ]; then exit 0; fi
        touch /srv/lamp/warm
        exit 1
  - file:
      path: /srv/lamp/complains
      mode: "0755"
      escape: plain
      content: |
        #!/bin/sh
        cat /etc/lamp.env
        exit 3
  - file:
      path: /etc/systemd/system/lamp.service
      escape: plain
      content: |
        [Service]
        ExecStart=/bin/busybox httpd -f -p {{ port }} -h /srv/lamp
        [Install]
        WantedBy=multi-user.target
  - service: { name: lamp, state: restarted }
health:
"#;

/// What came of a deploy of the lamp with this health check.
async fn deployed(health: &str) -> (TestWorld, AppRecord, OperationRecord) {
    let folder = tempfile::tempdir().unwrap();
    let entry = folder.path().join("lamp");
    std::fs::create_dir(&entry).unwrap();
    std::fs::write(entry.join("app.yaml"), format!("{LAMP}{health}")).unwrap();
    let w = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        catalog: Some(folder.path().to_owned()),
        ..WorldParts::default()
    })
    .await
    .unwrap();
    let request = CreateApp {
        catalog_id: "lamp".to_owned(),
        hostname: "hall".to_owned(),
        environment: [("PASSWORD".to_owned(), SECRET.into())]
            .into_iter()
            .collect(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let ended = w.settled(app.operation.unwrap()).await.unwrap();
    (w, app, ended)
}

/// What the health check of a deploy left.
async fn seen(w: &TestWorld, ended: &OperationRecord) -> Value {
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
    let steps = w.store.steps(ended.id).await.unwrap();
    let check = steps.iter().find(|step| step.name == "health_check");
    check.unwrap().output.clone().unwrap()
}

fn failure(ended: &OperationRecord) -> &Failure {
    match &ended.state {
        OperationState::Failed { failure } => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_port_that_takes_connections_is_an_app_that_works() {
    let (w, app, ended) = deployed("  tcp: {}\n").await;
    assert_eq!(seen(&w, &ended).await, serde_json::json!({"attempts": 1}));
    let app = w.store.app(app.id).await.unwrap().unwrap();
    assert!(
        app.url
            .as_ref()
            .is_some_and(|url| url.starts_with("tcp://")),
        "no page was fetched: {app:?}"
    );
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_fails_the_deploy_and_leaves_nothing() {
    let health = "  tcp: { port: 9999 }\n  attempts: 2\n";
    let (w, _, ended) = deployed(health).await;
    let failure = failure(&ended);
    assert_eq!(failure.code, "health_failed");
    assert!(
        failure.message.contains("Connection refused"),
        "{failure:?}"
    );
    assert!(w.pve.guests.vmids().is_empty());
}

#[tokio::test]
async fn a_program_inside_says_how_the_app_is() {
    let (w, _, ended) = deployed("  exec: { argv: [/usr/bin/test, -e, /etc/lamp.env] }\n").await;
    assert_eq!(seen(&w, &ended).await["attempts"], 1);
    // It looks, and so it is on no record of what was changed.
    let steps = w.store.steps(ended.id).await.unwrap();
    let check = steps.iter().find(|step| step.name == "health_check");
    let sent = w.store.mutations(ended.id, check.unwrap().index).await;
    assert!(sent.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_program_complains_is_told_without_secrets() {
    let health = "  exec: { argv: [/srv/lamp/complains] }\n  attempts: 1\n";
    let (_w, _, ended) = deployed(health).await;
    let failure = failure(&ended);
    assert_eq!(failure.code, "health_failed");
    assert!(failure.message.contains("exit code 3"), "{failure:?}");
    assert!(failure.message.contains("[secret]"), "{failure:?}");
    assert!(!failure.message.contains("correct-horse"), "{failure:?}");
}

#[tokio::test]
async fn in_the_start_period_a_failed_try_counts_for_nothing() {
    let check = "  exec: { argv: [/srv/lamp/warms-up] }\n  attempts: 1\n";
    let (_w, _, ended) = deployed(check).await;
    assert_eq!(failure(&ended).code, "health_failed");
    let (w, _, ended) = deployed(&format!("{check}  start_period_s: 600\n")).await;
    assert_eq!(seen(&w, &ended).await["attempts"], 2);
}
