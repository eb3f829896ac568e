//! `/api/audit/verify`: the audit and the log of events held against their own links, and against what was written down of them
//! elsewhere.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Anchors of one request.
pub const MOST_ANCHORS: usize = 5_000;

/// Body of `POST /api/audit/verify`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyAudit {
    /// Lines that the server logged, each with an anchor in it:
    /// `proximity-audit-anchor 1 installation=ID seq=NUMBER link=DIGITS`, or the same with `proximity-event-anchor`. Those of other
    /// installations are counted, no more.
    #[serde(default)]
    #[schema(max_items = 5000)]
    pub anchors: Vec<String>,
}

/// Answer of `POST /api/audit/verify`: audit and events are whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditReport {
    /// How many entries there are.
    pub entries: u64,
    /// The newest of them as an anchor, to be written down; `null` while there is none.
    pub anchor: Option<String>,
    /// How many events there were, those that were cleared away since included: of these nothing is left to be verified.
    pub events: u64,
    /// The newest event as an anchor, to be written down; `null` while there is none.
    pub event_anchor: Option<String>,
    /// How many anchors it was held against.
    pub anchors: u64,
    /// How many were of other installations.
    pub of_others: u64,
}
