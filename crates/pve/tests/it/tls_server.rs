//! A TLS server for one test: it reads requests byte by byte and does what its script says.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proximity_pve::transport::https::{EndpointConfig, Fingerprint, Trust};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What the server does with a connection.
#[derive(Debug, Clone)]
pub(crate) enum Script {
    /// Answers each request with these bytes.
    Answer(Vec<u8>),
    /// Answers the first request with these bytes, then hangs up without having said so.
    AnswerOnce(Vec<u8>),
    /// Hangs up before the TLS handshake.
    RefuseTls,
    /// Does nothing at all with the connection, not even the handshake.
    Mute,
    /// Hangs up after the handshake, before reading anything.
    HangUpAtOnce,
    /// Reads the request, then hangs up.
    ReadAndHangUp,
    /// Reads the request and sends these bytes, then nothing more.
    AnswerAndStall(Vec<u8>),
    /// Reads the request and rings, then nothing more.
    RingAndStall(Arc<Notify>),
    /// Reads the request, and answers with these bytes when it is rung for.
    AnswerWhenRung(Arc<Notify>, Vec<u8>),
    /// Answers each request with what the closure makes of it.
    Converse(Reply),
    /// Sends a head, then this many bytes of body.
    Flood(usize),
}

type MakeReply = dyn Fn(&str) -> Vec<u8> + Send + Sync;

/// Makes an answer of a request.
#[derive(Clone)]
pub(crate) struct Reply(Arc<MakeReply>);

impl Reply {
    pub(crate) fn new(reply: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self(Arc::new(reply))
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reply")
    }
}

/// What the server saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connections: AtomicUsize,
    /// Requests, whole, as text.
    pub(crate) requests: Mutex<Vec<String>>,
}

impl Seen {
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// A certificate with its key, and the authority that issued it.
pub(crate) struct Identity {
    pub(crate) certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    pub(crate) ca_pem: String,
}

impl Identity {
    /// A certificate for `name`, issued by an authority of its own.
    pub(crate) fn new(name: &str) -> Self {
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
        Self {
            certificate: leaf.signed_by(&key, &issuer).unwrap().der().clone(),
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            ca_pem: issuer.pem(),
        }
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint(Sha256::digest(self.certificate.as_ref()).into())
    }

    /// This certificate with the key of another: what a thief of the public part has.
    pub(crate) fn with_key_of(mut self, other: &Self) -> Self {
        self.key = other.key.clone_key();
        self
    }

    fn acceptor(&self) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = provider
            .key_provider
            .load_private_key(self.key.clone_key())
            .unwrap();
        // Not checked to fit together, so that a test can present what it does not own.
        let certified = CertifiedKey::new(vec![self.certificate.clone()], key);
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Always(Arc::new(certified))));
        TlsAcceptor::from(Arc::new(config))
    }
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// A running server; ends with the test.
pub(crate) struct TlsServer {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    pub(crate) identity: Identity,
    task: JoinHandle<()>,
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TlsServer {
    pub(crate) async fn start(script: Script) -> Self {
        Self::with_identity(script, Identity::new("127.0.0.1")).await
    }

    pub(crate) async fn with_identity(script: Script, identity: Identity) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let task = tokio::spawn(serve(listener, identity.acceptor(), script, seen.clone()));
        Self {
            address,
            seen,
            identity,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn pinned(&self) -> EndpointConfig {
        EndpointConfig {
            url: self.url(),
            trust: Trust::Fingerprint(self.identity.fingerprint()),
        }
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, script: Script, seen: Arc<Seen>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        seen.connections.fetch_add(1, Ordering::SeqCst);
        connections.spawn(converse(tcp, tls.clone(), script.clone(), seen.clone()));
    }
}

async fn converse(tcp: TcpStream, tls: TlsAcceptor, script: Script, seen: Arc<Seen>) {
    match script {
        Script::RefuseTls => return,
        Script::Mute => return std::future::pending().await,
        _ => {}
    }
    // A client that does not trust the server ends the handshake; nothing is to be seen then.
    let Ok(mut stream) = tls.accept(tcp).await else {
        return;
    };
    if matches!(script, Script::HangUpAtOnce) {
        return;
    }
    while let Some(request) = read_request(&mut stream).await {
        seen.requests.lock().unwrap().push(request.clone());
        match &script {
            Script::Converse(reply) => stream.write_all(&reply.0(&request)).await.unwrap(),
            Script::Answer(bytes) => stream.write_all(bytes).await.unwrap(),
            Script::AnswerOnce(bytes) => return stream.write_all(bytes).await.unwrap(),
            Script::AnswerAndStall(bytes) => {
                stream.write_all(bytes).await.unwrap();
                stream.flush().await.unwrap();
                return std::future::pending().await;
            }
            Script::RingAndStall(bell) => {
                bell.notify_one();
                return std::future::pending().await;
            }
            Script::AnswerWhenRung(bell, bytes) => {
                bell.notified().await;
                stream.write_all(bytes).await.unwrap();
            }
            Script::Flood(bytes) => return flood(&mut stream, *bytes).await,
            Script::ReadAndHangUp | Script::RefuseTls | Script::Mute | Script::HangUpAtOnce => {
                return;
            }
        }
        stream.flush().await.unwrap();
    }
}

async fn flood(stream: &mut TlsStream<TcpStream>, bytes: usize) {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = vec![b' '; 1024 * 1024];
    for _ in 0..bytes / chunk.len() {
        // The client hangs up when it has had enough.
        if stream.write_all(&chunk).await.is_err() {
            return;
        }
    }
}

/// One request with its body, or `None` when the client hung up.
async fn read_request(stream: &mut TlsStream<TcpStream>) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head.lines().find_map(|l| {
        l.to_lowercase()
            .strip_prefix("content-length: ")
            .map(str::to_owned)
    });
    let mut body = vec![0; length.map_or(0, |l| l.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}

/// An answer as PVE gives it.
pub(crate) fn answer(status_line: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status_line}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}
