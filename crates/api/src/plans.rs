//! `/api/plans`: what would have to be done so that all is as documents want it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::rollback::PlanRollback;

/// Body of `POST /api/plans`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MakePlan {
    /// Texts with documents, YAML or JSON, as they were written.
    #[schema(min_items = 1, max_items = 10_000)]
    pub documents: Vec<PlanText>,
    /// Texts with documents of values that go before those of `documents`, later ones before earlier ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 1000)]
    pub values: Vec<PlanText>,
    /// Single values, which go before all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 1000)]
    pub set: Vec<PlanValue>,
    /// Removal is planned of apps that no document names.
    #[serde(default)]
    pub prune: bool,
    /// The plan is shown once and not kept: it takes the place of no other, and has no id.
    #[serde(default)]
    pub passing: bool,
}

/// A text with documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanText {
    /// What it is called where something in it is wrong, e.g. its file.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A value that documents name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanValue {
    /// e.g. `db.memory`.
    pub name: String,
    /// e.g. `1024`.
    pub value: String,
}

/// A plan. Nothing is changed by it; `POST /api/applies` carries it out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Its id; `null` = it was not kept.
    #[schema(format = "uuid")]
    pub id: Option<String>,
    /// When it was made.
    pub made_at: Timestamp,
    /// By which account.
    pub made_by: String,
    /// When it was begun to be carried out; `null` = it was not.
    #[serde(default)]
    pub applied_at: Option<Timestamp>,
    /// Names what was wanted.
    pub digest: String,
    /// Names the state it was made from: where anything of it is another one that the plan follows from, so is this.
    pub basis: String,
    /// Removal was planned of apps that no document names.
    pub prune: bool,
    /// How many there are of each.
    pub counts: PlanCounts,
    /// In the order in which they would be done; what is known to be as wanted is left out.
    pub changes: Vec<PlannedChange>,
    /// What somebody changed in Proxmox VE that the documents let them change (`ignore`): nothing is done about it.
    #[serde(default)]
    pub ignored: Vec<PlanIgnored>,
    /// The mass brake would stop it, until a person types the number; `null` = it would not.
    pub brake: Option<PlanBrake>,
    /// What it goes back to; `null` = its documents were given.
    #[serde(default)]
    pub rollback: Option<PlanRollback>,
}

/// How many changes of each sort there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanCounts {
    /// Apps whose container is made.
    pub create: u64,
    /// Apps that are changed where they are.
    pub update: u64,
    /// Apps whose container makes way for another one.
    pub replace: u64,
    /// Containers that are taken over.
    pub adopt: u64,
    /// Containers that are given back.
    pub forget: u64,
    /// Apps whose container is destroyed.
    pub destroy: u64,
    /// Apps of which it is not known that they are as wanted: `obstacles` says why.
    pub not_known: u64,
    /// Apps that are as wanted.
    pub unchanged: u64,
    /// How many of these have secrets, which are not compared: whether those are as wanted is not known.
    pub uncompared: u64,
}

/// What the mass brake says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanBrake {
    /// How many records would end.
    pub removed: u64,
    /// How many ended in the last hour.
    pub done: u64,
    /// How many may end in an hour without a person's word.
    pub limit: u64,
}

/// What would be done about one app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedChange {
    /// The app's name in the documents, or its host name.
    pub name: String,
    /// Its id; `null` = there is no such app yet.
    pub app_id: Option<String>,
    /// `native`: its container is made for it. `adopted`: it was there.
    pub class: String,
    /// `create`, `update`, `replace`, `adopt`, `forget`, `destroy`, or `no_op` where it is not known that nothing is to be done.
    pub act: String,
    /// Its place in the order, from 1: what it depends on is in earlier ones.
    pub layer: u32,
    /// Names of the changes of this plan that come before it: of what the app depends on, also through apps that stay as they are; of one that
    /// ends, of all that depended on it.
    #[serde(default)]
    pub depends_on: Vec<String>,
    /// Label of its host entry; `null` = it is chosen when it is made.
    pub host: Option<String>,
    /// Its node.
    pub node: Option<String>,
    /// Its container.
    pub vmid: Option<u32>,
    /// What differs.
    pub fields: Vec<PlannedField>,
    /// How long people do without it: `none`; `restart` (while its services start again); `redeploy` (from its removal until its
    /// successor is healthy); `ends` (from then on).
    pub downtime: String,
    /// Volumes that would be destroyed.
    pub at_risk: Vec<String>,
    /// Privileges in Proxmox VE that the token lacks for it: `VM.Allocate on /pool/apps`.
    pub lacks: Vec<String>,
    /// What keeps it from being done as things are.
    pub obstacles: Vec<PlanObstacle>,
    /// What could not be compared, and that just this was rejected before.
    pub notes: Vec<String>,
}

/// What differs of one app and is left so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanIgnored {
    /// The app's name in the documents.
    pub name: String,
    /// What differs; `to` is what the documents want.
    pub fields: Vec<PlannedField>,
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedField {
    /// A key of Proxmox VE's configuration (`memory`), or of ours (`settings.SITE_TITLE`, `power`).
    pub path: String,
    /// What it is; `null` = it is not there.
    pub from: Option<Value>,
    /// What it is to be; `null` = it is not to be there.
    pub to: Option<Value>,
    /// Who made the difference: `documents`; `cluster` (somebody changed it in Proxmox VE); `both`.
    pub source: String,
}

/// What keeps a change back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanObstacle {
    /// One of the codes of errors.
    pub code: String,
    /// What it is.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}
