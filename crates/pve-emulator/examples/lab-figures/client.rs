//! A client that does as little as one can: TLS, HTTP/1.1, and for the fetch loop the list read into types.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where a server is and how to be let in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Target {
    pub address: SocketAddr,
    pub authority: PathBuf,
    pub authorization: String,
}

/// A row, as a program that manages guests reads it.
#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Row {
    vmid: u32,
    node: String,
    status: String,
    name: Option<String>,
    tags: Option<String>,
    lock: Option<String>,
    pool: Option<String>,
    uptime: Option<u64>,
    mem: Option<u64>,
    maxmem: Option<u64>,
    disk: Option<u64>,
    maxdisk: Option<u64>,
    cpu: Option<f64>,
    maxcpu: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct List {
    data: Vec<Row>,
}

/// How many guests a list has.
pub fn read(body: &[u8]) -> usize {
    let list: List = serde_json::from_slice(body).unwrap();
    list.data.len()
}

struct Connection {
    stream: TlsStream<TcpStream>,
    request: Vec<u8>,
}

impl Connection {
    async fn open(target: &Target) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&target.authority).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tcp = TcpStream::connect(target.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp);
        let request = format!(
            "GET /api2/json/cluster/resources?type=vm HTTP/1.1\r\nHost: lab\r\nAuthorization: {}\r\n\r\n",
            target.authorization
        );
        Self {
            stream: stream.await.unwrap(),
            request: request.into_bytes(),
        }
    }

    /// Asks once; the body lands in `buffer` from the given place on. Nothing when the server ended the connection before
    /// it answered.
    async fn ask(&mut self, buffer: &mut Vec<u8>) -> Option<usize> {
        buffer.clear();
        self.stream.write_all(&self.request).await.ok()?;
        // Written is not yet sent: a task that has used up its turn leaves the bytes with the TLS session.
        self.stream.flush().await.ok()?;
        let (start, length) = loop {
            if let Some(found) = head(buffer) {
                break found;
            }
            if self.stream.read_buf(buffer).await.ok()? == 0 {
                return None;
            }
        };
        buffer.reserve((start + length).saturating_sub(buffer.len()));
        while buffer.len() < start + length {
            assert!(self.stream.read_buf(buffer).await.unwrap() > 0, "cut off");
        }
        Some(start)
    }
}

/// Where the body begins and how long it is, once the head is there.
fn head(bytes: &[u8]) -> Option<(usize, usize)> {
    let end = bytes
        .windows(4)
        .take(4096)
        .position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&bytes[..end]).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    let mut lines = text.lines();
    let length = lines.find_map(|line| line.strip_prefix("Content-Length: "));
    Some((end + 4, length.unwrap().parse().unwrap()))
}

/// One answer's body.
pub async fn fetch(target: &Target) -> Vec<u8> {
    let mut buffer = Vec::new();
    let start = Connection::open(target).await.ask(&mut buffer).await;
    buffer.split_off(start.unwrap())
}

/// Answers per second, on so many connections at a time.
pub async fn rate(target: &Target, connections: usize, span: Duration) -> f64 {
    let begin = Instant::now();
    let asking = (0..connections).map(|_| {
        let target = target.clone();
        tokio::spawn(async move { asking(&target, begin + span, |_| ()).await })
    });
    let mut answers = 0;
    for ended in futures::future::join_all(asking).await {
        answers += ended.unwrap();
    }
    f64::from(answers) / begin.elapsed().as_secs_f64()
}

/// How many times the list was fetched and read, one after the other.
pub async fn fetch_and_read(target: &Target, span: Duration) -> u32 {
    asking(target, Instant::now() + span, |body| {
        assert!(read(body) > 0);
    })
    .await
}

async fn asking(target: &Target, end: Instant, mut take: impl FnMut(&[u8])) -> u32 {
    let mut buffer = Vec::new();
    let mut answers = 0;
    let mut connection = Connection::open(target).await;
    while Instant::now() < end {
        match connection.ask(&mut buffer).await {
            Some(start) => {
                take(&buffer[start..]);
                answers += 1;
            }
            // It serves so many requests on one connection.
            None => connection = Connection::open(target).await,
        }
    }
    answers
}
