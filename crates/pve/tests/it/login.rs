//! Calls of a user who logs in, against a real TLS server that keeps tickets as PVE does.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use proximity_domain::ids::Vmid;
use proximity_pve::client::ReadClient;
use proximity_pve::error::Error;
use proximity_pve::transport::https::{ConfigError, HttpsTransport, Login, Trust};
use proximity_pve::transport::{Method, RawResponse, Request, Transport, TransportError};
use proximity_pve::{Client, transport::https::EndpointConfig};

use crate::https::{good, nobody, request, transport};
use crate::tls_server::{Reply, Script, TlsServer, answer};
use crate::world::{SetClock, host, node, warrant};

const PASSWORD: &str = "p&ss; wörd";
/// As it is in a form.
const ENCODED: &str = "p%26ss%3B%20w%C3%B6rd";
const LOGIN: &str = "POST /api2/json/access/ticket HTTP/1.1\r\n";

fn login() -> Login {
    Login {
        user: "ops@pve".to_owned(),
        password: PASSWORD.into(),
        totp_code: None,
    }
}

/// Logs in by `login`, and everything else by `call`, which gets the number of the ticket it came with.
async fn server(
    login: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static,
    call: impl Fn(u32, &str) -> Vec<u8> + Send + Sync + 'static,
) -> TlsServer {
    let tickets = AtomicU32::new(0);
    TlsServer::start(Script::Converse(Reply::new(move |request| {
        if request.starts_with(LOGIN) {
            return login(request).unwrap_or_else(|| {
                let n = tickets.fetch_add(1, Ordering::SeqCst) + 1;
                let body = format!(
                    r#"{{"data":{{"username":"ops@pve","ticket":"PVE:ops@pve:6B00::t+/{n}=","CSRFPreventionToken":"6B00:c+/{n}"}}}}"#
                );
                answer("200 OK", &body)
            });
        }
        let number = request
            .split("\r\ncookie: PVEAuthCookie=PVE%3Aops%40pve%3A6B00%3A%3At%2B%2F")
            .nth(1)
            .and_then(|rest| rest.split("%3D").next()?.parse().ok());
        call(number.unwrap_or(0), request)
    })))
    .await
}

fn accepting() -> impl Fn(&str) -> Option<Vec<u8>> {
    |_| None
}

fn refused() -> Vec<u8> {
    answer("401 Authentication failed!", "")
}

fn logged_in(server: &TlsServer) -> HttpsTransport {
    HttpsTransport::new(vec![server.pinned()], login()).unwrap()
}

fn counts(server: &TlsServer) -> (usize, usize) {
    let seen = server.seen.requests();
    let logins = seen.iter().filter(|r| r.starts_with(LOGIN)).count();
    (logins, seen.len() - logins)
}

async fn send(transport: &HttpsTransport, method: Method) -> Result<RawResponse, TransportError> {
    transport.send(request(method, &[("vmid", "100")])).await
}

#[tokio::test]
async fn the_first_call_logs_in_and_each_carries_what_pve_wants() {
    let server = server(accepting(), |_, _| good()).await;
    let transport = logged_in(&server);
    for method in [Method::Get, Method::Post, Method::Put, Method::Delete] {
        send(&transport, method).await.unwrap();
    }
    assert_eq!(counts(&server), (1, 4));
    let seen = server.seen.requests();
    assert!(
        seen[0].ends_with(&format!("\r\n\r\nusername=ops%40pve&password={ENCODED}")),
        "{}",
        seen[0]
    );
    assert!(!seen[0].to_lowercase().contains("cookie"), "{}", seen[0]);
    for call in &seen[1..] {
        let cookie = "\r\ncookie: PVEAuthCookie=PVE%3Aops%40pve%3A6B00%3A%3At%2B%2F1%3D\r\n";
        assert!(call.contains(cookie), "{call}");
        assert!(!call.to_lowercase().contains("authorization"), "{call}");
        let guarded = call.contains("\r\ncsrfpreventiontoken: 6B00:c+/1\r\n");
        assert_eq!(guarded, !call.starts_with("GET "), "{call}");
    }
}

#[tokio::test]
async fn a_refused_ticket_is_followed_by_one_new_login_and_the_same_call() {
    for method in [Method::Get, Method::Post, Method::Delete] {
        let server = server(accepting(), |ticket, _| match ticket {
            1 => refused(),
            _ => good(),
        })
        .await;
        let transport = logged_in(&server);
        assert_eq!(send(&transport, method).await.unwrap().status, 200);
        assert_eq!(counts(&server), (2, 2), "{method}");
        let seen = server.seen.requests();
        let body = |request: &str| request.split("\r\n\r\n").nth(1).map(str::to_owned);
        assert_eq!(body(&seen[1]), body(&seen[3]));
        // The new ticket is kept.
        send(&transport, method).await.unwrap();
        assert_eq!(counts(&server), (2, 3), "{method}");
    }
}

#[tokio::test]
async fn a_call_is_repeated_once_and_its_second_refusal_is_the_answer() {
    let server = server(accepting(), |_, _| refused()).await;
    let transport = logged_in(&server);
    assert_eq!(send(&transport, Method::Post).await.unwrap().status, 401);
    assert_eq!(counts(&server), (2, 2));
}

#[tokio::test]
async fn a_change_that_pve_looked_at_is_not_repeated() {
    // What a method itself answers has a body.
    let said_by_a_method = answer(
        "401 authentication failure",
        r#"{"data":null,"message":"x"}"#,
    );
    let cut = b"HTTP/1.1 401 Authentication failed!\r\nContent-Length: 5\r\n\r\n".to_vec();
    for (said, expected) in [(said_by_a_method, true), (cut, false)] {
        let server = server(accepting(), move |_, _| said.clone()).await;
        let transport = logged_in(&server);
        let hasty = Request {
            timeout_ms: 1_000,
            ..request(Method::Post, &[])
        };
        let outcome = transport.send(hasty).await;
        match outcome {
            Ok(answer) => assert!(expected && answer.status == 401),
            Err(error) => assert!(
                !expected && matches!(error, TransportError::MaybeApplied(_)),
                "{error:?}"
            ),
        }
        assert_eq!(counts(&server), (1, 1));
    }
}

#[tokio::test]
async fn a_change_whose_second_login_fails_did_not_happen() {
    let logins = AtomicU32::new(0);
    let once = move |_: &str| {
        let first = logins.fetch_add(1, Ordering::SeqCst) == 0;
        (!first).then(|| answer("595 Connection refused", ""))
    };
    let server = server(once, |_, _| refused()).await;
    let error = send(&logged_in(&server), Method::Post).await.unwrap_err();
    assert!(matches!(error, TransportError::NotSent(_)), "{error:?}");
    assert_eq!(counts(&server), (2, 1));
}

#[tokio::test]
async fn a_token_that_is_refused_is_not_tried_again() {
    let server = TlsServer::start(Script::Answer(refused())).await;
    let by_token = transport([server.pinned()]);
    assert_eq!(send(&by_token, Method::Get).await.unwrap().status, 401);
    assert_eq!(server.seen.requests().len(), 1);
}

#[tokio::test]
async fn calls_at_once_log_in_once_and_each_endpoint_takes_the_ticket() {
    let first = server(accepting(), |_, _| good()).await;
    let transport = HttpsTransport::new(vec![nobody().await, first.pinned()], login()).unwrap();
    let calls = (0..40).map(|_| send(&transport, Method::Get));
    for outcome in futures::future::join_all(calls).await {
        assert_eq!(outcome.unwrap().status, 200);
    }
    assert_eq!(counts(&first), (1, 40));
    let read = request(Method::Get, &[]);
    assert_eq!(transport.read_from(1, read).await.unwrap().status, 200);
    assert_eq!(counts(&first), (1, 41));
}

/// A directory may take its time, each wrong password counts, and a code is good once: a login is shown to one endpoint.
#[tokio::test]
async fn a_login_that_is_not_answered_is_not_shown_to_another_endpoint() {
    let silent = TlsServer::start(Script::RingAndStall(Arc::default())).await;
    let second = server(accepting(), |_, _| good()).await;
    let ways = vec![silent.pinned(), second.pinned()];
    let transport = HttpsTransport::new(ways, login()).unwrap();
    let hasty = Request {
        path: "/version".to_owned(),
        timeout_ms: 800,
        ..request(Method::Get, &[])
    };
    transport.send(hasty.clone()).await.unwrap_err();
    assert_eq!((silent.seen.requests().len(), counts(&second)), (1, (0, 0)));
    // It was silent for its share: the next login goes elsewhere first.
    assert_eq!(transport.send(hasty).await.unwrap().status, 200);
    assert_eq!((silent.seen.requests().len(), counts(&second)), (1, (1, 1)));
}

#[tokio::test]
async fn a_wrong_password_is_an_error_of_its_own_and_not_shown_again_at_once() {
    let no = |_: &str| {
        let body = r#"{"data":null,"message":"authentication failure\n"}"#;
        Some(answer("401 authentication failure", body))
    };
    let server = server(no, |_, _| good()).await;
    let read = ReadClient::new(Arc::new(logged_in(&server)));
    for _ in 0..3 {
        let error = read.version().await.unwrap_err();
        let Error::Unauthorized { call, reason } = error else {
            panic!("{error:?}")
        };
        assert_eq!(
            (call.as_str(), reason.as_str()),
            ("GET /version", "authentication failure")
        );
    }
    assert_eq!(counts(&server), (1, 0));
}

/// A half ticket of PVE: the challenge is JSON, of which only the colons are escaped.
const HALF: &str = r#"PVE:!tfa!{\"totp\"%3Atrue,\"webauthn\"%3Anull}:6B00::HALFSIG"#;

fn half() -> Vec<u8> {
    let body = format!(
        r#"{{"data":{{"username":"ops@pve","ticket":"{HALF}","CSRFPreventionToken":"c","NeedTFA":1}}}}"#
    );
    answer("200 OK", &body)
}

#[tokio::test]
async fn a_missing_second_factor_is_an_error_that_names_it() {
    let server = server(|_| Some(half()), |_, _| good()).await;
    let client = Client::new(
        Arc::new(logged_in(&server)),
        Arc::new(SetClock::default()),
        host(),
        warrant(),
    );
    let start = client
        .start(&node("pve1"), Vmid::try_from(100).unwrap())
        .await;
    let error = start.unwrap_err();
    assert!(error.is_not_sent(), "{error:?}");
    let Error::SecondFactor { accepts, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(accepts, &["totp"]);
    let text = error.to_string();
    assert!(text.ends_with("needs a second factor: totp"), "{text}");
    assert_eq!(counts(&server), (1, 0));
}

#[tokio::test]
async fn a_code_completes_the_login() {
    let step = |request: &str| {
        let first = request.ends_with(&format!("password={ENCODED}"));
        first.then(half)
    };
    let server = server(step, |_, _| good()).await;
    let with_code = Login {
        totp_code: Some("123456".into()),
        ..login()
    };
    let transport = HttpsTransport::new(vec![server.pinned()], with_code).unwrap();
    send(&transport, Method::Get).await.unwrap();
    assert_eq!(counts(&server), (2, 1));
    let second = server.seen.requests().remove(1);
    let (_, body) = second.split_once("\r\n\r\n").unwrap();
    let challenge =
        "PVE%3A%21tfa%21%7B%22totp%22%253Atrue%2C%22webauthn%22%253Anull%7D%3A6B00%3A%3AHALFSIG";
    assert_eq!(
        body,
        format!("username=ops%40pve&password=totp%3A123456&tfa-challenge={challenge}")
    );
}

#[test]
fn logins_that_cannot_work_are_refused() {
    let endpoint = || EndpointConfig {
        url: "https://pve1".to_owned(),
        trust: Trust::Fingerprint("00".repeat(32).parse().unwrap()),
    };
    let long = format!("{}@pve", "a".repeat(61));
    for (user, password, code) in [
        ("root", "p", None),
        ("@pam", "p", None),
        ("root@", "p", None),
        ("ro ot@pam", "p", None),
        (long.as_str(), "p", None),
        ("root@pam", "", None),
        ("root@pam", "p", Some("")),
        ("root@pam", "p", Some("12 456")),
    ] {
        let bad = Login {
            user: user.to_owned(),
            password: password.into(),
            totp_code: code.map(Into::into),
        };
        assert_eq!(
            HttpsTransport::new(vec![endpoint()], bad).err(),
            Some(ConfigError::BadLogin),
            "{user} {code:?}"
        );
    }
}

/// Writes down every field of every event.
#[derive(Default)]
struct Log(Mutex<String>);

impl tracing::field::Visit for &Log {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        let mut text = self.0.lock().unwrap();
        text.push_str(&format!("{field}={value:?} "));
    }
}

struct Logging(Arc<Log>);

impl tracing::Subscriber for Logging {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        attributes.record(&mut &*self.0);
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut &*self.0);
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut &*self.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn neither_logs_nor_errors_hold_a_secret() {
    let log = Arc::new(Log::default());
    let _logging = tracing::subscriber::set_default(Logging(log.clone()));
    let mut shown = format!("{:?}", login());
    let half = |request: &str| (!request.contains("totp%3A")).then(half);
    let refusing = server(half, |_, _| refused()).await;
    let with_code = Login {
        totp_code: Some("424242".into()),
        ..login()
    };
    for credentials in [login(), with_code] {
        let transport = HttpsTransport::new(vec![refusing.pinned()], credentials).unwrap();
        shown.push_str(&format!("{transport:?}"));
        let client = Client::new(
            Arc::new(transport),
            Arc::new(SetClock::default()),
            host(),
            warrant(),
        );
        let vmid = Vmid::try_from(100).unwrap();
        let error = client.start(&node("pve1"), vmid).await.unwrap_err();
        shown.push_str(&format!("{error} {error:?}"));
    }
    shown.push_str(&log.0.lock().unwrap());
    assert!(shown.contains("logged in"), "{shown}");
    for secret in [PASSWORD, ENCODED, "424242", "HALFSIG", "6B00"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
