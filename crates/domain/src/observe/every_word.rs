//! What all nodes of a cluster say of a guest that their lists lack, and who is done without (ADR 0015).

use std::collections::BTreeSet;

use crate::guest::ContainerRef;
use crate::names::NodeName;

use super::others::{Unread, Whose};
use super::proof::{DirectRead, NotProven};

/// One node's list without the guest, in which the guest's own node is a member that is reached. Whoever makes it has looked at
/// that, and that the list is whole and the word of the guest's cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking<'l> {
    /// The node whose list it is, as it calls itself.
    pub by: Option<&'l NodeName>,
    /// The same, if it is that node's for certain: read at an address that is on record as its own and leads to no other.
    pub own: Option<&'l NodeName>,
    /// Every node that it has online.
    pub online: Vec<&'l NodeName>,
}

/// The word of everybody that is needed that the guest is nowhere. Made by [`EveryWord::of`] and by nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct EveryWord {
    /// Whose lists lack it, where that is known.
    lists: BTreeSet<NodeName>,
    /// Who is online and did not say that it has none.
    unheard: Vec<NodeName>,
    /// Whose list was not read, of those that answer or are online.
    unread: Vec<Whose>,
}

impl EveryWord {
    /// Each node that any of the `lists` has online says for itself that it does not have the guest (`reads`), and no list is
    /// `unread` that may have it.
    ///
    /// The word of a node that is online may be missing, or a list, where the whole list of the guest's own node lacks the guest,
    /// and that of one more: its own node had it when it was recorded, and a copy of the cluster's files goes forward or stands
    /// still, so that it knows of every move up to where it stands. Both have to be the word of these nodes for certain
    /// ([`Lacking::own`]). Nothing stands in for what the guest's own node says of it.
    ///
    /// # Errors
    /// [`NotProven`]: what is missing from it.
    pub fn of(
        place: &ContainerRef,
        lists: &[Lacking<'_>],
        reads: &[DirectRead],
        unread: &[Unread],
    ) -> Result<Self, NotProven> {
        if reads.contains(&DirectRead::Exists) {
            return Err(NotProven::Exists);
        }
        Ok(Self {
            unheard: unheard(place, lists, reads)?,
            unread: not_read(place, lists, unread)?,
            lists: lists.iter().filter_map(|list| list.by).cloned().collect(),
        })
    }

    /// Whether somebody was done without, for whom two lists stand in.
    #[must_use]
    pub fn is_stood_in(&self) -> bool {
        !self.unheard.is_empty() || !self.unread.is_empty()
    }

    /// Whose word it is, for people.
    #[must_use]
    pub fn evidence(&self) -> String {
        let lists: Vec<&str> = self.lists.iter().map(NodeName::as_str).collect();
        let mut text = match lists.as_slice() {
            [] => "the list of one node lacks it, and no other was to be had".to_owned(),
            [one] => format!("the list of {one} lacks it, and no other was to be had"),
            several => format!("the lists of {} lack it", several.join(", ")),
        };
        if !self.unread.is_empty() {
            let unread: Vec<&str> = self.unread.iter().map(Whose::as_str).collect();
            text.push_str(&format!(", that of {} was not read", unread.join(", ")));
        }
        text.push_str("; each node that is online says that it does not have it");
        if !self.unheard.is_empty() {
            let unheard: Vec<&str> = self.unheard.iter().map(NodeName::as_str).collect();
            text.push_str(&format!(", but for {}, not heard", unheard.join(", ")));
        }
        text
    }
}

/// Who is online by any of the lists and did not say that it has none.
///
/// # Errors
/// [`NotProven`]: one of them cannot be done without.
fn unheard(
    place: &ContainerRef,
    lists: &[Lacking<'_>],
    reads: &[DirectRead],
) -> Result<Vec<NodeName>, NotProven> {
    let online = lists.iter().flat_map(|list| &list.online);
    let online: BTreeSet<&NodeName> = online.copied().collect();
    if online.is_empty() {
        return Err(NotProven::NobodyToAsk);
    }
    // Before any other: nothing helps as long as it says nothing.
    if !is_denied(reads, &place.node) {
        return Err(NotProven::NotSaid(place.node.clone()));
    }
    let mut unheard = online.into_iter().filter(|node| !is_denied(reads, node));
    let Some(first) = unheard.next() else {
        return Ok(Vec::new());
    };
    if !stand_in(place, lists) {
        return Err(NotProven::NotStoodIn {
            silent: first.clone(),
            own: place.node.clone(),
        });
    }
    Ok(std::iter::once(first).chain(unheard).cloned().collect())
}

fn is_denied(reads: &[DirectRead], node: &NodeName) -> bool {
    reads.iter().any(|read| read.is_denied_by(node))
}

/// Whose list was not read.
///
/// # Errors
/// [`NotProven`]: one of them cannot be done without.
fn not_read(
    place: &ContainerRef,
    lists: &[Lacking<'_>],
    unread: &[Unread],
) -> Result<Vec<Whose>, NotProven> {
    if let Some(Unread { whose, why }) = unread.first()
        && !stand_in(place, lists)
    {
        return Err(NotProven::ListUnread {
            whose: whose.clone(),
            why: why.clone(),
            own: place.node.clone(),
        });
    }
    Ok(unread.iter().map(|it| it.whose.clone()).collect())
}

/// Whether the lists of the guest's own node and of one more are among these.
fn stand_in(place: &ContainerRef, lists: &[Lacking<'_>]) -> bool {
    let own: BTreeSet<&NodeName> = lists.iter().filter_map(|list| list.own).collect();
    own.len() > 1 && own.contains(&place.node)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::{HostId, Vmid};

    fn node(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    fn none(name: &str) -> DirectRead {
        DirectRead::DoesNotExist(node(name))
    }

    /// The guest is recorded on pve1; everybody has pve1, pve2 and pve3 online. Lists are given by node, with whether they are that
    /// node's for certain.
    fn of(
        lists: &[(&str, bool)],
        reads: &[DirectRead],
        unread: &[Unread],
    ) -> Result<EveryWord, NotProven> {
        let place = ContainerRef {
            host: HostId(Uuid::from_u128(1)),
            node: node("pve1"),
            vmid: Vmid::try_from(101).unwrap(),
        };
        let online = ["pve1", "pve2", "pve3"].map(node);
        let names: Vec<NodeName> = lists.iter().map(|(name, _)| node(name)).collect();
        let lists = names.iter().zip(lists).map(|(by, (_, is_own))| Lacking {
            by: Some(by),
            own: is_own.then_some(by),
            online: online.iter().collect(),
        });
        let lists: Vec<Lacking<'_>> = lists.collect();
        EveryWord::of(&place, &lists, reads, unread)
    }

    /// Which node an address leads to that says nothing, nobody knows: it may be one that has what all others lack.
    #[test]
    fn whoever_is_reached_and_silent_is_done_without_where_two_lists_stand_in_alone() {
        let all = ["pve1", "pve2", "pve3"].map(none);
        let silent = [Unread {
            whose: Whose::Address("https://192.0.2.9:8006".to_owned()),
            why: "it has not said in time who is in its cluster".to_owned(),
        }];
        let heard = of(&[("pve1", true), ("pve2", true)], &all, &[]).unwrap();
        assert!(!heard.is_stood_in());
        let heard = of(&[("pve1", true), ("pve2", true)], &all, &silent).unwrap();
        assert!(heard.is_stood_in());
        let told = "the lists of pve1, pve2 lack it, that of https://192.0.2.9:8006 was not read;";
        assert!(heard.evidence().starts_with(told), "{}", heard.evidence());
        for lists in [
            &[("pve1", true)][..],
            &[("pve1", false), ("pve2", true)][..],
            &[("pve1", true), ("pve2", false)][..],
            &[("pve2", true), ("pve3", true)][..],
        ] {
            let why = of(lists, &all, &silent).unwrap_err();
            assert!(matches!(why, NotProven::ListUnread { .. }), "{lists:?}");
            let said = why.to_string();
            let named = "the list of whichever node is at https://192.0.2.9:8006 was not read";
            assert!(said.starts_with(named), "{said}");
        }
    }

    /// What anybody has is not gone, whoever stands in for whom.
    #[test]
    fn a_node_that_has_it_outweighs_all_lists() {
        let reads = [none("pve1"), none("pve2"), DirectRead::Exists];
        let lists = [("pve1", true), ("pve2", true)];
        assert_eq!(of(&lists, &reads, &[]), Err(NotProven::Exists));
        let hangs = of(&lists, &reads[..2], &[]).unwrap();
        assert!(hangs.is_stood_in());
        assert!(hangs.evidence().ends_with("but for pve3, not heard"));
        let own_hangs = of(&lists, &reads[1..2], &[]);
        assert_eq!(own_hangs, Err(NotProven::NotSaid(node("pve1"))));
        assert_eq!(of(&[], &reads[..2], &[]), Err(NotProven::NobodyToAsk));
    }
}
