//! What is wrong with documents, told with its place.

use std::fmt;

use serde::Serialize;

use crate::limits::MOST_PROBLEMS;
use crate::place::Place;
use crate::source::Text;

/// Bytes of a line that are shown on either side of a place.
const AROUND: usize = 120;
/// Characters of a name or a value that are quoted.
pub(crate) const QUOTED: usize = 60;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What the source is called.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1, in characters.
    pub column: u32,
    /// The line's text; of a long one the part around the place. Whatever would move a cursor is a blank.
    pub text: String,
    /// What is wrong; here too whatever would move a cursor is a blank.
    pub message: String,
    /// What to do about it, in the same way.
    pub hint: String,
    #[serde(skip)]
    source: u32,
    /// Characters of `text` in front of the place, and those it covers.
    #[serde(skip)]
    mark: (usize, usize),
}

/// All that is wrong, in the order of the sources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Problems {
    /// Those that are told.
    pub problems: Vec<Problem>,
    /// How many more were found.
    pub left_out: usize,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.to_string();
        let gap = " ".repeat(line.len());
        let (before, width) = (" ".repeat(self.mark.0), "^".repeat(self.mark.1));
        writeln!(f, "{}:{line}:{}: {}", self.file, self.column, self.message)?;
        writeln!(f, "  {line} | {}", self.text)?;
        writeln!(f, "  {gap} | {before}{width}")?;
        write!(f, "  hint: {}", self.hint)
    }
}

/// Collects what is wrong.
pub(crate) struct Collector<'a> {
    texts: &'a [Text<'a>],
    problems: Vec<Problem>,
    left_out: usize,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(texts: &'a [Text<'a>]) -> Self {
        Self {
            texts,
            problems: Vec::new(),
            left_out: 0,
        }
    }

    pub(crate) fn add(
        &mut self,
        place: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if self.passes() {
            return;
        }
        let (message, hint): (String, String) = (message.into(), hint.into());
        let source = self.texts.get(place.source as usize);
        let (text, mark) = excerpt(source.map_or("", |source| &source.text), place);
        self.problems.push(Problem {
            file: source.map_or_else(String::new, |source| shown(&source.name)),
            line: place.line,
            column: place.column,
            text,
            message: shown(&message),
            hint: shown(&hint),
            source: place.source,
            mark,
        });
    }

    /// As many are told as may be.
    pub(crate) fn is_full(&self) -> bool {
        self.problems.len() >= MOST_PROBLEMS
    }

    /// Counts one more if as many are told as may be; then nobody needs to find words for it.
    pub(crate) fn passes(&mut self) -> bool {
        let is_full = self.is_full();
        self.left_out += usize::from(is_full);
        is_full
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// A place, as hints name it.
    pub(crate) fn told(&self, place: Place) -> String {
        let name = self.texts.get(place.source as usize);
        let name = name.map_or_else(String::new, |source| shown(&source.name));
        format!("{name}:{}:{}", place.line, place.column)
    }

    /// All of it, by source and place.
    pub(crate) fn end(mut self) -> Problems {
        self.problems
            .sort_by_key(|problem| (problem.source, problem.line, problem.column));
        Problems {
            problems: self.problems,
            left_out: self.left_out,
        }
    }
}

/// A name or value out of a source, as messages quote it: on one line, not longer than can be read.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTED).map(plain).collect();
    if text.chars().nth(QUOTED).is_some() {
        quoted.push('…');
    }
    format!("`{quoted}`")
}

fn shown(text: &str) -> String {
    text.chars().map(plain).collect()
}

/// What moves a cursor or turns the order of letters is a blank.
fn plain(sign: char) -> char {
    match sign {
        '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => ' ',
        _ if sign.is_control() => ' ',
        _ => sign,
    }
}

/// The line of a place, as much of it as is shown, with the characters in front of the place and those that it covers.
fn excerpt(text: &str, place: Place) -> (String, (usize, usize)) {
    let at = boundary(text, place.offset as usize);
    let (from, to) = (
        boundary(text, at.saturating_sub(AROUND)),
        boundary(text, at.saturating_add(AROUND)),
    );
    let breaks = ['\n', '\r'];
    let before = text.get(from..at).unwrap_or_default();
    let whole_before = before.contains(breaks) || from == 0;
    let before = before.rsplit(breaks).next().unwrap_or_default();
    let after = text.get(at..to).unwrap_or_default();
    let whole_after = after.contains(breaks) || to == text.len();
    let after = after.split(breaks).next().unwrap_or_default();
    let mut line = String::new();
    if !whole_before {
        line.push('…');
    }
    line.push_str(&shown(before));
    let in_front = line.chars().count();
    let covered = after.get(..boundary(after, place.length as usize));
    let width = covered.unwrap_or_default().chars().count().max(1);
    line.push_str(&shown(after));
    if !whole_after {
        line.push('…');
    }
    (line, (in_front, width))
}

/// The last place at or before this one that cuts no character in two.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(offset: usize, length: usize) -> Place {
        Place {
            offset: offset.try_into().unwrap(),
            length: length.try_into().unwrap(),
            ..Place::first(0)
        }
    }

    #[test]
    fn a_line_is_shown_with_what_is_meant() {
        let text = "a: 1\n\tä: two\r\nc: 3";
        assert_eq!(excerpt(text, place(10, 3)), (" ä: two".to_owned(), (4, 3)));
        assert_eq!(excerpt(text, place(0, 0)), ("a: 1".to_owned(), (0, 1)));
        assert_eq!(excerpt(text, place(999, 5)), ("c: 3".to_owned(), (4, 1)));
        assert_eq!(excerpt("", place(0, 0)), (String::new(), (0, 1)));
    }

    #[test]
    fn of_a_long_line_the_part_around_it_is_shown() {
        let text = "ü".repeat(1000);
        let (line, (before, width)) = excerpt(&text, place(1001, 4));
        assert!(line.starts_with('…') && line.ends_with('…'));
        assert_eq!((before, width), (61, 2));
        assert_eq!(line.chars().count(), 122);
    }

    #[test]
    fn nothing_that_is_quoted_adds_a_line_or_moves_the_cursor() {
        assert_eq!(quoted("a\n\u{1b}[2Jb"), "`a  [2Jb`");
        assert_eq!(quoted("\u{202e}x"), "` x`");
        assert_eq!(quoted(&"a".repeat(100)).chars().count(), 63);
    }

    #[test]
    fn neither_words_nor_hints_move_the_cursor() {
        let texts = [Text::new("x", "a: 1\n")];
        let mut found = Collector::new(&texts);
        found.add(Place::first(0), "no\u{1b}[2J", "did you mean a\nb?");
        let told = found.end().problems;
        assert_eq!(told[0].message, "no [2J");
        assert_eq!(told[0].hint, "did you mean a b?");
    }

    #[test]
    fn problems_are_told_in_the_order_of_their_places_and_only_so_many() {
        let texts = [
            Text::new("a.yaml", "x: 1\ny: 2\n"),
            Text::new("b.yaml", "z: 3\n"),
        ];
        let mut found = Collector::new(&texts);
        found.add(Place::first(1), "third", "h");
        found.add(Place::behind(0, "x: 1\n"), "second", "h");
        found.add(Place::first(0), "first", "do it");
        for _ in 0..MOST_PROBLEMS {
            found.add(Place::first(1), "more", "h");
        }
        assert_eq!(found.told(Place::behind(0, "x: 1\n")), "a.yaml:2:1");
        let told = found.end();
        assert_eq!((told.problems.len(), told.left_out), (MOST_PROBLEMS, 3));
        assert_eq!(
            told.problems[0].to_string(),
            "a.yaml:1:1: first\n  1 | x: 1\n    | ^\n  hint: do it"
        );
        assert_eq!(told.problems[1].message, "second");
    }
}
