//! Containers that are called like an app for which one would be made, and that no record has.
//!
//! One that bears our mark was made by this installation, whatever became of its record: another one is not made beside it unsaid, for
//! what people keep in an app may be in the first. One of another installation is that one's, and is only told of.

use serde::Serialize;

use super::{Change, Obstacle, State};
use crate::ids::{HostId, InstallationId, Vmid};
use crate::names::NodeName;

/// A container that is called like an app that is wanted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Namesake {
    /// The host entry.
    pub host: HostId,
    /// Where it is.
    pub node: NodeName,
    /// Which one.
    pub vmid: Vmid,
    /// Whoever asks may know of containers that no app has.
    pub is_told: bool,
    /// Whose it is.
    pub mark: MarkSeen,
}

/// What was seen of a container's mark.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkSeen {
    /// Nobody looked yet.
    Unlooked,
    /// That was not read: why.
    Unread(Obstacle),
    /// It bears none.
    None,
    /// This installation's.
    Ours,
    /// Another one's.
    Other(InstallationId),
}

/// Writes into a change that makes a container what is there of its name; returns those whose mark has to be read first. `host` is where it is to
/// be made; without one it may be anywhere.
pub(super) fn beside(
    state: &State,
    change: &mut Change,
    host: Option<HostId>,
) -> Vec<(HostId, Vmid)> {
    let mut doubts = Vec::new();
    for one in state.of_name(&change.name, host) {
        match &one.mark {
            MarkSeen::Unlooked => doubts.push((one.host, one.vmid)),
            MarkSeen::Unread(why) => change.obstacles.push(why.clone()),
            MarkSeen::Ours => change.obstacles.push(ours(state, one)),
            MarkSeen::Other(installation) if one.is_told => change.notes.push(format!(
                "{} has this name and the mark of another installation, {installation}, which made it",
                place(state, one)
            )),
            MarkSeen::Other(_) | MarkSeen::None => {}
        }
    }
    // Of the host that is named it is told as what keeps the change back.
    let elsewhere = state.hosts.values().filter(|_| host.is_none());
    for entry in elsewhere {
        if let Some(why) = &entry.unread {
            change.notes.push(format!(
                "whether a container of this name is on {} was not seen: {}",
                entry.label, why.message
            ));
        }
    }
    doubts
}

fn ours(state: &State, one: &Namesake) -> Obstacle {
    let (what, hint) = match one.is_told {
        true => (
            format!(
                "{} has this name and the mark of this installation, and no app has it",
                place(state, one)
            ),
            "look at what is in it; remove it in Proxmox VE if nothing of that is needed, or choose another name"
                .to_owned(),
        ),
        false => (
            "a container with this name bears the mark of this installation, and no app has it"
                .to_owned(),
            "ask who looks after the hosts, or choose another name; proximity discover shows which one it is"
                .to_owned(),
        ),
    };
    Obstacle::new("marked_container_there", what, hint)
}

fn place(state: &State, one: &Namesake) -> String {
    let host = state.hosts.get(&one.host);
    let host = host.map_or("its host", |entry| entry.label.as_str());
    format!("container {} on {host}/{}", one.vmid, one.node)
}
