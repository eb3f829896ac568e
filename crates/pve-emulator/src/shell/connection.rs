//! One client connection: at most 100 requests, one after the other.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::console::{self, Desk};
use super::driver::GuestDriver;
use super::http::{Head, MAX_BODY_BYTES, NoHead, Reader};
use super::keeper::Door;
use super::upload;
use crate::core::{ApiRequest, Payload, RequestId, Response};

const MAX_REQUESTS: u32 = 100;

/// Serves a connection until it ends.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    node: &str,
    door: &Door,
    driver: &Arc<dyn GuestDriver>,
) {
    let mut reader = Reader::new(stream);
    for left in (0..MAX_REQUESTS).rev() {
        let head = match reader.head().await {
            Ok(head) => head,
            Err(NoHead::Gone) => break,
            Err(NoHead::Refused(status, text)) => {
                let response = Response::plain(RequestId(0), status, &text);
                reader
                    .answer(&response, (0, false), "", door.now_ms())
                    .await;
                break;
            }
        };
        let Some(mut response) = answer(&mut reader, &head, node, door).await else {
            break;
        };
        if console::is_wanted(&head) && response.content_type.is_some() {
            match console::accept(&head) {
                Ok(upgraded) if response.status == 200 => {
                    let port = port_of(&response);
                    let desk = Desk { door, driver };
                    // Most connections never become a console: its room is taken when one does.
                    return Box::pin(upgrade(reader, &upgraded, (node, port), desk)).await;
                }
                Ok(_) => {}
                Err(text) => response = Response::plain(response.request, 500, &text),
            }
        }
        if response.cut {
            // Dropped, not closed: not even a proper end is sent.
            return;
        }
        if response.hold_ms > 0 {
            tokio::time::sleep(Duration::from_millis(response.hold_ms)).await;
        }
        let keep_alive =
            left > 0 && !head.wants_close() && response.status < 400 && !upload::is_upload(&head);
        let sent = reader
            .answer(&response, (head.minor, keep_alive), "", door.now_ms())
            .await;
        if !sent || !keep_alive {
            break;
        }
    }
    reader.close().await;
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    reader: &mut Reader<S>,
    head: &Head,
    node: &str,
    door: &Door,
) -> Option<Response> {
    if let Some(encoding) = head.header("transfer-encoding") {
        let text = match encoding.to_ascii_lowercase().as_str() {
            "chunked" => "chunked transfer encoding not supported".to_owned(),
            _ => format!("Unknown transfer encoding '{encoding}'"),
        };
        return Some(Response::plain(RequestId(0), 501, &text));
    }
    let uploading = upload::is_upload(head);
    let payload = match head.content_length() {
        _ if uploading => Payload::None,
        0 => Payload::None,
        length if length > MAX_BODY_BYTES => Payload::TooLarge,
        length => Payload::Bytes(reader.body(length).await?),
    };
    let request = ApiRequest {
        id: door.next_request(),
        via: node.to_owned(),
        method: head.method.clone(),
        path: head.path.clone(),
        query: head.query.clone(),
        content_type: head.header("content-type").map(str::to_owned),
        authorization: head.header("authorization").map(str::to_owned),
        cookie: head.header("cookie").map(str::to_owned),
        user_agent: head.header("user-agent").map(str::to_owned),
        csrf: head.header("csrfpreventiontoken").map(str::to_owned),
        payload,
    };
    if uploading {
        return upload::take_in(reader, head, request, door).await;
    }
    // Without an answer (the state could not be committed, or the emulator stops) the connection
    // ends unanswered. So it does when the peer goes away first.
    let id = request.id;
    tokio::select! {
        response = door.request(request) => response,
        () = reader.gone() => {
            door.forget_caller(id).await;
            None
        }
    }
}

/// The port that an answer names.
fn port_of(response: &Response) -> Option<u16> {
    let body: serde_json::Value = serde_json::from_slice(&response.body).ok()?;
    body["data"]["port"].as_str()?.parse().ok()
}

/// Becomes a websocket to what listens at a port of the node. Where nothing does, nothing is answered either.
async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    mut reader: Reader<S>,
    upgraded: &str,
    (node, port): (&str, Option<u16>),
    desk: Desk<'_>,
) {
    let (at, now_ms) = (node.to_owned(), desk.door.now_ms());
    let met = desk
        .door
        .alter(move |world| world.meet_console(&at, port?, now_ms))
        .await;
    match met.ok().flatten() {
        Some(upid) => console::serve(reader.into_parts(), upgraded, upid, desk).await,
        None => reader.gone().await,
    }
}

/// Answers plain HTTP with the way to HTTPS.
pub(super) async fn redirect<S: AsyncRead + AsyncWrite + Unpin>(stream: S, door: &Door) {
    let mut reader = Reader::new(stream);
    if let Ok(head) = reader.head().await
        && let Some(host) = head.header("host")
    {
        let (status, text) = match head.method.as_str() {
            "GET" | "HEAD" => (301, "Moved Permanently"),
            _ => (308, "Permanent Redirect"),
        };
        let query = if head.query.is_empty() {
            String::new()
        } else {
            format!("?{}", head.query)
        };
        let location = format!("Location: https://{host}{}{query}\r\n", head.path);
        let response = Response::plain(RequestId(0), status, text);
        reader
            .answer(&response, (head.minor, false), &location, door.now_ms())
            .await;
    }
    reader.close().await;
}
