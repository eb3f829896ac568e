//! Rows as values: what the store gives and takes.

use proximity_domain::app::{AppClass, Status};
use proximity_domain::create::Resources;
use proximity_domain::failure::Failure;
use proximity_domain::ids::{AppId, Epoch, HolderId, HostId, OperationId, TokenId};
use proximity_domain::made_with::MadeWith;
use proximity_domain::names::{
    BridgeName, CatalogId, HostLabel, Hostname, LanName, NodeName, PoolName, StorageName,
};
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_domain::ports::PortPair;
use proximity_domain::site::Site;
use proximity_domain::time::Timestamp;
use proximity_domain::token_purpose::TokenPurpose;
use proximity_domain::vmids::VmidRange;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::entry_sources::EntryRevision;

/// Who acts: an account's token, or the engine on behalf of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Account name, e.g. `admin`; `system` for the engine itself.
    pub account: String,
    /// The token used, if one was.
    pub token: Option<TokenId>,
    /// The id of the request it comes with, kept with the operation that is asked for; it need not be unique.
    #[serde(default)]
    pub request: Option<String>,
}

/// How a PVE endpoint's certificate is judged. There is no way to switch it off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum TlsTrust {
    /// SHA-256 of the leaf certificate, as PVE prints it (32 hex pairs with colons).
    Fingerprint {
        /// The pairs.
        sha256: String,
    },
    /// Certificates of authorities, PEM.
    Ca {
        /// PEM text.
        pem: String,
    },
    /// The system's authorities.
    System,
}

/// One way to reach a cluster's API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// e.g. `https://192.0.2.10:8006`.
    pub url: String,
    /// The node that answers there, once known.
    pub node: Option<NodeName>,
    /// How its certificate is judged.
    pub trust: TlsTrust,
}

/// One node's SSH, with its pinned host key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshNode {
    /// The node.
    pub node: NodeName,
    /// `address:port`.
    pub address: String,
    /// Host key in OpenSSH form, e.g. `ssh-ed25519 AAAA…`.
    pub host_key: String,
}

/// What our key leads to on the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SshKind {
    /// A shell of the account: "root on the node", opt-in.
    #[default]
    Plain,
    /// The helper, and nothing else.
    Helper,
}

/// Guest access over SSH.
#[derive(Debug, Clone)]
pub struct SshAccess {
    /// What the key leads to, on every node.
    pub kind: SshKind,
    /// Account on the nodes, `root`.
    pub user: String,
    /// Private key, OpenSSH PEM. Sealed at rest.
    pub private_key: SecretString,
    /// Public part, OpenSSH form.
    pub public_key: String,
    /// Where, with pinned host keys.
    pub nodes: Vec<SshNode>,
}

/// What a host entry says about where new guests go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HostPlacement {
    /// Numbers to choose from; `None` = PVE's own choice.
    pub vmids: Option<VmidRange>,
    /// Nodes that get no new guests.
    pub excluded_nodes: Vec<NodeName>,
    /// People download OS templates; a deploy fetches none that is missing.
    pub templates_by_hand: bool,
    /// What it calls the network that its bridges lead to; entries with the same name share it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lan: Option<LanName>,
}

/// One of PVE's API tokens.
#[derive(Debug, Clone)]
pub struct HostToken {
    /// `user@realm!name`.
    pub id: String,
    /// Its secret. Sealed at rest.
    pub secret: SecretString,
}

/// A host's tokens for single purposes. What has none is done with the main one.
#[derive(Debug, Clone, Default)]
pub struct PurposeTokens {
    /// For everything that only looks.
    pub observe: Option<HostToken>,
    /// For OS templates and images.
    pub images: Option<HostToken>,
    /// For adopted guests.
    pub adopted: Option<HostToken>,
}

impl PurposeTokens {
    /// Those that are there, with what they are for.
    pub fn iter(&self) -> impl Iterator<Item = (TokenPurpose, &HostToken)> {
        let observe = self.observe.iter().map(|t| (TokenPurpose::Observe, t));
        let images = self.images.iter().map(|t| (TokenPurpose::Images, t));
        let adopted = self.adopted.iter().map(|t| (TokenPurpose::Adopted, t));
        observe.chain(images).chain(adopted)
    }
}

/// A host entry: one PVE cluster.
#[derive(Debug, Clone)]
pub struct HostRecord {
    /// Row id.
    pub id: HostId,
    /// Name people use, unique.
    pub label: HostLabel,
    /// What tells one cluster from another, unique: `cluster:<name>:<sorted node names>` or `node:<fingerprint>`.
    pub cluster_key: String,
    /// Ways to reach it, in order of preference; at least one.
    pub endpoints: Vec<Endpoint>,
    /// Id of the main API token, `user@realm!name`: for all that has no token of its own.
    pub token_id: String,
    /// The main API token's secret. Sealed at rest.
    pub token_secret: SecretString,
    /// Tokens for single purposes.
    pub purpose_tokens: PurposeTokens,
    /// Guest access over SSH, if switched on.
    pub ssh: Option<SshAccess>,
    /// Pool new guests go into.
    pub pool: Option<PoolName>,
    /// Storage of root file systems.
    pub storage: StorageName,
    /// Storage of templates.
    pub template_storage: StorageName,
    /// Bridge of `net0`.
    pub bridge: BridgeName,
    /// What limits where new guests go.
    pub placement: HostPlacement,
    /// Nodes the cluster was seen to have, sorted. A listing that lacks one of them is not complete.
    pub known_nodes: Vec<NodeName>,
    /// PVE's version as read last.
    pub pve_version: String,
    /// When it was added.
    pub created_at: Timestamp,
}

/// A managed app as recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppRecord {
    /// Row id.
    pub id: AppId,
    /// Whether we made its container or found it.
    #[serde(default)]
    pub class: AppClass,
    /// Owner account.
    pub owner: String,
    /// Unique among live apps.
    pub hostname: Hostname,
    /// Catalog entry.
    pub catalog_id: CatalogId,
    /// Version of the catalog entry that it is made from.
    pub catalog_version: String,
    /// Stands for what that entry says ([`EntryRevision`]); `None` = as the catalog says, for apps of before.
    #[serde(default)]
    pub entry_hash: Option<String>,
    /// The cluster.
    pub host: HostId,
    /// Node chosen at deploy, changed when the guest is seen elsewhere.
    pub node: NodeName,
    /// Status, derived by the engine.
    pub status: Status,
    /// Resources asked for.
    pub resources: Resources,
    /// Settings given at deploy, secrets replaced by `null` (they are sealed beside).
    pub environment: serde_json::Value,
    /// Port pair; `None` once released.
    pub ports: Option<PortPair>,
    /// Port it listens on inside the guest.
    pub guest_port: u16,
    /// The gateway listens on its ports; not so for an adopted app until a person says so.
    #[serde(default = "open")]
    pub exposed: bool,
    /// URL that was fetched with success last; never one that was only hoped for.
    pub url: Option<String>,
    /// Under which host name it is led to, if under one.
    #[serde(default)]
    pub site: Option<AppSite>,
    /// What its container was made with, and which apps it is kept apart from.
    #[serde(default, skip_serializing_if = "MadeWith::is_usual")]
    pub made_with: MadeWith,
    /// The live operation, if there is one.
    pub operation: Option<OperationId>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When the status changed last.
    pub status_changed_at: Timestamp,
}

/// The site of an app, with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSite {
    /// As a person wants it.
    pub site: Site,
    /// URL by its name that was fetched with success since it, or where the app is led to, was changed last.
    pub url: Option<String>,
    /// Why none was, as it was when it was tried last.
    pub trouble: Option<String>,
}

impl AppRecord {
    /// The URL to show: the one by its host name if that was fetched, else the one of its port.
    #[must_use]
    pub fn shown_url(&self) -> Option<&str> {
        let by_name = self.site.as_ref().and_then(|site| site.url.as_deref());
        by_name.or(self.url.as_deref())
    }
}

/// Archived records of before know no other.
fn open() -> bool {
    true
}

/// What is needed to record a new app with its deploy operation.
#[derive(Debug, Clone)]
pub struct NewApp {
    /// Row id, drawn by the caller.
    pub id: AppId,
    /// Owner account.
    pub owner: String,
    /// Unique among live apps.
    pub hostname: Hostname,
    /// Catalog entry.
    pub catalog_id: CatalogId,
    /// Its version.
    pub catalog_version: String,
    /// What it says, which is kept; `None` = nothing is.
    pub entry: Option<EntryRevision>,
    /// The cluster.
    pub host: HostId,
    /// The node.
    pub node: NodeName,
    /// Resources.
    pub resources: Resources,
    /// Settings without secrets.
    pub environment: serde_json::Value,
    /// Settings with secrets, JSON object text. Sealed at rest.
    pub environment_sealed: SecretString,
    /// Port it listens on inside the guest.
    pub guest_port: u16,
    /// Under which host name it is to be led to.
    pub site: Option<Site>,
    /// What its container is made with, and which apps it is kept apart from.
    pub made_with: MadeWith,
    /// Root's password, if it is to have one. Sealed at rest, until it is shown.
    pub root_password: Option<SecretString>,
}

/// A new operation.
#[derive(Debug, Clone)]
pub struct NewOperation {
    /// Row id, drawn by the caller.
    pub id: OperationId,
    /// What it does.
    pub kind: OperationKind,
    /// To which app.
    pub app: AppId,
    /// Parameters, e.g. `{"force": true}`.
    pub input: serde_json::Value,
    /// The failed operation it repeats.
    pub retry_of: Option<OperationId>,
    /// The request that asks for it, if it may come twice.
    pub key: Option<RequestKey>,
}

/// The name a client gives to a request, so that it may come twice and count once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// As the client sent it; each account has keys of its own.
    pub key: String,
    /// Hash of the request: the same key with another one is a mistake.
    pub fingerprint: String,
}

/// An operation as recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationRecord {
    /// Row id.
    pub id: OperationId,
    /// What it does.
    pub kind: OperationKind,
    /// To which app.
    pub app: AppId,
    /// State.
    pub state: OperationState,
    /// Parameters.
    pub input: serde_json::Value,
    /// Who asked.
    pub requested_by: String,
    /// The id of the request that asked; the log lines of the work carry it.
    pub request_id: Option<String>,
    /// The failed operation it repeats.
    pub retry_of: Option<OperationId>,
    /// Progress, 0 to 100.
    pub percent: u8,
    /// Cancel was asked for.
    pub cancel_requested: bool,
    /// Fencing number of the last claim.
    pub epoch: Epoch,
    /// Whose lease, until when (wall clock, for people; nobody ends a claim by it).
    pub lease: Option<(HolderId, Timestamp)>,
    /// The attempt that is made or waited for, from 1: of the step, undo or end that is at work.
    pub attempt: u32,
    /// It waits for the next attempt.
    pub wait: Option<Wait>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When its steps and its lines were cleared away; what it was asked for and what came of it stays.
    pub cleared_at: Option<Timestamp>,
}

/// A wait for the next attempt. Nobody holds the operation meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// When the next attempt is due (wall clock).
    pub due_at: Timestamp,
    /// What went wrong in the last one.
    pub because: Failure,
}

/// A live operation as one who looks for work sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimable {
    /// Row id.
    pub id: OperationId,
    /// The cluster of its app.
    pub host: HostId,
    /// Fencing number of the last claim; 0 before the first.
    pub epoch: Epoch,
    /// Who holds it.
    pub lease: Option<Lease>,
    /// It waits until then.
    pub due_at: Option<Timestamp>,
}

/// A claim as its holder renews it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Who.
    pub holder: HolderId,
    /// Grows with each renewal.
    pub until: Timestamp,
    /// How long the holder may be silent before it has lost the claim, milliseconds. The holder sends nothing later.
    pub lease_ms: i64,
}

/// Proof of a claim; every write of a worker carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The operation.
    pub operation: OperationId,
    /// Who claimed it.
    pub holder: HolderId,
    /// Under which epoch.
    pub epoch: Epoch,
}

/// One line of an app's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Order; gapless per database, grows.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// `info`, `warning` or `error`.
    pub level: LogLevel,
    /// Step, where there is one.
    pub step: Option<String>,
    /// Text for people.
    pub message: String,
    /// The operation that wrote it.
    pub operation: Option<OperationId>,
    /// Progress of the operation when it was written.
    pub percent: Option<u8>,
}

/// Level of a log line, with the seeds' labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// As expected.
    Info,
    /// Worth a look.
    Warning,
    /// Failed.
    Error,
}

/// An API token as recorded: only the hash of its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Row id.
    pub id: TokenId,
    /// Account, e.g. `admin`.
    pub account: String,
    /// Scopes; `*` is all.
    pub scopes: Vec<String>,
    /// SHA-256 of the secret.
    pub secret_sha256: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
}
