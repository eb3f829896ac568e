//! One event as bytes, and its link.

use super::entry::{Field, link_of};
use super::{Chained, Link};

/// What every link is made of first, so that it is a digest of nothing else, and of no entry of the audit.
const VERSION: &[u8] = b"proximity event 1\n";

/// An event with its values as they are stored, not as they are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventEntry<'a> {
    /// Its number.
    pub seq: i64,
    /// When, milliseconds since 1970.
    pub at: i64,
    /// What happened.
    pub kind: &'a str,
    /// Its fields, as JSON text.
    pub body: &'a str,
    /// The app it is about.
    pub app: Option<&'a str>,
    /// The operation it belongs to.
    pub operation: Option<&'a str>,
}

impl<'a> EventEntry<'a> {
    /// All fields in their order; one that is forgotten here does not compile.
    fn fields(&self) -> [Field<'a>; 6] {
        let Self {
            seq,
            at,
            kind,
            body,
            app,
            operation,
        } = *self;
        [
            Field::Number(seq),
            Field::Number(at),
            Field::Text(kind),
            Field::Text(body),
            app.into(),
            operation.into(),
        ]
    }
}

impl Chained for EventEntry<'_> {
    fn number(&self) -> i64 {
        self.seq
    }

    fn link_behind(&self, previous: Link) -> Link {
        link_of(VERSION, previous, &self.fields())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{Break, Head, Walk};
    use super::*;

    fn event(seq: i64) -> EventEntry<'static> {
        EventEntry {
            seq,
            at: 1_700_000_000_000,
            kind: "AppStarted",
            body: "{}",
            app: Some("01890000-0000-7000-8000-000000000007"),
            operation: None,
        }
    }

    /// What stands in the place of one field or goes over from one to the next is another event.
    #[test]
    fn each_field_is_in_the_link() {
        let whole = event(1);
        let others = [
            EventEntry { seq: 2, ..whole },
            EventEntry { at: 1, ..whole },
            EventEntry {
                kind: "AppStarted{",
                body: "}",
                ..whole
            },
            EventEntry {
                body: "{ }",
                ..whole
            },
            EventEntry { app: None, ..whole },
            EventEntry {
                app: None,
                operation: whole.app,
                ..whole
            },
            EventEntry {
                operation: Some(""),
                ..whole
            },
        ];
        let all = others.iter().chain([&whole]);
        let links: BTreeSet<String> = all
            .map(|event| event.link_behind(Link::GENESIS).to_string())
            .collect();
        assert_eq!(links.len(), others.len() + 1);
        let behind = whole.link_behind(whole.link_behind(Link::GENESIS));
        assert!(!links.contains(&behind.to_string()), "and the one before");
    }

    #[test]
    fn a_chain_whose_beginning_was_cleared_away_is_walked_from_there() {
        let mut link = Link::GENESIS;
        let mut chain = Vec::new();
        for seq in 1..=9 {
            link = event(seq).link_behind(link);
            chain.push((event(seq), link));
        }
        let cut = Head {
            seq: 4,
            link: chain[3].1,
        };
        let walked = |from: Head, altered: Option<usize>| {
            let mut walk = Walk::behind(from, Vec::new());
            for (n, (event, link)) in chain.iter().enumerate().skip(4) {
                let body = if altered == Some(n) { "[]" } else { event.body };
                let event = EventEntry { body, ..*event };
                walk.pass(&event, Some(&link.to_string()))?;
            }
            walk.end()
        };
        assert_eq!(walked(cut, None), Ok(Head { seq: 9, link }));
        assert_eq!(walked(cut, Some(6)), Err(Break::Altered { seq: 7 }));
        let other = Head {
            link: Link::GENESIS,
            ..cut
        };
        assert_eq!(walked(other, None), Err(Break::Altered { seq: 5 }));
    }
}
