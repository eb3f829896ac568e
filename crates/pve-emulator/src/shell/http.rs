//! HTTP/1.x as PVE's server speaks it: request heads within limits, answers with its headers.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::clock::http_date;
use crate::core::Response;

/// Silence after which a connection is closed.
const IDLE: Duration = Duration::from_secs(5);
/// A peer that takes less than this in the time of [`IDLE`] is gone.
const SENT_AT_ONCE: usize = 64 * 1024;
const MAX_HEADER_LINES: usize = 64;
const MAX_HEADER_BYTES: usize = 8 * 1024;
/// A peer that sends ahead more than this is not listened to before its answer is there.
const MOST_AHEAD_BYTES: usize = 64 * 1024;
/// Largest body that is read.
pub(super) const MAX_BODY_BYTES: u64 = 512 * 1024;

/// A request's first lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    /// Minor version: 0 or 1.
    pub(super) minor: u8,
    headers: Vec<(String, String)>,
}

/// Why no request could be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoHead {
    /// The peer closed, was silent too long, or exceeded a limit: nothing is answered.
    Gone,
    /// To be answered with this status and text, then closed.
    Refused(u16, String),
}

impl Head {
    /// The first header of this name (lower case).
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The peer wants the connection to end with this request.
    pub(super) fn wants_close(&self) -> bool {
        match self.header("connection") {
            Some(value) => value.to_ascii_lowercase().contains("close"),
            None => self.minor == 0,
        }
    }

    /// `Content-Length`; 0 when absent or no number.
    pub(super) fn content_length(&self) -> u64 {
        self.header("content-length")
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or(0)
    }
}

/// A stream with what was read ahead.
pub(super) struct Reader<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Reader<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Reads more; false when there is nothing more to come in time.
    async fn fill(&mut self) -> bool {
        let mut chunk = [0_u8; 4096];
        match timeout(IDLE, self.stream.read(&mut chunk)).await {
            Ok(Ok(count)) if count > 0 => {
                self.buffer.extend_from_slice(&chunk[..count]);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    async fn line(&mut self) -> Result<String, NoHead> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let text = String::from_utf8_lossy(&line);
                return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
            }
            if self.buffer.len() > MAX_HEADER_BYTES || !self.fill().await {
                return Err(NoHead::Gone);
            }
        }
    }

    /// The next request's head.
    pub(super) async fn head(&mut self) -> Result<Head, NoHead> {
        let mut first = self.line().await?;
        while first.is_empty() {
            first = self.line().await?;
        }
        let mut head = request_line(&first)?;
        let mut bytes = 0;
        for _ in 0..MAX_HEADER_LINES {
            let line = self.line().await?;
            bytes += line.len();
            if bytes >= MAX_HEADER_BYTES {
                return Err(NoHead::Gone);
            }
            if line.is_empty() {
                return Ok(head);
            }
            header_line(&mut head, &line)?;
        }
        Err(NoHead::Gone)
    }

    /// A body of exactly this length.
    pub(super) async fn body(&mut self, length: u64) -> Option<Vec<u8>> {
        let length = usize::try_from(length).ok()?;
        while self.buffer.len() < length {
            if !self.fill().await {
                return None;
            }
        }
        Some(self.buffer.drain(..length).collect())
    }

    /// What comes next of a body, at most so much.
    pub(super) async fn piece(&mut self, most: u64) -> Option<Vec<u8>> {
        if self.buffer.is_empty() && !self.fill().await {
            return None;
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Some(self.buffer.drain(..most.min(self.buffer.len())).collect())
    }

    /// Sends bytes; false when the peer is gone, or takes nothing for too long.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> bool {
        for part in bytes.chunks(SENT_AT_ONCE) {
            let sent = timeout(IDLE, self.stream.write_all(part)).await;
            if !matches!(sent, Ok(Ok(()))) {
                return false;
            }
        }
        matches!(timeout(IDLE, self.stream.flush()).await, Ok(Ok(())))
    }

    /// Sends an answer at this moment; false when the peer is gone. `wire`: minor version, and whether the connection stays.
    pub(super) async fn answer(
        &mut self,
        response: &Response,
        wire: (u8, bool),
        extra: &str,
        now_ms: u64,
    ) -> bool {
        let mut head = head(response, wire, extra, now_ms);
        // What is small leaves in one piece.
        if response.body.len() <= SENT_AT_ONCE {
            head.extend_from_slice(&response.body);
            return self.send(&head).await;
        }
        self.send(&head).await && self.send(&response.body).await
    }

    /// Returns when the peer has gone away. What it sends meanwhile is kept for later.
    pub(super) async fn gone(&mut self) {
        let mut chunk = [0_u8; 4096];
        while self.buffer.len() <= MOST_AHEAD_BYTES {
            match self.stream.read(&mut chunk).await {
                Ok(count) if count > 0 => self.buffer.extend_from_slice(&chunk[..count]),
                Ok(_) | Err(_) => return,
            }
        }
        std::future::pending().await
    }

    /// The stream, and what was read ahead.
    pub(super) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.buffer)
    }

    /// Ends the connection properly.
    pub(super) async fn close(mut self) {
        // The peer may be gone already; there is nobody left to tell.
        let _ = timeout(IDLE, self.stream.shutdown()).await;
    }
}

fn request_line(line: &str) -> Result<Head, NoHead> {
    let refused = |status, text: &str| Err(NoHead::Refused(status, text.to_owned()));
    let parts: Vec<&str> = line.split(' ').collect();
    let [method, target, version] = parts.as_slice() else {
        return refused(400, "bad request");
    };
    let Some((major, minor)) = version
        .strip_prefix("HTTP/")
        .and_then(|numbers| numbers.split_once('.'))
    else {
        return refused(400, "bad request");
    };
    if major != "1" {
        return refused(
            506,
            &format!("http protocol version {major}.{minor} not supported"),
        );
    }
    if target
        .split('/')
        .next()
        .is_some_and(|start| start.contains('@'))
    {
        return refused(400, "invalid url");
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(Head {
        method: (*method).to_owned(),
        path: path.to_owned(),
        query: query.split('#').next().unwrap_or_default().to_owned(),
        minor: minor.parse().unwrap_or(0),
        headers: Vec::new(),
    })
}

fn header_line(head: &mut Head, line: &str) -> Result<(), NoHead> {
    if line.starts_with([' ', '\t']) {
        if let Some((_, value)) = head.headers.last_mut() {
            value.push(' ');
            value.push_str(line.trim());
        }
        return Ok(());
    }
    match line.split_once(':') {
        Some((name, value))
            if !name.trim().is_empty() && !name.trim_end().contains(char::is_whitespace) =>
        {
            head.headers.push((
                name.trim_end().to_ascii_lowercase(),
                value.trim().to_owned(),
            ));
            Ok(())
        }
        Some(_) | None => Err(NoHead::Refused(
            506,
            "unable to parse request header".into(),
        )),
    }
}

/// The head of an answer at this moment. Without a body there is no length either: the end of the connection is the end of
/// the answer. `wire`: minor version, and whether the connection stays.
fn head(response: &Response, wire: (u8, bool), extra: &str, now_ms: u64) -> Vec<u8> {
    let (minor, keep_alive) = wire;
    let date = http_date(now_ms / 1000);
    let Response {
        status,
        reason,
        body,
        ..
    } = response;
    let mut head = format!(
        "HTTP/1.{minor} {status} {reason}\r\nCache-Control: max-age=0\r\n{}Pragma: no-cache\r\nServer: pve-api-daemon/3.0\r\nDate: {date}\r\nExpires: {date}\r\n{extra}",
        response
            .handed
            .connection_headers(keep_alive)
            .iter()
            .map(|value| format!("Connection: {value}\r\n"))
            .collect::<String>(),
    );
    if let Some(content_type) = response.content_type {
        head.push_str(&format!("Content-Type: {content_type}\r\n"));
    }
    if let Some(name) = &response.file_name {
        head.push_str(&format!(
            "Content-Disposition: attachment; filename=\"{name}\"\r\n"
        ));
    }
    if !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Result<Head, NoHead> {
        let (mut near, far) = tokio::io::duplex(64 * 1024);
        near.write_all(bytes).await.unwrap();
        near.shutdown().await.unwrap();
        Reader::new(far).head().await
    }

    #[tokio::test]
    async fn heads_are_read_and_refused_like_pve_does() {
        let head = read(b"\r\nGET /api2/json/x?a=1 HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(
            (head.path.as_str(), head.query.as_str(), head.header("x")),
            ("/api2/json/x", "a=1", Some("a b"))
        );
        assert_eq!(
            read(b"GET / HTTP/2.0\r\n\r\n").await,
            Err(NoHead::Refused(
                506,
                "http protocol version 2.0 not supported".into()
            ))
        );
        assert_eq!(
            read(b"nonsense\r\n\r\n").await,
            Err(NoHead::Refused(400, "bad request".into()))
        );
        assert_eq!(
            read(b"GET / HTTP/1.1\r\nno header\r\n\r\n").await,
            Err(NoHead::Refused(
                506,
                "unable to parse request header".into()
            ))
        );
        assert_eq!(read(b"GET / HTTP/1.1\r\n").await, Err(NoHead::Gone));
    }

    #[tokio::test]
    async fn too_many_or_too_long_headers_end_the_connection() {
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(64));
        assert_eq!(read(many.as_bytes()).await, Err(NoHead::Gone));
        let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(9000));
        assert_eq!(read(long.as_bytes()).await, Err(NoHead::Gone));
    }
}
