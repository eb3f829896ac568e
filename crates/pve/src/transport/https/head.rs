//! The head of an answer, before the HTTP code reads it.
//!
//! What PVE's proxy hands to its privileged daemon is answered with the daemon's own `Connection: close`, beside which the proxy
//! says `Keep-Alive` when it keeps the connection open; when it does not, `close` stands alone (pve-http-server's
//! `AnyEvent.pm`, and seen at a real cluster). The HTTP code goes by the one word: a connection, with its TLS handshake, for
//! each such call.

/// Where a head ends in these bytes, if it does.
pub(super) fn end(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(at + 4)
}

/// The head as the proxy means it: without a word on the connection where it says both. Any other is as it was.
pub(super) fn as_meant(head: Vec<u8>) -> Vec<u8> {
    if !(says(&head, b"close") && says(&head, b"keep-alive")) {
        return head;
    }
    let others = lines(&head).filter(|line| on_connection(line).is_none());
    others.flatten().copied().collect()
}

fn says(head: &[u8], word: &[u8]) -> bool {
    let values = lines(head).filter_map(on_connection);
    let mut words = values.flat_map(|value| value.split(|byte| *byte == b','));
    words.any(|said| said.trim_ascii().eq_ignore_ascii_case(word))
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split_inclusive(|byte| *byte == b'\n')
}

/// What a line says on the connection; `None` of one that is about something else.
fn on_connection(line: &[u8]) -> Option<&[u8]> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at(colon);
    let is_it = name.eq_ignore_ascii_case(b"connection");
    is_it.then(|| value.get(1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(head: &str) -> String {
        String::from_utf8(as_meant(head.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn close_beside_keep_alive_is_the_daemons_and_not_the_proxys() {
        for said in [
            "Connection: close\r\nConnection: Keep-Alive\r\n",
            "connection: close,Keep-Alive\r\nConnection: Keep-Alive\r\n",
            "Connection: Keep-Alive\r\nDate: now\r\nCONNECTION:  Close \r\n",
        ] {
            let head = format!("HTTP/1.1 200 OK: yes\r\n{said}Content-Length: 2\r\n\r\n");
            let left = meant(&head).to_lowercase();
            assert!(!left.contains("connection"), "{left}");
            assert!(left.starts_with("http/1.1 200 ok: yes\r\n"), "{left}");
            assert!(left.ends_with("content-length: 2\r\n\r\n"), "{left}");
        }
    }

    #[test]
    fn close_alone_is_meant() {
        for said in [
            "Connection: close\r\n",
            "Connection: Keep-Alive\r\n",
            "Connection: close\r\nKeep-Alive: 5\r\nX-Connection: keep-alive\r\n",
            "",
        ] {
            let head = format!("HTTP/1.1 400 connection: no\r\n{said}\r\n");
            assert_eq!(meant(&head), head);
        }
    }

    #[test]
    fn a_head_ends_with_its_empty_line() {
        assert_eq!(end(b"HTTP/1.1 200 OK\r\n\r\n{}"), Some(19));
        assert_eq!(end(b"HTTP/1.1 200 OK\r\nA: b\r\n"), None);
        assert_eq!(end(b""), None);
    }
}
