//! The same request sent twice at the same time: both are told what came of it, whichever was faster.

use proximity_api::hosts::AddHost;
use proximity_domain::ids::HostId;
use proximity_domain::time::Clock;
use proximity_store::records::{HostRecord, RequestKey};
use proximity_testkit::sources::RealClock;
use serde_json::json;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::support::Answer;
use crate::support::live::{Live, live};

/// As many as there are ports for.
const APPS: usize = 4;
/// How many times something is asked of each app; each time the second request lags one more turn of the runtime behind.
const LAGS: usize = 6;

/// Sends both bodies under one key, the second `lag` turns later.
async fn both(live: &Live, key: &str, path: &str, bodies: [&str; 2], lag: usize) -> [Answer; 2] {
    let later = async {
        for _ in 0..lag {
            tokio::task::yield_now().await;
        }
        live.send_keyed(key, path, bodies[1]).await
    };
    tokio::join!(live.send_keyed(key, path, bodies[0]), later).into()
}

fn agree(answers: &[Answer; 2], about: &str) -> String {
    let [first, second] = answers;
    let told = [first.status.as_u16(), second.status.as_u16()];
    assert_eq!(told, [202, 202], "{about}: {} {}", first.body, second.body);
    assert_eq!(first.body["id"], second.body["id"], "{about}");
    assert_eq!(
        first.headers["location"], second.headers["location"],
        "{about}"
    );
    first.headers["location"].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_sent_twice_at_once_is_answered_twice_alike() {
    let mut live = live().await;
    live.world.crash_worker().await;
    for app in 0..APPS {
        let name = format!("web-{app}");
        let body = json!({"catalog_id": "beacon", "hostname": name, "host": "lab"}).to_string();
        let key = format!("create-{app}");
        let made = both(&live, &key, "/api/apps/", [&body, &body], app * LAGS).await;
        let mut failed = agree(&made, &format!("create {app}"));
        cancel(&live, &failed).await;
        for lag in app * LAGS..(app + 1) * LAGS {
            failed = every_change(&live, &name, &failed, lag).await;
        }
    }
}

/// What is asked of an app, each request twice at once: none of it is begun, for there is no worker.
async fn every_change(live: &Live, app: &str, failed: &str, lag: usize) -> String {
    let (retry, key) = (format!("{failed}/retry"), format!("retry-{lag}"));
    let made = both(live, &key, &retry, ["", ""], lag).await;
    cancel(live, &agree(&made, &format!("retry {lag}"))).await;

    let act = format!("/api/apps/{app}/action");
    let (delete, key) = (r#"{"action":"delete"}"#, format!("delete-{lag}"));
    let made = both(live, &key, &act, [delete, delete], lag).await;
    cancel(live, &agree(&made, &format!("delete {lag}"))).await;

    let (start, key) = (r#"{"action":"start"}"#, format!("other-{lag}"));
    let answers = both(live, &key, &act, [delete, start], lag).await;
    let (done, refused): (Vec<&Answer>, Vec<&Answer>) =
        answers.iter().partition(|a| a.status == 202);
    let told: Vec<_> = refused
        .iter()
        .map(|a| (a.status.as_u16(), a.code()))
        .collect();
    assert_eq!(told, [(409, "idempotency_conflict")], "{lag}");
    let at = done[0].headers["location"].to_str().unwrap().to_owned();
    cancel(live, &at).await;
    at
}

async fn cancel(live: &Live, operation: &str) {
    let answer = live.send("POST", &format!("{operation}/cancel"), "").await;
    assert_eq!(answer.body["state"], "cancelled", "{}", answer.body);
}

/// The second looks at the host while the first stores it, and is refused for what it finds.
#[tokio::test]
async fn a_host_that_was_added_meanwhile_by_the_same_request_is_the_answer() {
    let live = live().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let body = json!({
        "label": "x", "url": format!("https://{}", silent.local_addr().unwrap()),
        "token_id": "a@pam!b1", "token_secret": "s",
    });
    let body = body.to_string();
    let first_one = async {
        let (mut connection, _) = silent.accept().await.unwrap();
        let store = &live.world.store;
        let lab = store.hosts().await.unwrap().remove(0);
        let host = HostRecord {
            id: HostId(Uuid::from_u128(77)),
            label: "x".parse().unwrap(),
            cluster_key: "node:x".to_owned(),
            ..lab
        };
        let asked: AddHost = serde_json::from_str(&body).unwrap();
        let asked = serde_json::to_vec(&asked).unwrap();
        let key = RequestKey {
            key: "k".to_owned(),
            fingerprint: store.fingerprint(&[b"add_host", &asked]),
        };
        let (actor, now) = (&live.world.actor, RealClock.now());
        let stored = store.add_host_once(host, Some(key), actor, now).await;
        tokio::io::AsyncWriteExt::shutdown(&mut connection)
            .await
            .unwrap();
        stored.unwrap()
    };
    let at = "/api/proxmox/hosts";
    let (id, answer) = tokio::join!(first_one, live.send_keyed("k", at, &body));
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(answer.body["id"], id.to_string());
}
