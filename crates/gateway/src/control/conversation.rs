//! One control connection: a request, an answer, the next request.

use std::io;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use crate::gateway::Core;
use crate::lines::{Line, read_line, skip_line};
use crate::protocol::{self, Answer, Request};
use crate::refusal::{Refusal, RefusalCode};

/// How long a client may take to read an answer.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// How much of a line that is too long is read and thrown away, and for how long.
const SKIP_BYTES: usize = 8 * 1024 * 1024;
const SKIP_PATIENCE: Duration = Duration::from_secs(1);

/// Answers requests until the client ends, is silent for too long or speaks a line too long, or
/// `shutdown` is cancelled between two requests.
pub(super) async fn hold(
    stream: UnixStream,
    core: &Core,
    shutdown: &CancellationToken,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let max_bytes = core.limits.control_line_bytes;
        let next =
            tokio::time::timeout(core.limits.control_idle, read_line(&mut stream, max_bytes));
        let line = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            line = next => match line {
                Ok(line) => line?,
                Err(_silent_for_too_long) => return Ok(()),
            },
        };
        match line {
            Line::Whole(line) => {
                let answer = match protocol::decode_request(&line) {
                    Ok(request) => act(core, request).await?,
                    Err(refusal) => encode::<()>(Err(refusal))?,
                };
                send(&mut stream, &answer).await?;
            }
            Line::TooLong => {
                let message = format!("a request has at most {max_bytes} bytes");
                let refusal = Refusal::new(RefusalCode::LineTooLong, message);
                send(&mut stream, &encode::<()>(Err(refusal))?).await?;
                let skipped = skip_line(&mut stream, SKIP_BYTES);
                return tokio::time::timeout(SKIP_PATIENCE, skipped)
                    .await
                    .unwrap_or(Ok(()));
            }
            Line::Cut | Line::End => return Ok(()),
        }
    }
}

/// Tells a client why it is not served. What does not fit into the socket's buffer at once is lost:
/// nobody waits for somebody who has no place.
pub(super) fn refuse(stream: UnixStream, refusal: Refusal) {
    if let Ok(answer) = encode::<()>(Err(refusal))
        && let Err(error) = stream.try_write(&answer)
    {
        tracing::debug!(%error, "a refused control client was not told why");
    }
}

async fn act(core: &Core, request: Request) -> io::Result<Vec<u8>> {
    match request {
        Request::Hello {} => encode(Ok(core.hello().await)),
        Request::SetRoute { route } => encode(core.ingress.set_route(route).await),
        Request::RemoveRoute { app_id, generation } => {
            encode(core.ingress.remove_route(&app_id, generation).await)
        }
        Request::KnownGeneration { app_id } => {
            encode(Ok(core.ingress.known_generation(&app_id).await))
        }
        Request::ListRoutes {} => encode(Ok(core.ingress.list().await)),
    }
}

fn encode<T: Serialize>(outcome: Result<T, Refusal>) -> io::Result<Vec<u8>> {
    let answer = match outcome {
        Ok(done) => Answer::Ok(done),
        Err(refusal) => Answer::Error(refusal),
    };
    protocol::encode_answer(answer).map_err(io::Error::from)
}

async fn send(stream: &mut BufReader<UnixStream>, answer: &[u8]) -> io::Result<()> {
    match tokio::time::timeout(WRITE_PATIENCE, stream.write_all(answer)).await {
        Ok(written) => written,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not read",
        )),
    }
}
