//! The proof that a container does not exist.

use crate::guest::ContainerRef;
use crate::ids::{AppId, GuestId};
use crate::names::NodeName;

use super::complete::{CompleteInventory, Sight};
use super::every_word::{EveryWord, Lacking};
use super::others::{Others, Whose};
use super::sighting::Sighting;
use super::suspicion::Suspicion;

/// What the reconciler watches of one recorded guest, native or adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Row.
    pub guest: GuestId,
    /// Its app.
    pub app: AppId,
    /// Where it was last seen.
    pub place: ContainerRef,
    /// Its identity is confirmed: its volume is known. One that may never have come to be is no orphan.
    pub confirmed: bool,
}

/// What came of asking one node for the guest's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectRead {
    /// This node said that there is none.
    DoesNotExist(NodeName),
    /// There is one.
    Exists,
    /// It could not be told.
    Unknown,
}

/// Why an absence is not proven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotProven {
    /// Its volume was never read, so it may never have come to be.
    #[error("its identity was never confirmed")]
    Unconfirmed,
    /// Fewer than three complete looks were without it.
    #[error("too few complete looks were without it")]
    TooFewLooks,
    /// The newest look does not say that it is missing.
    #[error("the newest look does not say that it is missing")]
    NotMissing,
    /// The token may not see this very guest.
    #[error("the token that looks may not see it")]
    MayNotSee,
    /// Whether the token may see this very guest was not read.
    #[error("whether the token that looks may see it was not read ({0})")]
    SightUnread(String),
    /// A direct read found it.
    #[error("its configuration is there, on a node whose word the list lacks")]
    Exists,
    /// No node is online that could be asked.
    #[error("no node is online that could be asked for it")]
    NobodyToAsk,
    /// A node that is online did not say that it has none, and nobody else's word stands in for its own.
    #[error("the node {0} is online and did not say that it does not have it")]
    NotSaid(NodeName),
    /// A node that is online did not say that it has none, and the lists that would do instead were not heard.
    #[error(
        "the node {silent} is online and did not say that it does not have it, and the lists of {own} and of one more node, which \
         would do instead, were not both to be had"
    )]
    NotStoodIn {
        /// The one that said nothing.
        silent: NodeName,
        /// The one that the container is recorded on.
        own: NodeName,
    },
    /// Somebody answers or is online, or nobody knows that it is not, its list was not read, and no two lists stand in for it.
    #[error(
        "the list of {whose} was not read ({why}): it may have what the others lack, and the lists of {own} and of one more node, \
         which would do instead, were not both to be had"
    )]
    ListUnread {
        /// The one whose list it is.
        whose: Whose,
        /// Why it was not read.
        why: String,
        /// The one that the container is recorded on.
        own: NodeName,
    },
    /// Another node does not say that it is missing.
    #[error(
        "the list of {} does not say so, and that of {} does: one of them may serve an old copy of the cluster's files (journalctl -u \
         pve-cluster on both tells which)",
        named(.other),
        named(.newest)
    )]
    Contradicted {
        /// The one that does not say so.
        other: Option<NodeName>,
        /// The one that was asked first.
        newest: Option<NodeName>,
    },
}

fn named(node: &Option<NodeName>) -> String {
    match node {
        Some(node) => format!("the node {node}"),
        None => "another node".to_owned(),
    }
}

/// A recorded guest whose container is proven absent (doctrine section 2). Made by [`ProvenAbsent::prove`] and by nothing
/// else.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct ProvenAbsent {
    guest: GuestId,
    app: AppId,
    since: crate::time::Timestamp,
    /// Whose word that is.
    words: EveryWord,
}

impl ProvenAbsent {
    /// Three complete looks in a row without the guest, the newest of them at hand; the right to see it; the word of every
    /// node that is online that it does not have it; and no look of another node (`others`) that does not miss it. A list is the
    /// word of one node, whose copy of the cluster's files may have stood still while it still counts as a member with quorum
    /// (ADR 0015): then the container may have gone to any other, and to one that is off as well.
    ///
    /// Who of them may be done without, [`EveryWord::of`] says.
    ///
    /// # Errors
    /// [`NotProven`]: what is missing from the proof.
    pub fn prove(
        watched: &Watched,
        suspicion: &Suspicion,
        newest: &CompleteInventory,
        sight_of_it: Sight,
        reads: &[DirectRead],
        others: &Others,
    ) -> Result<Self, NotProven> {
        let place = &watched.place;
        if !watched.confirmed {
            return Err(NotProven::Unconfirmed);
        }
        if !suspicion.is_ripe() {
            return Err(NotProven::TooFewLooks);
        }
        if newest.sight(place) != Sighting::Missing {
            return Err(NotProven::NotMissing);
        }
        if sight_of_it == Sight::NotAll {
            return Err(NotProven::MayNotSee);
        }
        if reads.contains(&DirectRead::Exists) {
            return Err(NotProven::Exists);
        }
        let does_not_miss_it = |look: &&CompleteInventory| look.sight(place) != Sighting::Missing;
        if let Some(other) = others.looks.iter().find(does_not_miss_it) {
            return Err(NotProven::Contradicted {
                other: other.by().cloned(),
                newest: newest.by().cloned(),
            });
        }
        let looks = std::iter::once(newest).chain(&others.looks);
        let lists: Vec<Lacking<'_>> = looks.map(lacking).collect();
        Ok(Self {
            guest: watched.guest,
            app: watched.app,
            since: suspicion.since,
            words: EveryWord::of(place, &lists, reads, &others.unread)?,
        })
    }

    /// The guest's row.
    #[must_use]
    pub fn guest(&self) -> GuestId {
        self.guest
    }

    /// The app it belongs to.
    #[must_use]
    pub fn app(&self) -> AppId {
        self.app
    }

    /// Since when it was missing.
    #[must_use]
    pub fn since(&self) -> crate::time::Timestamp {
        self.since
    }

    /// Whose word it is proven by, for people.
    #[must_use]
    pub fn evidence(&self) -> String {
        self.words.evidence()
    }
}

impl DirectRead {
    /// Whether this is the word of `node` that it has none.
    #[must_use]
    pub fn is_denied_by(&self, node: &NodeName) -> bool {
        matches!(self, Self::DoesNotExist(by) if by == node)
    }
}

/// A look that lacks the guest, as the list of its node.
fn lacking(look: &CompleteInventory) -> Lacking<'_> {
    let online = look.nodes().iter().filter(|node| node.online);
    Lacking {
        by: look.by(),
        own: look.own_word(),
        online: online.map(|node| &node.name).collect(),
    }
}
