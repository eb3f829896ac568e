//! Events over HTTP: pages and streams give every event once, in order, and only to who may see it.

use std::time::Duration;

use crate::support::{self, World, world, world_with};
use axum::body::{Body, BodyDataStream};
use futures::StreamExt;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use proximity_domain::time::Timestamp;
use proximity_server::EventLimits;
use proximity_store::records::Actor;
use serde_json::Value;
use tower::ServiceExt;

/// Long enough that only a broken stream reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client that takes a stream apart as the standard says.
struct Stream {
    body: BodyDataStream,
    text: String,
}

impl Stream {
    async fn open(world: &World, token: &str, path: &str, last_id: Option<&str>) -> Self {
        let (status, _, body) = ask(world, token, path, last_id).await;
        assert_eq!(status, StatusCode::OK);
        Self {
            body: body.into_data_stream(),
            text: String::new(),
        }
    }

    /// The next block; `None` when the stream has ended.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let piece = tokio::time::timeout(PATIENCE, self.body.next())
                .await
                .unwrap()?;
            self.text
                .push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        }
    }

    /// The ids of the next `count` events.
    async fn ids(&mut self, count: usize) -> Vec<i64> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let block = self.block().await.unwrap();
            if block.contains("\ndata: ") {
                ids.push(id(&block));
            }
        }
        ids
    }
}

fn id(block: &str) -> i64 {
    let line = block.lines().find_map(|line| line.strip_prefix("id: "));
    line.unwrap().parse().unwrap()
}

async fn ask(
    world: &World,
    token: &str,
    path: &str,
    last_id: Option<&str>,
) -> (StatusCode, HeaderMap, Body) {
    let mut request = Request::builder()
        .uri(path)
        .header("accept", "text/event-stream")
        .header("authorization", format!("Bearer {token}"));
    if let Some(last_id) = last_id {
        request = request.header("last-event-id", last_id);
    }
    let request = request.body(Body::empty()).unwrap();
    let answer = world.router.clone().oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    (parts.status, parts.headers, body)
}

#[tokio::test]
async fn a_stream_replays_and_then_goes_on_live() {
    let world = world().await;
    for number in 0..700 {
        world.add_host(number).await;
    }
    let mut stream = Stream::open(&world, "all", "/api/events?after=0", None).await;
    assert_eq!(stream.block().await.unwrap(), "retry: 1000\nid: 0");
    assert_eq!(stream.ids(700).await, (1..=700).collect::<Vec<_>>());
    for number in 700..705 {
        world.add_host(number).await;
        assert_eq!(stream.ids(1).await, [i64::from(number) + 1]);
    }
}

#[tokio::test]
async fn a_client_resumes_where_it_was_and_without_a_place_begins_now() {
    let world = world().await;
    for number in 0..10 {
        world.add_host(number).await;
    }
    let mut resumed = Stream::open(&world, "all", "/api/events?after=2", Some("7")).await;
    assert_eq!(resumed.ids(3).await, [8, 9, 10]);
    let mut fresh = Stream::open(&world, "all", "/api/events/", None).await;
    assert_eq!(fresh.block().await.unwrap(), "retry: 1000\nid: 10");
    world.add_host(10).await;
    assert_eq!(fresh.ids(1).await, [11]);
    assert_eq!(resumed.ids(1).await, [11]);
}

#[tokio::test]
async fn a_place_the_log_never_had_is_refused() {
    let world = world().await;
    world.add_host(0).await;
    for (path, last_id, status) in [
        ("/api/events", Some("2"), 409),
        ("/api/events?after=2", None, 409),
        ("/api/events", Some("x"), 400),
        ("/api/events", Some("-1"), 400),
        ("/api/events?after=-1", None, 400),
        ("/api/events?after=x", None, 400),
        ("/api/events?kind=AppExploded", None, 400),
        ("/api/events?app=none", None, 404),
        ("/api/events?operation=none", None, 404),
    ] {
        let (found, headers, _) = ask(&world, "all", path, last_id).await;
        assert_eq!(found, status, "{path} {last_id:?}");
        assert_eq!(headers["content-type"], "application/json");
    }
    let ahead = world.send("GET", "/api/events?after=2", "").await;
    assert_eq!((ahead.status.as_u16(), ahead.code()), (409, "event_ahead"));
}

/// What is gone is never passed over in silence, and the beginning is what is left.
#[tokio::test]
async fn a_place_behind_what_was_cleared_away_is_refused() {
    let world = world().await;
    for number in 0..10 {
        world.add_host(number).await;
    }
    assert_eq!(world.store.clear_events(6).await.unwrap(), 6);
    for after in [1, 5] {
        let path = format!("/api/events?after={after}");
        let page = world.send("GET", &path, "").await;
        assert_eq!(
            (page.status.as_u16(), page.code()),
            (409, "event_cleared"),
            "{after}"
        );
        let (status, headers, _) = ask(&world, "all", &path, None).await;
        assert_eq!(status, 409, "a stream from {after}");
        assert_eq!(headers["content-type"], "application/json");
    }
    for after in [0, 6] {
        let path = format!("/api/events?after={after}");
        let page = world.send("GET", &path, "").await;
        let seqs = page.body["events"].as_array().unwrap().iter();
        let seqs: Vec<i64> = seqs.map(|event| event["seq"].as_i64().unwrap()).collect();
        assert_eq!(seqs, [7, 8, 9, 10], "{after}");
        let mut stream = Stream::open(&world, "all", &path, None).await;
        assert_eq!(stream.block().await.unwrap(), "retry: 1000\nid: 6");
        assert_eq!(stream.ids(4).await, [7, 8, 9, 10], "{after}");
    }
    // The newest ones, though a page could hold more.
    let page = world.send("GET", "/api/events", "").await;
    assert_eq!(page.body["events"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn proxies_are_told_to_pass_a_stream_on() {
    let world = world().await;
    let (_, headers, _) = ask(&world, "all", "/api/events", None).await;
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-store, no-transform");
    assert_eq!(headers["x-accel-buffering"], "no");
    assert!(headers.contains_key("x-request-id"));
}

#[tokio::test]
async fn nobody_sees_the_apps_of_others() {
    let world = world().await;
    world.add_token("reader", &["read"]).await;
    world.add_host(0).await;
    let (theirs, operation) = world.add_app("theirs", "admin").await;
    world.add_app("mine", "robot").await;
    let page = world
        .send_with(
            "GET",
            "/api/events?after=0",
            "",
            &[("authorization", "Bearer reader")],
        )
        .await;
    let kinds: Vec<&str> = page.body["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["HostAdded", "AppCreated", "OperationQueued"]);
    assert_eq!(page.body["next_after"], 5);
    let mut stream = Stream::open(&world, "reader", "/api/events?after=0", None).await;
    assert_eq!(stream.ids(3).await, [1, 4, 5]);
    for path in [
        format!("/api/events?app={theirs}"),
        format!("/api/events?operation={operation}"),
    ] {
        let (status, _, _) = ask(&world, "reader", &path, None).await;
        assert_eq!(status, 404, "{path}");
    }
    world.add_token("operator", &["operate"]).await;
    let (status, _, _) = ask(&world, "operator", "/api/events", None).await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn filters_narrow_pages_and_streams_alike() {
    let world = world().await;
    world.add_host(0).await;
    let (first, operation) = world.add_app("first", "admin").await;
    world.add_app("second", "admin").await;
    for (query, expected) in [
        (format!("app={first}"), vec![2, 3]),
        ("app=second".to_owned(), vec![4, 5]),
        (format!("operation={operation}"), vec![2, 3]),
        ("kind=HostAdded,OperationQueued".to_owned(), vec![1, 3, 5]),
    ] {
        let path = format!("/api/events?after=0&{query}");
        let page = world.send("GET", &path, "").await;
        let seqs: Vec<i64> = page.body["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["seq"].as_i64().unwrap())
            .collect();
        assert_eq!(seqs, expected, "{path}");
        assert_eq!(page.body["next_after"], 5);
        let mut stream = Stream::open(&world, "all", &path, None).await;
        assert_eq!(stream.ids(expected.len()).await, expected, "{path}");
    }
}

#[tokio::test]
async fn a_moment_is_a_place_to_begin_at() {
    let world = world().await;
    world.add_host(0).await;
    let host = world.store.hosts().await.unwrap().remove(0);
    let actor = Actor {
        account: "admin".to_owned(),
        token: None,
        request: None,
    };
    let moment = |second: i64| host.created_at.0 + second * 1_000;
    for second in 1..=20 {
        let at = Timestamp(moment(second));
        let changed = world.store.update_host(host.clone(), &actor, at);
        changed.await.unwrap();
    }
    for (second, expected) in [(-9, 1..=21), (15, 16..=21), (20, 21..=21)] {
        let since = jiff::Timestamp::from_millisecond(moment(second)).unwrap();
        let path = format!("/api/events?since={since}");
        let page = world.send("GET", &path, "").await.body;
        let events = page["events"].as_array().unwrap().iter();
        let seqs: Vec<i64> = events.map(|e| e["seq"].as_i64().unwrap()).collect();
        let expected: Vec<i64> = expected.collect();
        assert_eq!(seqs, expected, "{path}");
        let mut stream = Stream::open(&world, "all", &path, None).await;
        assert_eq!(stream.ids(expected.len()).await, expected, "{path}");
    }
    let late = jiff::Timestamp::from_millisecond(moment(99)).unwrap();
    let path = format!("/api/events?since={late}");
    let mut stream = Stream::open(&world, "all", &path, None).await;
    assert_eq!(stream.block().await.unwrap(), "retry: 1000\nid: 21");
}

#[tokio::test]
async fn events_of_a_resource_are_for_who_may_look_at_the_clusters() {
    let world = world().await;
    world.add_host(0).await;
    world.add_token("reader", &["read"]).await;
    let id = uuid::Uuid::nil();
    let path = format!("/api/events?resource={id}");
    let (status, _, _) = ask(&world, "reader", &path, None).await;
    assert_eq!(status, 403);
    let none = world.send("GET", &path, "").await;
    assert_eq!(none.body["events"], serde_json::json!([]));
    let (status, _, _) = ask(&world, "all", "/api/events?resource=web", None).await;
    assert_eq!(status, 422);
}

#[tokio::test]
async fn pages_lead_to_each_other_and_end() {
    let world = world().await;
    for number in 0..5 {
        world.add_host(number).await;
    }
    let first = world
        .send("GET", "/api/events?after=0&limit=3", "")
        .await
        .body;
    assert_eq!(
        (&first["next_after"], &first["more"]),
        (&3.into(), &true.into())
    );
    let second = world
        .send("GET", "/api/events?after=3&limit=3", "")
        .await
        .body;
    assert_eq!(second["events"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&second["next_after"], &second["more"]),
        (&5.into(), &false.into())
    );
    let newest = world.send("GET", "/api/events?limit=2", "").await.body;
    assert_eq!(newest["events"][0]["seq"], 4);
    assert_eq!(newest["events"][1]["body"]["label"], "host4");
}

#[tokio::test]
async fn one_client_too_many_is_told_when_to_come_back() {
    let limits = EventLimits {
        clients: 1,
        ..EventLimits::default()
    };
    let world = world_with(limits).await;
    let first = ask(&world, "all", "/api/events", None).await;
    let (status, headers, body) = ask(&world, "all", "/api/events", None).await;
    assert_eq!(
        (status.as_u16(), headers["retry-after"].as_bytes()),
        (503, &b"5"[..])
    );
    let body = body.collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"]["code"], "too_many_streams");
    drop(first);
    let (status, _, _) = ask(&world, "all", "/api/events", None).await;
    assert_eq!(status, 200, "the place is free again");
}

#[tokio::test]
async fn a_silent_stream_shows_that_it_lives_and_moves_on_past_what_is_filtered() {
    let limits = EventLimits {
        silence: Duration::from_millis(20),
        ..EventLimits::default()
    };
    let world = world_with(limits).await;
    let path = "/api/events?after=0&kind=HostRemoved";
    let mut stream = Stream::open(&world, "all", path, None).await;
    assert_eq!(stream.block().await.unwrap(), "retry: 1000\nid: 0");
    assert_eq!(stream.block().await.unwrap(), ": alive");
    world.add_host(0).await;
    loop {
        let block = stream.block().await.unwrap();
        if block != ": alive" {
            assert_eq!(block, ": alive\nid: 1");
            break;
        }
    }
}

#[tokio::test]
async fn a_busy_stream_of_which_nothing_passes_shows_that_it_lives() {
    let limits = EventLimits {
        silence: Duration::ZERO,
        ..EventLimits::default()
    };
    let world = world_with(limits).await;
    for number in 0..600 {
        world.add_host(number).await;
    }
    let path = "/api/events?after=0&kind=HostRemoved";
    let mut stream = Stream::open(&world, "all", path, None).await;
    assert_eq!(stream.block().await.unwrap(), "retry: 1000\nid: 0");
    let mut places = Vec::new();
    while places.last() != Some(&600) {
        let block = stream.block().await.unwrap();
        assert!(block.starts_with(": alive"), "{block}");
        if block.contains("id: ") {
            places.push(id(&block));
        }
    }
    assert!(places.len() > 1, "it was silent all the way: {places:?}");
}

#[tokio::test]
async fn a_busy_stream_ends_with_its_time_as_well() {
    let limits = EventLimits {
        life: Duration::ZERO,
        ..EventLimits::default()
    };
    let world = world_with(limits).await;
    world.add_host(0).await;
    let mut stream = Stream::open(&world, "all", "/api/events?after=0", None).await;
    assert_eq!(stream.block().await.unwrap(), "retry: 1000\nid: 0");
    assert_eq!(stream.block().await, None);
}

#[tokio::test]
async fn streams_end_with_the_server_and_with_their_time() {
    let world = world().await;
    let mut stream = Stream::open(&world, "all", "/api/events", None).await;
    assert!(stream.block().await.is_some());
    world.closing.cancel();
    assert_eq!(stream.block().await, None);
    let limits = EventLimits {
        life: Duration::from_millis(10),
        ..EventLimits::default()
    };
    let world = world_with(limits).await;
    let mut stream = Stream::open(&world, "all", "/api/events", None).await;
    assert!(stream.block().await.is_some());
    assert_eq!(stream.block().await, None);
}

#[tokio::test]
async fn what_another_process_writes_is_told_too() {
    let limits = EventLimits {
        poll: Duration::from_millis(20),
        ..EventLimits::default()
    };
    let world = world_with(limits).await;
    let mut stream = Stream::open(&world, "all", "/api/events?after=0", None).await;
    let other = world.open_again().await;
    support::add_host_to(&other, 0).await;
    assert_eq!(stream.ids(1).await, [1]);
}

/// The feed sleeps long while nobody follows; whoever comes does not wait for it to wake.
#[tokio::test]
async fn who_joins_is_told_at_once_what_another_process_wrote_before() {
    let limits = EventLimits {
        poll: Duration::from_secs(60),
        ..EventLimits::default()
    };
    let world = world_with(limits).await;
    let mut first = Stream::open(&world, "all", "/api/events", None).await;
    // The feed has looked at the log, and looks again in a minute.
    assert!(first.block().await.is_some());
    let other = world.open_again().await;
    support::add_host_to(&other, 0).await;
    let mut stream = Stream::open(&world, "all", "/api/events?after=0", None).await;
    let told = tokio::time::timeout(Duration::from_secs(10), stream.ids(1)).await;
    assert_eq!(told.unwrap(), [1]);
}
