//! `/api/ports`: the ports apps hold, those that rest, and those that are free.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Query of `GET /api/ports`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PortQuery {
    /// Also say whether this port could be given out now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 65535)]
    pub port: Option<u16>,
}

/// Answer of `GET /api/ports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortList {
    /// Ports people reach apps at.
    pub public: PortRange,
    /// The management side of the same apps.
    pub internal: PortRange,
    /// Pairs in use, by public port.
    pub used: Vec<UsedPorts>,
    /// Ports of orphans, which are not given out before their time; soonest first.
    pub resting: Vec<RestingPort>,
    /// About the port that was asked for; `null` if none was.
    pub asked: Option<PortAnswer>,
    /// Why the gateway could not be asked about trouble; `null` if it could.
    pub gateway_error: Option<String>,
}

/// One range with its counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortRange {
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
    /// How many apps hold.
    pub used: usize,
    /// How many rest.
    pub resting: usize,
    /// How many can be given out.
    pub free: usize,
}

/// The pair of one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsedPorts {
    /// Public port.
    pub public: u16,
    /// Internal port.
    pub internal: u16,
    /// Id of the app; `null` for one the caller may not see.
    pub app_id: Option<String>,
    /// Its host name; `null` for one the caller may not see.
    pub hostname: Option<String>,
    /// Why the gateway does not listen on it, e.g. another program has the port; `null` = it listens, or has no route yet.
    pub trouble: Option<String>,
}

/// A port of an orphan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestingPort {
    /// The port.
    pub port: u16,
    /// From then on it may be given out.
    pub until: Timestamp,
}

/// Whether one port could be given out now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortAnswer {
    /// The port.
    pub port: u16,
    /// It could be given out now. Whether another program listens on it shows only when the gateway does.
    pub available: bool,
    /// Why not, in one sentence.
    pub reason: Option<String>,
    /// Host name of the app that holds it, if the caller may see that.
    pub hostname: Option<String>,
}

/// Body of `POST /api/ports/free`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FreePorts {
    /// Only this one; left out, all that rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 65535)]
    pub port: Option<u16>,
}

/// Answer of `POST /api/ports/free`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FreedPorts {
    /// Ports whose rest has ended; they may be given out now.
    pub freed: Vec<u16>,
}
