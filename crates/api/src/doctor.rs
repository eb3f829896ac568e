//! `/api/doctor`: whether everything an installation stands on is as it should be.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::labels::FindingLevel;

/// Query of `GET /api/doctor`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DoctorQuery {
    /// Only of this host entry (label or id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// Answer of `GET /api/doctor`. All of it was looked at for this answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DoctorReport {
    /// The level of the worst finding; `ok` if there is none.
    #[schema(value_type = FindingLevel)]
    pub level: String,
    /// How many findings there are of each level.
    pub counts: FindingCounts,
    /// Of the installation itself first, then by host label; the worst first.
    pub findings: Vec<Finding>,
}

/// How many findings there are of each level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FindingCounts {
    /// Something does not work, or is not safe.
    pub fault: u64,
    /// It could not be looked at.
    pub unknown: u64,
    /// It works, and should be otherwise.
    pub warning: u64,
    /// Worth knowing.
    pub note: u64,
    /// As it should be.
    pub ok: u64,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// What kind of thing it is, e.g. `token_too_wide`; never gets another meaning. All are in docs/reference/doctor.md.
    pub code: String,
    /// How bad it is.
    #[schema(value_type = FindingLevel)]
    pub level: String,
    /// Label of the host entry; `null` if it is of this installation itself.
    pub host: Option<String>,
    /// What it is about, e.g. `node pve1`.
    pub subject: String,
    /// What was found, a sentence.
    pub what: String,
    /// What to do, each a command or a sentence, in order.
    pub next: Vec<String>,
}
