//! `/api/proxmox/hosts/init` and `/api/proxmox/hosts/{host}/uninit`: hosts set up and given up by a person who logs in once.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::hosts::{AddSsh, Host, HostProbe};
use crate::secret::Secret;

/// A person's login at Proxmox VE. It is used for this request and kept nowhere.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonLogin {
    /// `user@realm`.
    #[schema(example = "root@pam")]
    pub user: String,
    /// Its password, or a ticket of Proxmox VE.
    #[schema(value_type = String, format = Password, write_only)]
    pub password: Secret,
    /// The code an authenticator shows now, where the user has one. Proxmox VE takes a code once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password, write_only)]
    pub totp: Option<Secret>,
}

/// Body of `POST /api/proxmox/hosts/init` and of `POST /api/proxmox/hosts/init/plan`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InitHost {
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
    /// Who sets the host up.
    pub login: PersonLogin,
    /// Pool of the containers, made if it is not there; `proximity` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Storages of root file systems that may be used, at most 64; new containers go onto the first. Probed when left out.
    #[serde(default)]
    pub storages: Vec<String>,
    /// Storage of templates; probed when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_storage: Option<String>,
    /// Bridge of the containers; probed when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
    /// Make a token that may bring templates and images onto the template storage.
    #[serde(default)]
    pub images: bool,
    /// Guests that a token for adopted guests may act on, at most 64; those of earlier requests stay.
    #[serde(default)]
    pub adopted: Vec<u32>,
    /// Plain guest access: root on the nodes. Off unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<AddSsh>,
}

/// Answer of `POST /api/proxmox/hosts/init/plan`. Nothing was changed.
///
/// With `found.fingerprint_trusted: false` nobody logged in, and all but the fingerprint is empty: compare it with the node's,
/// then ask again with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InitPlan {
    /// What was found there.
    pub found: HostProbe,
    /// The host has an entry already.
    pub known: bool,
    /// The tokens it will have.
    pub tokens: Vec<PlannedToken>,
    /// Changes on the host, in order; empty if all is as it should be.
    pub steps: Vec<String>,
    /// What is worth knowing of its accounts.
    pub notes: Vec<String>,
}

/// One token of an [`InitPlan`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedToken {
    /// What it is for: `observe`, `operate`, `images` or `adopted`.
    pub purpose: String,
    /// `user@realm!name`.
    pub id: String,
}

/// Answer of `POST /api/proxmox/hosts/init`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InitDone {
    /// The entry as stored.
    pub host: Host,
    /// Changes that were made on the host; empty if all was as it should be.
    pub steps: Vec<String>,
    /// What is worth knowing of its accounts.
    pub notes: Vec<String>,
}

/// Body of `POST /api/proxmox/hosts/{host}/uninit/plan`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanUninit {
    /// Who gives the host up.
    pub login: PersonLogin,
}

/// Body of `POST /api/proxmox/hosts/{host}/uninit`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UninitHost {
    /// Who gives the host up.
    pub login: PersonLogin,
    /// The host's label, as consent.
    #[schema(example = "home")]
    pub confirm: String,
}

/// Answer of `POST /api/proxmox/hosts/{host}/uninit` and of its `plan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UninitPlan {
    /// The host's label.
    pub label: String,
    /// Changes on the host and of its entry, in order.
    pub steps: Vec<String>,
    /// What stays on the host, each with the reason.
    pub stays: Vec<String>,
}
