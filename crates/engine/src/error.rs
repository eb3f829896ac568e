//! What a command refuses, with stable code, kind and next step in one table.

use std::collections::BTreeMap;
use std::net::IpAddr;

use proximity_domain::create::Refusal;
use proximity_domain::failure::Failure;
use proximity_domain::place::{self, Lack, NoPlace};
use proximity_pve::transport::says_out_of_files;
use proximity_store::error::StoreError;

use crate::catalog::SettingErrors;
use crate::store_errors::store_row;
pub use crate::upstream_codes::UPSTREAM_CODES;
pub(crate) use crate::upstream_codes::upstream_code;

mod rows;

use rows::{not_applied_row, not_found_row, source_row};

/// What sort of refusal it is; the API maps it to an HTTP status, the CLI to an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The thing named does not exist.
    NotFound,
    /// The request itself is wrong.
    Invalid,
    /// It contradicts what is there.
    Conflict,
    /// Something else is at work on it.
    Busy,
    /// Memory, ports, templates, nodes: not enough.
    Resources,
    /// PVE, a node or the gateway did not do as asked.
    Upstream,
    /// The caller may not.
    Forbidden,
    /// We cannot right now; it may pass by itself.
    Unavailable,
    /// Our own fault.
    Internal,
}

/// A refusal of the engine. Nothing half made is left.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The thing named does not exist.
    #[error("there is no {what} {name}")]
    NotFound {
        /// e.g. `app`.
        what: &'static str,
        /// What was asked for.
        name: String,
    },
    /// A value in the request is wrong.
    #[error("{message}")]
    Invalid {
        /// The field, e.g. `hostname`.
        field: String,
        /// Which rule it breaks.
        message: String,
    },
    /// Settings of the catalog entry are missing or wrong.
    #[error("{0}")]
    Settings(SettingErrors),
    /// The rules for new apps say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The app is not in a state that allows it.
    #[error("{app} is {status}; {action} is not possible now")]
    NotInState {
        /// Host name.
        app: String,
        /// Its status.
        status: String,
        /// What was asked.
        action: String,
    },
    /// A removal was not confirmed.
    #[error("removing {hostname} needs its host name as confirmation")]
    ConfirmationNeeded {
        /// Host name.
        hostname: String,
    },
    /// The same cluster is there under another label.
    #[error("this cluster is already known as host {label}")]
    ClusterKnown {
        /// Its label.
        label: String,
    },
    /// The node cannot be forgotten.
    #[error("node {node} cannot be forgotten: {why}")]
    NodeInUse {
        /// Its name.
        node: String,
        /// Why not.
        why: String,
    },
    /// The node is not given up with what is recorded on it.
    #[error("node {node} is not given up: {why}")]
    NodeNotGivenUp {
        /// Its name.
        node: String,
        /// Why not.
        why: String,
    },
    /// A container that cannot be adopted.
    #[error("{message}")]
    NotAdoptable {
        /// Stable code: `already_managed`, `guest_marked` or `not_adoptable`.
        code: &'static str,
        /// What speaks against it.
        message: String,
    },
    /// Keys of an adopted container's configuration are not restored.
    #[error("{message}")]
    NotRestored {
        /// Stable code: `preview_outdated` or `not_restorable`.
        code: &'static str,
        /// What speaks against it.
        message: String,
    },
    /// An app is not changed in place.
    #[error("{message}")]
    NotUpdated {
        /// Stable code: `adopted_app`, `app_stopped`, `confirmation_needed`, `needs_replacement`, `not_repeated` or
        /// `preview_outdated`.
        code: &'static str,
        /// What speaks against it.
        message: String,
    },
    /// A plan is not carried out.
    #[error("{0}")]
    NotApplied(proximity_domain::apply::Refusal),
    /// An app, or all of them, does not go back to an earlier state.
    #[error("{0}")]
    NotBack(proximity_domain::rollback::Impossible),
    /// The repository of a source is not read. The code is one of those of [`rows::source_row`].
    /// The repository of a source is not read. The code is the failure's.
    #[error("{}", .0.message)]
    SourceTrouble(Failure),
    /// A nudge of a source is not signed with its secret, or there is no such source: which of both is not told.
    #[error("the request is not signed as the source wants it, or there is no such source")]
    HookRefused,
    /// Documents of desired state that are not right, or name what is not there.
    #[error("the documents are not right; problems: {}", fields.len())]
    Manifests {
        /// What of which app, or file, line and column → what is wrong.
        fields: BTreeMap<String, String>,
    },
    /// No host at all.
    #[error("no host has been added yet")]
    NoHost,
    /// As many commands run inside containers as may.
    #[error("as many commands run inside containers as may at the same time")]
    TooManyCommands,
    /// Doctor looks already.
    #[error("doctor is looking already, and looks once at a time")]
    DoctorAtWork,
    /// PVE's version is not supported.
    #[error("PVE {version} is not supported")]
    PveUnsupported {
        /// As read.
        version: String,
    },
    /// The token may not do what is needed.
    #[error("the API token {token} lacks rights: {}", missing.join(", "))]
    TokenTooNarrow {
        /// Token id.
        token: String,
        /// `privilege on path`.
        missing: Vec<String>,
    },
    /// PVE, a node's SSH or the gateway did not do as asked.
    #[error("{message}")]
    Upstream {
        /// Stable code, e.g. `pve_unreachable`.
        code: &'static str,
        /// What happened.
        message: String,
        /// What to do.
        hint: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorRow {
    /// Stable code.
    pub code: &'static str,
    /// Sort.
    pub kind: ErrorKind,
    /// Next step.
    pub hint: &'static str,
}

pub(crate) const fn row(code: &'static str, kind: ErrorKind, hint: &'static str) -> ErrorRow {
    ErrorRow { code, kind, hint }
}

impl EngineError {
    /// Stable code, snake_case.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.row().code
    }

    /// Sort.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.row().kind
    }

    /// Next step, one sentence.
    #[must_use]
    pub fn hint(&self) -> String {
        if self.is_out_of_files() {
            return OUT_OF_FILES_HINT.to_owned();
        }
        match self {
            Self::Upstream { hint, .. } => hint.clone(),
            Self::NotApplied(refusal) => refusal.hint(),
            Self::SourceTrouble(why) => why.hint.clone(),
            Self::Store(StoreError::Busy { operation, .. }) => {
                format!("wait for it, or look at it with: proximity operations show {operation}")
            }
            Self::NotFound { .. }
            | Self::Invalid { .. }
            | Self::Settings(_)
            | Self::Refused(_)
            | Self::NotInState { .. }
            | Self::ConfirmationNeeded { .. }
            | Self::ClusterKnown { .. }
            | Self::NodeInUse { .. }
            | Self::NodeNotGivenUp { .. }
            | Self::NotAdoptable { .. }
            | Self::NotRestored { .. }
            | Self::NotUpdated { .. }
            | Self::NotBack(_)
            | Self::HookRefused
            | Self::Manifests { .. }
            | Self::NoHost
            | Self::TooManyCommands
            | Self::DoctorAtWork
            | Self::PveUnsupported { .. }
            | Self::TokenTooNarrow { .. }
            | Self::Store(_) => self.row().hint.to_owned(),
        }
    }

    /// Field → what is wrong with it.
    #[must_use]
    pub fn fields(&self) -> BTreeMap<String, String> {
        match self {
            Self::Invalid { field, message } => BTreeMap::from([(field.clone(), message.clone())]),
            Self::Settings(errors) => errors
                .fields()
                .iter()
                .map(|(name, why)| (format!("environment.{name}"), why.clone()))
                .collect(),
            Self::Refused(Refusal::HostnameTaken(_))
            | Self::Store(StoreError::HostnameTaken { .. }) => {
                BTreeMap::from([("hostname".to_owned(), self.to_string())])
            }
            Self::Refused(Refusal::UnknownCatalogId(_)) => {
                BTreeMap::from([("catalog_id".to_owned(), self.to_string())])
            }
            Self::Refused(Refusal::Unpinned(_)) => {
                BTreeMap::from([("allow_unpinned".to_owned(), self.to_string())])
            }
            Self::Refused(Refusal::TooLittleMemory { .. }) => {
                BTreeMap::from([("config.memory".to_owned(), self.to_string())])
            }
            Self::Refused(Refusal::NoPlace(none)) => lacking(none),
            Self::Refused(Refusal::AddressTaken(taken)) => {
                let field = match taken.address {
                    IpAddr::V4(_) => "network.ipv4",
                    IpAddr::V6(_) => "network.ipv6",
                };
                BTreeMap::from([(field.to_owned(), self.to_string())])
            }
            // Another deploy was first with it.
            Self::Store(StoreError::Exists {
                what: "address",
                id,
            }) => {
                let field = match id.contains(':') {
                    true => "network.ipv6",
                    false => "network.ipv4",
                };
                BTreeMap::from([(field.to_owned(), self.to_string())])
            }
            Self::Manifests { fields } => fields.clone(),
            Self::NotApplied(refusal) => refusal.fields(),
            Self::Refused(Refusal::OutOfRange { .. } | Refusal::TemplateMissing { .. })
            | Self::NotFound { .. }
            | Self::NotInState { .. }
            | Self::ConfirmationNeeded { .. }
            | Self::ClusterKnown { .. }
            | Self::NodeInUse { .. }
            | Self::NodeNotGivenUp { .. }
            | Self::NotAdoptable { .. }
            | Self::NotRestored { .. }
            | Self::NotUpdated { .. }
            | Self::NotBack(_)
            | Self::SourceTrouble(_)
            | Self::HookRefused
            | Self::NoHost
            | Self::TooManyCommands
            | Self::DoctorAtWork
            | Self::PveUnsupported { .. }
            | Self::TokenTooNarrow { .. }
            | Self::Upstream { .. }
            | Self::Store(_) => BTreeMap::new(),
        }
    }

    /// The table: code, kind and hint of each variant.
    #[must_use]
    pub fn row(&self) -> ErrorRow {
        use ErrorKind as K;
        if self.is_out_of_files() {
            return row("out_of_files", K::Unavailable, OUT_OF_FILES_HINT);
        }
        match self {
            Self::NotFound { what, .. } => not_found_row(what),
            Self::Invalid { .. } => row(
                "invalid_value",
                K::Invalid,
                "correct the value and try again",
            ),
            Self::Settings(_) => row(
                "setting_invalid",
                K::Invalid,
                "correct the settings named; proximity catalog show ID lists them",
            ),
            Self::Refused(refusal) => refusal_row(refusal),
            Self::NotInState { .. } => row(
                "not_in_state",
                K::Conflict,
                "look at the app with: proximity show HOSTNAME",
            ),
            Self::ConfirmationNeeded { .. } => row(
                "confirmation_needed",
                K::Invalid,
                "send the app's host name as `confirm`, or use a token with the scope `destroy`",
            ),
            Self::ClusterKnown { .. } => row(
                "cluster_known",
                K::Conflict,
                "use that host; a second entry for one cluster would make two writers",
            ),
            Self::NodeInUse { .. } => row("node_in_use", K::Conflict, NODE_IN_USE_HINT),
            Self::NodeNotGivenUp { .. } => row("node_in_use", K::Conflict, NOT_GIVEN_UP_HINT),
            Self::NotAdoptable { code, .. } | Self::NotRestored { code, .. } => adoption_row(code),
            Self::NotUpdated { code, .. } => update_row(code),
            Self::NotApplied(refusal) => not_applied_row(refusal),
            Self::NotBack(_) => row("rollback_impossible", K::Conflict, NOT_BACK_HINT),
            Self::SourceTrouble(why) => source_row(&why.code),
            Self::HookRefused => row(
                "hook_refused",
                K::Forbidden,
                "sign the body with the secret that was shown when the source was added, and look at the sender's clock",
            ),
            Self::Manifests { .. } => row("manifest_invalid", K::Invalid, MANIFESTS_HINT),
            Self::NoHost => row(
                "no_host",
                K::NotFound,
                "add one with: proximity init LABEL URL",
            ),
            Self::TooManyCommands => row(
                "too_many_commands",
                K::Busy,
                "wait until one of them has ended, and ask again",
            ),
            Self::DoctorAtWork => row(
                "doctor_at_work",
                K::Busy,
                "wait until that look has ended, a minute at most, and ask again",
            ),
            Self::PveUnsupported { .. } => row(
                "pve_unsupported",
                K::Conflict,
                "Proximity deploys on PVE 9.0 to 9.2; upgrade the node first",
            ),
            Self::TokenTooNarrow { .. } => row("token_too_narrow", K::Forbidden, TOO_NARROW_HINT),
            Self::Upstream { code, .. } => row(code, K::Upstream, ""),
            Self::Store(e) => store_row(e),
        }
    }

    /// A cluster could not be asked, or a node not looked at, for want of files in this process.
    fn is_out_of_files(&self) -> bool {
        match self {
            Self::Upstream { code, .. } => *code == "out_of_files",
            Self::Refused(Refusal::NoPlace(none)) => {
                let mut lacks = none.nodes.iter().flat_map(|(_, lacks)| lacks);
                lacks.any(|lack| matches!(lack, Lack::Silent(why) if says_out_of_files(why)))
            }
            Self::Refused(_)
            | Self::SourceTrouble(_)
            | Self::HookRefused
            | Self::NotFound { .. }
            | Self::Invalid { .. }
            | Self::Settings(_)
            | Self::NotInState { .. }
            | Self::ConfirmationNeeded { .. }
            | Self::ClusterKnown { .. }
            | Self::NodeInUse { .. }
            | Self::NodeNotGivenUp { .. }
            | Self::NotAdoptable { .. }
            | Self::NotRestored { .. }
            | Self::NotUpdated { .. }
            | Self::NotApplied(_)
            | Self::NotBack(_)
            | Self::Manifests { .. }
            | Self::NoHost
            | Self::TooManyCommands
            | Self::DoctorAtWork
            | Self::PveUnsupported { .. }
            | Self::TokenTooNarrow { .. }
            | Self::Store(_) => false,
        }
    }

    /// The failure as it is kept with an operation.
    #[must_use]
    pub fn failure(&self) -> Failure {
        Failure::new(self.code(), self.to_string(), self.hint())
    }
}

/// What helps a server that may open no more files.
pub(crate) const OUT_OF_FILES_HINT: &str = "ask again when there are fewer callers, or give the server more open files (LimitNOFILE= in its unit, ulimit -n)";

pub(crate) const ADDRESS_HINT: &str =
    "give another address; what each container shows: proximity addresses APP";

pub(crate) const TOO_NARROW_HINT: &str =
    "give the token (and its user) these privileges in PVE under Datacenter / Permissions";

const MANIFESTS_HINT: &str =
    "correct what is named; what there is show proximity catalog and proximity hosts list";

const NOT_BACK_HINT: &str =
    "choose another revision: proximity history APP lists them; nothing was changed";

const NODE_IN_USE_HINT: &str = "take it out of its cluster first (pvecm delnode), and move or remove the apps on it; what is lost with it is shown, and given up, by: proximity hosts forget-node HOST NODE --containers-lost";

/// It may be online: that it is to be taken out of its cluster would be no help.
const NOT_GIVEN_UP_HINT: &str = "nothing was done; when that is over, look again: proximity hosts forget-node HOST NODE --containers-lost";

fn adoption_row(code: &'static str) -> ErrorRow {
    let hint = match code {
        "already_managed" => "look at the app that has it with: proximity apps",
        "guest_marked" => {
            "look at the last line of its notes in PVE; take that line out only if you know that no installation needs it"
        }
        "preview_outdated" => {
            "look at it again with: proximity restore-keys APP; then repeat this with the digest that it shows"
        }
        "not_restorable" => {
            "see what can be restored, and what cannot, with: proximity restore-keys APP"
        }
        _ => "choose another container: proximity discover lists those that can be adopted",
    };
    row(code, ErrorKind::Conflict, hint)
}

fn update_row(code: &'static str) -> ErrorRow {
    if code == "confirmation_needed" {
        return row(
            code,
            ErrorKind::Invalid,
            "send the app's host name as `confirm`",
        );
    }
    let hint = match code {
        "adopted_app" => {
            "change it in PVE; keys of the day of its adoption are brought back by: proximity restore-keys APP"
        }
        "app_stopped" => "start it first: proximity start APP; then ask for this again",
        "needs_replacement" => {
            "ask for that size or more; to have a smaller one, remove the app and deploy it again"
        }
        "not_repeated" => "ask for it anew with: proximity configure APP",
        _ => {
            "look at it again with: proximity configure APP --dry-run; then repeat this with the digest that it shows"
        }
    };
    row(code, ErrorKind::Conflict, hint)
}

fn refusal_row(refusal: &Refusal) -> ErrorRow {
    use ErrorKind as K;
    match refusal {
        Refusal::HostnameTaken(_) => row(
            "hostname_taken",
            K::Conflict,
            "choose another host name, or remove the app that has it",
        ),
        Refusal::UnknownCatalogId(_) => row(
            "catalog_unknown",
            K::NotFound,
            "list the catalog with: proximity catalog",
        ),
        Refusal::Unpinned(_) => row(
            "entry_unpinned",
            K::Invalid,
            "look at what it fetches with: proximity catalog show ID; then allow it with --allow-unpinned, or `allow_unpinned: true` in a request or document",
        ),
        Refusal::TooLittleMemory { .. } => row(
            "memory_too_little",
            K::Invalid,
            "ask for at least what the app needs",
        ),
        Refusal::OutOfRange { .. } => row(
            "out_of_range",
            K::Invalid,
            "choose a figure within the range",
        ),
        Refusal::NoPlace(none) => no_place_row(none.code()),
        Refusal::AddressTaken(_) => row("address_taken", K::Conflict, ADDRESS_HINT),
        Refusal::TemplateMissing { .. } => no_place_row("template_missing"),
    }
}

/// The field of the request that is too large, and each node with what it lacks.
fn lacking(none: &NoPlace) -> BTreeMap<String, String> {
    let mut fields: BTreeMap<String, String> = none
        .nodes
        .iter()
        .map(|(node, lacks)| (format!("nodes.{node}"), place::sentence(lacks)))
        .collect();
    let asked = match none.code() {
        "memory_above_node" | "memory_short" => "config.memory",
        "cores_above_node" => "config.cores",
        "storage_full" => "config.disk",
        _ => "node",
    };
    fields.insert(asked.to_owned(), none.to_string());
    fields
}

pub(crate) fn no_place_row(code: &'static str) -> ErrorRow {
    let hint = match code {
        "no_node_online" => {
            "look at the nodes with: proximity nodes; deploying needs one that is online"
        }
        "nodes_excluded" => "let one in again with: proximity hosts set LABEL --include NODE",
        "nodes_without_ssh" => {
            "a node that joined later has none yet; let Proximity into it with: proximity hosts ssh LABEL NODE"
        }
        "memory_above_node" => "ask for less memory, or add a node that has more",
        "memory_short" => "ask for less memory, wait for the deploys under way, or stop something",
        "cores_above_node" => "ask for fewer cores, or add a node that has more",
        "template_missing" => {
            "download it in PVE: node, storage, CT Templates, Templates (or pveam download STORAGE NAME); a deploy does it where PVE offers one, the token may (Datastore.AllocateTemplate on the storage), and proximity hosts set LABEL --fetch-templates yes"
        }
        "pve_too_old" => {
            "upgrade the node to Proxmox VE 9.1 or later, or take an app that is installed on an OS template"
        }
        "storage_missing" => {
            "look at the storage in PVE (Datacenter, Storage): it must be active and hold containers; the token that looks sees it with Datastore.Audit on /storage/NAME"
        }
        "storage_full" => "ask for a smaller disk, or free space on the storage",
        "bridge_missing" => {
            "look at the node's network in PVE, or add the host again with --bridge; the token that looks sees it with SDN.Audit on /sdn/zones/localnetwork/NAME"
        }
        _ => "compare the nodes with: proximity nodes; each lacks something else",
    };
    row(code, ErrorKind::Resources, hint)
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
