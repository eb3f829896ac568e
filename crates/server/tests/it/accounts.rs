//! Signing in: what a browser is given, what it has to show, who is turned away, and that time and answers tell nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proximity_domain::session::{IDLE_MS, LINK_MS, LONGEST_MS};
use proximity_domain::time::{Clock, Monotonic, Timestamp};
use proximity_engine::commands::GivenLink;
use proximity_server::EventLimits;
use proximity_store::records::Actor;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::support::{Answer, World, world_at};

const PASSWORD: &str = "correct horse battery";
const HOST: &str = "p.lan";
const ORIGIN: &str = "https://p.lan";

/// A clock that the test turns.
#[derive(Debug, Default)]
struct Turned(AtomicU64);

impl Turned {
    fn pass(&self, ms: i64) {
        self.0
            .fetch_add(u64::try_from(ms).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for Turned {
    fn now(&self) -> Timestamp {
        let ms = i64::try_from(self.0.load(Ordering::SeqCst)).unwrap();
        Timestamp(1_700_000_000_000 + ms)
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(self.0.load(Ordering::SeqCst))
    }
}

async fn turned() -> (World, Arc<Turned>) {
    let clock = Arc::new(Turned::default());
    let by: Arc<dyn Clock> = Arc::<Turned>::clone(&clock);
    (world_at(EventLimits::default(), by).await, clock)
}

/// Somebody who signed in.
struct Browser {
    cookie: String,
    csrf: String,
}

impl Browser {
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.body);
        let cookie = answer.headers["set-cookie"].to_str().unwrap();
        Self {
            cookie: cookie.split(';').next().unwrap().to_owned(),
            csrf: answer.body["csrf_token"].as_str().unwrap().to_owned(),
        }
    }

    async fn ask(&self, world: &World, method: &str, path: &str, body: &str) -> Answer {
        let headers = [
            ("host", HOST),
            ("origin", ORIGIN),
            ("cookie", self.cookie.as_str()),
            ("x-csrf-token", self.csrf.as_str()),
        ];
        world.send_with(method, path, body, &headers).await
    }
}

/// The token of the link of a new account.
async fn invite(world: &World, name: &str, role: &str) -> String {
    let body = json!({ "name": name, "role": role }).to_string();
    let added = world.send("POST", "/api/accounts", &body).await;
    assert_eq!(added.status, 201, "{}", added.body);
    added.body["token"].as_str().unwrap().to_owned()
}

async fn set_up(world: &World, token: &str, password: &str) -> Answer {
    let body = json!({ "token": token, "password": password }).to_string();
    world.send_with("POST", "/api/setup", &body, &[]).await
}

async fn sign_in(world: &World, name: &str, password: &str) -> Answer {
    sign_in_with(world, name, password, &[("host", HOST), ("origin", ORIGIN)]).await
}

async fn sign_in_with(
    world: &World,
    name: &str,
    password: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let body = json!({ "account": name, "password": password }).to_string();
    world
        .send_with("POST", "/api/session", &body, headers)
        .await
}

async fn account(world: &World, name: &str, role: &str) {
    let token = invite(world, name, role).await;
    let set = set_up(world, &token, PASSWORD).await;
    assert_eq!(set.status, 200, "{}", set.body);
}

async fn browser(world: &World, name: &str, role: &str) -> Browser {
    account(world, name, role).await;
    Browser::of(&sign_in(world, name, PASSWORD).await)
}

fn told(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.code())
}

#[tokio::test]
async fn the_cookie_is_for_this_server_alone_and_new_each_time() {
    let (world, _) = turned().await;
    account(&world, "ann", "admin").await;
    let first = sign_in(&world, "ann", PASSWORD).await;
    let cookie = first.headers["set-cookie"].to_str().unwrap().to_owned();
    let parts: BTreeSet<&str> = cookie.split("; ").skip(1).collect();
    let wanted = [
        "HttpOnly",
        "Max-Age=604800",
        "Path=/",
        "SameSite=Strict",
        "Secure",
    ];
    assert_eq!(parts, BTreeSet::from(wanted));
    let (name, secret) = cookie.split(';').next().unwrap().split_once('=').unwrap();
    assert_eq!(name, "__Host-proximity");
    assert_eq!(secret.len(), "pxs_".len() + 64, "256 bits");
    assert!(!first.body.to_string().contains(secret));

    // What somebody else put into the browser is worth nothing after signing in, and neither is what was there before.
    let first = Browser::of(&first);
    for planted in [first.cookie.as_str(), "__Host-proximity=planted"] {
        let headers = [("host", HOST), ("origin", ORIGIN), ("cookie", planted)];
        let second = sign_in_with(&world, "ann", PASSWORD, &headers).await;
        let second = Browser::of(&second);
        assert_ne!(second.cookie, planted);
        let who = second.ask(&world, "GET", "/api/session", "").await;
        assert_eq!(who.body["account"], "ann");
        let headers = [("host", HOST), ("cookie", planted)];
        let old = world.send_with("GET", "/api/session", "", &headers).await;
        assert_eq!(told(&old), (401, "unauthorized"));
    }
}

#[tokio::test]
async fn over_plain_http_people_sign_in_on_their_own_machine_alone() {
    let (world, _) = turned().await;
    account(&world, "ann", "admin").await;
    let at = async |origin: &str, host: &str| {
        let headers = [("host", host), ("origin", origin)];
        sign_in_with(&world, "ann", PASSWORD, &headers).await
    };
    let local = at("http://localhost:7640", "localhost:7640").await;
    let cookie = local.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("proximity-localhost="), "{cookie}");
    assert!(cookie.ends_with("HttpOnly; SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    for (host, status) in [("localhost:7640", 200), ("127.0.0.1:7640", 401)] {
        let headers = [("host", host), ("cookie", cookie)];
        let who = world.send_with("GET", "/api/session", "", &headers).await;
        assert_eq!(who.status, status, "{host}");
    }
    for host in ["127.0.0.1:7640", "p.lan:7640"] {
        let refused = at(&format!("http://{host}"), host).await;
        assert_eq!(told(&refused), (403, "https_needed"), "{host}");
        assert!(refused.headers.get("set-cookie").is_none());
    }
    let foreign = at("https://evil.lan", HOST).await;
    assert_eq!(told(&foreign), (403, "csrf_refused"));
}

/// Every sort of change that comes by a cookie, and every way in which it is not a page of ours that asks.
#[tokio::test]
async fn a_change_by_a_cookie_is_asked_for_by_a_page_of_this_server() {
    let (world, _) = turned().await;
    let ann = browser(&world, "ann", "admin").await;
    let other = browser(&world, "bob", "admin").await;
    let role = json!({ "role": "viewer" }).to_string();
    let add = json!({ "name": "eve", "role": "admin" }).to_string();
    let password = json!({ "current": PASSWORD, "password": "of somebody else" }).to_string();
    let changes = [
        ("POST", "/api/accounts", add.as_str()),
        ("PATCH", "/api/accounts/bob", role.as_str()),
        ("DELETE", "/api/accounts/bob", ""),
        ("PUT", "/api/session/password", password.as_str()),
        ("DELETE", "/api/session", ""),
        ("POST", "/api/plans", "{}"),
    ];
    let (cookie, csrf) = (("cookie", ann.cookie.as_str()), ann.csrf.as_str());
    let (host, origin) = (("host", HOST), ("origin", ORIGIN));
    let wrong: [&[(&str, &str)]; 8] = [
        &[host, cookie],
        &[host, cookie, origin],
        &[host, cookie, ("x-csrf-token", csrf)],
        &[host, cookie, origin, ("x-csrf-token", "")],
        &[host, cookie, origin, ("x-csrf-token", other.csrf.as_str())],
        &[
            host,
            cookie,
            ("origin", "https://evil.lan"),
            ("x-csrf-token", csrf),
        ],
        &[host, cookie, ("origin", "null"), ("x-csrf-token", csrf)],
        &[cookie, origin, ("x-csrf-token", csrf)],
    ];
    for (method, path, body) in changes {
        for headers in wrong {
            let refused = world.send_with(method, path, body, headers).await;
            assert_eq!(
                told(&refused),
                (403, "csrf_refused"),
                "{method} {path} {headers:?}"
            );
        }
    }
    let accounts = world.send("GET", "/api/accounts", "").await;
    let names: Vec<&str> = accounts.body["accounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["ann", "bob"]);
    assert_eq!(accounts.body["accounts"][1]["role"], "admin");
    // Looking needs the cookie alone; what is right is done; and a token of the API needs nothing of it.
    let by_cookie = [host, cookie];
    let look = world
        .send_with("GET", "/api/accounts", "", &by_cookie)
        .await;
    assert_eq!(look.status, 200, "{}", look.body);
    let plain = [
        host,
        cookie,
        origin,
        ("x-csrf-token", csrf),
        ("authorization", "Bearer wrong"),
    ];
    let both = world.send_with("GET", "/api/accounts", "", &plain).await;
    assert_eq!(told(&both), (401, "unauthorized"), "a token goes first");
    let changed = ann.ask(&world, "PATCH", "/api/accounts/bob", &role).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let by_token = world.send("PATCH", "/api/accounts/bob", &role).await;
    assert_eq!(by_token.status, 200, "{}", by_token.body);
}

#[tokio::test]
async fn nobody_learns_whether_there_is_such_an_account() {
    let (world, clock) = turned().await;
    account(&world, "ann", "admin").await;
    invite(&world, "new", "viewer").await;
    let mut answers = BTreeSet::new();
    for name in ["ann", "new", "nobody", "no such name!", ""] {
        let before = world.passwords.hashed();
        let refused = sign_in(&world, name, "a wrong password").await;
        assert_eq!(told(&refused), (401, "sign_in_refused"), "{name}");
        assert!(refused.headers.get("set-cookie").is_none());
        assert_eq!(world.passwords.hashed(), before + 1, "{name}: as much work");
        answers.insert(refused.body.to_string());
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    // Nor by how often one may try.
    clock.pass(3_600_000);
    for name in ["ann", "nobody"] {
        let mut statuses = Vec::new();
        for _ in 0..6 {
            let tried = sign_in(&world, name, "a wrong password").await;
            statuses.push(tried.status.as_u16());
        }
        assert_eq!(statuses, [401, 401, 401, 401, 401, 429], "{name}");
    }
}

#[tokio::test]
async fn whoever_guesses_has_to_wait_and_nothing_is_hashed_for_them() {
    let (world, clock) = turned().await;
    account(&world, "ann", "admin").await;
    for _ in 0..5 {
        sign_in(&world, "ann", "a wrong password").await;
    }
    let before = world.passwords.hashed();
    let waits = sign_in(&world, "ann", PASSWORD).await;
    assert_eq!(told(&waits), (429, "too_many_sign_ins"));
    assert_eq!(waits.headers["retry-after"], "12");
    assert_eq!(world.passwords.hashed(), before);
    clock.pass(11_999);
    assert_eq!(sign_in(&world, "ann", PASSWORD).await.status, 429);
    clock.pass(1);
    let ann = Browser::of(&sign_in(&world, "ann", PASSWORD).await);
    // Who signed in begins anew, and an open browser guesses as little as anybody else.
    let wrong = json!({ "current": "a wrong one", "password": "a new long one" }).to_string();
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let tried = ann
            .ask(&world, "PUT", "/api/session/password", &wrong)
            .await;
        statuses.push(tried.status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429]);
    // One address is heard for all accounts together.
    clock.pass(3_600_000);
    let mut heard = 0;
    for n in 0..25 {
        let tried = sign_in(&world, &format!("a{n}"), "a wrong password").await;
        heard += u32::from(tried.status == 401);
    }
    assert_eq!(heard, 20);
}

#[tokio::test]
async fn sessions_end_by_time_by_people_and_with_their_account() {
    let (world, clock) = turned().await;
    let ann = browser(&world, "ann", "admin").await;
    let is_in = async |browser: &Browser| {
        let who = browser.ask(&world, "GET", "/api/session", "").await;
        who.status == 200
    };
    // Used again and again, it goes on for a week; then it is over.
    let uses = LONGEST_MS / (IDLE_MS - 1_000);
    for _ in 0..uses {
        clock.pass(IDLE_MS - 1_000);
        assert!(is_in(&ann).await);
    }
    clock.pass(IDLE_MS - 1_000);
    assert!(!is_in(&ann).await, "a week");
    let ann = Browser::of(&sign_in(&world, "ann", PASSWORD).await);
    let bob = browser(&world, "bob", "operator").await;
    clock.pass(IDLE_MS);
    assert!(!is_in(&ann).await && !is_in(&bob).await, "idle");

    let ann = Browser::of(&sign_in(&world, "ann", PASSWORD).await);
    let bob = Browser::of(&sign_in(&world, "bob", PASSWORD).await);
    let list = bob.ask(&world, "GET", "/api/sessions", "").await;
    let own = list.body["sessions"].as_array().unwrap();
    assert_eq!(own.len(), 1, "{}", list.body);
    assert_eq!(
        (&own[0]["account"], &own[0]["current"]),
        (&json!("bob"), &json!(true))
    );
    let all = ann.ask(&world, "GET", "/api/sessions", "").await;
    let all = all.body["sessions"].as_array().unwrap().clone();
    assert_eq!(all.len(), 2);
    let of_ann = all.iter().find(|one| one["account"] == "ann").unwrap();
    let path = format!("/api/sessions/{}", of_ann["id"].as_str().unwrap());
    let refused = bob.ask(&world, "DELETE", &path, "").await;
    assert_eq!(told(&refused), (404, "not_found"));
    let of_bob = format!("/api/sessions/{}", own[0]["id"].as_str().unwrap());
    assert_eq!(ann.ask(&world, "DELETE", &of_bob, "").await.status, 204);
    assert!(!is_in(&bob).await);

    let bob = Browser::of(&sign_in(&world, "bob", PASSWORD).await);
    let role = json!({ "role": "viewer" }).to_string();
    ann.ask(&world, "PATCH", "/api/accounts/bob", &role).await;
    let app = r#"{"catalog_id":"nginx","hostname":"web"}"#;
    let refused = bob.ask(&world, "POST", "/api/apps/", app).await;
    assert_eq!(told(&refused), (403, "forbidden"), "at once");
    assert_eq!(
        ann.ask(&world, "DELETE", "/api/accounts/bob", "")
            .await
            .status,
        204
    );
    assert!(!is_in(&bob).await);
    let out = ann.ask(&world, "DELETE", "/api/session", "").await;
    let cleared: Vec<_> = out.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cleared.len(), 2);
    assert!(
        cleared
            .iter()
            .all(|one| one.to_str().unwrap().contains("Max-Age=0"))
    );
    assert!(!is_in(&ann).await);
}

#[tokio::test]
async fn a_link_sets_a_password_once_and_in_time() {
    let (world, clock) = turned().await;
    let token = invite(&world, "ann", "admin").await;
    for bad in ["short", "aaaaaaaaaaaaaaaa"] {
        let refused = set_up(&world, &token, bad).await;
        assert_eq!(told(&refused), (422, "invalid_value"), "{bad}");
    }
    assert_eq!(set_up(&world, &token, PASSWORD).await.status, 200);
    let twice = set_up(&world, &token, "another long password").await;
    assert_eq!(told(&twice), (404, "link_not_good"));
    let ann = Browser::of(&sign_in(&world, "ann", PASSWORD).await);

    let link = ann.ask(&world, "POST", "/api/accounts/ann/link", "").await;
    let late = link.body["token"].as_str().unwrap().to_owned();
    clock.pass(LINK_MS);
    let late = set_up(&world, &late, "another long password").await;
    assert_eq!(told(&late), (404, "link_not_good"));
    let ann = Browser::of(&sign_in(&world, "ann", PASSWORD).await);
    let link = world.send("POST", "/api/accounts/ann/link", "").await;
    let token = link.body["token"].as_str().unwrap();
    assert_eq!(
        set_up(&world, token, "another long password").await.status,
        200
    );
    let who = ann.ask(&world, "GET", "/api/session", "").await;
    assert_eq!(told(&who), (401, "unauthorized"), "all sessions end");

    // One admin stays, and what was done is on record without what is secret.
    let ann = Browser::of(&sign_in(&world, "ann", "another long password").await);
    let role = json!({ "role": "viewer" }).to_string();
    for (method, body) in [("PATCH", role.as_str()), ("DELETE", "")] {
        let refused = ann.ask(&world, method, "/api/accounts/ann", body).await;
        assert_eq!(told(&refused), (409, "not_in_state"), "{method}");
    }
    let audit = world.store.audit(1_000, 0).await.unwrap();
    let text = format!("{audit:?}");
    for act in [
        "account.add",
        "account.link",
        "account.set_up",
        "session.begin",
    ] {
        assert!(text.contains(act), "{act}");
    }
    let cookie = ann.cookie.split_once('=').unwrap().1;
    for secret in [PASSWORD, token, cookie, ann.csrf.as_str(), "argon2id"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[tokio::test]
async fn the_first_link_is_there_until_somebody_can_sign_in() {
    let (world, _) = turned().await;
    let actor = Actor {
        account: "system".to_owned(),
        token: None,
        request: None,
    };
    let first = world.engine.first_link(&actor).await.unwrap().unwrap();
    assert_eq!(first.account.name.as_str(), "admin");
    let second = world.engine.first_link(&actor).await.unwrap().unwrap();
    let secret = |link: &GivenLink| link.secret.expose_secret().to_owned();
    let (first, second) = (secret(&first), secret(&second));
    assert_eq!(
        told(&set_up(&world, &first, PASSWORD).await),
        (404, "link_not_good")
    );
    assert_eq!(set_up(&world, &second, PASSWORD).await.status, 200);
    assert!(world.engine.first_link(&actor).await.unwrap().is_none());
}
