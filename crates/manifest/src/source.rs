//! The texts that are read.

use std::borrow::Cow;
use std::str::from_utf8;

use crate::limits::{HOLD, MOST_BYTES, MOST_SOURCE_BYTES, MOST_SOURCES};
use crate::place::{Place, small};
use crate::problem::Collector;

/// A text that documents are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What errors call it: the file's path.
    pub name: String,
    /// What is in it. Of a file that is too large the first [`MOST_SOURCE_BYTES`] and one more are enough.
    pub bytes: Vec<u8>,
}

/// A source as far as it is text.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) text: Cow<'a, str>,
    /// Why none of it is read.
    flaw: Option<Flaw>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    TooLarge,
    TooMuch,
    TooMany,
    NotUtf8,
    /// A character that no text has, behind so many bytes.
    Control(usize, char),
}

impl<'a> Text<'a> {
    /// A text that is one already.
    pub(crate) fn new(name: impl Into<Cow<'a, str>>, text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        let flaw = control(&text);
        Self {
            name: name.into(),
            text,
            flaw,
        }
    }

    /// All sources as texts.
    pub(crate) fn of(sources: impl Iterator<Item = &'a Source>) -> Vec<Self> {
        let mut bytes = 0_usize;
        let texts = sources.enumerate().map(|(n, source)| {
            bytes = bytes.saturating_add(source.bytes.len());
            let flaw = match source.bytes.len() {
                _ if !HOLD => return Self::decoded(source),
                _ if n >= MOST_SOURCES => Flaw::TooMany,
                length if length > MOST_SOURCE_BYTES => Flaw::TooLarge,
                _ if bytes > MOST_BYTES => Flaw::TooMuch,
                _ => return Self::decoded(source),
            };
            Self {
                name: source.name.as_str().into(),
                text: "".into(),
                flaw: Some(flaw),
            }
        });
        texts.collect()
    }

    fn decoded(source: &'a Source) -> Self {
        let name = source.name.as_str();
        let (text, is_whole) = match from_utf8(&source.bytes) {
            Ok(text) => (text, true),
            Err(error) => {
                let valid = source.bytes.get(..error.valid_up_to());
                let valid = valid.and_then(|valid| from_utf8(valid).ok());
                (valid.unwrap_or_default(), false)
            }
        };
        // Editors of another system put one in front; it is none of the text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut decoded = Self::new(name, text);
        if !is_whole {
            decoded.flaw = Some(Flaw::NotUtf8);
        }
        decoded
    }

    /// The text, if it can be read; else it is told why not.
    pub(crate) fn readable(&self, source: usize, found: &mut Collector<'_>) -> Option<&str> {
        let source = small(source);
        let Some(flaw) = self.flaw else {
            return Some(&self.text);
        };
        let mib = |bytes: usize| bytes >> 20;
        let (place, message, hint) = match flaw {
            Flaw::TooLarge => (
                Place::first(source),
                format!("this is larger than {} MiB", mib(MOST_SOURCE_BYTES)),
                "spread its documents over several files",
            ),
            Flaw::TooMuch => (
                Place::first(source),
                format!("all files together are larger than {} MiB", mib(MOST_BYTES)),
                "name fewer files or a smaller folder",
            ),
            Flaw::TooMany => (
                Place::first(source),
                format!("there are more than {MOST_SOURCES} files"),
                "name fewer files or a smaller folder",
            ),
            Flaw::NotUtf8 => (
                Place::behind(source, &self.text),
                "what stands here is no UTF-8".to_owned(),
                "save the file as UTF-8",
            ),
            Flaw::Control(offset, sign) => (
                Place::behind(source, self.text.get(..offset).unwrap_or_default()),
                format!(
                    "there is a control character here (U+{:04X})",
                    u32::from(sign)
                ),
                "take it out; no text of a document has one",
            ),
        };
        found.add(place, message, hint);
        None
    }
}

/// The first character that YAML has no place for. The library takes one of them for the end of the text.
fn control(text: &str) -> Option<Flaw> {
    let is_one = |sign: &char| sign.is_ascii_control() && !matches!(sign, '\t' | '\n' | '\r');
    let mut signs = text.char_indices();
    let first = signs.find(|(_, sign)| is_one(sign));
    first.map(|(offset, sign)| Flaw::Control(offset, sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(bytes: &[u8]) -> Source {
        Source {
            name: "x.yaml".to_owned(),
            bytes: bytes.to_vec(),
        }
    }

    fn told(bytes: &[u8]) -> Option<(u32, u32, String)> {
        let sources = [source(bytes)];
        let texts = Text::of(sources.iter());
        let mut found = Collector::new(&texts);
        let read = texts[0].readable(0, &mut found).is_some();
        let problem = found.end().problems.pop();
        assert_eq!(read, problem.is_none());
        problem.map(|problem| (problem.line, problem.column, problem.message))
    }

    #[test]
    fn what_is_no_text_is_told_where_it_ceases_to_be_one() {
        assert_eq!(told(b"a: 1\n\tb"), None);
        assert_eq!(told("\u{feff}a: 1".as_bytes()), None);
        let (line, column, message) = told(b"a: 1\nb: \xff").unwrap();
        assert_eq!((line, column), (2, 4));
        assert!(message.contains("UTF-8"), "{message}");
        let (line, column, message) = told(b"a: 1\n\0b: 2").unwrap();
        assert_eq!((line, column), (2, 1));
        assert!(message.contains("U+0000"), "{message}");
        let (line, column, _) = told(&vec![b'#'; MOST_SOURCE_BYTES + 1]).unwrap();
        assert_eq!((line, column), (1, 1));
        assert_eq!(told(&vec![b'#'; MOST_SOURCE_BYTES]), None);
    }

    #[test]
    fn all_texts_together_have_a_limit_too() {
        let each = source(&vec![b'#'; MOST_SOURCE_BYTES]);
        let sources = vec![each; MOST_BYTES / MOST_SOURCE_BYTES + 1];
        let texts = Text::of(sources.iter());
        let flawed = texts.iter().filter(|text| text.flaw.is_some());
        assert_eq!(flawed.count(), 1);
        assert_eq!(texts.last().unwrap().flaw, Some(Flaw::TooMuch));
    }
}
