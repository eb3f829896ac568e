//! `POST /api/apps/{id}/reidentify`: a person accepts the changed identity of an app's container.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of `POST /api/apps/{id}/reidentify`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReidentifyApp {
    /// Only show the evidence.
    #[serde(default)]
    pub dry_run: bool,
    /// The app's host name, as consent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "web")]
    pub confirm: Option<String>,
    /// The digest that the evidence showed: what changed since then is not accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// Answer of `POST /api/apps/{id}/reidentify`: the evidence, and whether it was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reidentification {
    /// The app's id.
    #[schema(format = "uuid")]
    pub app_id: String,
    /// Its host name.
    pub hostname: String,
    /// Label of the host entry.
    pub host: String,
    /// Node.
    pub node: String,
    /// The container's number.
    pub vmid: u32,
    /// Digest of the configuration that was read.
    pub digest: String,
    /// What is not as recorded: `mark`, `mac` or `volume`.
    pub factor: String,
    /// As recorded.
    pub recorded: String,
    /// As read.
    pub read: String,
    /// It was learned, and counts for all but what destroys.
    pub learned: bool,
    /// Tasks of Proxmox VE that destroyed, created or restored the number since it was verified last.
    pub tasks: Vec<String>,
    /// Why those tasks cannot be told, if they cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untold: Option<String>,
    /// It was accepted: the container is known by it from now on.
    pub accepted: bool,
}
