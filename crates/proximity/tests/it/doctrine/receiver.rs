//! A receiver of alerts: takes what is posted to it, and keeps it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The longest request it takes.
const LONGEST: usize = 1 << 20;

/// It listens as long as its runtime runs.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    came: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            came: Arc::default(),
        };
        let taking = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                taking.take(stream).await;
            }
        });
        receiver
    }

    /// The bodies of what came, in order.
    pub(crate) fn came(&self) -> Vec<String> {
        self.came.lock().unwrap().clone()
    }

    async fn take(&self, mut stream: TcpStream) {
        let mut read = Vec::new();
        let body = loop {
            if let Some(body) = body(&read) {
                break body;
            }
            let got = stream.read_buf(&mut read).await.unwrap();
            assert!(got > 0 && read.len() < LONGEST, "a request that has no end");
        };
        self.came.lock().unwrap().push(body);
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
        // Who asked may have heard enough.
        let _gone = stream.write_all(answer.as_bytes()).await;
    }
}

/// The body, once all of it is there.
fn body(read: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(read);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_it = name.eq_ignore_ascii_case("content-length");
        is_it.then(|| value.trim().parse::<usize>().unwrap())
    });
    (body.len() >= length.unwrap_or(0)).then(|| body.to_owned())
}
