//! What was wanted of apps before, and going back to it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Body of `POST /api/apps/{app}/rollback`: exactly one of the three.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackApp {
    /// A revision of what was wanted of it, as `GET /api/apps/{app}/desired` lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub revision: Option<u64>,
    /// What was wanted of it at this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// A snapshot of its container, by its number in the container's history: memory and cores as they were observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub snapshot: Option<i64>,
    /// The plan is shown once and not kept: it has no id.
    #[serde(default)]
    pub passing: bool,
}

/// Body of `POST /api/rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackAll {
    /// All apps of which something was wanted at this moment are to be as they were wanted then.
    pub time: Timestamp,
    /// Removal is planned of apps that were made since.
    #[serde(default)]
    pub prune: bool,
    /// The plan is shown once and not kept: it has no id.
    #[serde(default)]
    pub passing: bool,
}

/// What a plan goes back to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanRollback {
    /// The revision; `null` = it goes back to a moment or a snapshot.
    pub revision: Option<u64>,
    /// The moment; `null` = it goes back to a revision or a snapshot.
    pub time: Option<Timestamp>,
    /// The snapshot's number; `null` = it goes back to a revision or a moment.
    pub snapshot: Option<i64>,
    /// What moves, and what does not.
    pub planes: Vec<RollbackPlane>,
    /// Apps that go back, by name.
    pub apps: Vec<RollbackOf>,
    /// Apps that stay as they are, by name.
    pub stay: Vec<RollbackStays>,
    /// Apps that would go back and cannot as they are, by name: nothing of them is planned, and they are to be mended first.
    #[serde(default)]
    pub left_out: Vec<RollbackStays>,
    /// What is there now and would not be any more.
    pub lost: Vec<RollbackLost>,
}

/// A part of what apps are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RollbackPlane {
    /// `configuration`; `release` (the program and its version); `data` (what containers hold).
    pub plane: String,
    /// The plan changes it.
    pub moves: bool,
}

/// An app that goes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RollbackOf {
    /// Its host name.
    pub name: String,
    /// The revision; `null` = it goes back to a snapshot.
    pub revision: Option<u64>,
    /// Since when it was so.
    pub since: Timestamp,
    /// What of that does not come back.
    pub kept: Vec<RollbackKept>,
}

/// What of an earlier state does not come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RollbackKept {
    /// A field of documents, or `secret NAME`.
    pub what: String,
    /// Why, a sentence.
    pub why: String,
}

/// An app that stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RollbackStays {
    /// Its name.
    pub name: String,
    /// Why, a sentence.
    pub why: String,
}

/// What is there now and would not be any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RollbackLost {
    /// The app.
    pub name: String,
    /// Which field, as plans call it; `volume` of what is destroyed with a container.
    pub path: String,
    /// What it is now.
    pub now: Value,
}

/// Query of `GET /api/apps/{app}/desired`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DesiredQuery {
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many at most: 50 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
}

/// Answer of `GET /api/apps/{app}/desired`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DesiredHistory {
    /// The app.
    #[schema(format = "uuid")]
    pub app_id: String,
    /// Its host name, which is the name in documents.
    pub name: String,
    /// What was wanted under this name, newest first.
    pub revisions: Vec<DesiredRevision>,
    /// Ask with `after` = this for the next page; `null` on the last one.
    pub next: Option<String>,
}

/// What was wanted of an app since it was applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DesiredRevision {
    /// Its number, from 1.
    pub revision: u64,
    /// Since when.
    pub applied_at: Timestamp,
    /// By which account.
    pub applied_by: String,
    /// By which apply.
    #[schema(format = "uuid")]
    pub apply_id: String,
    /// Of which plan.
    #[schema(format = "uuid")]
    pub plan_id: String,
    /// It was wanted of this app, and not of an earlier one of the name.
    pub of_this_app: bool,
    /// `App` or `AdoptedApp`; `null` = nothing was wanted any more.
    pub kind: Option<String>,
    /// The spec of its document, with secrets named and never told; `null` = nothing was wanted any more.
    pub spec: Option<Value>,
}
