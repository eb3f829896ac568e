//! `/api/proxmox/hosts`: host entries. One entry is one PVE cluster (a standalone node is a cluster of one).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::labels::{SshKind, Trust};
use crate::secret::Secret;

/// Body of `POST /api/proxmox/hosts` and of `POST /api/proxmox/hosts/probe`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddHost {
    /// Name people use, unique.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$", example = "home")]
    pub label: String,
    /// e.g. `https://192.0.2.10:8006`.
    #[schema(
        format = "uri",
        pattern = "^https://",
        example = "https://192.0.2.10:8006"
    )]
    pub url: String,
    /// SHA-256 of the certificate as PVE prints it (32 hex pairs with colons).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Certificates of the authorities to trust, PEM. Without this and without a fingerprint the system's are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
    /// `user@realm!name`.
    #[schema(example = "proximity@pve!deploy")]
    pub token_id: String,
    /// Secret of the token.
    #[schema(value_type = String, format = Password, write_only)]
    pub token_secret: Secret,
    /// Pool new containers go into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Storage of root file systems; probed when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
    /// Storage of templates; probed when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_storage: Option<String>,
    /// Bridge of the containers; probed when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
    /// Plain guest access: root on the nodes. Off unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<AddSsh>,
}

/// Plain guest access over SSH. Whoever holds this key is root on the nodes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddSsh {
    /// Account on the nodes.
    #[serde(default = "root")]
    pub user: String,
    /// Private key, OpenSSH PEM. Left out, one is made; its public part is in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password, write_only)]
    pub private_key: Option<Secret>,
    /// Node → `address:port`. Nodes left out are reached at the address the cluster tells, port 22.
    #[serde(default)]
    pub addresses: BTreeMap<String, String>,
    /// Node → host key in OpenSSH form. Nodes left out are asked now, and what they show is pinned.
    #[serde(default)]
    pub host_keys: BTreeMap<String, String>,
}

fn root() -> String {
    "root".to_owned()
}

/// A host entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Host {
    /// Id.
    #[schema(format = "uuid")]
    pub id: String,
    /// Label.
    pub label: String,
    /// Ways to reach its API, in order of preference.
    pub endpoints: Vec<Endpoint>,
    /// The main token, `user@realm!name`: for all that has no token of its own.
    pub token_id: String,
    /// Tokens for single purposes, if there are any: `observe`, `images`, `adopted`, each with its `user@realm!name`.
    #[serde(default)]
    #[schema(example = json!({"observe": "proximity-observe@pve!proximity"}))]
    pub tokens: BTreeMap<String, String>,
    /// Pool new containers go into.
    pub pool: Option<String>,
    /// Storage of root file systems.
    pub storage: String,
    /// Storage of templates.
    pub template_storage: String,
    /// Bridge of the containers.
    pub bridge: String,
    /// Numbers new containers get, `FIRST-LAST`; `null` = as Proxmox VE chooses.
    pub vmids: Option<String>,
    /// Nodes that get no new apps.
    pub excluded_nodes: Vec<String>,
    /// A deploy downloads an OS template through Proxmox VE where it is missing.
    pub fetch_templates: bool,
    /// What it calls the network that its bridges lead to: an address is one app's alone on all entries of that name; left out if nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lan: Option<String>,
    /// Nodes the cluster was ever seen to have; a listing without one of them is not complete.
    pub known_nodes: Vec<String>,
    /// Version of PVE as read last.
    pub pve_version: String,
    /// Guest access over SSH; `null` = off.
    pub ssh: Option<Ssh>,
    /// When it was added.
    pub created_at: Timestamp,
}

/// Body of `PATCH /api/proxmox/hosts/{id}`: what is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeHost {
    /// Numbers new containers get, `FIRST-LAST`; `null` = as Proxmox VE chooses.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schema(value_type = Option<String>, example = "5000-5999")]
    pub vmids: Option<Option<String>>,
    /// All nodes that get no new apps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded_nodes: Option<Vec<String>>,
    /// Whether a deploy downloads an OS template through Proxmox VE where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch_templates: Option<bool>,
    /// What it calls the network that its bridges lead to, the same as other entries that share it; `null` = nothing.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schema(value_type = Option<String>, max_length = 63, example = "home")]
    pub lan: Option<Option<String>>,
}

/// Body of `PUT /api/proxmox/hosts/{id}/nodes/{node}/ssh`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetSsh {
    /// `address:port`; left out, the one that is known, else the one the cluster tells, port 22.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Host key in OpenSSH form; left out, the one that is pinned, else what the node shows now is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_key: Option<String>,
    /// Look and log in only: the answer is the entry as it would be, and nothing is stored.
    #[serde(default)]
    pub dry_run: bool,
}

/// Body of `PUT /api/proxmox/hosts/{host}/certificate`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustCertificate {
    /// SHA-256 of the certificate that is the node's, hex with or without colons. Left out: look only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        example = "9C:4E:51:2B:7A:0D:E3:88:16:F0:44:5A:B9:3C:D1:72:0E:65:8F:A4:2D:97:C6:1B:E8:53:70:0A:4F:B2:96:DD"
    )]
    pub fingerprint: Option<String>,
}

/// Which certificates the endpoints of a host entry show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateReport {
    /// The host entry as it is then.
    pub host: Host,
    /// Whether the entry was changed.
    pub recorded: bool,
    /// Its endpoints as they were before.
    pub endpoints: Vec<EndpointCertificate>,
}

/// Which certificate one endpoint shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndpointCertificate {
    /// e.g. `https://192.0.2.10:8006`.
    pub url: String,
    /// The node that answers there, once known.
    pub node: Option<String>,
    /// SHA-256 of the recorded certificate; `null` where authorities are asked.
    pub pinned: Option<String>,
    /// SHA-256 of the certificate that is shown; `null` if none was seen.
    pub shown: Option<String>,
    /// Why none was seen.
    pub trouble: Option<String>,
}

/// Tells `null` from nothing.
fn given<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(d).map(Some)
}

/// One way to reach a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Endpoint {
    /// e.g. `https://192.0.2.10:8006`.
    pub url: String,
    /// The node that answers there, once known.
    pub node: Option<String>,
    /// How its certificate is judged: `fingerprint`, `ca` or `system`.
    #[schema(value_type = Trust)]
    pub trust: String,
    /// The pinned fingerprint.
    pub fingerprint: Option<String>,
}

/// Guest access of a host entry over SSH.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ssh {
    /// What the key leads to: `plain`, root on the nodes; `helper`, the helper there and nothing else.
    #[schema(value_type = SshKind)]
    pub kind: String,
    /// Account on the nodes.
    pub user: String,
    /// Public part of the key: it belongs into `.ssh/authorized_keys` of that account on each node.
    pub public_key: String,
    /// The nodes with their pinned host keys.
    pub nodes: Vec<SshNode>,
}

/// One node's SSH.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SshNode {
    /// The node.
    pub node: String,
    /// `address:port`.
    pub address: String,
    /// Host key in OpenSSH form.
    pub host_key: String,
}

/// Answer of `GET /api/proxmox/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostList {
    /// The entries, by label.
    pub hosts: Vec<Host>,
}

/// Answer of `POST /api/proxmox/hosts/probe`: what adding it would store. Nothing was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostProbe {
    /// Version of PVE.
    pub pve_version: String,
    /// Name of the cluster; `null` for a standalone node.
    pub cluster: Option<String>,
    /// SHA-256 of the certificate at the URL given.
    pub fingerprint: String,
    /// A pin or an authority vouched for it; `false` = it was only seen now.
    pub fingerprint_trusted: bool,
    /// Its nodes.
    pub nodes: Vec<ProbedNode>,
    /// Bridges found.
    pub bridges: Vec<String>,
    /// Storages that take root file systems.
    pub storages: Vec<String>,
    /// Storages that take templates.
    pub template_storages: Vec<String>,
    /// Templates found.
    pub templates: Vec<String>,
    /// What would be stored.
    pub chosen: ChosenPlaces,
    /// SSH of the nodes, where plain guest access was asked for.
    pub ssh: Vec<ProbedSsh>,
    /// What is worth a look before adding it.
    pub warnings: Vec<String>,
}

/// One node of a [`HostProbe`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProbedNode {
    /// Name.
    pub name: String,
    /// Online.
    pub online: bool,
    /// Memory, MiB.
    pub memory: u64,
    /// CPU threads.
    pub cpus: u32,
}

/// One node's SSH as found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProbedSsh {
    /// The node.
    pub node: String,
    /// `address:port`.
    pub address: String,
    /// Host key in OpenSSH form.
    pub host_key: String,
    /// SHA-256 of the host key, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
}

/// Where new containers would go; `null` = nothing fits, and it must be named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChosenPlaces {
    /// Pool; `null` = none.
    pub pool: Option<String>,
    /// Storage of root file systems.
    pub storage: Option<String>,
    /// Storage of templates.
    pub template_storage: Option<String>,
    /// Bridge.
    pub bridge: Option<String>,
}
