//! Walking a chain from one end to the other, and holding it against anchors.

use std::iter::Peekable;
use std::vec;

use super::{Head, Link};

/// A row of a journal that is a chain.
pub trait Chained {
    /// Its number.
    fn number(&self) -> i64;

    /// Its link, if `previous` is the link of the row before it.
    fn link_behind(&self, previous: Link) -> Link;
}

/// Why a chain is not whole. Nothing is said of what lies behind the first break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// An entry was removed, or given another number.
    #[error("entry {seq} is not there, though a later one is")]
    Missing {
        /// The first that is not there.
        seq: i64,
    },
    /// The entry, its link or its place was changed.
    #[error("entry {seq} is not what it was when it was written")]
    Altered {
        /// Which.
        seq: i64,
    },
    /// The entry has no link, or what stands in its place is none.
    #[error("entry {seq} has no link to the entry before it")]
    Unlinked {
        /// Which.
        seq: i64,
    },
    /// Something in it has another type than it was written with.
    #[error("entry {seq} cannot be read")]
    Unreadable {
        /// Which.
        seq: i64,
    },
    /// An entry that was cleared away is there again, or what was cleared away is said to end behind it.
    #[error("entry {seq} is there, though it was cleared away")]
    PutBack {
        /// The lowest such entry.
        seq: i64,
    },
    /// An anchor tells of entries that are not there.
    #[error("the entries from {seq} on were cut off: there were {anchored} at least")]
    CutOff {
        /// The first that is not there.
        seq: i64,
        /// The number that the highest anchor names.
        anchored: i64,
    },
    /// The links fit each other and not an anchor.
    #[error(
        "the chain was made anew between entry {seq} and entry {anchored}, which is not the one that was anchored"
    )]
    MadeAnew {
        /// The first that no anchor vouches for.
        seq: i64,
        /// The one that is not as it was anchored.
        anchored: i64,
    },
}

impl Break {
    /// The first number that is wrong, or may be.
    #[must_use]
    pub fn seq(self) -> i64 {
        match self {
            Self::Missing { seq }
            | Self::Altered { seq }
            | Self::Unlinked { seq }
            | Self::Unreadable { seq }
            | Self::PutBack { seq }
            | Self::CutOff { seq, .. }
            | Self::MadeAnew { seq, .. } => seq,
        }
    }

    /// Stable word for what is wrong.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Altered { .. } => "altered",
            Self::Unlinked { .. } => "unlinked",
            Self::Unreadable { .. } => "unreadable",
            Self::PutBack { .. } => "put_back",
            Self::CutOff { .. } => "cut_off",
            Self::MadeAnew { .. } => "made_anew",
        }
    }
}

/// A walk along a chain, entry by entry, in the order of their numbers. It keeps nothing of what it has passed.
#[derive(Debug, Clone)]
pub struct Walk {
    at: Head,
    /// Those that lie ahead, lowest first.
    anchors: Peekable<vec::IntoIter<Head>>,
    /// The highest number that an anchor vouched for.
    vouched: i64,
    highest: i64,
}

impl Walk {
    /// A walk that begins behind `from`, which is not looked at itself. Anchors of what lies before it say nothing.
    #[must_use]
    pub fn behind(from: Head, mut anchors: Vec<Head>) -> Self {
        anchors.retain(|anchor| anchor.seq > from.seq);
        anchors.sort_unstable_by_key(|anchor| anchor.seq);
        Self {
            at: from,
            highest: anchors.last().map_or(0, |anchor| anchor.seq),
            anchors: anchors.into_iter().peekable(),
            vouched: from.seq,
        }
    }

    /// As [`Self::behind`], of a chain whose beginning was cleared away; `cut` is the last entry that went.
    ///
    /// # Errors
    /// [`Break::MadeAnew`] if an anchor names that entry with another link than is kept of it.
    pub fn behind_cut(cut: Head, anchors: Vec<Head>) -> Result<Self, Break> {
        let differs = |anchor: &Head| anchor.seq == cut.seq && anchor.link != cut.link;
        if anchors.iter().any(differs) {
            return Err(Break::MadeAnew {
                seq: cut.seq,
                anchored: cut.seq,
            });
        }
        Ok(Self::behind(cut, anchors))
    }

    /// How far it is.
    #[must_use]
    pub fn head(&self) -> Head {
        self.at
    }

    /// The number that comes next, if nothing is missing.
    #[must_use]
    pub fn next_seq(&self) -> i64 {
        self.at.seq.saturating_add(1)
    }

    /// Passes the next entry that is there; `recorded` is what stands in the place of its link.
    ///
    /// # Errors
    /// The chain breaks here. The walk ends with that.
    pub fn pass(&mut self, entry: &impl Chained, recorded: Option<&str>) -> Result<(), Break> {
        let seq = self.next_seq();
        if entry.number() != seq {
            return Err(Break::Missing { seq });
        }
        let recorded = recorded.and_then(Link::parse);
        let recorded = recorded.ok_or(Break::Unlinked { seq })?;
        let link = entry.link_behind(self.at.link);
        if link != recorded {
            return Err(Break::Altered { seq });
        }
        self.at = Head { seq, link };
        self.hold_against_anchors()
    }

    /// More than one anchor may name a number: then all have to fit.
    fn hold_against_anchors(&mut self) -> Result<(), Break> {
        let (Head { seq, link }, first) = (self.at, self.vouched.saturating_add(1));
        while let Some(anchor) = self.anchors.next_if(|anchor| anchor.seq == seq) {
            if anchor.link != link {
                let anchored = seq;
                return Err(Break::MadeAnew {
                    seq: first,
                    anchored,
                });
            }
            self.vouched = seq;
        }
        Ok(())
    }

    /// The end of what is there.
    ///
    /// # Errors
    /// [`Break::CutOff`] if an anchor tells of more.
    pub fn end(mut self) -> Result<Head, Break> {
        match self.anchors.next() {
            Some(_) => Err(Break::CutOff {
                seq: self.next_seq(),
                anchored: self.highest,
            }),
            None => Ok(self.at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Entry;
    use super::super::entry::tests::entry;
    use super::*;

    /// So many entries, each with the link it was written with.
    fn chain(count: i64) -> Vec<(Entry<'static>, String)> {
        let mut link = Link::GENESIS;
        let linked = (1..=count).map(|seq| {
            let entry = entry(seq);
            link = entry.link(link);
            (entry, link.to_string())
        });
        linked.collect()
    }

    fn walked(chain: &[(Entry<'_>, String)], anchors: Vec<Head>) -> Result<Head, Break> {
        let mut walk = Walk::behind(Head::NONE, anchors);
        for (entry, link) in chain {
            walk.pass(entry, Some(link))?;
        }
        walk.end()
    }

    fn head(chain: &[(Entry<'_>, String)], seq: i64) -> Head {
        let (_, link) = &chain[usize::try_from(seq).unwrap() - 1];
        let link = Link::parse(link).unwrap();
        Head { seq, link }
    }

    /// As somebody does who knows how links are made.
    fn make_anew(chain: &mut [(Entry<'_>, String)], from: usize) {
        let before = from.checked_sub(1).map(|at| chain[at].1.clone());
        let mut link = before.map_or(Link::GENESIS, |text| Link::parse(&text).unwrap());
        for (entry, recorded) in &mut chain[from..] {
            link = entry.link(link);
            *recorded = link.to_string();
        }
    }

    #[test]
    fn a_whole_chain_is_walked_to_its_head() {
        let chain = chain(20);
        let anchors = vec![head(&chain, 20), head(&chain, 3), head(&chain, 3)];
        assert_eq!(walked(&chain, anchors), Ok(head(&chain, 20)));
        assert_eq!(walked(&[], Vec::new()), Ok(Head::NONE));
        let mut walk = Walk::behind(head(&chain, 10), vec![head(&chain, 2)]);
        for (entry, link) in &chain[10..] {
            walk.pass(entry, Some(link)).unwrap();
        }
        assert_eq!(walk.end(), Ok(head(&chain, 20)), "from the middle on");
    }

    #[test]
    fn the_first_entry_that_was_changed_is_named() {
        let whole = chain(9);
        for at in 0..9 {
            let seq = i64::try_from(at).unwrap() + 1;
            let mut altered = whole.clone();
            altered[at].0.target = "lab/pve1/102";
            assert_eq!(walked(&altered, Vec::new()), Err(Break::Altered { seq }));
            let mut removed = whole.clone();
            removed.remove(at);
            let told = walked(&removed, Vec::new());
            let expected = match at {
                8 => Ok(head(&whole, 8)),
                _ => Err(Break::Missing { seq }),
            };
            assert_eq!(told, expected, "the end alone is removed unseen");
            let mut unlinked = Walk::behind(Head::NONE, Vec::new());
            let mut told = Ok(());
            for (n, (entry, link)) in whole.iter().enumerate() {
                told = unlinked.pass(entry, (n != at).then_some(link.as_str()));
                if told.is_err() {
                    break;
                }
            }
            assert_eq!(told, Err(Break::Unlinked { seq }));
        }
    }

    /// Contents that changed places, with their links or without, and an entry that is there twice.
    #[test]
    fn entries_that_changed_places_are_found() {
        let whole = chain(9);
        for (one, other) in (0..9).flat_map(|one| (one + 1..9).map(move |other| (one, other))) {
            let seq = i64::try_from(one).unwrap() + 1;
            let mut swapped = whole.clone();
            swapped.swap(one, other);
            let told = walked(&swapped, Vec::new());
            assert_eq!(told, Err(Break::Missing { seq }), "with their numbers");
            let (first, second) = (swapped[one].0.seq, swapped[other].0.seq);
            swapped[one].0.seq = second;
            swapped[other].0.seq = first;
            let told = walked(&swapped, Vec::new());
            assert_eq!(told, Err(Break::Altered { seq }), "without their numbers");
            let mut again = whole.clone();
            again.insert(other, whole[one].clone());
            let told = walked(&again, Vec::new()).map_err(Break::seq);
            assert_eq!(told, Err(i64::try_from(other).unwrap() + 1));
        }
    }

    /// Where it breaks when one entry of a page is another one, or has another link.
    fn broken_by(
        page: &[(Entry<'_>, String)],
        at: usize,
        changed: &Entry<'_>,
        link: &str,
    ) -> Option<i64> {
        let mut walk = Walk::behind(Head::NONE, Vec::new());
        for (n, (entry, recorded)) in page.iter().enumerate() {
            let passed = match n == at {
                true => walk.pass(changed, Some(link)),
                false => walk.pass(entry, Some(recorded)),
            };
            if let Err(broken) = passed {
                return Some(broken.seq());
            }
        }
        None
    }

    /// The text with each of its bits changed; the highest of a byte would leave no text.
    fn flips(text: &str) -> Vec<String> {
        let bits = (0..text.len() * 8).filter(|bit| bit % 8 != 7);
        let flipped = bits.map(|bit| {
            let mut bytes = text.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            String::from_utf8(bytes).unwrap()
        });
        flipped.collect()
    }

    #[test]
    fn every_bit_of_a_page_is_seen() {
        let page = chain(5);
        for (at, (whole, link)) in page.iter().enumerate() {
            let seq = Some(i64::try_from(at).unwrap() + 1);
            let seen = |changed: Entry<'_>| {
                assert_eq!(broken_by(&page, at, &changed, link), seq, "{changed:?}");
            };
            for bit in 0..64 {
                let flip = |number: i64| number ^ (1 << bit);
                let (step, epoch) = (whole.step.map(flip), whole.epoch.map(flip));
                let (number, moment) = (flip(whole.seq), flip(whole.at));
                seen(Entry {
                    seq: number,
                    ..*whole
                });
                seen(Entry {
                    at: moment,
                    ..*whole
                });
                seen(Entry { step, ..*whole });
                seen(Entry { epoch, ..*whole });
            }
            for text in &flips(whole.account) {
                seen(Entry {
                    account: text,
                    ..*whole
                });
            }
            for text in &flips(whole.token.unwrap()) {
                let token = Some(text.as_str());
                seen(Entry { token, ..*whole });
            }
            for text in &flips(whole.kind) {
                seen(Entry {
                    kind: text,
                    ..*whole
                });
            }
            for text in &flips(whole.action) {
                seen(Entry {
                    action: text,
                    ..*whole
                });
            }
            for text in &flips(whole.target) {
                seen(Entry {
                    target: text,
                    ..*whole
                });
            }
            for text in &flips(whole.details) {
                seen(Entry {
                    details: text,
                    ..*whole
                });
            }
            for text in &flips(whole.operation.unwrap()) {
                let operation = Some(text.as_str());
                seen(Entry {
                    operation,
                    ..*whole
                });
            }
            for text in &flips(link) {
                assert_eq!(broken_by(&page, at, whole, text), seq, "{text}");
            }
        }
    }

    #[test]
    fn what_was_cut_off_is_seen_by_an_anchor_alone() {
        let whole = chain(9);
        for left in 0..9 {
            let cut = &whole[..left];
            let seq = i64::try_from(left).unwrap() + 1;
            assert!(walked(cut, Vec::new()).is_ok());
            let anchors = vec![head(&whole, 9), head(&whole, 1)];
            let anchored = 9;
            assert_eq!(walked(cut, anchors), Err(Break::CutOff { seq, anchored }));
        }
    }

    /// Links that fit each other are no proof: whoever can write can make them.
    #[test]
    fn what_was_made_anew_is_seen_by_an_anchor_alone() {
        let whole = chain(9);
        for at in 0..9 {
            let mut anew = whole.clone();
            anew[at].0.account = "nobody";
            make_anew(&mut anew, at);
            assert!(walked(&anew, Vec::new()).is_ok());
            let anchors = vec![head(&whole, 3), head(&whole, 6), head(&whole, 9)];
            let told = walked(&anew, anchors);
            let (seq, anchored) = match at {
                0..3 => (1, 3),
                3..6 => (4, 6),
                _ => (7, 9),
            };
            assert_eq!(told, Err(Break::MadeAnew { seq, anchored }), "{at}");
        }
        // Cut off and written on: one anchor that fits does not hide one that does not.
        let mut written_on = whole[..4].to_vec();
        written_on.push((
            Entry {
                action: "DELETE",
                ..entry(5)
            },
            String::new(),
        ));
        make_anew(&mut written_on, 4);
        let anchors = vec![head(&written_on, 5), head(&whole, 5), head(&whole, 2)];
        let (seq, anchored) = (3, 5);
        assert_eq!(
            walked(&written_on, anchors),
            Err(Break::MadeAnew { seq, anchored })
        );
    }

    #[test]
    fn what_is_kept_of_the_last_entry_that_was_cleared_away_is_held_against_its_anchor() {
        let cut = Head {
            seq: 3,
            link: entry(3).link(Link::GENESIS),
        };
        let other = Head {
            link: Link::GENESIS,
            ..cut
        };
        let begins = |anchors| Walk::behind_cut(cut, anchors).map(|walk| walk.head());
        assert_eq!(begins(vec![cut]), Ok(cut));
        let (seq, anchored) = (cut.seq, cut.seq);
        let broken = Err(Break::MadeAnew { seq, anchored });
        assert_eq!(begins(vec![cut, other]), broken);
    }
}
