//! The whole emulator on real sockets, and a client that shows answers byte for byte.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use proximity_pve_emulator::core::guest::{GuestCommand, GuestDone};
use proximity_pve_emulator::core::{Access, TaskTimes, WorldSeed};
use proximity_pve_emulator::shell::{
    GuestDriver, NodeListen, RunningShell, Shell, ShellOptions, TokenWish,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::guests::Machines;

pub const ROOT: &str = "root@pam!proximity";
pub const NOBODY: &str = "nobody@pve!empty";

/// Guests that outlive the emulator, as containers do.
#[derive(Debug, Default)]
pub struct MemoryDriver {
    pub machines: Mutex<Machines>,
}

#[async_trait]
impl GuestDriver for MemoryDriver {
    async fn run(&self, command: GuestCommand) -> GuestDone {
        let (done, _took_ms) = self.machines.lock().unwrap().run(&command);
        // Never done within the same poll, as a real driver never is.
        tokio::task::yield_now().await;
        done
    }
}

pub fn quick() -> TaskTimes {
    TaskTimes {
        create_ms: 60,
        start_ms: 40,
        stop_ms: 30,
        shutdown_ms: 30,
        destroy_ms: 30,
        ..TaskTimes::default()
    }
}

pub async fn start(state: &Path, seed: WorldSeed, driver: Arc<dyn GuestDriver>) -> RunningShell {
    let listen = seed.nodes.iter().map(|node| NodeListen {
        node: node.name.clone(),
        address: ([127, 0, 0, 1], 0).into(),
    });
    let options = ShellOptions {
        state_dir: state.to_owned(),
        listen: listen.collect(),
        certificate_names: Vec::new(),
        seed,
        tokens: vec![
            TokenWish {
                id: ROOT.into(),
                access: Access::Full,
            },
            TokenWish {
                id: NOBODY.into(),
                access: Access::Empty,
            },
        ],
        templates: None,
        task_times: Some(quick()),
    };
    Shell::start(options, driver).await.unwrap()
}

/// An answer as it came over the wire.
#[derive(Debug, Clone)]
pub struct Raw {
    pub status: u16,
    pub reason: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Raw {
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub fn payload(&self) -> Value {
        self.json()["data"].clone()
    }
}

/// What a connection goes over.
pub type Stream = TlsStream<TcpStream>;

/// A TLS connection that trusts the emulator's CA.
pub struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
    pub token: String,
}

impl Connection {
    pub async fn open(shell: &RunningShell, node: usize) -> Self {
        Self::connect(
            shell.addresses()[node].1,
            shell.ca_pem_path(),
            ROOT,
            shell.token_secret(ROOT).unwrap(),
        )
        .await
    }

    pub async fn connect(address: SocketAddr, ca: &Path, id: &str, secret: &str) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(ca).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap();
        Self {
            stream,
            buffer: Vec::new(),
            token: format!("PVEAPIToken={id}={secret}"),
        }
    }

    /// The stream alone, to speak something else over it.
    pub fn into_stream(self) -> Stream {
        self.stream
    }

    /// Sends bytes as they are; false when the connection is gone.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok() && self.stream.flush().await.is_ok()
    }

    /// The next answer; none when the connection ends first.
    pub async fn read(&mut self) -> Option<Raw> {
        let head_end = loop {
            if let Some(at) = self
                .buffer
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                break at;
            }
            if !self.fill().await {
                return None;
            }
        };
        let head = String::from_utf8(self.buffer.drain(..head_end + 4).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let mut status_line = lines.next().unwrap().splitn(3, ' ').skip(1);
        let status = status_line.next().unwrap().parse().unwrap();
        let reason = status_line.next().unwrap_or_default().to_owned();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut raw = Raw {
            status,
            reason,
            headers,
            body: Vec::new(),
        };
        let length: usize = raw
            .all("content-length")
            .first()
            .map_or(0, |text| text.parse().unwrap());
        while self.buffer.len() < length {
            if !self.fill().await {
                return None;
            }
        }
        raw.body = self.buffer.drain(..length).collect();
        Some(raw)
    }

    async fn fill(&mut self) -> bool {
        let mut chunk = [0_u8; 8192];
        match self.stream.read(&mut chunk).await {
            Ok(count) if count > 0 => {
                self.buffer.extend_from_slice(&chunk[..count]);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    /// Whether the server ends the connection now.
    pub async fn is_ended(&mut self) -> bool {
        self.buffer.is_empty() && !self.fill().await
    }

    /// One request with a form, and its answer.
    pub async fn try_call(&mut self, method: &str, path: &str, form: &str) -> Option<Raw> {
        let body = if form.is_empty() {
            "Content-Length: 0\r\n\r\n".to_owned()
        } else {
            format!(
                "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
                form.len()
            )
        };
        let body = if method == "GET" || method == "DELETE" {
            "\r\n".to_owned()
        } else {
            body
        };
        let head = format!(
            "{method} /api2/json{path} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n{body}",
            self.token
        );
        if !self.write(head.as_bytes()).await {
            return None;
        }
        self.read().await
    }

    pub async fn call(&mut self, method: &str, path: &str, form: &str) -> Raw {
        self.try_call(method, path, form).await.expect("an answer")
    }
}

/// A call on a connection of its own.
pub async fn call(shell: &RunningShell, method: &str, path: &str, form: &str) -> Raw {
    Connection::open(shell, 0)
        .await
        .call(method, path, form)
        .await
}

/// A call that gives a task; waits for it, answers its exit status.
pub async fn task(shell: &RunningShell, method: &str, path: &str, form: &str) -> String {
    let answer = call(shell, method, path, form).await;
    let upid = answer
        .payload()
        .as_str()
        .unwrap_or_else(|| panic!("{answer:?}"))
        .to_owned();
    let node = upid.split(':').nth(1).unwrap().to_owned();
    for _ in 0..2_000 {
        let status = call(
            shell,
            "GET",
            &format!("/nodes/{node}/tasks/{upid}/status"),
            "",
        )
        .await
        .payload();
        if status["status"] == "stopped" {
            return status["exitstatus"].as_str().unwrap().to_owned();
        }
    }
    panic!("{upid} does not end");
}

/// A request to the control socket.
pub async fn control(shell: &RunningShell, method: &str, path: &str, body: &str) -> (u16, Value) {
    control_at(shell.control_socket(), method, path, body).await
}

/// A request to the control socket at this path.
pub async fn control_at(socket: &Path, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        serde_json::from_str(body).unwrap(),
    )
}

/// Header values by name, for short assertions.
pub fn headers(raw: &Raw) -> BTreeMap<&str, Vec<&str>> {
    raw.headers
        .iter()
        .map(|(name, _)| (name.as_str(), raw.all(name)))
        .collect()
}
