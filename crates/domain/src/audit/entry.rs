//! One entry as bytes, and its link.

use std::fmt;

use sha2::{Digest, Sha256};

use super::Chained;

/// What every link is made of first, so that it is a digest of nothing else. Another way to write entries gets another one.
const VERSION: &[u8] = b"proximity audit entry 1\n";

/// Room for most entries.
const USUAL_BYTES: usize = 512;

/// SHA-256 of an entry and of the link before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Link([u8; 32]);

impl Link {
    /// What stands before the first entry.
    pub const GENESIS: Self = Self([0; 32]);

    /// The link that is written so: 64 digits of base 16, letters small. There is one way to write each, so that a changed
    /// sign is another link or none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_small = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if !text.bytes().all(is_small) {
            return None;
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// An entry with its values as they are stored, not as they are understood: text that means the same is not the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its number.
    pub seq: i64,
    /// When, milliseconds since 1970.
    pub at: i64,
    /// Who acted.
    pub account: &'a str,
    /// The token that was used.
    pub token: Option<&'a str>,
    /// `request` or `mutation`.
    pub kind: &'a str,
    /// What was done.
    pub action: &'a str,
    /// What it was done to.
    pub target: &'a str,
    /// More, as JSON text.
    pub details: &'a str,
    /// The operation it belongs to.
    pub operation: Option<&'a str>,
    /// Its step.
    pub step: Option<i64>,
    /// The epoch it was written under.
    pub epoch: Option<i64>,
}

/// One value of an entry.
#[derive(Clone, Copy)]
pub(super) enum Field<'a> {
    Absent,
    Number(i64),
    Text(&'a str),
}

impl<'a> From<Option<&'a str>> for Field<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Self::Absent, Self::Text)
    }
}

impl From<Option<i64>> for Field<'_> {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::Absent, Self::Number)
    }
}

impl Field<'_> {
    /// Its sort in one byte; of a text the length and the bytes, of a number eight bytes. So no byte can go over from one field
    /// to the next, and nothing is not the same as an empty text.
    fn write(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Absent => bytes.push(0),
            Self::Number(number) => {
                bytes.push(1);
                bytes.extend_from_slice(&number.to_be_bytes());
            }
            Self::Text(text) => {
                bytes.push(2);
                let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
                bytes.extend_from_slice(&length.to_be_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
        }
    }
}

impl<'a> Entry<'a> {
    /// All fields in their order; one that is forgotten here does not compile.
    fn fields(&self) -> [Field<'a>; 11] {
        let Self {
            seq,
            at,
            account,
            token,
            kind,
            action,
            target,
            details,
            operation,
            step,
            epoch,
        } = *self;
        [
            Field::Number(seq),
            Field::Number(at),
            Field::Text(account),
            token.into(),
            Field::Text(kind),
            Field::Text(action),
            Field::Text(target),
            Field::Text(details),
            operation.into(),
            step.into(),
            epoch.into(),
        ]
    }

    /// The entry as bytes: two entries that differ in anything have different ones.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        bytes_of(&self.fields())
    }

    /// Its link, if `previous` is the link of the entry before it.
    #[must_use]
    pub fn link(&self, previous: Link) -> Link {
        link_of(VERSION, previous, &self.fields())
    }
}

impl Chained for Entry<'_> {
    fn number(&self) -> i64 {
        self.seq
    }

    fn link_behind(&self, previous: Link) -> Link {
        self.link(previous)
    }
}

/// Fields as bytes: two rows that differ in anything have different ones.
fn bytes_of(fields: &[Field<'_>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    for field in fields {
        field.write(&mut bytes);
    }
    bytes
}

/// The link of a row with these fields, if `previous` is the link of the row before it. `version` says what it is a digest of.
pub(super) fn link_of(version: &[u8], previous: Link, fields: &[Field<'_>]) -> Link {
    let digest = Sha256::new()
        .chain_update(version)
        .chain_update(previous.0)
        .chain_update(bytes_of(fields));
    Link(digest.finalize().into())
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    pub(in crate::audit) fn entry(seq: i64) -> Entry<'static> {
        Entry {
            seq,
            at: 1_700_000_000_000,
            account: "admin",
            token: Some("01890000-0000-7000-8000-000000000007"),
            kind: "mutation",
            action: "POST /nodes/pve1/lxc",
            target: "lab/pve1/101",
            details: "{\"hostname\":\"web\"}",
            operation: Some("01890000-0000-7000-8000-000000000001"),
            step: Some(3),
            epoch: Some(1),
        }
    }

    /// Links are on disks and in logs: how they are made is a promise. The digest was computed by another program.
    #[test]
    fn the_bytes_of_an_entry_stay_as_they_are() {
        let small = Entry {
            seq: 1,
            at: 2,
            account: "a",
            token: None,
            kind: "request",
            action: "",
            target: "t",
            details: "{}",
            operation: None,
            step: None,
            epoch: Some(-1),
        };
        let text = hex::encode(small.canonical());
        let expected = [
            "010000000000000001",
            "010000000000000002",
            "02000000000000000161",
            "00",
            "02000000000000000772657175657374",
            "020000000000000000",
            "02000000000000000174",
            "0200000000000000027b7d",
            "00",
            "00",
            "01ffffffffffffffff",
        ];
        assert_eq!(text, expected.concat());
        assert_eq!(
            small.link(Link::GENESIS).to_string(),
            "9948c62c168d7f786a69705af1f58b0235279bb9e5d11c1259979b9b4e8af2ff"
        );
    }

    /// Each field moved, emptied, taken away or given to its neighbour: all are told apart, and from the entry itself.
    #[test]
    fn no_two_entries_share_their_bytes() {
        let whole = entry(7);
        let others = [
            Entry { seq: 8, ..whole },
            Entry { at: 0, ..whole },
            Entry {
                account: "",
                ..whole
            },
            Entry {
                token: None,
                ..whole
            },
            Entry {
                token: Some(""),
                ..whole
            },
            Entry {
                kind: "request",
                ..whole
            },
            Entry {
                action: "POST /nodes/pve1/lxcl",
                target: "ab/pve1/101",
                ..whole
            },
            Entry {
                action: "POST /nodes/pve1/lx",
                target: "clab/pve1/101",
                ..whole
            },
            Entry {
                details: "{\"hostname\": \"web\"}",
                ..whole
            },
            Entry {
                operation: None,
                ..whole
            },
            Entry {
                step: None,
                epoch: Some(3),
                ..whole
            },
            Entry {
                step: Some(3),
                epoch: None,
                ..whole
            },
            Entry {
                step: Some(0),
                ..whole
            },
        ];
        let all: BTreeSet<Vec<u8>> = others.iter().map(Entry::canonical).collect();
        assert_eq!(all.len(), others.len());
        assert!(!all.contains(&whole.canonical()));
    }

    #[test]
    fn a_link_is_written_in_one_way() {
        let link = entry(1).link(Link::GENESIS);
        let text = link.to_string();
        assert_eq!(Link::parse(&text), Some(link));
        assert_ne!(link, entry(1).link(link), "the link before it counts");
        for other in [
            text.to_uppercase(),
            text[..62].to_owned(),
            format!("{text}00"),
            format!(" {text}"),
            "x".repeat(64),
            String::new(),
        ] {
            assert_eq!(Link::parse(&other), None, "{other}");
        }
    }

    proptest! {
        /// Whatever is in two texts beside each other, moving the border between them shows.
        #[test]
        fn nothing_goes_over_from_one_field_to_the_next(text in ".{1,40}", cut in 0_usize..40, other in 0_usize..40) {
            let borders: Vec<usize> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
            let (cut, other) = (borders[cut % borders.len()], borders[other % borders.len()]);
            let at = |cut: usize| Entry { action: &text[..cut], target: &text[cut..], ..entry(1) }.canonical();
            prop_assert_eq!(at(cut) == at(other), cut == other);
        }
    }
}
