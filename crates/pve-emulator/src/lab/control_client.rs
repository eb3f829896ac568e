//! Asking a running lab's control socket.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::control::NearPath;
use super::error::LabError;

const SOCKET: &str = "control.sock";
const TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of an answer.
const LIMIT_BYTES: u64 = 64 << 20;

/// Sends one request to the lab at `state`; gives status and JSON text. What there is to ask is told at the emulator's
/// control socket (`shell::control`).
///
/// # Errors
/// No lab runs there, or it does not answer.
pub async fn ask_control(
    state: &Path,
    method: &str,
    path: &str,
    body: String,
) -> Result<(u16, String), LabError> {
    let what = || format!("ask the lab at {}", state.display());
    let talk = async {
        let near = NearPath::open(state)?;
        let mut stream = UnixStream::connect(near.path(SOCKET)).await?;
        let length = body.len();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: lab\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(text.as_bytes()).await?;
        let mut answer = String::new();
        stream.take(LIMIT_BYTES).read_to_string(&mut answer).await?;
        Ok(answer)
    };
    let answer = tokio::time::timeout(TIMEOUT, talk)
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
        .map_err(LabError::io(what()))?;
    let unreadable = || LabError::Refused(format!("{}: no whole answer came", what()));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(unreadable)?;
    let status = head
        .split_whitespace()
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(unreadable)?, body.to_owned()))
}
