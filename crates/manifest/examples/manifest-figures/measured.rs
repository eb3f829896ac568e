//! What reading one hostile input takes, and whether it ends well: a line of JSON for each. Programs of several crates share it.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use serde_json::json;

/// What takes longer is read again, for the machine may have been busy; its fastest reading counts.
const ENOUGH: Duration = Duration::from_millis(100);
const READINGS: usize = 3;

/// What was found in what a reading gave.
#[derive(Default)]
pub struct Found {
    /// The input was refused.
    pub refused: bool,
    /// What was told of it.
    pub problems: usize,
    /// The first thing that was told without a place in the input, or without words.
    pub misplaced: Option<String>,
}

/// Reads an input, and prints what that took and what `judge` found.
pub fn case<T>(name: &str, read: impl Fn() -> T, judge: impl FnOnce(&T) -> Found) {
    // Forgets the most memory that was held so far. Where that cannot be, that of all inputs so far counts, which is never less.
    let alone = fs::write("/proc/self/clear_refs", "5").is_ok();
    let mut fastest = Duration::MAX;
    let mut given: Option<T> = None;
    for _ in 0..READINGS {
        // Two at once would count as one.
        drop(given.take());
        let begin = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(&read));
        fastest = fastest.min(begin.elapsed());
        given = ended.ok();
        if given.is_none() || fastest <= ENOUGH {
            break;
        }
    }
    let kib = most_kib();
    let found = given.as_ref().map(judge);
    let panicked = found.is_none();
    let found = found.unwrap_or_default();
    let line = json!({
        "case": name, "ms": fastest.as_secs_f64() * 1e3, "kib": kib, "alone": alone, "panicked": panicked,
        "refused": found.refused, "problems": found.problems, "misplaced": found.misplaced,
    });
    println!("{line}");
}

/// The most memory this process held since that was forgotten.
fn most_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Chance that a seed and a number begin.
pub struct Draw(u64);

impl Draw {
    /// That of one case, whichever were drawn before.
    pub fn of(seed: u64, case: u64) -> Self {
        let begin = seed ^ case.wrapping_add(1).wrapping_mul(0x2545_f491_4f6c_dd1d);
        let mut draw = Self(begin | 1);
        // Neighbours begin alike.
        for _ in 0..8 {
            draw.below(2);
        }
        draw
    }

    /// A number below this one, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % bound as u64).unwrap()
    }

    /// One of these.
    pub fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// A text with a few bytes, lines and words that are others, fewer, or in other places.
pub fn spoilt(good: &[&str], words: &[&str], draw: &mut Draw) -> Vec<u8> {
    let mut bytes = draw.one(good).as_bytes().to_vec();
    for _ in 0..=draw.below(4) {
        let other = draw.one(good).as_bytes();
        spoil(&mut bytes, other, words, draw);
    }
    bytes
}

/// What may stand in front of a line.
const INDENTS: &[&str] = &["\t", " ", "  ", "- "];

fn spoil(bytes: &mut Vec<u8>, other: &[u8], words: &[&str], draw: &mut Draw) {
    let at = draw.below(bytes.len() + 1);
    let end = (at + draw.below(8)).min(bytes.len());
    let lines = line_starts(bytes);
    let line = lines[draw.below(lines.len())];
    match draw.below(10) {
        0 => drop(bytes.splice(at..end, [u8::try_from(draw.below(256)).unwrap()])),
        1 => drop(bytes.splice(at..at, draw.one(words).bytes())),
        2 => drop(bytes.splice(at..end, draw.one(words).bytes())),
        3 => drop(bytes.drain(at..end)),
        4 => drop(bytes.splice(line..line, draw.one(INDENTS).bytes())),
        5 => drop(bytes.drain(line..end.max(line))),
        6 => bytes.truncate(at),
        7 => {
            let from = draw.below(other.len());
            let to = (from + draw.below(120)).min(other.len());
            drop(bytes.splice(at..at, other[from..to].iter().copied()));
        }
        8 => {
            let copied = bytes[line..end.max(line)].to_vec();
            drop(bytes.splice(line..line, copied));
        }
        _ if at + 1 < bytes.len() => bytes.swap(at, at + 1),
        _ => bytes.push(b'\n'),
    }
}

fn line_starts(bytes: &[u8]) -> Vec<usize> {
    let breaks = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let mut starts = vec![0];
    starts.extend(breaks.map(|(at, _)| at + 1));
    starts
}
