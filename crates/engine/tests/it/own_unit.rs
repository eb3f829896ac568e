//! An app that runs as an account of its own, from typed fields: no unit file is written by hand.

use proximity_domain::operation::OperationState;
use proximity_engine::commands::{CreateApp, UpdateApp};
use proximity_pve_emulator::core::Access;
use proximity_testkit::guests::address;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{TestWorld, WorldParts};
use serde_json::{Map, Value, json};

const SHELF: &str = r#"
format: 1
id: shelf
name: Shelf
version: 1.0.0
summary: Serves a folder
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
  - { name: folder, type: enum, options: [books, games], default: books, help: What is served. }
install:
  - user: { name: shelf, home: /srv/shelf }
  - directory: { path: /srv/shelf/books, owner: shelf, group: shelf, mode: "0750" }
  - directory: { path: /srv/shelf/games, owner: shelf, group: shelf }
  - file: { path: /srv/shelf/books/index.html, owner: shelf, group: shelf, escape: html, content: "shelf of books" }
  - file: { path: /srv/shelf/games/index.html, owner: shelf, group: shelf, escape: html, content: "shelf of games" }
  - unit:
      name: shelf
      description: Shelf
      exec: [/bin/busybox, httpd, -f, -p, "{{ port }}", -h, "/srv/shelf/{{ settings.folder }}"]
      user: shelf
      working_directory: /srv/shelf
  - service: { name: shelf, state: restarted }
health:
  http: { path: /, body_contains: shelf of }
  attempts: 20
"#;

fn page(w: &TestWorld) -> String {
    let at = (address(100), 8080).into();
    w.pve.guests.fetch(at, "/").unwrap().1
}

#[tokio::test]
async fn a_unit_of_its_own_runs_and_takes_other_settings() {
    let folder = tempfile::tempdir().unwrap();
    let entry = folder.path().join("shelf");
    std::fs::create_dir(&entry).unwrap();
    std::fs::write(entry.join("app.yaml"), SHELF).unwrap();
    let w = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        catalog: Some(folder.path().to_owned()),
        ..WorldParts::default()
    })
    .await
    .unwrap();
    let request = CreateApp {
        catalog_id: "shelf".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let ended = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
    assert_eq!(page(&w), "shelf of books");
    let log = w.store.log(app.id, 0, 1_000).await.unwrap();
    let said = |text: &str| log.iter().any(|line| line.message == text);
    assert!(said("Making the account shelf"));
    assert!(said("Making /srv/shelf/books"));
    assert!(said("Writing /etc/systemd/system/shelf.service"));
    // The whole recipe once more: the account and the directories are there.
    let settings: Map<String, Value> = serde_json::from_value(json!({"folder": "games"})).unwrap();
    let update = UpdateApp {
        settings,
        ..UpdateApp::default()
    };
    let op = w.engine.update_app(&w.actor, "web", update).await.unwrap();
    let ended = w.settled(op.id).await.unwrap();
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
    assert_eq!(page(&w), "shelf of games");
}
