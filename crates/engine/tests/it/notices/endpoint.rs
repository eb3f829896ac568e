//! An endpoint of HTTP on this machine that keeps what it is sent and answers as it is told.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One request as it came over the wire.
#[derive(Debug, Clone)]
pub struct Came {
    pub line: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Came {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub struct Endpoint {
    pub address: SocketAddr,
    served: JoinHandle<Vec<Came>>,
}

impl Endpoint {
    /// Answers as many requests as there are answers (whole responses), then ends.
    pub async fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = tokio::spawn(async move {
            let mut came = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                came.push(request(&mut stream).await);
                // Who asked may have heard enough.
                let _gone = stream.write_all(answer.as_bytes()).await;
            }
            came
        });
        Self { address, served }
    }

    /// What came, once all was answered.
    pub async fn came(self) -> Vec<Came> {
        self.served.await.unwrap()
    }
}

/// A response of this status and body, after which the connection ends.
pub fn response(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    )
}

async fn request(stream: &mut TcpStream) -> Came {
    let mut read = Vec::new();
    let end = loop {
        let found = read.windows(4).position(|w| w == b"\r\n\r\n");
        if let Some(at) = found {
            break at + 4;
        }
        assert!(stream.read_buf(&mut read).await.unwrap() > 0);
    };
    let head = String::from_utf8(read[..end].to_vec()).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let headers = lines.map(|l| l.split_once(": ").unwrap());
    let headers: BTreeMap<String, String> = headers
        .map(|(n, v)| (n.to_lowercase(), v.to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .map_or(0, |n| n.parse().unwrap());
    while read.len() < end + length {
        assert!(stream.read_buf(&mut read).await.unwrap() > 0);
    }
    Came {
        line,
        headers,
        body: read[end..].to_vec(),
    }
}
