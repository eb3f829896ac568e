//! From a request to a websocket.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use crate::shell::http::Head;

/// What RFC 6455 puts behind the client's key.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether a request wants to become something else, and its path is one that can.
pub(in crate::shell) fn is_wanted(head: &Head) -> bool {
    let upgrade = head.header("upgrade").is_some_and(|it| !it.is_empty());
    upgrade && head.method == "GET" && head.path.ends_with("websocket")
}

/// The server's half of the handshake.
///
/// # Errors
/// Why not, in PVE's words.
pub(in crate::shell) fn accept(head: &Head) -> Result<String, String> {
    let header = |name: &str| head.header(name).unwrap_or_default();
    let upgrade = header("upgrade").to_lowercase();
    if upgrade != "websocket" {
        return Err(format!("unable to upgrade to protocol '{upgrade}'\n"));
    }
    let version = header("sec-websocket-version");
    if version != "13" {
        return Err(format!("unsupported websocket-version '{version}'\n"));
    }
    let key = header("sec-websocket-key");
    if key.is_empty() {
        return Err("missing websocket-key\n".to_owned());
    }
    let sum = Sha1::digest(format!("{key}{MAGIC}").as_bytes());
    let protocol = match header("sec-websocket-protocol") {
        "" => String::new(),
        protocol => format!("Sec-WebSocket-Protocol: {protocol}\r\n"),
    };
    Ok(format!(
        "HTTP/1.{} 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: {}\r\n{protocol}\r\n",
        head.minor,
        STANDARD.encode(sum)
    ))
}
