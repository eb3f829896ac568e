//! What goes over the wire to each kind of receiver.

use std::process::{Command, Stdio};

use proximity_domain::event::EventKind;
use proximity_domain::ids::{AppId, InstallationId};
use proximity_domain::notify::{Message, Notice, Severity};
use proximity_domain::time::Timestamp;
use proximity_engine::notify::{
    Delivery, Discord, Gotify, Notifier, Ntfy, Place, PlaceError, SendError, Sentry, Slack,
    Telegram, Webhook, signature,
};
use secrecy::SecretString;
use uuid::Uuid;

use super::endpoint::{Came, Endpoint, response};

/// With everything in it that could be read as markup, a header, a line or a mention.
pub fn evil() -> Message {
    let notice = Notice {
        seq: 12,
        at: Timestamp(0),
        moment: "2026-11-28 01:20:00Z".to_owned(),
        kind: EventKind::OperationGotStuck,
        severity: Severity::Critical,
        app: Some(AppId(Uuid::from_u128(7))),
        subject: Some("web\r\nBcc: x@y.example <!channel> @everyone".to_owned()),
        operation: None,
        reason: Some("<b>[x](https://evil.example)</b> **bold**\r\n.\r\nQUIT".to_owned()),
        facts: Vec::new(),
    };
    Message::one(notice, 0)
}

pub fn delivery() -> Delivery {
    Delivery {
        id: Uuid::from_u128(0x1234),
        at: Timestamp(1_764_000_000_500),
    }
}

fn installation() -> InstallationId {
    InstallationId(Uuid::from_u128(1))
}

fn place(endpoint: &Endpoint, path: &str) -> Place {
    ready();
    let url = format!("http://{}{path}", endpoint.address).into();
    Place::new(&url, None, false).unwrap()
}

fn ready() {
    // Another test of this process may have been first.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

async fn one(make: impl FnOnce(&Endpoint) -> Box<dyn Notifier>) -> Came {
    let endpoint = Endpoint::start(vec![response("200 OK", "", "{\"id\":\"a1\"}")]).await;
    let notifier = make(&endpoint);
    let answer = notifier.send(&evil(), &delivery()).await;
    assert_eq!(answer.unwrap(), "HTTP 200 OK: {\"id\":\"a1\"}");
    endpoint.came().await.remove(0)
}

#[tokio::test]
async fn sentry_is_sent_an_envelope_with_one_event() {
    let came = one(|endpoint| {
        ready();
        let dsn = format!("http://thekey@{}/sub/42", endpoint.address).into();
        let environment = "production".to_owned();
        let sentry = Sentry::new(&dsn, None, false, installation(), environment);
        Box::new(sentry.unwrap())
    });
    let came = came.await;
    assert_eq!(came.line, "POST /sub/api/42/envelope/ HTTP/1.1");
    assert_eq!(
        came.headers["content-type"],
        "application/x-sentry-envelope"
    );
    let auth = &came.headers["x-sentry-auth"];
    assert!(auth.starts_with("Sentry sentry_version=7, ") && auth.ends_with("sentry_key=thekey"));
    assert!(
        !came.headers.contains_key("authorization"),
        "the key goes in its own header"
    );
    // Decoded as Sentry's relay does: a line, then items of a line and so many bytes.
    let text = String::from_utf8(came.body).unwrap();
    let (head, rest) = text.split_once('\n').unwrap();
    let head: serde_json::Value = serde_json::from_str(head).unwrap();
    let (item, rest) = rest.split_once('\n').unwrap();
    let item: serde_json::Value = serde_json::from_str(item).unwrap();
    assert_eq!(item["type"], "event");
    let length = usize::try_from(item["length"].as_u64().unwrap()).unwrap();
    let (event, end) = rest.split_at(length);
    assert_eq!(end, "\n");
    let event: serde_json::Value = serde_json::from_str(event).unwrap();
    assert_eq!(head["event_id"], event["event_id"]);
    assert_eq!(event["event_id"], "00000000000000000000000000001234");
    assert_eq!(event["level"], "error");
    assert_eq!(event["tags"]["kind"], "OperationGotStuck");
    assert_eq!(event["timestamp"], 1_764_000_000);
    let said = event["message"]["formatted"].as_str().unwrap();
    assert!(said.contains("operation is stuck"), "{said}");
}

#[tokio::test]
async fn a_webhook_is_signed_as_others_reckon_it() {
    let secret = SecretString::from("s3cret of the webhook".to_owned());
    let came = one(|endpoint| {
        Box::new(Webhook {
            place: place(endpoint, "/hook?x=1"),
            secret: secret.clone(),
            installation: installation(),
        })
    });
    let came = came.await;
    assert_eq!(came.line, "POST /hook?x=1 HTTP/1.1");
    let timestamp = &came.headers["proximity-timestamp"];
    assert_eq!(timestamp, "1764000000");
    assert_eq!(
        came.headers["proximity-delivery"],
        delivery().id.to_string()
    );
    let ours = came.headers["proximity-signature"]
        .strip_prefix("v1=")
        .unwrap();
    assert_eq!(
        ours,
        reckoned_by_python("s3cret of the webhook", timestamp, &came.body)
    );
    let other = signature(&secret, "1764000001", &came.body);
    assert_ne!(ours, other, "the moment is signed too");
    let body = came.json();
    assert_eq!(body["severity"], "critical");
    assert_eq!(body["notices"][0]["kind"], "OperationGotStuck");
    assert_eq!(body["delivery"], delivery().id.to_string());
}

/// As docs/reference/notices.md tells receivers to do.
fn reckoned_by_python(secret: &str, timestamp: &str, body: &[u8]) -> String {
    use std::io::Write;
    let script = "import hashlib, hmac, sys\n\
        body = sys.stdin.buffer.read()\n\
        message = sys.argv[2].encode() + b'.' + body\n\
        print(hmac.new(sys.argv[1].encode(), message, hashlib.sha256).hexdigest())";
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", script, secret, timestamp])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(body).unwrap();
    let done = python.wait_with_output().unwrap();
    assert!(done.status.success());
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn ntfy_and_gotify_are_sent_json_and_their_token_in_a_header() {
    let came = one(|endpoint| {
        Box::new(Ntfy {
            place: place(endpoint, "/"),
            topic: "ops".to_owned(),
            token: Some("tk_1".into()),
        })
    });
    let came = came.await;
    assert_eq!(came.headers["authorization"], "Bearer tk_1");
    let body = came.json();
    assert_eq!(
        (&body["topic"], &body["priority"]),
        (&"ops".into(), &5.into())
    );
    assert!(!body["title"].as_str().unwrap().contains(['\r', '\n']));

    let came = one(|endpoint| {
        Box::new(Gotify {
            place: place(endpoint, "/sub/"),
            token: "A1".into(),
        })
    });
    let came = came.await;
    assert_eq!(came.line, "POST /sub/message HTTP/1.1");
    assert_eq!(came.headers["x-gotify-key"], "A1");
    let body = came.json();
    assert_eq!(body["priority"], 8);
    assert_eq!(
        body["extras"]["client::display"]["contentType"],
        "text/plain"
    );
}

#[tokio::test]
async fn chats_are_sent_nothing_that_they_would_read_as_markup() {
    let came = one(|endpoint| {
        let place = place(endpoint, "/api/webhooks/1/x");
        Box::new(Discord { place })
    });
    let body = came.await.json();
    assert_eq!(body["allowed_mentions"]["parse"], serde_json::json!([]));
    let said = body["embeds"][0]["description"].as_str().unwrap();
    assert!(
        said.contains("\\<b\\>\\[x\\]\\(https\\://evil.example\\)"),
        "{said}"
    );
    assert!(
        body["embeds"][0]["title"]
            .as_str()
            .unwrap()
            .contains("\\@everyone")
    );

    let came = one(|endpoint| {
        let place = place(endpoint, "/services/x");
        Box::new(Slack { place })
    });
    let body = came.await.json();
    assert!(body["text"].as_str().unwrap().contains("&lt;!channel&gt;"));
    for block in body["blocks"].as_array().unwrap() {
        assert_eq!(block["text"]["type"], "plain_text");
    }

    let came = one(|endpoint| {
        Box::new(Telegram {
            place: place(endpoint, "/bot1:x"),
            chat: "-100".to_owned(),
        })
    });
    let came = came.await;
    assert_eq!(came.line, "POST /bot1:x/sendMessage HTTP/1.1");
    let body = came.json();
    assert!(body.get("parse_mode").is_none());
    assert!(body["text"].as_str().unwrap().contains("<b>[x]"));
}

async fn answered(answer: String) -> SendError {
    let endpoint = Endpoint::start(vec![answer]).await;
    let place = place(&endpoint, "/secret-path");
    let refused = Slack { place }
        .send(&evil(), &delivery())
        .await
        .unwrap_err();
    endpoint.came().await;
    let said = format!("{refused} {refused:?}");
    assert!(!said.contains("secret-path"), "{said}");
    refused
}

#[tokio::test]
async fn answers_are_judged_and_no_redirection_is_followed() {
    let moved = response("302 Found", "location: http://127.0.0.1:9/\r\n", "");
    let moved = answered(moved).await;
    assert!(matches!(&moved, SendError::NotTaken { .. }), "{moved:?}");
    assert!(moved.to_string().contains("not followed"), "{moved}");
    let wait = answered(response(
        "429 Too Many Requests",
        "retry-after: 7\r\n",
        "slow",
    ))
    .await;
    let asked = Some(7_000);
    assert!(
        matches!(&wait, SendError::NotTaken { retry_after_ms, .. } if *retry_after_ms == asked),
        "{wait:?}"
    );
    let bad = answered(response("400 Bad Request", "", "no\r\n\u{1b}[2Jsuch block")).await;
    assert!(matches!(bad, SendError::Refused { .. }), "{bad:?}");
    assert!(bad.to_string().ends_with("no   [2Jsuch block"), "{bad}");
    let gone = answered(response("404 Not Found", "", "")).await;
    assert!(matches!(gone, SendError::NotTaken { .. }), "{gone:?}");
    let cut = answered(String::new()).await;
    assert!(matches!(cut, SendError::MaybeTaken { .. }), "{cut:?}");
    let long = answered(response("503 Busy", "", &"x".repeat(1 << 20))).await;
    assert!(long.to_string().len() < 400, "{long}");
}

#[tokio::test]
async fn nobody_there_is_not_taken() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    ready();
    let url = format!("http://{address}/secret-path").into();
    let place = Place::new(&url, None, false).unwrap();
    let refused = Slack { place }
        .send(&evil(), &delivery())
        .await
        .unwrap_err();
    assert!(matches!(refused, SendError::NotTaken { .. }), "{refused:?}");
    assert!(!refused.to_string().contains("secret-path"), "{refused}");
}

#[test]
fn places_that_would_tell_secrets_or_are_none_are_refused() {
    ready();
    let place =
        |url: &str, insecure| Place::new(&SecretString::from(url.to_owned()), None, insecure).err();
    assert_eq!(
        place("http://ntfy.example/x", false),
        Some(PlaceError::Unprotected)
    );
    assert_eq!(place("http://ntfy.example/x", true), None);
    assert_eq!(place("http://[::1]:80/x", false), None);
    assert_eq!(
        place("http://127.0.0.1.example/", false),
        Some(PlaceError::Unprotected)
    );
    assert_eq!(place("https://ntfy.example/x", false), None);
    for none in ["", "ntfy", "file:///etc/passwd", "ftp://x/"] {
        assert_eq!(place(none, true), Some(PlaceError::NoUrl), "{none}");
    }
    let no_authority = Place::new(&"https://x.example".to_owned().into(), Some(b"none"), false);
    assert!(matches!(no_authority, Err(PlaceError::Authorities(_))));
    for none in [
        "https://sentry.example/1",
        "https://key@sentry.example/",
        "https://key@x/a",
    ] {
        let dsn = SecretString::from(none.to_owned());
        let refused = Sentry::new(&dsn, None, false, installation(), String::new());
        assert_eq!(refused.err(), Some(PlaceError::NoUrl), "{none}");
    }
}
