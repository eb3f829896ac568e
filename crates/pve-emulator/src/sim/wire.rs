//! HTTP/1.1 on a connection: heads in, answers out, one after the other.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::guest::{HttpRequest, HttpResponse};

/// Longest head that is read.
const HEAD_BYTES: usize = 16 << 10;
/// Longest body that is read and dropped.
const BODY_BYTES: u64 = 64 << 20;

/// A request, and whether the connection stays open after its answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) request: HttpRequest,
    pub(super) stays: bool,
    body_bytes: u64,
}

/// The reading side of a connection.
pub(super) struct Heads<R> {
    reader: R,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Heads<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
        }
    }

    /// The next request, its body dropped. `None` at the end of the connection; `Err` when it is no HTTP.
    pub(super) async fn next(&mut self) -> io::Result<Option<Asked>> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if self.buffer.len() > HEAD_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let asked = parse(&String::from_utf8_lossy(&head)).ok_or(io::ErrorKind::InvalidData)?;
        self.skip(asked.body_bytes).await?;
        Ok(Some(asked))
    }

    async fn skip(&mut self, mut bytes: u64) -> io::Result<()> {
        loop {
            let here = self
                .buffer
                .len()
                .min(usize::try_from(bytes).unwrap_or(usize::MAX));
            self.buffer.drain(..here);
            bytes -= here as u64;
            if bytes == 0 {
                return Ok(());
            }
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

fn parse(head: &str) -> Option<Asked> {
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target, version) = (first.next()?, first.next()?, first.next()?);
    if first.next().is_some() || !version.starts_with("HTTP/1.") || method.is_empty() {
        return None;
    }
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let header = |name: &str| {
        let found = headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    };
    let connection = header("connection")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let stays = match version {
        "HTTP/1.0" => connection.contains("keep-alive"),
        _ => !connection.contains("close"),
    };
    // A chunked body is not read: the connection ends behind the answer.
    let chunked = header("transfer-encoding").is_some();
    let body_bytes = match header("content-length") {
        Some(length) if !chunked => length.parse().ok().filter(|length| *length <= BODY_BYTES)?,
        Some(_) | None => 0,
    };
    Some(Asked {
        request: HttpRequest {
            method: method.to_owned(),
            target: target.to_owned(),
            host: header("host").map(str::to_owned),
        },
        stays: stays && !chunked,
        body_bytes,
    })
}

/// Sends an answer.
pub(super) async fn send(
    writer: &mut (impl AsyncWrite + Unpin),
    asked: &Asked,
    response: &HttpResponse,
) -> io::Result<()> {
    let mut text = format!("HTTP/1.1 {} {}\r\n", response.status, response.reason());
    for (name, value) in &response.headers {
        // A path with a line end in it must not become a header of its own.
        let value = value.replace(['\r', '\n'], " ");
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let connection = if asked.stays { "keep-alive" } else { "close" };
    let length = response.body.len();
    text.push_str(&format!(
        "Content-Length: {length}\r\nConnection: {connection}\r\n\r\n"
    ));
    let mut bytes = text.into_bytes();
    if asked.request.method != "HEAD" {
        bytes.extend_from_slice(&response.body);
    }
    writer.write_all(&bytes).await?;
    writer.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_come_one_after_the_other_and_bodies_are_dropped() {
        let text =
            b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.0\r\n\r\n";
        let mut heads = Heads::new(&text[..]);
        let first = heads.next().await.unwrap().unwrap();
        assert_eq!((first.request.target.as_str(), first.stays), ("/a", true));
        let second = heads.next().await.unwrap().unwrap();
        assert_eq!(
            (second.request.target.as_str(), second.stays),
            ("/b", false)
        );
        assert_eq!(heads.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_no_http_is_an_error() {
        for text in ["SSH-2.0-x\r\n\r\n", "GET / HTTP/1.1\r\n", "GET /\r\n\r\n"] {
            assert!(Heads::new(text.as_bytes()).next().await.is_err(), "{text}");
        }
    }
}
