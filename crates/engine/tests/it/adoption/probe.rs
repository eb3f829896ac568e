//! Looking inside for what listens: only where the request says so.

use proximity_domain::adoption::{AdoptionPart, AdoptionRecord};
use proximity_engine::commands::AdoptContainer;
use proximity_pve::guest::{Exec, GuestAccess, GuestOwner, GuestTarget};
use proximity_store::records::AppRecord;
use proximity_testkit::world::TestWorld;

use super::{asked, assert_sound, file, lines, stranger, world};

/// Somebody starts a web server in the container.
async fn serve(w: &TestWorld, vmid: u32, at: &str) {
    let target = GuestTarget {
        node: "pve1".parse().unwrap(),
        vmid: vmid.try_into().unwrap(),
        owner: GuestOwner::Adopted,
    };
    let argv = ["busybox", "httpd", "-p", at, "-h", "/"];
    let exec = Exec {
        argv: argv.map(str::to_owned).to_vec(),
        stdin: None,
        timeout_ms: 1_000,
        max_output_bytes: 1_000,
        send_before: None,
    };
    let output = w.pve.guests.exec(&target, exec).await.unwrap();
    assert_eq!(output.exit_code, 0, "{output:?}");
}

async fn probed(w: &TestWorld, request: AdoptContainer) -> (AppRecord, AdoptionRecord) {
    let request = AdoptContainer {
        probe: true,
        ..request
    };
    let app = w.engine.adopt(&w.actor, request).await.unwrap();
    w.settled(app.operation.unwrap()).await.unwrap();
    let app = w.store.app(app.id).await.unwrap().unwrap();
    let record = w.store.adoption(app.id).await.unwrap().unwrap();
    (app, record)
}

#[tokio::test]
async fn what_listens_inside_settles_what_the_name_leaves_open() {
    let w = world().await;
    stranger(&w, 150, "ct-17", true).await;
    serve(&w, 150, "0.0.0.0:5432").await;
    serve(&w, 150, "127.0.0.1:9000").await;
    let (before, changes) = (file(&w, 150).await, w.pve.changes());
    let (app, record) = probed(&w, asked(150)).await;
    assert_eq!(
        (app.catalog_id.as_str(), app.guest_port),
        ("postgres", 5432)
    );
    assert_eq!(record.detected_ports, [22, 5432], "what others can reach");
    assert_eq!(record.suggested_type.as_str(), "postgres");
    assert_eq!(record.missing_parts, []);
    assert!(lines(&w, &app).await.contains("Inside listen: 22, 5432"));
    assert_eq!((file(&w, 150).await, w.pve.changes()), (before, changes));
    assert_sound(&w).await;
}

#[tokio::test]
async fn what_a_person_said_is_kept() {
    let w = world().await;
    stranger(&w, 150, "ct-17", true).await;
    serve(&w, 150, "0.0.0.0:5432").await;
    let request = AdoptContainer {
        suggested_type: Some("custom".to_owned()),
        port: Some(7000),
        ..asked(150)
    };
    let (app, record) = probed(&w, request).await;
    assert_eq!((app.catalog_id.as_str(), app.guest_port), ("custom", 7000));
    assert_eq!(record.detected_ports, [22, 5432]);
}

#[tokio::test]
async fn a_container_that_cannot_be_looked_into_is_adopted_without() {
    let w = world().await;
    stranger(&w, 150, "postgres", false).await;
    let (app, record) = probed(&w, asked(150)).await;
    assert_eq!(
        (app.catalog_id.as_str(), app.guest_port),
        ("postgres", 5432)
    );
    let sockets = AdoptionPart::ListeningSockets;
    assert!(record.missing_parts.contains(&sockets));
    assert!(record.detected_ports.is_empty());
}
