//! The proof that a container does not exist.

use std::collections::BTreeSet;

use crate::guest::ContainerRef;
use crate::ids::{AppId, GuestId};
use crate::names::NodeName;

use super::complete::{CompleteInventory, Sight};
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
    /// Whose lists lack it, where that is known.
    lists: BTreeSet<NodeName>,
    /// Who is online and did not say that it has none.
    unheard: Vec<NodeName>,
}

impl ProvenAbsent {
    /// Three complete looks in a row without the guest, the newest of them at hand; the right to see it; the word of every
    /// node that is online that it does not have it; and no look of another node (`others`) that does not miss it. A list is the
    /// word of one node, whose copy of the cluster's files may have stood still while it still counts as a member with quorum
    /// (ADR 0015): then the container may have gone to any other, and to one that is off as well. The word of a node may be
    /// missing where [`ProvenAbsent::can_do_without`] says so.
    ///
    /// # Errors
    /// [`NotProven`]: what is missing from the proof.
    pub fn prove(
        watched: &Watched,
        suspicion: &Suspicion,
        newest: &CompleteInventory,
        sight_of_it: Sight,
        reads: &[DirectRead],
        others: &[CompleteInventory],
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
        if let Some(other) = others.iter().find(does_not_miss_it) {
            return Err(NotProven::Contradicted {
                other: other.by().cloned(),
                newest: newest.by().cloned(),
            });
        }
        let online = online(newest, others);
        if online.is_empty() {
            return Err(NotProven::NobodyToAsk);
        }
        let has_none = |node: &NodeName| {
            let said =
                |read: &DirectRead| matches!(read, DirectRead::DoesNotExist(by) if by == node);
            reads.iter().any(said)
        };
        let mut unheard = Vec::new();
        for node in online {
            if !has_none(node) {
                Self::can_do_without(node, place, newest, others)?;
                unheard.push(node.clone());
            }
        }
        Ok(Self {
            guest: watched.guest,
            app: watched.app,
            since: suspicion.since,
            lists: lists(newest, others),
            unheard,
        })
    }

    /// Whether the absence of a guest recorded at `place` may be proven though `silent`, which is online, does not say that it
    /// does not have it. It may where the whole list of the guest's own node lacks it, and that of one more: its own node had it
    /// when it was recorded, and a copy of the cluster's files goes forward or stands still, so that it knows of every move up
    /// to where it stands. No list stands in for the guest's own node.
    ///
    /// # Errors
    /// [`NotProven`]: why not.
    pub fn can_do_without(
        silent: &NodeName,
        place: &ContainerRef,
        newest: &CompleteInventory,
        others: &[CompleteInventory],
    ) -> Result<(), NotProven> {
        if *silent == place.node {
            return Err(NotProven::NotSaid(silent.clone()));
        }
        let lists = lists(newest, others);
        if lists.len() > 1 && lists.contains(&place.node) {
            return Ok(());
        }
        Err(NotProven::NotStoodIn {
            silent: silent.clone(),
            own: place.node.clone(),
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
        let lists: Vec<&str> = self.lists.iter().map(NodeName::as_str).collect();
        let mut text = match lists.as_slice() {
            [] => "the list of one node lacks it, and no other was to be had".to_owned(),
            [one] => format!("the list of {one} lacks it, and no other was to be had"),
            several => format!("the lists of {} lack it", several.join(", ")),
        };
        text.push_str("; each node that is online says that it does not have it");
        if !self.unheard.is_empty() {
            let unheard: Vec<&str> = self.unheard.iter().map(NodeName::as_str).collect();
            text.push_str(&format!(", but for {}, not heard", unheard.join(", ")));
        }
        text
    }
}

/// Every node that any of these has online.
fn online<'l>(
    newest: &'l CompleteInventory,
    others: &'l [CompleteInventory],
) -> BTreeSet<&'l NodeName> {
    let looks = std::iter::once(newest).chain(others);
    let nodes = looks.flat_map(CompleteInventory::nodes);
    let online = nodes.filter(|node| node.online);
    online.map(|node| &node.name).collect()
}

/// The nodes whose looks these are, where that is known.
fn lists(newest: &CompleteInventory, others: &[CompleteInventory]) -> BTreeSet<NodeName> {
    let looks = std::iter::once(newest).chain(others);
    looks.filter_map(CompleteInventory::by).cloned().collect()
}
