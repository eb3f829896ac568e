//! The frames in which the helper answers: one byte that says of what kind, four of length, the content.

use std::sync::{Mutex, PoisonError};

use proximity_node_helper::answer::{ERROR_OUTPUT, OUTPUT};

use super::super::{Listener, Stream};

/// Longest content of a frame that is taken, in bytes. The helper never sends so much at once; what says it does is not the
/// helper, and must not fill this process's memory.
pub(super) const FRAME_BYTES: usize = 64 * 1024;

/// A frame, and what comes after it.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) content: &'a [u8],
    pub(super) rest: &'a [u8],
}

/// A frame that says that it is longer than any of the helper's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes, at most {FRAME_BYTES} are taken")]
pub(super) struct TooLong(u32);

/// The first frame, if all of it is there.
///
/// # Errors
/// [`TooLong`], as soon as its head is there: nothing after it can be read.
pub(super) fn first(bytes: &[u8]) -> Result<Option<Frame<'_>>, TooLong> {
    let Some((head, rest)) = bytes.split_first_chunk::<5>() else {
        return Ok(None);
    };
    let [kind, length @ ..] = *head;
    let said = u32::from_be_bytes(length);
    let length = usize::try_from(said).map_err(|_| TooLong(said))?;
    if length > FRAME_BYTES {
        return Err(TooLong(said));
    }
    let frame = rest.split_at_checked(length);
    Ok(frame.map(|(content, rest)| Frame {
        kind,
        content,
        rest,
    }))
}

/// Hears frames, and tells what the command in them prints. Keeps less than one frame, whatever comes.
pub(super) struct Unframed<'a> {
    listener: &'a dyn Listener,
    hearing: Mutex<Hearing>,
}

/// How far it got.
enum Hearing {
    /// Frames come; this is the beginning of one whose end has not come.
    Frames(Vec<u8>),
    /// The answer has ended, or cannot be read: nothing more is the command's.
    Over,
}

impl<'a> Unframed<'a> {
    pub(super) fn new(listener: &'a dyn Listener) -> Self {
        Self {
            listener,
            hearing: Mutex::new(Hearing::Frames(Vec::new())),
        }
    }

    /// Tells what is whole, and gives how much that was; nothing if no more is to be heard.
    fn tell(&self, begun: &[u8]) -> Option<usize> {
        let mut left = begun;
        while let Some(frame) = first(left).ok()? {
            match frame.kind {
                OUTPUT => self.listener.heard(Stream::Stdout, frame.content),
                ERROR_OUTPUT => self.listener.heard(Stream::Stderr, frame.content),
                _ => return None,
            }
            left = frame.rest;
        }
        Some(begun.len() - left.len())
    }
}

impl Listener for Unframed<'_> {
    fn heard(&self, stream: Stream, bytes: &[u8]) {
        // What is outside the frames is not the command's.
        if stream == Stream::Stderr {
            return;
        }
        let mut hearing = self.hearing.lock().unwrap_or_else(PoisonError::into_inner);
        let Hearing::Frames(begun) = &mut *hearing else {
            return;
        };
        begun.extend_from_slice(bytes);
        match self.tell(begun) {
            Some(told) => drop(begun.drain(..told)),
            None => *hearing = Hearing::Over,
        }
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

    /// What was heard of these pieces, and how much is kept of them.
    fn heard(pieces: &[&[u8]]) -> (String, usize) {
        let ears = Ears::default();
        let unframed = Unframed::new(&ears);
        for piece in pieces {
            unframed.heard(Stream::Stdout, piece);
        }
        let kept = match unframed.hearing.into_inner().unwrap() {
            Hearing::Frames(begun) => begun.len(),
            Hearing::Over => 0,
        };
        let told = ears.0.into_inner().unwrap();
        (told.into_iter().map(|(_, text)| text).collect(), kept)
    }

    #[test]
    fn a_frame_that_says_it_is_huge_is_not_waited_for() {
        let begun = frame(OUTPUT, "one");
        let huge = b"o\xff\xff\xff\xff";
        let much = vec![b'x'; FRAME_BYTES];
        let pieces = [&begun[..], huge, &much, &much, &much];
        assert_eq!(heard(&pieces), ("one".to_owned(), 0));
        assert_eq!(first(huge).unwrap_err(), TooLong(u32::MAX));
        let longest = frame(OUTPUT, &"y".repeat(FRAME_BYTES));
        assert_eq!(heard(&[&longest]).0.len(), FRAME_BYTES);
    }

    #[test]
    fn nothing_is_heard_after_the_end() {
        let (end, more) = (frame(END, "{}"), frame(OUTPUT, "more"));
        let together = [&end[..], &more].concat();
        for pieces in [vec![&end[..], &more], vec![&together[..]]] {
            assert_eq!(heard(&pieces), (String::new(), 0));
        }
    }
}
