//! What a recipe's command prints is in the app's log, and no secret with it, nor anywhere else.

use proximity_domain::operation::OperationState;
use proximity_engine::commands::CreateApp;
use proximity_pve_emulator::core::Access;
use proximity_store::records::AppRecord;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{Place, TestWorld, WorldParts};

pub(crate) const SECRET: &str = "correct-horse$battery";

/// An app whose set-up prints its configuration.
const TALKATIVE: &str = r#"
format: 1
id: talkative
name: Talkative
version: 1.0.0
summary: Prints what it should keep
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
  - file: { path: /srv/talkative/index.html, escape: html, content: "proximity-app-talkative" }
  - file:
      path: /etc/talkative.env
      mode: "0640"
      escape: shell-env
      content: "PASSWORD={{ settings.password }}\n"
  - file:
      path: /srv/talkative/set-up
      mode: "0755"
      escape: plain
      content: |
        #!/bin/sh
        echo begun
        cat /etc/talkative.env
        echo odd >&2
        touch /srv/talkative/made
  - run: { argv: [/srv/talkative/set-up], creates: /srv/talkative/made }
  - file:
      path: /etc/systemd/system/talkative.service
      escape: plain
      content: |
        [Service]
        ExecStart=/bin/busybox httpd -f -p {{ port }} -h /srv/talkative
        [Install]
        WantedBy=multi-user.target
  - service: { name: talkative, state: restarted }
health:
  http: { path: /, body_contains: proximity-app-talkative }
  timeout_s: 2
  interval_s: 1
  attempts: 20
"#;

pub(crate) async fn world(at: &std::path::Path) -> TestWorld {
    let catalog = at.join("catalog");
    let entry = catalog.join("talkative");
    std::fs::create_dir_all(&entry).unwrap();
    std::fs::write(entry.join("app.yaml"), TALKATIVE).unwrap();
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

/// The app, with its secret.
pub(crate) async fn deployed(w: &TestWorld) -> AppRecord {
    let request = CreateApp {
        catalog_id: "talkative".to_owned(),
        hostname: "web".to_owned(),
        environment: [("PASSWORD".to_owned(), SECRET.into())]
            .into_iter()
            .collect(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let ended = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
    app
}

/// Whether any file of the folder holds the bytes.
fn holds(folder: &std::path::Path, bytes: &[u8]) -> bool {
    let files = std::fs::read_dir(folder).unwrap();
    files
        .map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .any(|content| content.windows(bytes.len()).any(|window| window == bytes))
}

#[tokio::test]
async fn the_output_of_a_recipe_is_told_without_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let w = world(folder.path()).await;
    let app = deployed(&w).await;
    let log = w.store.log(app.id, 0, 1_000).await.unwrap();
    let printed: Vec<&str> = log
        .iter()
        .map(|line| line.message.as_str())
        .filter(|message| message.starts_with("| "))
        .collect();
    assert!(printed.contains(&"| begun"), "{printed:?}");
    assert!(printed.contains(&"| PASSWORD=\"[secret]\""), "{printed:?}");
    assert!(printed.contains(&"| odd"), "{printed:?}");
    let state = folder.path().join("state");
    for form in [SECRET, "correct-horse\\$battery"] {
        assert!(!holds(&state, form.as_bytes()), "{form} is in the database");
    }
    assert!(holds(&state, b"PASSWORD="), "the look finds what is there");
}
