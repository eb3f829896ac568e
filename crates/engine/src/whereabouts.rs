//! Where a guest of ours is now: HA and migrations move containers under us.

use proximity_domain::event::EventKind;
use proximity_domain::guest::{ContainerRef, ObservedContainer};
use proximity_domain::names::NodeName;
use proximity_domain::recorded::RecordedGuest;
use proximity_pve::cluster::GuestKind;
use proximity_pve::error::Error as PveError;
use proximity_store::effects::{Effects, GuestChange, NewEvent};
use serde_json::json;

use crate::cluster::{Cluster, observed};
use crate::view::{Gap, is_whole, is_word_of, status};

/// What the cluster lists under a guest's number on another node than the recorded one.
#[derive(Debug)]
pub(crate) enum Elsewhere {
    /// Nothing.
    Nowhere,
    /// A container, as it is there.
    Container(Box<ObservedContainer>),
    /// A virtual machine.
    Machine { node: NodeName },
    /// Not to be told: the list of the node that answers may be old, or another cluster's.
    Unknown(Gap),
}

/// Looks for the guest's number in the cluster's list, and reads what has it.
///
/// The list says which node holds the configuration, current on a quorate node of the entry's cluster; whether the container
/// there is ours only the identity read tells. Nobody is followed by a list that lacks a node on record: a part that was
/// split off may be quorate by itself, with a copy of what was there before.
pub(crate) async fn elsewhere(
    cluster: &Cluster,
    guest: &RecordedGuest,
) -> Result<Elsewhere, PveError> {
    let vmid = guest.place().vmid;
    let status = status(cluster).await?;
    if let Err(gap) = is_word_of(cluster.host(), &status) {
        return Ok(Elsewhere::Unknown(gap));
    }
    let rows = cluster.read().resources_vm().await?;
    let Some(row) = rows
        .into_iter()
        .find(|row| row.vmid == vmid && row.node != guest.place().node)
    else {
        return Ok(Elsewhere::Nowhere);
    };
    if let Err(gap) = is_whole(cluster.host(), &status) {
        return Ok(Elsewhere::Unknown(gap));
    }
    match row.kind {
        GuestKind::Qemu => Ok(Elsewhere::Machine { node: row.node }),
        GuestKind::Lxc => match cluster.read().lxc_config(&row.node, vmid).await {
            Ok(config) => {
                let place = ContainerRef {
                    node: row.node,
                    ..guest.place().clone()
                };
                Ok(Elsewhere::Container(Box::new(observed(
                    place, &config, false,
                ))))
            }
            // Gone or moved on since it was listed: the next look tells.
            Err(e) if e.is_missing_config() => Ok(Elsewhere::Nowhere),
            Err(e) => Err(e),
        },
    }
}

/// The guest's number as it is now: on its recorded node, or wherever the cluster lists it; `None` if nowhere.
///
/// Whether what is there is ours is for the caller to judge.
pub(crate) async fn now(
    cluster: &Cluster,
    guest: &RecordedGuest,
) -> Result<Option<ObservedContainer>, PveError> {
    let place = guest.place();
    let missing = match cluster.read().lxc_config(&place.node, place.vmid).await {
        Ok(config) => return Ok(Some(observed(place.clone(), &config, false))),
        Err(e) if e.is_missing_config() || e.is_node_unreachable() => e,
        Err(e) => return Err(e),
    };
    match elsewhere(cluster, guest).await? {
        Elsewhere::Container(seen) => Ok(Some(*seen)),
        Elsewhere::Nowhere | Elsewhere::Machine { .. } if missing.is_missing_config() => Ok(None),
        Elsewhere::Nowhere | Elsewhere::Machine { .. } | Elsewhere::Unknown(_) => Err(missing),
    }
}

/// The change that records the new place, with its event.
pub(crate) fn moved(guest: &RecordedGuest, node: &NodeName) -> Effects {
    Effects {
        guests: vec![GuestChange::Moved {
            guest: guest.id(),
            node: node.clone(),
        }],
        events: vec![moved_event(guest, node)],
        ..Effects::default()
    }
}

pub(crate) fn moved_event(guest: &RecordedGuest, node: &NodeName) -> NewEvent {
    NewEvent {
        kind: EventKind::GuestMoved,
        body: json!({
            "app": guest.app(),
            "host": guest.place().host,
            "vmid": guest.place().vmid,
            "from": guest.place().node,
            "to": node,
        }),
    }
}

pub(crate) fn moved_text(guest: &RecordedGuest, node: &NodeName) -> String {
    format!(
        "Container {} is now on node {node}; it was on {}",
        guest.place().vmid,
        guest.place().node
    )
}
