//! What figure R26 measures of documents: hostile ones, each with what reading it took and whether all that is told of it has a
//! place.
//!
//! `manifest-figures list` names the ones that were made by hand, `one NAME` reads one of them, and `drawn SEED FROM COUNT` reads
//! good ones that were spoilt by chance. With the feature `no-limits` it is the control: the reader has no limits, places are
//! moved before they are looked at, and one case panics.
#![allow(missing_docs, unreachable_pub)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

mod made;
mod measured;

use proximity_manifest::{Given, Manifests, Problem, Problems, Source, read};

use made::{GOOD, WORDS};
use measured::{Draw, Found, case, spoilt};

/// The build without limits.
const IS_CONTROL: bool = cfg!(feature = "no-limits");
/// A case of the control.
const PANIC: &str = "panic";
/// As wide as no line of a case is.
const BEYOND: u32 = 100_000_000;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list"] => {
            for name in made::NAMES {
                println!("{name}");
            }
            if IS_CONTROL {
                println!("{PANIC}");
            }
        }
        ["one", PANIC] if IS_CONTROL => {
            let judge = |_: &()| Found::default();
            case(PANIC, || panic!("as the control wants it"), judge);
        }
        ["one", name] => measure(name, made::made(name)),
        ["drawn", seed, from, count] => {
            let (seed, from): (u64, u64) = (seed.parse().unwrap(), from.parse().unwrap());
            let count: u64 = count.parse().unwrap();
            for good in GOOD {
                let told = read(&alone(good.as_bytes().to_vec()));
                assert!(told.is_ok(), "{told:?}");
            }
            for number in from..from + count {
                let bytes = spoilt(GOOD, WORDS, &mut Draw::of(seed, number));
                measure(&format!("drawn {number}"), bytes);
            }
        }
        _ => panic!("list, one NAME, or drawn SEED FROM COUNT, not {words:?}"),
    }
}

/// A text by itself.
fn alone(bytes: Vec<u8>) -> Given {
    let mut given = Given::default();
    given.documents.push(Source {
        name: "hostile.yaml".to_owned(),
        bytes,
    });
    given
}

fn measure(name: &str, bytes: Vec<u8>) {
    let given = alone(bytes);
    case(
        name,
        || read(&given),
        |result| judged(&given.documents[0].bytes, result),
    );
}

fn judged(bytes: &[u8], result: &Result<Manifests, Problems>) -> Found {
    let Err(told) = result else {
        return Found::default();
    };
    let text = String::from_utf8_lossy(bytes);
    let lines = [widths_of_yaml(&text), widths(text.split('\n'))];
    let mut misplaced = told.problems.iter().filter(|one| !is_placed(one, &lines));
    let mut misplaced = misplaced.next().map(ToString::to_string);
    if told.problems.is_empty() {
        misplaced = Some("refused, and nothing is told".to_owned());
    }
    Found {
        refused: true,
        problems: told.problems.len() + told.left_out,
        misplaced,
    }
}

/// Whether it has words, and a place that is in the text: on a line, or right behind its end. What is no text has lines as editors
/// count them, and what is one as YAML does.
fn is_placed(problem: &Problem, lines: &[Vec<usize>; 2]) -> bool {
    let column = if IS_CONTROL {
        problem.column.saturating_add(BEYOND)
    } else {
        problem.column
    };
    let has_words = !problem.message.is_empty() && !problem.hint.is_empty();
    let has_place = lines.iter().any(|widths| {
        let line = (problem.line as usize).checked_sub(1);
        let width = line.and_then(|line| widths.get(line));
        width.is_some_and(|width| (1..=width + 1).contains(&(column as usize)))
    });
    has_words && has_place
}

/// Characters of each line. In YAML a carriage return alone ends one too.
fn widths_of_yaml(text: &str) -> Vec<usize> {
    let joined = text.replace("\r\n", "\n");
    widths(joined.split(['\n', '\r']))
}

fn widths<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<usize> {
    lines.map(|line| line.chars().count()).collect()
}
