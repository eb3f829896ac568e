//! `/api/operations`: durable units of work and their steps.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::apps::Problem;
use crate::labels::{OperationKind, OperationState, StepState};

/// An operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Operation {
    /// Id.
    #[schema(format = "uuid")]
    pub id: String,
    /// `deploy`, `start`, `stop`, `restart` or `remove`.
    #[schema(value_type = OperationKind)]
    pub kind: String,
    /// The app it works on.
    #[schema(format = "uuid")]
    pub app_id: String,
    /// That app's host name, also after it was removed.
    pub hostname: Option<String>,
    /// `queued`, `running`, `unwinding`, `succeeded`, `failed`, `cancelled` or `stuck`.
    #[schema(value_type = OperationState)]
    pub state: String,
    /// Why it is `unwinding`, `failed` or `stuck`; `null` otherwise.
    pub problem: Option<Problem>,
    /// Progress, 0 to 100.
    #[schema(maximum = 100)]
    pub percent: u8,
    /// Parameters, e.g. `{"force": true}`.
    #[schema(value_type = Object)]
    pub input: Value,
    /// Account that asked.
    pub requested_by: String,
    /// The `x-request-id` of the request that asked; the server's log lines about the operation carry it.
    #[serde(default)]
    pub request_id: Option<String>,
    /// The failed operation it repeats.
    #[schema(format = "uuid")]
    pub retry_of: Option<String>,
    /// Somebody asked to cancel it.
    pub cancel_requested: bool,
    /// Which attempt at the step that is at work is made or waited for, from 1.
    #[serde(default = "first")]
    pub attempt: u32,
    /// It waits: when the next attempt is due.
    #[serde(default)]
    pub next_attempt_at: Option<Timestamp>,
    /// Why it waits.
    #[serde(default)]
    pub waits_because: Option<Problem>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When its steps and its log lines were cleared away, as the server's `retention` says; `steps` is empty since.
    #[serde(default)]
    pub cleared_at: Option<Timestamp>,
    /// Its steps so far, in order; `null` in lists.
    #[serde(default)]
    pub steps: Option<Vec<Step>>,
}

fn first() -> u32 {
    1
}

impl Operation {
    /// Nothing will happen to it any more without a person.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(
            self.state.as_str(),
            "succeeded" | "failed" | "cancelled" | "stuck"
        )
    }
}

/// One step of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// Place in the table of steps, from 0.
    pub index: u32,
    /// Name.
    pub name: String,
    /// `started`, `succeeded`, `failed`, `undo_started`, `undo_finished` or `undo_failed`.
    #[schema(value_type = StepState)]
    pub state: String,
    /// PVE's task, where there was one.
    pub upid: Option<String>,
    /// Why it failed.
    pub problem: Option<Problem>,
    /// When it was begun.
    pub started_at: Timestamp,
    /// When its state changed last.
    pub changed_at: Timestamp,
}

/// Answer of `GET /api/operations`, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationList {
    /// The operations.
    pub operations: Vec<Operation>,
    /// Ask with `after` = this for the next page; `null` on the last one.
    pub next: Option<String>,
}

/// Query of `GET /api/operations`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OperationQuery {
    /// Only those of this app (id or host name).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Only those in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<OperationState>)]
    pub state: Option<String>,
    /// Only those of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<OperationKind>)]
    pub kind: Option<String>,
    /// Only those of apps whose host name holds this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(max_length = 200)]
    pub search: Option<String>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many at most: 50 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 499)]
    pub limit: Option<u32>,
}
