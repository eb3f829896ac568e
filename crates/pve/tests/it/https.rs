//! The HTTPS transport against a real TLS server.

use std::time::Duration;

use proximity_domain::token_purpose::TokenPurpose;
use tokio::time::Instant;

use proximity_pve::transport::https::{
    ApiToken, ConfigError, EndpointConfig, HttpsTransport, Trust, fetch_fingerprint,
};
use proximity_pve::transport::tokens::Tokens;
use proximity_pve::transport::{Method, RawResponse, Request, Transport, TransportError};

use crate::tls_server::{Identity, Script, TlsServer, answer};

const SECRET: &str = "00000000-1111-2222-3333-444444444444";

fn token() -> ApiToken {
    ApiToken {
        id: "root@pam!test".to_owned(),
        secret: SECRET.into(),
    }
}

pub(crate) fn transport(endpoints: impl IntoIterator<Item = EndpointConfig>) -> HttpsTransport {
    HttpsTransport::new(endpoints.into_iter().collect(), token()).unwrap()
}

/// A request of this method that the table of calls knows.
pub(crate) fn request(method: Method, params: &[(&str, &str)]) -> Request {
    let path = match method {
        Method::Get | Method::Post => "/nodes/pve1/lxc",
        Method::Put => "/nodes/pve1/lxc/100/config",
        Method::Delete => "/nodes/pve1/lxc/100",
    };
    Request {
        method,
        path: path.to_owned(),
        params: params
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
        timeout_ms: 10_000,
        answer_ms: None,
        send_before: None,
        reference: None,
        of_adopted: false,
    }
}

pub(crate) fn good() -> Vec<u8> {
    answer("200 OK", r#"{"data":null}"#)
}

async fn send(server: &TlsServer, request: Request) -> Result<RawResponse, TransportError> {
    transport([server.pinned()]).send(request).await
}

/// An endpoint where nobody listens: a port that was free a moment ago.
pub(crate) async fn nobody() -> EndpointConfig {
    let gone = TlsServer::start(Script::RefuseTls).await;
    let pinned = gone.pinned();
    drop(gone);
    tokio::task::yield_now().await;
    pinned
}

#[tokio::test]
async fn changes_carry_their_parameters_in_the_body() {
    let server = TlsServer::start(Script::Answer(good())).await;
    let sent = request(Method::Post, &[("tags", "a;b"), ("description", "ü\n=&")]);
    let got = send(&server, sent).await.unwrap();
    assert_eq!(
        (got.status, got.reason.as_str(), got.body.as_ref()),
        (200, "OK", &br#"{"data":null}"#[..])
    );
    let seen = server.seen.requests().remove(0);
    assert!(
        seen.starts_with("POST /api2/json/nodes/pve1/lxc HTTP/1.1\r\n"),
        "{seen}"
    );
    assert!(
        seen.ends_with("\r\n\r\ntags=a%3Bb&description=%C3%BC%0A%3D%26"),
        "{seen}"
    );
    let head = seen.to_lowercase();
    assert!(
        head.contains("content-type: application/x-www-form-urlencoded\r\n"),
        "{head}"
    );
    assert!(
        head.contains(&format!("host: {}\r\n", server.address)),
        "{head}"
    );
    assert!(
        head.contains(&format!(
            "authorization: pveapitoken=root@pam!test={SECRET}\r\n"
        )),
        "{head}"
    );
}

#[tokio::test]
async fn a_change_without_parameters_says_that_its_body_is_empty() {
    let server = TlsServer::start(Script::Answer(good())).await;
    send(&server, request(Method::Post, &[])).await.unwrap();
    assert!(
        server.seen.requests()[0]
            .to_lowercase()
            .contains("content-length: 0\r\n")
    );
}

#[tokio::test]
async fn parameters_of_delete_and_get_are_in_the_query_and_there_is_no_body() {
    for method in [Method::Delete, Method::Get] {
        let server = TlsServer::start(Script::Answer(good())).await;
        let sent = request(method, &[("a", "1;2"), ("b", "x y")]);
        let path = sent.path.clone();
        send(&server, sent).await.unwrap();
        let seen = server.seen.requests().remove(0);
        assert!(
            seen.starts_with(&format!(
                "{method} /api2/json{path}?a=1%3B2&b=x%20y HTTP/1.1\r\n"
            )),
            "{seen}"
        );
        assert!(!seen.to_lowercase().contains("content-length"), "{seen}");
    }
}

#[tokio::test]
async fn each_request_carries_the_token_of_its_purpose_and_an_unlisted_one_is_not_sent() {
    let server = TlsServer::start(Script::Answer(good())).await;
    let observe = ApiToken {
        id: "proximity@pve!observe".to_owned(),
        secret: "look-only".into(),
    };
    let tokens = Tokens::one(token()).with(TokenPurpose::Observe, observe);
    let transport = HttpsTransport::new(vec![server.pinned()], tokens).unwrap();
    for method in [Method::Get, Method::Post] {
        transport.send(request(method, &[])).await.unwrap();
    }
    let unlisted = Request {
        path: "/nodes/pve1/execute".to_owned(),
        ..request(Method::Post, &[])
    };
    let error = transport.send(unlisted).await.unwrap_err();
    assert!(matches!(error, TransportError::NotSent(_)), "{error:?}");
    let seen = server.seen.requests();
    assert_eq!(seen.len(), 2);
    let carries = |request: &str, id: &str| request.contains(&format!("PVEAPIToken={id}="));
    assert!(carries(&seen[0], "proximity@pve!observe"), "{}", seen[0]);
    assert!(carries(&seen[1], &token().id), "{}", seen[1]);
}

#[tokio::test]
async fn codes_beyond_599_and_their_reasons_arrive() {
    for (line, status, reason) in [
        ("595 Connection refused", 595, "Connection refused"),
        ("596 Connection timed out", 596, "Connection timed out"),
        ("999 Odd", 999, "Odd"),
        ("500 CT 140 already running", 500, "CT 140 already running"),
    ] {
        let server = TlsServer::start(Script::Answer(answer(line, ""))).await;
        let got = send(&server, request(Method::Get, &[])).await.unwrap();
        assert_eq!(
            (got.status, got.reason.as_str(), got.body.len()),
            (status, reason, 0)
        );
    }
}

#[tokio::test]
async fn another_certificate_than_the_pinned_one_gets_no_byte() {
    let server = TlsServer::start(Script::Answer(good())).await;
    let pinned = Identity::new("127.0.0.1").fingerprint();
    let wrong = EndpointConfig {
        url: server.url(),
        trust: Trust::Fingerprint(pinned),
    };
    let error = transport([wrong])
        .send(request(Method::Post, &[]))
        .await
        .unwrap_err();
    let shown = server.identity.fingerprint();
    let TransportError::Untrusted { why, seen } = error else {
        panic!("{error:?}")
    };
    assert_eq!(seen, Some(shown));
    assert!(
        why.contains(&shown.to_string()) && why.contains(&pinned.to_string()),
        "{why}"
    );
    assert_eq!(server.seen.requests().len(), 0);
}

#[tokio::test]
async fn a_stolen_certificate_without_its_key_gets_no_byte() {
    let stolen = Identity::new("127.0.0.1").with_key_of(&Identity::new("127.0.0.1"));
    let server = TlsServer::with_identity(Script::Answer(good()), stolen).await;
    let error = send(&server, request(Method::Get, &[])).await.unwrap_err();
    assert!(
        matches!(error, TransportError::Untrusted { .. }),
        "{error:?}"
    );
    assert_eq!(server.seen.requests().len(), 0);
    assert!(
        fetch_fingerprint(&server.url()).await.is_err(),
        "its fingerprint is not even shown"
    );
}

#[tokio::test]
async fn an_authority_vouches_for_its_names_only() {
    let server = TlsServer::start(Script::Answer(good())).await;
    let by_ca = |url: String, pem: &str| EndpointConfig {
        url,
        trust: Trust::CaPem(pem.to_owned()),
    };
    let own = by_ca(server.url(), &server.identity.ca_pem);
    transport([own])
        .send(request(Method::Get, &[]))
        .await
        .unwrap();

    let other_ca = by_ca(server.url(), &Identity::new("127.0.0.1").ca_pem);
    let other_name = by_ca(
        format!("https://localhost:{}", server.address.port()),
        &server.identity.ca_pem,
    );
    let system = EndpointConfig {
        url: server.url(),
        trust: Trust::System,
    };
    for untrusted in [other_ca, other_name, system] {
        // A machine without any authorities of its own refuses the third even earlier.
        let Ok(transport) = HttpsTransport::new(vec![untrusted.clone()], token()) else {
            continue;
        };
        let error = transport.send(request(Method::Get, &[])).await.unwrap_err();
        assert!(
            matches!(error, TransportError::Untrusted { .. }),
            "{untrusted:?}: {error:?}"
        );
    }
    assert_eq!(server.seen.requests().len(), 1);
}

#[tokio::test]
async fn a_fingerprint_can_be_looked_at_without_sending_anything() {
    let server = TlsServer::start(Script::Answer(good())).await;
    assert_eq!(
        fetch_fingerprint(&server.url()).await,
        Ok(server.identity.fingerprint())
    );
    assert_eq!(server.seen.requests().len(), 0);
    let error = fetch_fingerprint("http://127.0.0.1").await.unwrap_err();
    assert!(matches!(error, TransportError::NotSent(_)), "{error:?}");
}

#[tokio::test]
async fn what_breaks_before_the_first_byte_was_not_sent() {
    let not_sent =
        |error: TransportError| assert!(matches!(error, TransportError::NotSent(_)), "{error:?}");
    not_sent(
        transport([nobody().await])
            .send(request(Method::Post, &[]))
            .await
            .unwrap_err(),
    );
    let server = TlsServer::start(Script::RefuseTls).await;
    not_sent(send(&server, request(Method::Post, &[])).await.unwrap_err());
    let server = TlsServer::start(Script::Mute).await;
    let hasty = Request {
        timeout_ms: 200,
        ..request(Method::Post, &[])
    };
    not_sent(send(&server, hasty).await.unwrap_err());
}

#[tokio::test]
async fn what_breaks_after_the_first_byte_may_have_been_applied() {
    let head_only = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"da".to_vec();
    for script in [
        Script::ReadAndHangUp,
        Script::AnswerAndStall(Vec::new()),
        Script::AnswerAndStall(head_only.clone()),
        Script::AnswerOnce(head_only),
        Script::AnswerOnce(b"nonsense\r\n\r\n".to_vec()),
    ] {
        let server = TlsServer::start(script.clone()).await;
        let hasty = Request {
            timeout_ms: 500,
            ..request(Method::Post, &[("vmid", "100")])
        };
        let error = send(&server, hasty).await.unwrap_err();
        assert!(
            matches!(error, TransportError::MaybeApplied(_)),
            "{script:?}: {error:?}"
        );
        assert_eq!(server.seen.requests().len(), 1, "{script:?}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_at_once_leaves_no_certainty_it_does_not_have() {
    let server = TlsServer::start(Script::HangUpAtOnce).await;
    let outcome = send(&server, request(Method::Post, &[])).await;
    // Whether the request was written before the server's goodbye arrived is a race; both verdicts are true ones.
    assert!(
        matches!(
            outcome,
            Err(TransportError::NotSent(_) | TransportError::MaybeApplied(_))
        ),
        "{outcome:?}"
    );
    assert_eq!(server.seen.requests().len(), 0);
}

#[tokio::test]
async fn reads_share_a_connection_and_changes_have_their_own() {
    let server = TlsServer::start(Script::Answer(good())).await;
    let transport = transport([server.pinned()]);
    for _ in 0..3 {
        transport.send(request(Method::Get, &[])).await.unwrap();
    }
    assert_eq!(server.seen.connections(), 1);
    transport.send(request(Method::Post, &[])).await.unwrap();
    assert_eq!(server.seen.connections(), 2);
}

/// An answer that says this on the connection.
fn saying(said: &str) -> Script {
    let body = r#"{"data":null}"#;
    let length = body.len();
    let answer = format!("HTTP/1.1 200 OK\r\n{said}Content-Length: {length}\r\n\r\n{body}");
    Script::Answer(answer.into_bytes())
}

/// What PVE's proxy hands to its daemon, at the node that is asked and at another one.
#[tokio::test]
async fn a_connection_that_the_proxy_keeps_open_is_used_again_whatever_its_daemon_says() {
    for said in [
        "Connection: close\r\nConnection: Keep-Alive\r\n",
        "Connection: close,Keep-Alive\r\nConnection: Keep-Alive\r\n",
    ] {
        let server = TlsServer::start(saying(said)).await;
        let transport = transport([server.pinned()]);
        for _ in 0..3 {
            let got = transport.send(request(Method::Get, &[])).await.unwrap();
            assert_eq!(got.body.as_ref(), br#"{"data":null}"#);
        }
        assert_eq!(server.seen.connections(), 1, "{said}");
        assert_eq!(server.seen.requests().len(), 3, "{said}");
    }
    let server = TlsServer::start(saying("Connection: close\r\n")).await;
    let transport = transport([server.pinned()]);
    for _ in 0..3 {
        transport.send(request(Method::Get, &[])).await.unwrap();
    }
    assert_eq!(server.seen.connections(), 3);
}

#[tokio::test]
async fn what_is_kept_for_the_next_read_is_hung_up_when_none_is_to_come() {
    let server = TlsServer::start(Script::Answer(good())).await;
    let transport = transport([server.pinned()]);
    transport.send(request(Method::Get, &[])).await.unwrap();
    transport.rest();
    transport.send(request(Method::Get, &[])).await.unwrap();
    assert_eq!(server.seen.connections(), 2);
}

#[tokio::test]
async fn what_answers_soon_over_a_connection_that_was_there_is_near_once_nothing_is_to_come() {
    let server = TlsServer::start(Script::Answer(good())).await;
    let transport = transport([server.pinned()]);
    let ask = async || transport.send(request(Method::Get, &[])).await.unwrap();
    ask().await;
    transport.rest();
    assert!(!transport.is_near(), "its first answer needed a connection");
    // One of so many comes soon, also where the machine has other things to do.
    for _ in 0..50 {
        ask().await;
    }
    assert!(!transport.is_near(), "it is not judged in between");
    transport.rest();
    assert!(transport.is_near());
}

#[tokio::test]
async fn a_connection_is_not_kept_for_as_long_as_pve_keeps_it() {
    let server = TlsServer::start(Script::Answer(good())).await;
    let transport = transport([server.pinned()]);
    transport.send(request(Method::Get, &[])).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(4_100)).await;
    tokio::time::resume();
    transport.send(request(Method::Get, &[])).await.unwrap();
    assert_eq!(server.seen.connections(), 2);
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_does_no_harm() {
    let server = TlsServer::start(Script::AnswerOnce(good())).await;
    let transport = transport([server.pinned()]);
    for _ in 0..5 {
        transport.send(request(Method::Get, &[])).await.unwrap();
    }
    assert_eq!(server.seen.connections(), 5);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = TlsServer::start(Script::Answer(good())).await;
    let moved = format!(
        "HTTP/1.1 301 Moved Permanently\r\nLocation: {}/\r\nContent-Length: 0\r\n\r\n",
        elsewhere.url()
    );
    let server = TlsServer::start(Script::Answer(moved.into_bytes())).await;
    assert_eq!(
        send(&server, request(Method::Get, &[]))
            .await
            .unwrap()
            .status,
        301
    );
    assert_eq!(elsewhere.seen.connections(), 0);
}

#[tokio::test]
async fn an_endless_answer_is_given_up() {
    let server = TlsServer::start(Script::Flood(40 * 1024 * 1024)).await;
    let error = send(&server, request(Method::Get, &[])).await.unwrap_err();
    assert!(error.to_string().contains("broke off"), "{error}");
    assert_eq!(server.seen.connections(), 1);
}

#[tokio::test]
async fn no_byte_is_sent_after_the_time_set_for_it() {
    let server = TlsServer::start(Script::Answer(good())).await;
    let late = Request {
        send_before: Some(Instant::now()),
        ..request(Method::Delete, &[])
    };
    let error = send(&server, late).await.unwrap_err();
    assert!(matches!(error, TransportError::NotSent(_)), "{error:?}");

    let slow = TlsServer::start(Script::Mute).await;
    let soon = Request {
        send_before: Some(Instant::now() + Duration::from_millis(150)),
        ..request(Method::Delete, &[])
    };
    let error = send(&slow, soon).await.unwrap_err();
    assert!(matches!(error, TransportError::NotSent(_)), "{error:?}");
    assert_eq!(
        (server.seen.requests().len(), slow.seen.requests().len()),
        (0, 0)
    );

    let soon = Request {
        send_before: Some(Instant::now() + Duration::from_secs(5)),
        ..request(Method::Delete, &[])
    };
    send(&server, soon).await.unwrap();
    assert_eq!(server.seen.requests().len(), 1);
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    let endpoint = |url: &str, trust| EndpointConfig {
        url: url.to_owned(),
        trust,
    };
    let pin = Trust::Fingerprint("00".repeat(32).parse().unwrap());
    let make = |endpoints, token| HttpsTransport::new(endpoints, token).err();
    assert_eq!(make(vec![], token()), Some(ConfigError::NoEndpoint));
    let plain = make(vec![endpoint("http://pve1:8006", pin.clone())], token());
    assert!(
        matches!(plain, Some(ConfigError::BadUrl { .. })),
        "{plain:?}"
    );
    let no_ca = make(
        vec![endpoint("https://pve1", Trust::CaPem("nothing".to_owned()))],
        token(),
    );
    assert!(matches!(no_ca, Some(ConfigError::BadTrust(_))), "{no_ca:?}");
    for (id, secret) in [
        ("root@pam", "s"),
        ("root@pam!t", ""),
        ("root@pam!t", "a\r\nX: y"),
        ("!t", "s"),
    ] {
        let bad = ApiToken {
            id: id.to_owned(),
            secret: secret.into(),
        };
        assert_eq!(
            make(vec![endpoint("https://pve1", pin.clone())], bad),
            Some(ConfigError::BadToken),
            "{id}"
        );
    }
}

#[test]
fn the_secret_is_never_shown() {
    let pin = Trust::Fingerprint("00".repeat(32).parse().unwrap());
    let transport = transport([EndpointConfig {
        url: "https://pve1".to_owned(),
        trust: pin,
    }]);
    for shown in [format!("{transport:?}"), format!("{:?}", token())] {
        assert!(!shown.contains(SECRET), "{shown}");
    }
}
