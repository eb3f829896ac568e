//! The listener: TLS, clients that say nothing, and an end that lets requests finish.
#![allow(clippy::unwrap_used)] // helpers of tests may fail the test
#![allow(clippy::disallowed_methods)] // routers of the test, not of the API

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use proximity_server::{Limits, TlsFiles, serve};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    ended: JoinHandle<()>,
}

async fn start(router: Router, tls: Option<TlsAcceptor>, limits: Limits) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    let ended =
        tokio::spawn(async move { serve(listener, router, tls, limits, token).await.unwrap() });
    Running {
        address,
        shutdown,
        ended,
    }
}

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

async fn read_all(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go() {
    let limits = Limits {
        head: Duration::from_millis(50),
        ..Limits::default()
    };
    let running = start(hello(), None, limits).await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    silent.write_all(b"GET / HT").await.unwrap();
    let text = read_all(&mut silent).await;
    assert!(!text.contains("hello"), "{text}");
    running.shutdown.cancel();
    running.ended.await.unwrap();
}

#[tokio::test]
async fn a_request_that_runs_is_answered_before_the_end() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (begun.clone(), go_on.clone());
    let slow = Router::new().route(
        "/",
        get(async move || {
            tell.notify_one();
            wait.notified().await;
            "late"
        }),
    );
    let running = start(slow, None, Limits::default()).await;
    let mut client = TcpStream::connect(running.address).await.unwrap();
    client.write_all(REQUEST).await.unwrap();
    begun.notified().await;
    running.shutdown.cancel();
    // The listener closes at once, while the request goes on.
    while TcpStream::connect(running.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!running.ended.is_finished());
    go_on.notify_one();
    assert!(read_all(&mut client).await.ends_with("late"));
    running.ended.await.unwrap();
}

#[tokio::test]
async fn no_more_connections_than_allowed_are_served_at_once() {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let running = start(hello(), None, limits).await;
    let mut first = TcpStream::connect(running.address).await.unwrap();
    first
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n")
        .await
        .unwrap();
    let mut second = TcpStream::connect(running.address).await.unwrap();
    second.write_all(REQUEST).await.unwrap();
    let mut byte = [0_u8; 1];
    let early = tokio::time::timeout(Duration::from_millis(100), second.read(&mut byte)).await;
    assert!(early.is_err(), "the second was served beside the first");
    drop(first);
    assert!(read_all(&mut second).await.ends_with("hello"));
    running.shutdown.cancel();
    running.ended.await.unwrap();
}

#[tokio::test]
async fn tls_files_make_it_https_and_plain_http_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        cert_file: dir.path().join("c.pem"),
        key_file: dir.path().join("k.pem"),
    };
    std::fs::write(&files.cert_file, made.cert.pem()).unwrap();
    std::fs::write(&files.key_file, made.signing_key.serialize_pem()).unwrap();
    let running = start(hello(), Some(files.acceptor().unwrap()), Limits::default()).await;

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(running.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
        .unwrap();
    client.write_all(REQUEST).await.unwrap();
    assert!(read_all(&mut client).await.ends_with("hello"));

    let mut plain = TcpStream::connect(running.address).await.unwrap();
    plain.write_all(REQUEST).await.unwrap();
    let mut answer = Vec::new();
    // How it is cut off is the system's affair; that nothing is served is ours.
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("hello"));
    running.shutdown.cancel();
    running.ended.await.unwrap();
}

#[test]
fn files_that_are_no_certificate_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let files = TlsFiles {
        cert_file: dir.path().join("c.pem"),
        key_file: dir.path().join("k.pem"),
    };
    let error = files.acceptor().err().unwrap().to_string();
    assert!(error.contains("c.pem"), "{error}");
    std::fs::write(&files.cert_file, "hello").unwrap();
    let error = files.acceptor().err().unwrap().to_string();
    assert!(error.contains("holds no certificate"), "{error}");
}
