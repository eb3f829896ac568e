//! The few requests a case sends, over TCP or a Unix socket.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Longest answer that is read.
const ANSWER_BYTES: u64 = 16 << 20;
/// How long one read or write may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stream with limits set.
pub(super) trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Answer {
    /// The body as JSON, if the status says that all is well.
    pub(super) fn json(&self) -> Result<Value> {
        if !(200..300).contains(&self.status) {
            bail!("refused with {}: {}", self.status, self.body.trim());
        }
        serde_json::from_str(&self.body).with_context(|| format!("reading {:?}", self.body))
    }
}

/// Connects to a port of this machine.
pub(super) fn tcp(port: u16) -> Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Connects to a Unix socket.
pub(super) fn unix(path: &Path) -> Result<UnixStream> {
    let stream =
        UnixStream::connect(path).with_context(|| format!("connecting to {}", path.display()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends a request.
pub(super) fn send(
    wire: &mut impl Wire,
    what: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Result<()> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut text = format!("{what} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    if let Some(token) = token {
        text.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    if !body.is_empty() {
        let length = body.len();
        text.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {length}\r\n"
        ));
    }
    text.push_str("\r\n");
    text.push_str(&body);
    wire.write_all(text.as_bytes())?;
    wire.flush()?;
    Ok(())
}

/// Reads the answer to its end; the request asked the other side to close.
pub(super) fn receive(wire: &mut impl Wire) -> Result<Answer> {
    let mut bytes = Vec::new();
    wire.take(ANSWER_BYTES).read_to_end(&mut bytes)?;
    parse(&String::from_utf8_lossy(&bytes))
}

fn parse(text: &str) -> Result<Answer> {
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        bail!("no whole answer came");
    };
    let status = head.split_whitespace().nth(1);
    let status = status.and_then(|status| status.parse().ok());
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let named = name.eq_ignore_ascii_case("content-length");
        named.then(|| value.trim().parse::<usize>().ok())?
    });
    if length.is_some_and(|length| body.len() < length) {
        bail!("the answer was cut off");
    }
    Ok(Answer {
        status: status.context("the answer has no status")?,
        body: body.to_owned(),
    })
}

/// Sends a request and reads its answer.
pub(super) fn ask(
    wire: &mut impl Wire,
    what: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Result<Answer> {
    send(wire, what, token, body)
        .and_then(|()| receive(wire))
        .with_context(|| what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_answers_are_read_and_cut_ones_are_not() {
        let whole = parse("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}").unwrap();
        assert_eq!((whole.status, whole.body.as_str()), (202, "{}"));
        assert!(whole.json().is_ok());
        assert!(parse("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}").is_err());
        assert!(parse("").is_err());
        let refused = parse("HTTP/1.0 404 no\r\n\r\n{}").unwrap();
        assert!(refused.json().is_err());
    }
}
