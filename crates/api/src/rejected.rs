//! `/api/rejected`: what is wanted of apps, and is applied by nothing but a person.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of `POST /api/plans/{id}/reject`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectPlan {
    /// The one app of the plan whose change is rejected, by its name in the plan; each that the plan changes unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Why, one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub why: Option<String>,
}

/// What is wanted of an app, and was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RejectedRevision {
    /// The app's name in the documents; there need not be such an app.
    pub name: String,
    /// When.
    pub rejected_at: Timestamp,
    /// By which account; `source NAME` or `policy revert` where it came to nothing when it was applied without a person.
    pub rejected_by: String,
    /// Why, if that was said.
    pub why: Option<String>,
}

/// Answer of `GET /api/rejected`, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RejectedList {
    /// What is rejected now: a name is there once for each content of it.
    pub rejected: Vec<RejectedRevision>,
}
