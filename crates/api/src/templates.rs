//! `/api/templates`: prepared templates, which containers are cloned from.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Query of `DELETE /api/templates/{template}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DropTemplate {
    /// Only the record goes, and nothing is destroyed: for a template whose number has by now what is not provably ours.
    #[serde(default)]
    pub forget: bool,
}

/// A prepared template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PreparedTemplate {
    /// Id.
    #[schema(example = "018f0000-0000-7000-8000-000000000001")]
    pub id: String,
    /// Label of its host entry.
    pub host: String,
    /// Node that has it.
    pub node: String,
    /// Storage of its root file system.
    pub storage: String,
    /// Its number in Proxmox VE.
    pub vmid: u32,
    /// How far it is: `creating`, `filling`, `converting`, `ready` or `leaving`.
    pub stage: String,
    /// The OS template that it is made from.
    pub os_template: String,
    /// Debian packages that lie in its cache, not installed.
    pub packages: Vec<String>,
    /// Size of its root file system, GiB.
    pub disk_gib: u32,
    /// Containers that share its root file system: it stays as long as there is one.
    pub linked: u32,
    /// Containers that were begun from it and were not seen yet.
    pub begun: u32,
    /// Since when it is in its stage.
    pub stage_since: Timestamp,
    /// When a container was made of it last.
    pub used_at: Option<Timestamp>,
    /// What stands in its way now.
    pub trouble: Option<String>,
}

/// Answer of `GET /api/templates`, in the order in which they were begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PreparedTemplateList {
    /// All that are not gone.
    pub templates: Vec<PreparedTemplate>,
}
