//! `/api/applies`: plans that are carried out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::apps::Problem;
use crate::labels::{ApplyChangeState, ApplyState};

/// Body of `POST /api/applies`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartApply {
    /// The plan, as `POST /api/plans` gave it.
    #[schema(format = "uuid")]
    pub plan_id: String,
    /// Apps that no document names may be removed; needed where the plan removes any.
    #[serde(default)]
    pub prune: bool,
    /// How many records end with it, typed by a person; needed where the mass brake stops the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_removed: Option<u64>,
    /// How many containers are destroyed by it with what they hold, typed by a person; needed where any is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_destroyed: Option<u64>,
    /// How many changes are made at the same time at most: 4 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 16)]
    pub parallel: Option<u32>,
}

/// A plan that is carried out, or was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Apply {
    /// Its id.
    #[schema(format = "uuid")]
    pub id: String,
    /// The plan.
    #[schema(format = "uuid")]
    pub plan_id: String,
    /// Where it stands.
    #[schema(value_type = ApplyState)]
    pub state: String,
    /// How many changes are made at the same time at most.
    pub parallel: u32,
    /// Account that asked.
    pub requested_by: String,
    /// Account that asked it to begin nothing more.
    pub stopped_by: Option<String>,
    /// When it was asked for.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why the first change that failed did, once it has ended.
    pub problem: Option<Problem>,
    /// How many changes there are of each state.
    pub counts: ApplyCounts,
    /// Its changes, in the order of the plan; `null` in lists.
    #[serde(default)]
    pub changes: Option<Vec<ApplyChange>>,
}

impl Apply {
    /// Nothing more comes of it.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended_at.is_some()
    }
}

/// How many changes of an apply are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApplyCounts {
    /// They wait for others, or for their turn.
    pub waiting: u64,
    /// They are being made.
    pub started: u64,
    /// They were made.
    pub done: u64,
    /// They were not made, or not whole.
    pub failed: u64,
    /// They were not begun, for what they depend on failed.
    pub held_up: u64,
    /// They were not begun, for the apply was stopped.
    pub not_started: u64,
    /// There was nothing to be done.
    pub quiet: u64,
}

/// What becomes of one change of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApplyChange {
    /// Its place in the plan, from 0.
    pub position: u32,
    /// Its place in the order, from 1: what it depends on is in earlier ones.
    pub layer: u32,
    /// The app's name.
    pub name: String,
    /// The app, once there is one.
    #[schema(format = "uuid")]
    pub app_id: Option<String>,
    /// `create`, `update`, `replace`, `adopt`, `forget`, `destroy`, or `no_op` where nothing was to be done.
    pub act: String,
    /// Names of the changes that come before it.
    pub depends_on: Vec<String>,
    /// Where it stands.
    #[schema(value_type = ApplyChangeState)]
    pub state: String,
    /// The operation that is at work on it, or was the last one.
    #[schema(format = "uuid")]
    pub operation_id: Option<String>,
    /// Why it failed, or was held up.
    pub problem: Option<Problem>,
    /// When it was begun.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// Answer of `GET /api/applies`, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApplyList {
    /// The applies.
    pub applies: Vec<Apply>,
    /// Ask with `after` = this for the next page; `null` on the last one.
    pub next: Option<String>,
}

/// Query of `GET /api/applies`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ApplyQuery {
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many at most: 50 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
}
