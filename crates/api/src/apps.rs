//! `/api/apps/`: deploying apps, looking at them, acting on them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::labels::{AppClass, AppStatus, DeletionType, PreflightSubject, PreflightVerdict};

/// Body of `POST /api/apps/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApp {
    /// Entry of the catalog, e.g. `nginx`.
    #[schema(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", example = "nginx")]
    pub catalog_id: String,
    /// Host name of the container, unique among live apps: 3 to 63 lower-case letters, digits and dashes.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", example = "web")]
    pub hostname: String,
    /// Resources; what is left out comes from the catalog entry.
    #[serde(default)]
    #[schema(required = false)]
    pub config: ResourceConfig,
    /// Settings of the catalog entry.
    #[serde(default)]
    #[schema(example = json!({"title": "Hello"}))]
    pub environment: Map<String, Value>,
    /// The entry is taken also where it fetches what is held against no SHA-256.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub allow_unpinned: bool,
    /// Label or id of the host entry; left out, the best node of all hosts is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Node; left out, the online node with the most free memory is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// How its container is attached to the network; left out, by DHCP on the host entry's bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkConfig>,
    /// Ids or host names of apps that it is to be kept apart from: it goes to a node without them where one fits. That is kept, by their
    /// names: an app that names it stays away from it as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16, required = false)]
    pub apart_from: Vec<String>,
    /// Public SSH keys that root of its container logs in with; left out, root has no key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16, required = false)]
    pub root_keys: Vec<String>,
    /// A password is made for root of its container, instead of keys; `POST /api/apps/{app}/root-password` shows it once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub root_password: bool,
    /// Host name under which people reach it, where the ingress is Caddy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 253, example = "blog.example.org")]
    pub host_name: Option<String>,
    /// The certificate for `host_name`; left out, Caddy gets one by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateFiles>,
}

/// How a container is attached to the network. What is left out comes from the host entry, or from its node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Bridge on the node; left out, the host entry's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 15, example = "vmbr1")]
    pub bridge: Option<String>,
    /// VLAN tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 4094)]
    pub vlan: Option<u32>,
    /// `dhcp`, or an address with its prefix; left out, `dhcp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "192.0.2.10/24")]
    pub ipv4: Option<String>,
    /// Gateway of the IPv4 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "192.0.2.1")]
    pub gateway: Option<String>,
    /// `none`, `auto`, `dhcp`, or an address with its prefix; left out, `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "auto")]
    pub ipv6: Option<String>,
    /// Gateway of the IPv6 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway6: Option<String>,
    /// Addresses of name servers; left out, the node's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 3)]
    pub dns: Vec<String>,
    /// Search domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "lab.example.org")]
    pub search: Option<String>,
}

/// Resources asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceConfig {
    /// Memory limit, MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 16, maximum = 16_777_216, example = 512)]
    pub memory: Option<u64>,
    /// CPU cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 8192, example = 1)]
    pub cores: Option<u32>,
    /// Root file system, GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 131_072, example = 8)]
    pub disk: Option<u32>,
}

/// Answer of `POST /api/apps/preflight`: what a deploy would find now. Nothing is made, and nothing is promised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Preflight {
    /// Host name as it was asked for.
    pub hostname: String,
    /// Nothing that was read speaks against a deploy: no line is `stop`.
    pub deployable: bool,
    /// Where the app would go; `null` if nowhere.
    pub place: Option<PreflightPlace>,
    /// Everything that was looked at.
    pub lines: Vec<PreflightLine>,
}

/// Where an app would go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PreflightPlace {
    /// Label of the host entry.
    pub host: String,
    /// Node.
    pub node: String,
}

/// One thing that was looked at in a [`Preflight`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PreflightLine {
    /// What it is about.
    #[schema(value_type = PreflightSubject)]
    pub what: String,
    /// `HOST/NODE`, or a host entry; `null` = this installation.
    pub place: Option<String>,
    /// As read just now: a number of `unit`, or a name; `null` = it was not read, and `note` says why.
    pub has: Option<Value>,
    /// What the app needs of it; `null` = nothing can be said.
    pub wants: Option<Value>,
    /// What the numbers count, e.g. `MiB`.
    pub unit: Option<String>,
    /// `ok`; `warn`: not enough or not known, and a deploy goes on all the same; `stop`: a deploy would be refused.
    #[schema(value_type = PreflightVerdict)]
    pub verdict: String,
    /// The code that a deploy is refused with for it, or a node passed over.
    pub code: Option<String>,
    /// What is to be said of it.
    pub note: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Body of `PATCH /api/apps/{app}` and of its preview. What is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateApp {
    /// Memory, cores and disk as they are wanted. A disk only grows.
    #[serde(default)]
    #[schema(required = false)]
    pub resources: ResourceConfig,
    /// Settings of the catalog entry that get another value; `null` is the catalog's own. The app has to run.
    #[serde(default)]
    #[schema(required = false, example = json!({"title": "Hello"}))]
    pub settings: Map<String, Value>,
    /// Move it to what the catalog has in place of the entry that it is made from. The app has to run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub newest_entry: bool,
    /// It is moved also to an entry that fetches what is held against no SHA-256.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub allow_unpinned: bool,
    /// The digest that a preview showed: the change is made of that configuration, or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    pub digest: Option<String>,
    /// The app's host name: needed where the disk grows, which is never taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
}

/// Answer of `POST /api/apps/{app}/preview`: what a change would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdatePreview {
    /// The app's id.
    #[schema(format = "uuid")]
    pub app_id: String,
    /// Its host name.
    pub hostname: String,
    /// Names the state of the configuration that was looked at.
    pub digest: String,
    /// The container runs now.
    pub running: bool,
    /// What is not as it is wanted; empty if nothing would be done.
    pub changes: Vec<UpdatedField>,
    /// The calls that would be sent, in order; what is done inside the container in words.
    pub calls: Vec<String>,
    /// The host name has to come with it as `confirm`: something of it is never taken back.
    pub needs_confirm: bool,
}

/// What would change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdatedField {
    /// `memory`, `cores`, `rootfs`, `entry` or `settings.NAME`.
    pub path: String,
    /// As it is; `null` = nothing, of a secret `[secret]`.
    pub from: Value,
    /// As it is to be; the same.
    pub to: Value,
}

/// Resources an app has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resources {
    /// Memory limit, MiB.
    pub memory: u64,
    /// CPU cores.
    pub cores: u32,
    /// Root file system, GiB.
    pub disk: u32,
}

/// The app's two ports on the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ports {
    /// For everybody.
    pub public: u16,
    /// For the management side.
    pub internal: u16,
}

/// Why an app or an operation is not as it should be, with the next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Stable code, listed in docs/reference/errors.md.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do next.
    pub hint: String,
    /// The step that failed, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

/// Why an app is in `error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppError {
    /// The status it had before.
    #[schema(value_type = AppStatus)]
    pub was: String,
    /// Since when.
    pub since: Timestamp,
    /// Why.
    #[serde(flatten)]
    pub problem: Problem,
}

/// An app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct App {
    /// Id.
    #[schema(format = "uuid")]
    pub id: String,
    /// Host name.
    pub hostname: String,
    /// `native`: we made its container. `adopted`: we found it, and leave it as it is. For life.
    #[schema(value_type = AppClass)]
    pub class: String,
    /// Entry of the catalog; of an adopted app what it was taken for.
    pub catalog_id: String,
    /// Version of the entry that it is made from; `adopted` for an adopted app.
    pub catalog_version: String,
    /// Version that the catalog has in place of that, which says something else; `null` where it has the same, or none.
    #[serde(default)]
    pub newer_entry: Option<String>,
    /// `deploying`, `adopting`, `cloning`, `running`, `stopped`, `updating`, `removing` or `error`.
    #[schema(value_type = AppStatus)]
    pub status: String,
    /// Why it is in `error`; `null` in every other status.
    pub error: Option<AppError>,
    /// Host entry.
    pub host: HostName,
    /// Node its container is on.
    pub node: String,
    /// PVE's number of its container, once one was chosen.
    pub vmid: Option<u32>,
    /// Resources.
    pub config: Resources,
    /// Settings given at deploy; secret ones are `null`.
    #[schema(value_type = Object)]
    pub environment: Value,
    /// Its ports on the gateway; `null` once they were given back.
    pub ports: Option<Ports>,
    /// Port it listens on inside the container.
    pub container_port: u16,
    /// URL that was fetched with success last, by its host name if it was by that; `null` until one was.
    pub url: Option<String>,
    /// The host name that it is led to under; left out if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<AppSite>,
    /// How its container was attached to the network when it was made; left out if that is by DHCP to the host entry's bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkConfig>,
    /// How root of its container was let in when it was made: `keys` or `password`; left out if not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_access: Option<String>,
    /// Names of apps that it is kept apart from whenever a node is chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub apart_from: Vec<String>,
    /// Its live operation.
    #[schema(format = "uuid")]
    pub operation_id: Option<String>,
    /// Owner account.
    pub owner: String,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When the status changed last.
    pub state_changed_at: Timestamp,
}

/// Answer of `POST /api/apps/{app}/root-password`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RootPassword {
    /// The app's id.
    #[schema(format = "uuid")]
    pub app_id: String,
    /// Its host name.
    pub hostname: String,
    /// The password. It is shown this once, and kept nowhere from now on.
    pub password: String,
}

/// The host name that an app is led to under, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppSite {
    /// Host name.
    pub host_name: String,
    /// Files of the certificate that is shown for it; `null`: Caddy gets one by itself.
    pub certificate: Option<CertificateFiles>,
    /// URL by this name that was fetched with success; `null` until one was.
    pub url: Option<String>,
    /// Why none was, when it was tried last.
    pub trouble: Option<String>,
}

/// Files with a certificate, on Caddy's machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// Certificate chain, PEM: a whole path.
    #[schema(max_length = 1000, example = "/etc/ssl/blog.pem")]
    pub cert_file: String,
    /// Its private key, PEM: a whole path.
    #[schema(max_length = 1000, example = "/etc/ssl/private/blog.key")]
    pub key_file: String,
}

/// Which host entry an app is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostName {
    /// Id.
    #[schema(format = "uuid")]
    pub id: String,
    /// Label.
    pub label: String,
}

/// Answer of `GET /api/apps/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AppList {
    /// This page.
    pub apps: Vec<App>,
    /// How many apps match, on all pages.
    pub total: u64,
    /// Ask with `after` = this for the next page; `null` on the last one.
    pub next: Option<String>,
}

/// Query of `GET /api/apps/`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AppQuery {
    /// Only apps of this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<AppStatus>)]
    pub status: Option<String>,
    /// Only apps whose host name or catalog id holds this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(max_length = 200)]
    pub search: Option<String>,
    /// How many at most: 50 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What can be done to an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionName {
    /// Start its container.
    Start,
    /// Shut its container down.
    Stop,
    /// Shut down, then start.
    Restart,
    /// Remove the app; a container that we made is destroyed, one that we adopted is left as it is.
    Delete,
    /// Run its failed operation once more.
    Retry,
}

/// Body of `POST /api/apps/{id}/action`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionRequest {
    /// What to do.
    pub action: ActionName,
    /// Stop without waiting for the container to shut down (`stop`, `restart`, `delete`).
    #[serde(default)]
    pub force: bool,
    /// The app's host name, typed by a person who means it (`delete`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
    /// Consent to Proxmox VE's `purge`: the container's number is taken out of jobs of backups too, and a job that names nothing
    /// else goes (`delete`, of an app whose container we made).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub purge: bool,
}

/// Query of `GET /api/apps/{id}/removal`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RemovalQuery {
    /// Show what a removal with `purge` would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purge: Option<bool>,
}

/// Answer of `GET /api/apps/{id}/removal`: what a removal would do. Nothing is changed by asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemovalPlan {
    /// The app's id.
    #[schema(format = "uuid")]
    pub app_id: String,
    /// Its host name.
    pub hostname: String,
    /// `hard`: its containers are destroyed. `soft`: they are left alone.
    #[schema(value_type = DeletionType)]
    pub deletion_type: String,
    /// Its containers as read just now.
    pub guests: Vec<PlannedGuest>,
    /// Ports that become free.
    pub ports: Option<Ports>,
    /// The steps, in order, one sentence each.
    pub steps: Vec<String>,
}

/// One container in a [`RemovalPlan`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedGuest {
    /// Node.
    pub node: String,
    /// PVE's number.
    pub vmid: u32,
    /// Mark, MAC, volume and number are all as recorded: a removal may destroy it.
    pub identity_ok: bool,
    /// PVE protects it now.
    pub protected: bool,
    /// It runs now.
    pub running: bool,
    /// What speaks against destroying it, or has to end before; `null` = nothing.
    pub trouble: Option<String>,
    /// Jobs of backups in Proxmox VE that name its number, by id: without `purge` they go on naming it. `null` = they were not read,
    /// or could not be.
    pub backup_jobs: Option<Vec<String>>,
}

/// Names of fields and what is wrong with each, as in the `fields` of an error.
pub type Fields = BTreeMap<String, String>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_body_is_enough_to_deploy() {
        let body: CreateApp =
            serde_json::from_str(r#"{"catalog_id":"nginx","hostname":"web"}"#).unwrap();
        assert_eq!(body.config, ResourceConfig::default());
        assert!(body.environment.is_empty());
        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            r#"{"catalog_id":"nginx","hostname":"web","config":{},"environment":{}}"#
        );
    }

    #[test]
    fn unknown_fields_are_refused_at_every_level() {
        for bad in [
            r#"{"catalog_id":"nginx","hostname":"web","cpu":1}"#,
            r#"{"catalog_id":"nginx","hostname":"web","config":{"ram":1}}"#,
        ] {
            assert!(serde_json::from_str::<CreateApp>(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<ActionRequest>(r#"{"action":"destroy"}"#).is_err());
        assert!(
            serde_json::from_str::<ActionRequest>(r#"{"action":"stop","forced":true}"#).is_err()
        );
    }
}
