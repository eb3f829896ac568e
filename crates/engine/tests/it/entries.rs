//! Ways into a guest: one for each part of a recipe, and what may have been done already is looked at first.

use proximity_domain::ids::OperationId;
use proximity_domain::operation::OperationState;
use proximity_engine::commands::CreateApp;
use proximity_pve_emulator::core::Access;
use proximity_store::records::AppRecord;
use proximity_testkit::guests::address;
use proximity_testkit::world::TestWorld;
use serde_json::Value;

/// The step `install` of a deploy.
const INSTALL: u32 = 4;

async fn deploy(w: &TestWorld) -> AppRecord {
    let request = CreateApp {
        catalog_id: "nginx".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    w.engine.create_app(&w.actor, request).await.unwrap()
}

/// What was sent into the guest: the name of a script or a program, and its first argument.
async fn entries(w: &TestWorld, operation: OperationId) -> Vec<String> {
    let sent = w.store.mutations(operation, INSTALL).await.unwrap();
    let text = |argv: &Value, at: usize| argv[at].as_str().unwrap_or_default().to_owned();
    let named = |argv: &Value| match argv[0].as_str() {
        Some("/bin/sh") => format!("{} {}", text(argv, 3), text(argv, 4)),
        _ => format!("{} {}", text(argv, 0), text(argv, 3)),
    };
    sent.iter().map(|row| named(&row.details["argv"])).collect()
}

const NGINX: [&str; 5] = [
    "file /var/www/proximity/index.html",
    "apt nginx-light",
    "rm /etc/nginx/sites-enabled/default",
    "file /etc/nginx/conf.d/proximity.conf",
    "service restart",
];

#[tokio::test]
async fn each_part_of_a_recipe_is_one_and_has_its_line_in_the_log() {
    let w = TestWorld::start(Access::Full).await.unwrap();
    let app = deploy(&w).await;
    let operation = app.operation.unwrap();
    let ended = w.settled(operation).await.unwrap();
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
    assert_eq!(entries(&w, operation).await, NGINX);
    let log = w.store.log(app.id, 0, 1_000).await.unwrap();
    let of_parts = log
        .iter()
        .filter(|line| line.step.as_deref() == Some("install"));
    let lines: Vec<&str> = of_parts.map(|line| line.message.as_str()).collect();
    let (printed, lines): (Vec<&str>, Vec<&str>) =
        lines.into_iter().partition(|line| line.starts_with("| "));
    // What apt says is told; how files and services read back is not.
    assert!(
        printed.contains(&"| Setting up nginx-light (1.22.1-9+deb12u4) ..."),
        "{printed:?}"
    );
    assert!(
        !printed
            .iter()
            .any(|line| line.contains("active") || line.contains("0644"))
    );
    assert!(!printed.iter().any(|line| line.contains("not understood")));
    let parts = [
        "Configuring application",
        "Writing /var/www/proximity/index.html",
        "Installing nginx-light",
        "Removing /etc/nginx/sites-enabled/default",
        "Writing /etc/nginx/conf.d/proximity.conf",
        "Starting service nginx",
    ];
    assert_eq!(lines, parts);
    // What a file holds may be secret: of that the record has the length alone.
    let sent = w.store.mutations(operation, INSTALL).await.unwrap();
    assert!(sent[0].details["stdin_bytes"].as_u64().unwrap() > 100);
    assert!(!sent[0].details.to_string().contains("proximity-app-nginx"));
}

#[tokio::test]
async fn after_a_crash_files_that_are_there_are_left_alone() {
    let mut w = TestWorld::start(Access::Full).await.unwrap();
    // The guest is there when its start is over; until then nothing can be told to hang in it.
    w.pve.guests.hang_next("service");
    let app = deploy(&w).await;
    let operation = app.operation.unwrap();
    w.until(async || w.pve.guests.is_hung(100) == Some(true))
        .await
        .unwrap();
    w.crash_worker().await;
    w.pve.guests.hang(100, "nothing");
    w.start_worker();
    let ended = w.settled(operation).await.unwrap();
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
    let again = [NGINX[1], NGINX[2], NGINX[4]];
    assert_eq!(
        entries(&w, operation).await,
        [&NGINX[..], &again[..]].concat()
    );
    let (status, page) = w
        .pve
        .guests
        .fetch((address(100), 8080).into(), "/")
        .unwrap();
    assert!(
        status == 200 && page.contains("proximity-app-nginx"),
        "{page}"
    );
}
