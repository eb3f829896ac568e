//! `POST /api/proxmox/hosts/{host}/nodes/{node}/loss`: a node that is gone is given up with what is recorded on it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::apps::Ports;

/// Body of `POST /api/proxmox/hosts/{host}/nodes/{node}/loss`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GiveUpNode {
    /// How many apps are lost with the node, as `lost` of an answer before said, typed by a person who knows that their containers
    /// are. Left out, it is only shown what would become of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub confirm_lost: Option<u64>,
}

/// Answer of `POST /api/proxmox/hosts/{host}/nodes/{node}/loss`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeLoss {
    /// Label of the host entry.
    pub host: String,
    /// The node.
    pub node: String,
    /// It is off, and its cluster still lists it, so it stays on record; else it has left its cluster, and is forgotten.
    pub is_member: bool,
    /// Nodes of the host entry beside this one that no answer of its cluster has: what is on them nobody can say, and the number that
    /// is confirmed covers that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen_nodes: Vec<String>,
    /// How many of the apps are lost with it.
    pub lost: u64,
    /// Every app that is recorded on it, oldest first.
    pub apps: Vec<LostApp>,
    /// The mass brake, if these are more than may go in an hour. Whoever confirms the number lets go of them all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brake: Option<LossBrake>,
    /// It was done; else it was only shown.
    pub done: bool,
    /// The nodes of the host entry, as they are then.
    pub known_nodes: Vec<String>,
}

/// An app that is recorded on a node which is given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LostApp {
    /// The app's id.
    #[schema(format = "uuid")]
    pub app_id: String,
    /// Its host name.
    pub hostname: String,
    /// `native` or `adopted`.
    pub class: String,
    /// Its status.
    pub status: String,
    /// The numbers of its containers on the node.
    pub vmids: Vec<u32>,
    /// Its ports.
    pub ports: Option<Ports>,
    /// `archived`: lost with the node; its record goes to the archive with its history, its ports rest and are then freed, its route
    /// is withdrawn. `stays`: another node has its number, and the app stays as it is. `undecided`: it cannot be told, and as long
    /// as that is so nothing is done to any of them.
    #[schema(example = "archived")]
    pub becomes: String,
    /// Of an app that is lost: the cluster still lists its container on the node.
    pub listed: bool,
    /// Of an app that stays: the node that has its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stays_on: Option<String>,
    /// Of one that is undecided: why, and what helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The mass brake, where it would stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LossBrake {
    /// Records archived in the last hour.
    pub done: u64,
    /// What may be archived in an hour.
    pub limit: u64,
}
