//! `/api/events`: what happened, in order, as a page or as a stream.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Query of `GET /api/events`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// Only events after this `seq`; 0 is the beginning. Without it a page gives the newest events, and a stream
    /// begins with the next one. The header `Last-Event-ID` goes before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 0)]
    pub after: Option<i64>,
    /// How many at most: 50 unless given, 1000 at most. A stream takes no notice of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Only those of this app: its id, also after it was removed, or its host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Only those of this operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Only these kinds, separated by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only those of this resource of a cluster: its id. It needs the scope `hosts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Only those of this moment or later, by the server's clock. Without `after` it is also the place to begin at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// One event: the `data` of a stream, an element of a page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Order. All events together have no gap; what one caller may see, or asks for, may have some.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// What happened, e.g. `AppDeployed`; docs/reference/events.md lists the kinds and their bodies.
    pub kind: String,
    /// The app it is about.
    pub app_id: Option<String>,
    /// The operation it belongs to.
    pub operation_id: Option<String>,
    /// Its fields, by kind.
    pub body: Value,
}

/// Answer of `GET /api/events` to whoever does not ask for a stream; oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventPage {
    /// The events. With a filter there may be fewer than `limit`, or none, though more come later.
    pub events: Vec<Event>,
    /// Ask with `after` = this number for what comes next.
    pub next_after: i64,
    /// There is more after `next_after` already.
    pub more: bool,
}
