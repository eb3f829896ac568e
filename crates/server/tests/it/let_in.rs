//! Whoever is not let in any more hears nothing more: a stream ends with the session, the role or the account by which it was opened.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures::StreamExt;
use http::Request;
use proximity_domain::access::{Role, UserName};
use proximity_domain::ids::SessionId;
use proximity_pve_emulator::core::Access;
use proximity_server::EventLimits;
use proximity_testkit::world::TestWorld;
use secrecy::ExposeSecret;
use tower::ServiceExt;

use crate::contract::body_for;
use crate::support::exchange;
use crate::support::live::{Live, live_with};

/// Long enough that only a stream that goes on reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Somebody who signed in.
struct Browser {
    cookie: String,
    csrf: String,
    session: SessionId,
}

/// A server that looks often whether its clients are still let in.
async fn looking() -> Live {
    let limits = EventLimits {
        recheck: Duration::from_millis(20),
        ..EventLimits::default()
    };
    live_with(TestWorld::start(Access::Full).await.unwrap(), limits).await
}

fn named(name: &str) -> UserName {
    name.parse().unwrap()
}

async fn browser(live: &Live, name: &str, role: Role) -> Browser {
    let (engine, actor) = (&live.world.engine, &live.world.actor);
    let link = engine.add_account(actor, &named(name), role).await.unwrap();
    let link = proximity_server::token_hash(link.secret.expose_secret());
    let account = engine.set_up(&link, "no hash", None).await.unwrap();
    let begun = engine.begin_session(&account, None, None).await.unwrap();
    let cookie = format!("__Host-proximity={}", begun.secret.expose_secret());
    let headers = [("host", "p.lan"), ("cookie", cookie.as_str())];
    let (router, contract) = (&live.router, &live.contract);
    let who = exchange(router, contract, "GET", "/api/session", "", &headers).await;
    Browser {
        csrf: who.body["csrf_token"].as_str().unwrap().to_owned(),
        cookie,
        session: begun.session.id,
    }
}

async fn opened(
    live: &Live,
    who: &Browser,
    method: &str,
    path: &str,
    body: &str,
) -> BodyDataStream {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "p.lan")
        .header("origin", "https://p.lan")
        .header("accept", "text/event-stream")
        .header("content-type", "application/json")
        .header("cookie", who.cookie.as_str())
        .header("x-csrf-token", who.csrf.as_str());
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let answer = live.router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.into_body().into_data_stream()
}

async fn assert_ends(stream: BodyDataStream) {
    tokio::time::timeout(PATIENCE, stream.count())
        .await
        .unwrap();
}

#[tokio::test]
async fn events_end_with_the_session_the_role_and_the_account() {
    let live = looking().await;
    let (engine, actor) = (&live.world.engine, &live.world.actor);
    let stays = browser(&live, "stays", Role::Admin).await;
    let mut goes_on = opened(&live, &stays, "GET", "/api/events", "").await;
    let mut streams = Vec::new();
    let mut sessions = Vec::new();
    for name in ["ann", "bob", "cid"] {
        let who = browser(&live, name, Role::Operator).await;
        streams.push(opened(&live, &who, "GET", "/api/events", "").await);
        sessions.push(who.session);
    }
    engine.end_session(actor, sessions[0]).await.unwrap();
    let demoted = engine.set_role(actor, &named("bob"), Role::Viewer).await;
    demoted.unwrap();
    engine.remove_account(actor, &named("cid")).await.unwrap();
    for stream in streams {
        assert_ends(stream).await;
    }
    // Whoever is let in as before goes on hearing.
    live.add_spare_host().await;
    let hears = async {
        while let Some(piece) = goes_on.next().await {
            let piece = String::from_utf8(piece.unwrap().to_vec()).unwrap();
            if piece.contains("HostAdded") {
                return true;
            }
        }
        false
    };
    assert!(tokio::time::timeout(PATIENCE, hears).await.unwrap());
}

#[tokio::test]
async fn a_program_in_a_container_ends_with_the_session_that_began_it() {
    let live = looking().await;
    let body = body_for("POST", "/api/apps/");
    live.settled("POST", "/api/apps/", &body).await;
    live.world.pve.guests.hang(100, "sleep");
    let is_hung = |is: bool| live.world.pve.guests.is_hung(100) == Some(is);
    let ann = browser(&live, "ann", Role::Admin).await;
    let program = r#"{"argv":["sleep","3600"],"timeout_s":600}"#;
    let run = opened(&live, &ann, "POST", "/api/apps/web/exec", program).await;
    live.world.until(async || is_hung(true)).await.unwrap();
    let (engine, actor) = (&live.world.engine, &live.world.actor);
    engine.end_session(actor, ann.session).await.unwrap();
    assert_ends(run).await;
    live.world.until(async || is_hung(false)).await.unwrap();
}
