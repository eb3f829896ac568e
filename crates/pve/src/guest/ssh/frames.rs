//! The frames in which the helper answers: one byte that says of what kind, four of length, the content.

use std::sync::{Mutex, PoisonError};

use proximity_node_helper::answer::{ERROR_OUTPUT, OUTPUT};

use super::super::{Listener, Stream};

/// A frame, and what comes after it.
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) content: &'a [u8],
    pub(super) rest: &'a [u8],
}

/// The first frame, if all of it is there.
pub(super) fn first(bytes: &[u8]) -> Option<Frame<'_>> {
    let (kind, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (content, rest) = rest.split_at_checked(length)?;
    Some(Frame {
        kind: *kind,
        content,
        rest,
    })
}

/// Hears frames, and tells what the command in them prints.
pub(super) struct Unframed<'a> {
    listener: &'a dyn Listener,
    /// The beginning of a frame whose end has not come.
    begun: Mutex<Vec<u8>>,
}

impl<'a> Unframed<'a> {
    pub(super) fn new(listener: &'a dyn Listener) -> Self {
        Self {
            listener,
            begun: Mutex::default(),
        }
    }
}

impl Listener for Unframed<'_> {
    fn heard(&self, stream: Stream, bytes: &[u8]) {
        // What is outside the frames is not the command's.
        if stream == Stream::Stderr {
            return;
        }
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.extend_from_slice(bytes);
        let mut left = begun.as_slice();
        while let Some(frame) = first(left) {
            match frame.kind {
                OUTPUT => self.listener.heard(Stream::Stdout, frame.content),
                ERROR_OUTPUT => self.listener.heard(Stream::Stderr, frame.content),
                _ => {}
            }
            left = frame.rest;
        }
        let told = begun.len() - left.len();
        begun.drain(..told);
    }
}

#[cfg(test)]
mod tests {
    use proximity_node_helper::answer::END;

    use super::*;

    #[derive(Default)]
    struct Ears(Mutex<Vec<(Stream, String)>>);

    impl Listener for Ears {
        fn heard(&self, stream: Stream, bytes: &[u8]) {
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.0.lock().unwrap().push((stream, text));
        }
    }

    fn frame(kind: u8, content: &str) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[kind][..], &length, content.as_bytes()].concat()
    }

    #[test]
    fn what_is_printed_is_told_however_the_frames_are_cut() {
        let said = [
            frame(OUTPUT, "one"),
            frame(ERROR_OUTPUT, "oh"),
            frame(OUTPUT, "two"),
            frame(END, "{}"),
        ]
        .concat();
        for size in 1..=said.len() {
            let ears = Ears::default();
            let unframed = Unframed::new(&ears);
            for piece in said.chunks(size) {
                unframed.heard(Stream::Stdout, piece);
            }
            unframed.heard(Stream::Stderr, b"sshd's own");
            let heard = ears.0.into_inner().unwrap();
            let told: Vec<(Stream, &str)> = heard.iter().map(|(s, t)| (*s, t.as_str())).collect();
            let wanted = [
                (Stream::Stdout, "one"),
                (Stream::Stderr, "oh"),
                (Stream::Stdout, "two"),
            ];
            assert_eq!(told, wanted, "in pieces of {size}");
        }
    }
}
