//! What a client of `termproxy` says once it is let in: `0:LENGTH:BYTES`, `1:COLUMNS:ROWS:`, and `2` to be heard of.

use bytes::Bytes;

use crate::shell::TerminalInput;

/// What is skipped at once when a number does not come to its end.
const SKIPPED: usize = 20;

/// The words as they come in, which may be in any pieces.
#[derive(Debug, Default)]
pub(super) struct Words {
    buffer: Vec<u8>,
    /// So many of the next bytes are typed.
    left: usize,
}

impl Words {
    /// Takes more in, and gives what is whole. What is no word is skipped.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<TerminalInput> {
        self.buffer.extend_from_slice(bytes);
        let mut found = Vec::new();
        while !self.buffer.is_empty() {
            if self.left == 0 && !self.next_word(&mut found) {
                break;
            }
            let count = self.left.min(self.buffer.len());
            if count > 0 {
                let typed: Vec<u8> = self.buffer.drain(..count).collect();
                self.left -= count;
                found.push(TerminalInput::Bytes(Bytes::from(typed)));
            }
        }
        found
    }

    /// Goes on to the next typed bytes; false when nothing more is whole.
    fn next_word(&mut self, found: &mut Vec<TerminalInput>) -> bool {
        while self.buffer.len() >= 2 {
            match self.buffer[0] {
                b'0' => {
                    self.buffer.drain(..2);
                    if let Some(length) = self.number() {
                        self.left = length;
                        return true;
                    }
                }
                b'1' => {
                    self.buffer.drain(..2);
                    if let Some((columns, rows)) = self.number().zip(self.number()) {
                        // Only so many bits of them count.
                        #[allow(clippy::cast_possible_truncation)]
                        let (columns, rows) = (columns as u16, rows as u16);
                        found.push(TerminalInput::Size { columns, rows });
                    }
                }
                _ => {
                    self.buffer.drain(..1);
                }
            }
        }
        false
    }

    /// The digits up to the next colon.
    fn number(&mut self) -> Option<usize> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b':') {
                let digits: Vec<u8> = self.buffer.drain(..=end).collect();
                return std::str::from_utf8(&digits[..end]).ok()?.parse().ok();
            }
            if self.buffer.len() <= SKIPPED {
                return None;
            }
            self.buffer.drain(..SKIPPED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> TerminalInput {
        TerminalInput::Bytes(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn typed_bytes_sizes_and_signs_of_life_are_told_apart() {
        let mut words = Words::default();
        let size = TerminalInput::Size {
            columns: 80,
            rows: 24,
        };
        assert_eq!(
            words.take(b"21:80:24:0:3:l:\n0:1:x"),
            [size, typed("l:\n"), typed("x")]
        );
        assert_eq!(words.take(b"0:4:ab"), [typed("ab")]);
        assert_eq!(words.take(b"cd2"), [typed("cd")]);
        assert_eq!(words.take(b"0:1:y"), [typed("y")]);
    }

    #[test]
    fn what_is_no_word_is_skipped() {
        let mut words = Words::default();
        assert_eq!(words.take(b"zz0:x:0:1:a"), [typed("a")]);
        assert_eq!(words.take(b"1:80:"), []);
        assert_eq!(words.take(b"0:1:b"), [typed("b")]);
    }
}
