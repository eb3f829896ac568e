//! A plan: what would have to be done so that what is there is as documents want it. Pure, and nothing is done by it.
//!
//! Three sides are held against each other: what is wanted ([`Wanted`]), what is on record ([`Recorded`]) and what the clusters show
//! ([`Sight`]). A difference is told in Proxmox VE's own form, with who made it: the documents, or somebody in the cluster.

mod attached;
mod basis;
mod compare;
mod decide;
mod fact;
mod namesakes;
mod size;
mod state;
mod tasks;
mod waits;
mod wanted;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::AppClass;
use crate::ids::{AppId, HostId, Vmid};
use crate::names::{HostLabel, Hostname, NodeName};
use crate::observe::Brake;
use crate::rollback::Rollback;

pub use basis::digest;
pub use decide::{Decided, asked, decide};
pub use namesakes::{MarkSeen, Namesake};
pub use size::{size_bytes, size_text};
pub use state::{Figure, HostSight, Observed, Recorded, SeenBy, Sight, State};
pub use tasks::{Task, Wish, tasks};
pub use wanted::{Wanted, WantedAdopted, WantedApp, WantedKind, WantedSetting, WantedSite};

/// What would have to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Names what was wanted, SHA-256 in hexadecimal digits.
    pub digest: String,
    /// Names the state the plan was made from, likewise: as much of what was looked at as the plan follows from, and nothing that
    /// changes by itself and decides nothing.
    pub basis: String,
    /// Apps that no document names are removed.
    pub prune: bool,
    /// By layer, then by name, and each name once; apps that stay as they are and are known to be are left out.
    pub changes: Vec<Change>,
    /// How many are as wanted.
    pub unchanged: u64,
    /// How many of these have secrets, which are not compared: whether those are as wanted is not known.
    #[serde(default)]
    pub uncompared: u64,
    /// What somebody changed that their documents say they may, app by app, in the order of the changes: nothing is done about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<IgnoredFields>,
    /// More would be removed than may go in an hour without a person's word.
    pub brake: Option<MassBrake>,
    /// What it goes back to, if its documents are an earlier state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
}

/// What somebody changed about one app and may.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IgnoredFields {
    /// Its name in the documents.
    pub name: Hostname,
    /// What differs; `to` is what the documents want, and stays a wish.
    pub fields: Vec<FieldDiff>,
}

/// What may not be done without a person who types the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MassBrake {
    /// How many records would end.
    pub removed: u64,
    /// How many ended in the last hour already.
    pub done: u64,
    /// How many may end in an hour.
    pub limit: u64,
}

/// What would be done about one app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its name in the documents; of one that no document names, its host name.
    pub name: Hostname,
    /// The app on record it is about.
    pub app: Option<AppId>,
    /// Whether its container is made or found.
    pub class: AppClass,
    /// Where it is, or is to be; a host that is chosen later is none.
    pub place: Place,
    /// Its place in the order, from 0: whatever it depends on is in earlier ones.
    pub layer: u32,
    /// Names of changes of this plan that have to be done before it: of what the app depends on, also through apps that stay as they
    /// are; of one that ends, of all that depended on it when they were applied last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Hostname>,
    /// What is done.
    pub act: Act,
    /// What differs.
    pub fields: Vec<FieldDiff>,
    /// How long people do without it.
    pub downtime: Downtime,
    /// Volumes that would be destroyed, or that this was not read.
    pub at_risk: Vec<String>,
    /// Privileges that the token lacks which would do it: `VM.Allocate on /pool/apps`.
    pub lacks: Vec<String>,
    /// What keeps it from being done as things are.
    pub obstacles: Vec<Obstacle>,
    /// What could not be compared, and that just this was rejected before.
    pub notes: Vec<String>,
}

impl Change {
    /// Nothing is to be done, and nothing keeps that from being known.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.act == Act::NoOp && self.obstacles.is_empty()
    }

    /// A record ends with it.
    #[must_use]
    pub fn removes(&self) -> bool {
        match self.act {
            Act::Replace | Act::Forget | Act::Destroy => true,
            Act::Create | Act::Update | Act::Adopt | Act::NoOp => false,
        }
    }

    /// A container that we made ends with it.
    #[must_use]
    pub fn destroys(&self) -> bool {
        let has_container = self.class == AppClass::Native && self.place.vmid.is_some();
        match self.act {
            Act::Replace | Act::Destroy => has_container,
            Act::Create | Act::Update | Act::Adopt | Act::Forget | Act::NoOp => false,
        }
    }
}

/// A place as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// The host entry.
    pub host_id: Option<HostId>,
    /// Its label.
    pub host: Option<HostLabel>,
    /// The node.
    pub node: Option<NodeName>,
    /// The container.
    pub vmid: Option<Vmid>,
}

/// What is done about an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A container is made for it.
    Create,
    /// It is changed where it is.
    Update,
    /// What is there ends, and another one comes in its place.
    Replace,
    /// A container that is there is taken over.
    Adopt,
    /// A container that was taken over is given back.
    Forget,
    /// Its container is destroyed.
    Destroy,
    /// Nothing.
    NoOp,
}

impl Act {
    /// All of them, in the order people read them.
    pub const ALL: [Self; 7] = [
        Self::Create,
        Self::Update,
        Self::Replace,
        Self::Adopt,
        Self::Forget,
        Self::Destroy,
        Self::NoOp,
    ];

    /// Stable text.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Adopt => "adopt",
            Self::Forget => "forget",
            Self::Destroy => "destroy",
            Self::NoOp => "no_op",
        }
    }
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldDiff {
    /// A key of Proxmox VE's configuration (`memory`), or of ours (`settings.TITLE`, `power`).
    pub path: String,
    /// What it is; `None` = it is not there.
    pub from: Option<Value>,
    /// What it is to be; `None` = it is not to be there.
    pub to: Option<Value>,
    /// Who made the difference.
    pub source: Source,
}

/// Who made a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// It is as recorded, and the documents want something else.
    Documents,
    /// It is recorded as wanted, and somebody changed it in the cluster.
    Cluster,
    /// It is neither as recorded, nor recorded as wanted.
    Both,
}

impl Source {
    /// Stable text.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::Cluster => "cluster",
            Self::Both => "both",
        }
    }
}

/// How long people do without an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Downtime {
    /// Not at all.
    #[default]
    None,
    /// While its services start again.
    Restart,
    /// From its removal until its successor is healthy.
    Redeploy,
    /// From then on.
    Ends,
}

impl Downtime {
    /// Stable text.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Restart => "restart",
            Self::Redeploy => "redeploy",
            Self::Ends => "ends",
        }
    }
}

/// What keeps a change from being done as things are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// One of the stable codes of errors.
    pub code: String,
    /// What it is.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl Obstacle {
    /// An obstacle.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            hint: hint.into(),
        }
    }
}

impl Plan {
    /// Something would be done.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.changes.iter().any(|change| change.act != Act::NoOp)
    }

    /// The same would be done, for the same reasons. What others change meanwhile and may makes it no other plan.
    #[must_use]
    pub fn is_still(&self, other: &Self) -> bool {
        let seen_so = Self {
            ignored: self.ignored.clone(),
            ..other.clone()
        };
        *self == seen_so
    }

    /// How many records would end.
    #[must_use]
    pub fn removed(&self) -> u64 {
        let removed = self.changes.iter().filter(|change| change.removes());
        u64::try_from(removed.count()).unwrap_or(u64::MAX)
    }

    /// How many containers that we made would be destroyed.
    #[must_use]
    pub fn destroyed(&self) -> u64 {
        let destroyed = self.changes.iter().filter(|change| change.destroys());
        u64::try_from(destroyed.count()).unwrap_or(u64::MAX)
    }

    /// Leaves these apps as they are, whatever is wanted of them, or though nothing is: their changes go, and nothing waits for them.
    pub fn leave(&mut self, names: &BTreeSet<Hostname>) {
        if names.is_empty() {
            return;
        }
        self.changes.retain(|change| !names.contains(&change.name));
        self.ignored
            .retain(|ignored| !names.contains(&ignored.name));
        for change in &mut self.changes {
            change.depends_on.retain(|name| !names.contains(name));
        }
    }

    /// Shows what the mass brake says of it.
    pub fn brake_by(&mut self, brake: Brake) {
        self.brake = match brake {
            Brake::Free => None,
            Brake::Stops {
                missing,
                done,
                limit,
            } => Some(MassBrake {
                removed: missing,
                done,
                limit,
            }),
        };
    }
}
