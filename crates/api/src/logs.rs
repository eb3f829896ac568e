//! `/api/apps/{id}/logs`: an app's log, in order.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::labels::LogLevel;

/// Query of `GET /api/apps/{id}/logs`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// Only lines after this `seq`. Without it, the newest lines are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 0)]
    pub after: Option<i64>,
    /// How many at most: 50 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// Answer of `GET /api/apps/{id}/logs`, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    /// The lines.
    pub lines: Vec<LogLine>,
    /// Ask with `after` = this number for what comes next.
    pub next_after: i64,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Order; grows, may skip numbers that belong to other apps.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// `info`, `warning` or `error`.
    #[schema(value_type = LogLevel)]
    pub level: String,
    /// Step of the operation, where there is one.
    pub step: Option<String>,
    /// Text for people.
    pub message: String,
    /// Progress of the operation when it was written, 0 to 100.
    #[schema(maximum = 100)]
    pub percent: Option<u8>,
    /// The operation that wrote it.
    #[schema(format = "uuid")]
    pub operation_id: Option<String>,
}
