//! Frames of websockets (RFC 6455) as PVE's server takes and makes them: whole and masked ones, up to 128 KiB.

/// Longest payload that is taken, and that is sent in one frame.
pub(super) const MOST_BYTES: usize = 128 * 1024;

/// A frame of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// Text or bytes, between which no difference is made.
    Data(Vec<u8>),
    /// It ends the connection.
    Close,
    /// To be answered with the same bytes.
    Ping(Vec<u8>),
    /// Nothing to do.
    Pong,
}

/// Takes the next whole frame off the front of what came; nothing while it is not whole.
///
/// # Errors
/// A frame that PVE's server does not take.
pub(super) fn take(buffer: &mut Vec<u8>) -> Result<Option<Frame>, &'static str> {
    let &[first, second, ..] = buffer.as_slice() else {
        return Ok(None);
    };
    if first & 0x80 == 0 {
        return Err("received fragmented websocket frame");
    }
    if first & 0x70 != 0 {
        return Err("received websocket frame with RSV flags");
    }
    if second & 0x80 == 0 {
        return Err("received unmasked websocket frame from client");
    }
    let Some((length, start)) = length(buffer, second & 0x7f) else {
        return Ok(None);
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > MOST_BYTES {
        return Err("received too large websocket frame");
    }
    let (mask_at, end) = (start, start + 4 + length);
    if buffer.len() < end {
        return Ok(None);
    }
    let frame: Vec<u8> = buffer.drain(..end).collect();
    let (mask, masked) = frame[mask_at..].split_at(4);
    let payload: Vec<u8> = masked
        .iter()
        .zip(mask.iter().cycle())
        .map(|(byte, mask)| byte ^ mask)
        .collect();
    match first & 0x0f {
        1 | 2 => Ok(Some(Frame::Data(payload))),
        8 => Ok(Some(Frame::Close)),
        9 => Ok(Some(Frame::Ping(payload))),
        10 => Ok(Some(Frame::Pong)),
        _ => Err("received unhandled websocket opcode"),
    }
}

/// Length of the payload, and where the mask begins; nothing while the head is not whole.
fn length(buffer: &[u8], short: u8) -> Option<(u64, usize)> {
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    };
    match short {
        126 => Some((number(buffer.get(2..4)?), 4)),
        127 => Some((number(buffer.get(2..10)?), 10)),
        short => Some((u64::from(short), 2)),
    }
}

/// A frame of bytes, at most [`MOST_BYTES`].
pub(super) fn binary(payload: &[u8]) -> Vec<u8> {
    frame(0x82, payload)
}

/// The answer to a ping.
pub(super) fn pong(payload: &[u8]) -> Vec<u8> {
    frame(0x8a, payload)
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..=125), _) => frame.push(length),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        (_, Err(_)) => {
            frame.push(127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = frame(first, payload);
        bytes[1] |= 0x80;
        let at = bytes.len() - payload.len();
        bytes.splice(at..at, [1, 2, 3, 4]);
        for (index, byte) in bytes[at + 4..].iter_mut().enumerate() {
            *byte ^= [1, 2, 3, 4][index % 4];
        }
        bytes
    }

    #[test]
    fn frames_of_every_length_come_back_and_wait_to_be_whole() {
        for length in [0, 125, 126, 65_535, 65_536, MOST_BYTES] {
            let payload = vec![7; length];
            let mut bytes = sent(0x82, &payload);
            let last = bytes.pop().unwrap();
            assert_eq!(take(&mut bytes), Ok(None), "{length}");
            bytes.push(last);
            bytes.extend(sent(0x88, b""));
            assert_eq!(take(&mut bytes), Ok(Some(Frame::Data(payload))));
            assert_eq!(take(&mut bytes), Ok(Some(Frame::Close)));
            assert_eq!(take(&mut bytes), Ok(None));
        }
        let mut ping = sent(0x89, b"x");
        assert_eq!(take(&mut ping), Ok(Some(Frame::Ping(b"x".to_vec()))));
        assert_eq!(pong(b"x"), [0x8a, 1, b'x']);
    }

    #[test]
    fn what_the_real_server_does_not_take_is_refused() {
        for bad in [
            sent(0x02, b"x"),
            sent(0xc2, b"x"),
            binary(b"x"),
            sent(0x83, b"x"),
            sent(0x82, &vec![0; MOST_BYTES + 1]),
        ] {
            assert!(take(&mut bad.clone()).is_err(), "{:?}", &bad[..2]);
        }
    }
}
