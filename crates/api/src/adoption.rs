//! `/api/apps/discover` and `/api/apps/adopt`: containers that are there, and taking them over.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::apps::{App, CertificateFiles};
use crate::error::ErrorBody;

/// Query of `GET /api/apps/discover`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DiscoverQuery {
    /// Only of this host entry (label or id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// Answer of `GET /api/apps/discover`: the containers that no app has. Nothing is written by asking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Discovery {
    /// Every cluster was seen whole. If not, `gaps` says what is not known, and there may be more containers.
    pub complete: bool,
    /// By host label, then number.
    pub containers: Vec<DiscoveredContainer>,
    /// What is not known.
    pub gaps: Vec<DiscoveryGap>,
}

/// What is not known of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiscoveryGap {
    /// Label of the host entry.
    pub host: String,
    /// One sentence.
    pub why: String,
}

/// A container that no app has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DiscoveredContainer {
    /// Label of its host entry.
    pub host: String,
    /// Its node.
    pub node: String,
    /// Proxmox VE's number.
    pub vmid: u32,
    /// Its name; empty if it has none.
    pub name: String,
    /// `running`, `stopped` or `unknown`, as Proxmox VE lists it: up to 10 s old.
    pub status: String,
    /// Nothing that was seen speaks against adopting it.
    pub adoptable: bool,
    /// What does; `null` = nothing.
    pub why_not: Option<String>,
    /// `none`; `ours` or `foreign` if it bears the mark of a Proximity; `unread` if its configuration was not read.
    pub mark: String,
    /// It is a template.
    pub template: bool,
    /// It is a member of Proxmox VE's high availability.
    pub ha_managed: bool,
    /// Its tags.
    pub tags: Vec<String>,
    /// The pool it is in.
    pub pool: Option<String>,
    /// CPUs it may use.
    pub cpus: Option<f64>,
    /// Memory it may use.
    pub memory_bytes: Option<u64>,
    /// Size of its root file system.
    pub disk_bytes: Option<u64>,
    /// Seconds since its start.
    pub uptime_seconds: Option<u64>,
    /// What it probably is, from its name and tags; `custom` if they say nothing.
    pub suggested_type: String,
    /// Where such a thing usually listens.
    pub suggested_port: u16,
}

/// Body of `POST /api/apps/adopt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdoptApp {
    /// Proxmox VE's number of the container.
    #[schema(minimum = 100, maximum = 999_999_999, example = 105)]
    pub vmid: u32,
    /// Label or id of the host entry; may be left out where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The node it has to be on; left out, wherever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// What it is; left out, taken from its name and tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", example = "postgres")]
    pub suggested_type: Option<String>,
    /// The port its app listens on; left out, the usual one of its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 65535, example = 5432)]
    pub port_to_expose: Option<u16>,
    /// Look inside for what listens, by one command that only reads, and take port and type from that where they are left out.
    /// A container that is stopped, or that nobody may look into, is adopted without.
    #[serde(default, skip_serializing_if = "is_false")]
    pub probe: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde asks
fn is_false(value: &bool) -> bool {
    !value
}

/// Body of `POST /api/apps/adopt/batch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdoptApps {
    /// Each is adopted by itself: one that is refused keeps none of the others back.
    #[schema(min_items = 1, max_items = 100)]
    pub containers: Vec<AdoptApp>,
}

/// Answer of `POST /api/apps/adopt/batch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Adoptions {
    /// Recorded, each with its operation; the work follows.
    pub accepted: Vec<App>,
    /// Refused, each for its own reason.
    pub refused: Vec<RefusedAdoption>,
}

/// One container of a batch that is not adopted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedAdoption {
    /// Host entry, as it was named.
    pub host: Option<String>,
    /// Proxmox VE's number, as it was named.
    pub vmid: u32,
    /// Why.
    pub error: ErrorBody,
}

/// Answer of `GET /api/apps/{app}/adoption`: what was read of the container on the day of its adoption.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Adoption {
    /// Always `true`.
    pub adopted: bool,
    /// Proxmox VE's number of it.
    pub original_vmid: u32,
    /// Its name in Proxmox VE.
    pub original_name: String,
    /// When.
    pub adoption_date: Timestamp,
    /// What it was taken for.
    pub suggested_type: String,
    /// The port its app is taken to listen on.
    pub container_port: u16,
    /// Ports something inside was seen to listen on; empty when nobody looked inside.
    pub detected_ports: Vec<u16>,
    /// Its whole configuration as Proxmox VE gave it.
    #[schema(value_type = Object)]
    pub proxmox_config_snapshot: BTreeMap<String, Value>,
    /// The configuration was captured: there is at least one key of it.
    pub config_snapshot_captured: bool,
    /// How many keys.
    pub config_keys_count: usize,
    /// What it had and used.
    pub resources_at_adoption: ResourcesAtAdoption,
    /// `running` or `stopped`, as it was read.
    pub status_at_adoption: String,
    /// Its network devices.
    pub network_interfaces: Vec<AdoptedInterface>,
    /// Host name inside.
    pub hostname: Option<String>,
    /// Operating system, as Proxmox VE knows it.
    pub os_type: Option<String>,
    /// Architecture, as Proxmox VE knows it.
    pub architecture: Option<String>,
    /// What could not be read: `network_interfaces`, `usage`, `listening_sockets`.
    pub missing_parts: Vec<String>,
}

/// Answer of `GET /api/apps/{app}/drift`: the container as it is now, against what was applied last and what documents want; an adopted
/// one's configuration against the day of its adoption too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DriftReport {
    /// The app's id.
    #[schema(format = "uuid")]
    pub app_id: String,
    /// Its host name.
    pub hostname: String,
    /// It is not as on the day of its adoption, or somebody changed it so that it is not as it is wanted.
    pub drifted: bool,
    /// The newest revision of what documents want of it; `null` = they want nothing of it.
    pub revision: Option<u64>,
    /// What a difference leads to that somebody else made: `warn`, `revert`, `accept`; `null` = documents want nothing of it.
    pub policy: Option<String>,
    /// Since when it is told that it is not as documents want it; `null` = that is not told.
    pub told_since: Option<Timestamp>,
    /// What differs between the three sides.
    pub fields: Vec<DriftedField>,
    /// Since when its drift is told by itself; `null` = it is not guarded.
    pub guarded_since: Option<Timestamp>,
    /// Against the day of its adoption, key by key; empty for an app that was not adopted. Left out are the checksum and the lock, and
    /// what is only told in another order.
    pub changes: Vec<DriftedKey>,
    /// The same of the keys that documents let somebody else change (`ignore`): no drift, and nothing puts them back.
    #[serde(default)]
    pub ignored: Vec<DriftedKey>,
}

/// A field from all three sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DriftedField {
    /// A key of the configuration (`memory`), or of ours (`node`, `power`).
    pub path: String,
    /// As it was applied last; `null` = nothing was.
    pub applied: Option<Value>,
    /// As it is wanted: by documents, else as it was applied.
    pub wanted: Value,
    /// As it is; `null` = it is not there.
    pub now: Option<Value>,
    /// Who made the difference to what is wanted: `documents`, `cluster`, `both`; `null` = there is none, it was only applied otherwise.
    pub source: Option<String>,
    /// Documents let somebody else change it (`ignore`), and somebody did: that is no drift, and nothing puts it back.
    #[serde(default)]
    pub ignored: bool,
}

/// A key of the configuration that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DriftedKey {
    /// e.g. `memory`.
    pub key: String,
    /// What it was; `null` = it was not there.
    pub at_adoption: Option<Value>,
    /// What it is; `null` = it is not there any more.
    pub now: Option<Value>,
}

/// Query of `GET /api/apps/{app}/drift/restore`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RestoreQuery {
    /// Keys of the configuration, with commas between; left out, all that differ and can be restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(example = "memory,cores")]
    pub keys: Option<String>,
}

/// Answer of `GET /api/apps/{app}/drift/restore`: what a restore would do. Nothing is changed by asking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RestorePreview {
    /// The app's id.
    #[schema(format = "uuid")]
    pub app_id: String,
    /// Its host name.
    pub hostname: String,
    /// Names the state of the configuration that was looked at; a restore takes no other one.
    pub digest: String,
    /// The container runs now.
    pub running: bool,
    /// Keys that would be restored.
    pub keys: Vec<RestorableKey>,
    /// Keys that differ, or were named, and would not be.
    pub left: Vec<KeyLeft>,
    /// The one call that Proxmox VE would get, with the keys in it (`-key`: it is taken away); `null` = none.
    pub call: Option<String>,
}

/// A key that can be restored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RestorableKey {
    /// e.g. `memory`.
    pub key: String,
    /// What it is; `null` = it is not there.
    pub now: Option<Value>,
    /// What it will be, as on record; `null` = it will not be there.
    pub restored: Option<Value>,
    /// `at_once`, or `next_start` if a restart is needed before it is in force.
    pub in_force: String,
}

/// A key that is not restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyLeft {
    /// e.g. `mp0`.
    pub key: String,
    /// Why not.
    pub why: String,
}

/// Body of `POST /api/apps/{app}/drift/restore`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreKeys {
    /// Keys of the configuration that the preview showed, all of which have to be restorable.
    #[schema(min_items = 1, max_items = 200)]
    pub keys: Vec<String>,
    /// The digest that the preview showed.
    #[schema(min_length = 1, max_length = 64)]
    pub digest: String,
}

/// Answer of `POST` and `DELETE /api/apps/{app}/guard`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Guarding {
    /// The app's id.
    #[schema(format = "uuid")]
    pub app_id: String,
    /// Its host name.
    pub hostname: String,
    /// Its drift is told.
    pub guarded: bool,
    /// Since when; `null` = it is not.
    pub since: Option<Timestamp>,
}

/// Body of `POST /api/apps/{app}/expose`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExposeApp {
    /// Port inside the container that is led to; left out, the one on record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 65535, example = 8080)]
    pub port: Option<u16>,
    /// Host name under which people reach it, where the ingress is Caddy's; of any app. Left out, it keeps the one it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 253, example = "blog.example.org")]
    pub host_name: Option<String>,
    /// The certificate for `host_name`; left out, Caddy gets one by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateFiles>,
}

/// Answer of `POST` and `DELETE /api/apps/{app}/expose`: the record, and what the gateway says right now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExposedApp {
    /// The app as recorded.
    pub app: App,
    /// The gateway is to lead its ports to its container.
    pub exposed: bool,
    /// Where they lead now: an address of the container's own network device.
    pub target: Option<String>,
    /// The gateway listens on them.
    pub listening: bool,
    /// Why it is not as wanted yet; what can pass by itself is tried again every 10 s.
    pub trouble: Option<String>,
}

/// Figures of the day of adoption.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ResourcesAtAdoption {
    /// CPUs it may use.
    pub cpus: Option<f64>,
    /// Memory it may use.
    pub memory_bytes: Option<u64>,
    /// Size of its root file system.
    pub disk_bytes: Option<u64>,
    /// Seconds since its start; 0 when stopped.
    pub uptime_seconds: Option<u64>,
}

/// A network device of an adopted container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdoptedInterface {
    /// Name inside, e.g. `eth0`.
    pub name: String,
    /// MAC.
    pub mac: Option<String>,
    /// Addresses.
    pub addresses: Vec<String>,
}
