//! What one node knows of another's guests. Who is cut off from the others, and the others of it, know what was told last
//! before that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::broadcast::STALE_MS;
use super::tracked::Tracked;
use super::world::{Guest, World};

/// What was told of a guest last.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Where it was.
    pub(crate) node: String,
    /// Its row in a broadcast; none before the first.
    pub(crate) row: Option<BTreeMap<String, Value>>,
    /// When that was, Unix ms.
    pub(crate) at_ms: u64,
}

/// What was told of all guests last, before a node was cut off.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct LastView(BTreeMap<u32, Told>);

impl Tracked for LastView {}

/// The same, where it lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ToldRef<'a> {
    pub(crate) node: &'a str,
    pub(crate) row: Option<&'a BTreeMap<String, Value>>,
    pub(crate) at_ms: u64,
}

impl<'a> ToldRef<'a> {
    /// What a guest's node told of it last.
    pub(crate) fn of(guest: &'a Guest) -> Self {
        Self {
            node: &guest.node,
            row: guest.broadcast.as_ref(),
            at_ms: guest.broadcast_ms,
        }
    }

    fn kept(told: &'a Told) -> Self {
        Self {
            node: &told.node,
            row: told.row.as_ref(),
            at_ms: told.at_ms,
        }
    }

    /// It is shown for so long.
    pub(crate) fn is_fresh(&self, now_ms: u64) -> bool {
        now_ms < self.at_ms + STALE_MS
    }
}

impl Told {
    fn of(guest: &Guest) -> Self {
        Self {
            node: guest.node.clone(),
            row: guest.broadcast.clone(),
            at_ms: guest.broadcast_ms,
        }
    }
}

impl World {
    /// What every node knows of all guests now.
    pub(crate) fn common_view(&self) -> LastView {
        let guests = self.guests.iter();
        let rows = guests.map(|(vmid, guest)| (*vmid, Told::of(guest)));
        LastView(rows.collect())
    }

    /// Whether all nodes know the same of all guests.
    pub(crate) fn has_one_view(&self) -> bool {
        self.last_views.is_empty()
    }

    /// What a node knows of a guest; none when it does not know that there is one.
    pub(crate) fn told<'a>(
        &'a self,
        via: &str,
        vmid: u32,
        guest: &'a Guest,
    ) -> Option<ToldRef<'a>> {
        let view = |name: &str| self.last_views.get(name);
        let cut = if via == guest.node {
            None
        } else {
            view(via).or_else(|| view(&guest.node))
        };
        match cut {
            Some(LastView(view)) => view.get(&vmid).map(ToldRef::kept),
            None => Some(ToldRef::of(guest)),
        }
    }
}
