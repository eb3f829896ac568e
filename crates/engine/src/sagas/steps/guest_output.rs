//! What a command in a guest prints, as lines for the app's log: without secrets and control characters, cut to a length, and
//! not more than so many.

use std::collections::VecDeque;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use proximity_pve::guest::{Listener, Stream};
use regex::Regex;

use crate::mask::Masker;

/// How many lines of a command are told as they come.
const FIRST_LINES: usize = 300;
/// How many of the last ones are told when there are more.
const LAST_LINES: usize = 40;
/// How much of a line is told.
const LONGEST_CHARS: usize = 400;
/// How much of a line is kept until it ends. A secret that is cut here lies behind what is told.
const LONGEST_BYTES: usize = 16 * 1024;

/// Colours and the like: what terminals read from ESC on (ECMA-48, section 5.4).
#[allow(clippy::expect_used)] // a constant, tested below
static CONTROL_SEQUENCE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("\x1b\\[[0-?]*[ -/]*[@-~]").expect("a pattern"));

/// What of a command is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// All it prints.
    Everything,
    /// What it prints as an answer is read by us and says nothing to people; it may be the hash of a secret.
    Complaints,
}

/// Hears a command.
pub(super) struct GuestOutput<'a> {
    masker: &'a Masker,
    told: Told,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// To be told next.
    lines: Vec<String>,
    /// How many were among those so far.
    told: usize,
    /// The last ones of those that were too many.
    last: VecDeque<String>,
    too_many: usize,
}

impl<'a> GuestOutput<'a> {
    pub(super) fn new(masker: &'a Masker, told: Told) -> Self {
        Self {
            masker,
            told,
            heard: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lines that came since this was asked last.
    fn so_far(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().lines)
    }

    /// These could not be told.
    fn give_back(&self, mut lines: Vec<String>) {
        let mut heard = self.lock();
        lines.append(&mut heard.lines);
        heard.lines = lines;
    }

    /// Nothing more will come: the lines that are left.
    pub(super) fn rest(&self) -> Vec<String> {
        let mut heard = self.lock();
        for line in [
            std::mem::take(&mut heard.stdout),
            std::mem::take(&mut heard.stderr),
        ] {
            heard.end_line(&line, self.masker);
        }
        let mut lines = std::mem::take(&mut heard.lines);
        let last = std::mem::take(&mut heard.last);
        let left_out = heard.too_many.saturating_sub(last.len());
        if left_out > 0 {
            lines.push(format!("({left_out} lines are left out here)"));
        }
        lines.extend(last);
        lines
    }
}

/// Lines that are being told. Dropped before it is [`Telling::done`] they are to be told again: rather twice than never.
pub(super) struct Telling<'a, 'b> {
    heard: &'a GuestOutput<'b>,
    pub(super) lines: Vec<String>,
}

impl<'a, 'b> Telling<'a, 'b> {
    /// What came since the last time.
    pub(super) fn of(heard: &'a GuestOutput<'b>) -> Self {
        let lines = heard.so_far();
        Self { heard, lines }
    }

    pub(super) fn done(mut self) {
        self.lines.clear();
    }
}

impl Drop for Telling<'_, '_> {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        if !lines.is_empty() {
            self.heard.give_back(lines);
        }
    }
}

impl Listener for GuestOutput<'_> {
    fn heard(&self, stream: Stream, bytes: &[u8]) {
        if self.told == Told::Complaints && stream == Stream::Stdout {
            return;
        }
        let mut heard = self.lock();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let begun = match stream {
                Stream::Stdout => &mut heard.stdout,
                Stream::Stderr => &mut heard.stderr,
            };
            let room = LONGEST_BYTES.saturating_sub(begun.len());
            begun.extend_from_slice(piece.get(..room).unwrap_or(piece));
            if piece.ends_with(b"\n") {
                let line = std::mem::take(begun);
                heard.end_line(&line, self.masker);
            }
        }
    }
}

impl Heard {
    fn end_line(&mut self, line: &[u8], masker: &Masker) {
        let text = shown(&String::from_utf8_lossy(line), masker);
        if text.is_empty() {
            return;
        }
        if self.told < FIRST_LINES {
            self.told += 1;
            self.lines.push(text);
            return;
        }
        self.too_many += 1;
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(text);
    }
}

/// A text without what a terminal would act on, but for tabs and ends of lines.
pub(crate) fn seen(text: &str) -> String {
    let plain = CONTROL_SEQUENCE.replace_all(text, "");
    let is_seen = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    plain.chars().filter(is_seen).collect()
}

/// A line as it may be shown. Of what was written over itself, as progress is, the last is left.
pub(super) fn shown(line: &str, masker: &Masker) -> String {
    let line = line.trim_end();
    let line = line.rsplit('\r').next().unwrap_or(line);
    // First what would not be seen: it could stand within a secret.
    let masked = masker.mask(&seen(line));
    let text: String = masked.chars().take(LONGEST_CHARS + 1).collect();
    match text.char_indices().nth(LONGEST_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn masker() -> Masker {
        Masker::new(&[SecretString::from("hunter2")])
    }

    /// What is told of an output that comes in pieces of this size.
    fn told(output: &str, size: usize) -> Vec<String> {
        let masker = masker();
        let heard = GuestOutput::new(&masker, Told::Everything);
        for piece in output.as_bytes().chunks(size) {
            heard.heard(Stream::Stdout, piece);
        }
        let mut lines = heard.so_far();
        lines.extend(heard.rest());
        lines
    }

    #[test]
    fn a_secret_is_not_told_however_its_line_is_cut() {
        let output = "user admin\npassword hunter2!\n\nlast: hunter2";
        for size in 1..=output.len() {
            let wanted = ["user admin", "password [secret]!", "last: [secret]"];
            assert_eq!(told(output, size), wanted, "in pieces of {size}");
        }
    }

    #[test]
    fn a_line_stays_one_without_colours_and_shows_the_end_of_its_progress() {
        assert_eq!(
            told("\x1b[1;31mred\x1b[0m \u{7}bell\r\n10%\r99%\r\nö\n", 3),
            ["red bell", "99%", "ö"]
        );
    }

    #[test]
    fn what_is_not_seen_hides_no_secret() {
        let told = told("hun\u{7}ter2 hun\x1b[1mter2 \u{0}hunter2\n", 5);
        assert_eq!(told, ["[secret] [secret] [secret]"]);
    }

    #[test]
    fn what_is_being_told_when_it_ends_is_not_lost() {
        let masker = masker();
        let heard = GuestOutput::new(&masker, Told::Everything);
        heard.heard(Stream::Stdout, b"one\n");
        let telling = Telling::of(&heard);
        heard.heard(Stream::Stdout, b"two\n");
        drop(telling);
        assert_eq!(heard.so_far(), ["one", "two"]);
        heard.heard(Stream::Stdout, b"three\n");
        Telling::of(&heard).done();
        assert_eq!(heard.rest(), Vec::<String>::new());
    }

    #[test]
    fn what_the_two_streams_print_is_not_mixed_within_a_line() {
        let masker = masker();
        let heard = GuestOutput::new(&masker, Told::Everything);
        heard.heard(Stream::Stdout, b"one ");
        heard.heard(Stream::Stderr, b"oh ");
        heard.heard(Stream::Stdout, b"two\n");
        heard.heard(Stream::Stderr, b"no\n");
        assert_eq!(heard.so_far(), ["one two", "oh no"]);
        assert_eq!(heard.rest(), Vec::<String>::new());
    }

    #[test]
    fn an_answer_for_us_is_not_told() {
        let masker = masker();
        let heard = GuestOutput::new(&masker, Told::Complaints);
        heard.heard(Stream::Stdout, b"0640 root root\n");
        heard.heard(Stream::Stderr, b"no room\n");
        assert_eq!(heard.rest(), ["no room"]);
    }

    #[test]
    fn of_a_flood_the_beginning_and_the_end_are_told() {
        let lines: String = (0..10_000).map(|n| format!("line {n}\n")).collect();
        let told = told(&lines, 1_000);
        assert_eq!(told.len(), FIRST_LINES + 1 + LAST_LINES);
        assert_eq!(told[0], "line 0");
        assert_eq!(told[FIRST_LINES], "(9660 lines are left out here)");
        assert_eq!(told.last().unwrap(), "line 9999");
    }

    #[test]
    fn of_a_line_without_end_a_part_is_told_and_no_part_of_a_secret() {
        for before in [0, 390, 396, 398, LONGEST_BYTES - 3] {
            let line = format!("{}hunter2{}", "x".repeat(before), "y".repeat(1 << 20));
            let told = told(&line, 4096);
            assert_eq!(told.len(), 1);
            assert_eq!(told[0].chars().count(), LONGEST_CHARS + 1);
            assert!(!told[0].contains("hunt"), "{}", told[0]);
        }
    }

    #[test]
    fn what_could_not_be_told_comes_first_the_next_time() {
        let masker = masker();
        let heard = GuestOutput::new(&masker, Told::Everything);
        heard.heard(Stream::Stdout, b"one\n");
        let lines = heard.so_far();
        heard.heard(Stream::Stdout, b"two\n");
        heard.give_back(lines);
        assert_eq!(heard.rest(), ["one", "two"]);
    }
}
