//! A terminal's line editor, as the kernel's: what is typed is echoed, and a line goes on when it is whole.

/// Longest line; more is not taken.
const MOST_BYTES: usize = 4_096;

/// What became of typed bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typed {
    /// To be printed.
    Echo(Vec<u8>),
    /// A whole line.
    Line(String),
    /// Ctrl-C: what was typed is dropped.
    Interrupt,
    /// Ctrl-D on an empty line.
    End,
}

/// A line that is being typed.
#[derive(Debug, Default)]
pub(super) struct Line {
    typed: Vec<u8>,
    /// The last byte was a carriage return, whose line feed counts no more.
    returned: bool,
}

impl Line {
    /// Takes bytes in; with `echo` what is typed is shown.
    pub(super) fn take(&mut self, bytes: &[u8], echo: bool) -> Vec<Typed> {
        bytes
            .iter()
            .filter_map(|byte| self.byte(*byte, echo))
            .flatten()
            .collect()
    }

    fn byte(&mut self, byte: u8, echo: bool) -> Option<Vec<Typed>> {
        let after_return = std::mem::take(&mut self.returned);
        match byte {
            b'\n' if after_return => None,
            b'\r' | b'\n' => {
                self.returned = byte == b'\r';
                let line = String::from_utf8_lossy(&self.typed).into_owned();
                self.typed.clear();
                Some(vec![Typed::Echo(b"\r\n".to_vec()), Typed::Line(line)])
            }
            0x03 => {
                self.typed.clear();
                Some(vec![Typed::Echo(b"^C\r\n".to_vec()), Typed::Interrupt])
            }
            0x04 => self.typed.is_empty().then(|| vec![Typed::End]),
            0x08 | 0x7f => self
                .rub_out()
                .then(|| vec![Typed::Echo(b"\x08 \x08".to_vec())])
                .filter(|_| echo),
            // Other control characters do nothing here.
            0x00..=0x1f => None,
            byte => {
                if self.typed.len() >= MOST_BYTES {
                    return None;
                }
                self.typed.push(byte);
                echo.then(|| vec![Typed::Echo(vec![byte])])
            }
        }
    }

    /// Takes the last character away; false when there is none.
    fn rub_out(&mut self) -> bool {
        while let Some(byte) = self.typed.pop() {
            // Bytes that go on a character are taken with it.
            if byte & 0xc0 != 0x80 {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echoed(typed: &[Typed]) -> Vec<u8> {
        let shown = typed.iter().filter_map(|one| match one {
            Typed::Echo(bytes) => Some(bytes.clone()),
            Typed::Line(_) | Typed::Interrupt | Typed::End => None,
        });
        shown.flatten().collect()
    }

    #[test]
    fn a_line_is_shown_while_it_is_typed_and_can_be_corrected() {
        let mut line = Line::default();
        let typed = line.take("l\u{e4}\x7fx\r\n".as_bytes(), true);
        assert_eq!(echoed(&typed), "l\u{e4}\x08 \x08x\r\n".as_bytes());
        let lines: Vec<&Typed> = typed
            .iter()
            .filter(|one| !matches!(one, Typed::Echo(_)))
            .collect();
        assert_eq!(lines, [&Typed::Line("lx".into())]);
        assert!(line.take(b"\x7f", true).is_empty(), "nothing to correct");
    }

    #[test]
    fn a_secret_is_not_shown_and_control_characters_act() {
        let mut line = Line::default();
        let typed = line.take(b"se\x7fecret\n", false);
        assert_eq!(echoed(&typed), b"\r\n");
        assert_eq!(typed.last(), Some(&Typed::Line("secret".into())));
        assert_eq!(
            line.take(b"x\x04\x03", true).last(),
            Some(&Typed::Interrupt)
        );
        assert_eq!(line.take(b"\x04", true), [Typed::End]);
    }
}
