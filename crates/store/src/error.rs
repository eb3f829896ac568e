//! What can go wrong in the store.

use proximity_domain::ids::{AppId, ApplyId, OperationId, PlanId};

use crate::rejections::RejectedRevision;
use crate::sql::DatabaseError;

/// An error of the store; nothing was written unless the text says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The writer's claim is stale: another holder or a newer epoch.
    #[error("the lease on operation {operation} was lost")]
    LeaseLost {
        /// Which.
        operation: OperationId,
    },
    /// The claim on an apply is stale, or the apply is over.
    #[error("the lease on apply {apply} was lost")]
    ApplyLost {
        /// Which.
        apply: ApplyId,
    },
    /// The plan was applied before.
    #[error("plan {plan} was applied already")]
    PlanApplied {
        /// Which.
        plan: PlanId,
        /// By which apply; `None`: it is not kept any more.
        apply: Option<ApplyId>,
    },
    /// Another apply has an open change for an app of the plan.
    #[error("apply {apply} has yet to change {app}, or changes it now")]
    ApplyOverlaps {
        /// Host name.
        app: String,
        /// The other apply.
        apply: ApplyId,
    },
    /// The mass brake stops an apply, with what other applies end.
    #[error(
        "{removed} records would end, and {done} ended in the last hour already, or are about to: {limit} may without a person's word"
    )]
    BrakeStops {
        /// How many it would end.
        removed: u64,
        /// How many ended, or are about to.
        done: u64,
        /// How many may in an hour.
        limit: u64,
    },
    /// Content of an apply that no person stands behind was rejected.
    #[error("what is wanted was rejected: {}", names(rejected))]
    Rejected {
        /// All that was, in the order of the plan's changes.
        rejected: Vec<RejectedRevision>,
    },
    /// What is wanted of apps names the secret.
    #[error("secret {secret} is used by: {}", apps.join(", "))]
    SecretInUse {
        /// Its name.
        secret: String,
        /// Host names, in order.
        apps: Vec<String>,
    },
    /// Another live app has this host name.
    #[error("the host name {hostname} is taken")]
    HostnameTaken {
        /// Which.
        hostname: String,
    },
    /// No free pair.
    #[error("no free port in {range}: {held} held, {} resting{}", resting.len(), listed(resting))]
    PortsExhausted {
        /// Which range, e.g. `8100-8999`.
        range: String,
        /// Ports held.
        held: usize,
        /// Ports that still rest.
        resting: Vec<u16>,
    },
    /// The app has a live operation.
    #[error("app {app} is busy with operation {operation}")]
    Busy {
        /// The app.
        app: AppId,
        /// Its live operation.
        operation: OperationId,
    },
    /// As many operations wait as may.
    #[error("{limit} operations wait already")]
    QueueFull {
        /// How many may.
        limit: i64,
    },
    /// The state machine has no such transition.
    #[error("{what}")]
    IllegalTransition {
        /// The refusal of the state machine.
        what: String,
    },
    /// No such row.
    #[error("there is no {what} {id}")]
    NotFound {
        /// e.g. `app`.
        what: &'static str,
        /// What was asked for.
        id: String,
    },
    /// A name or key that must be unique is there already.
    #[error("{what} {id} exists already")]
    Exists {
        /// e.g. `host`.
        what: &'static str,
        /// Which.
        id: String,
    },
    /// An earlier request under the same key was another one.
    #[error("the key {key:?} was used for another request")]
    KeyReused {
        /// Which.
        key: String,
    },
    /// The host still has apps.
    #[error("host {label} still has {apps} app(s)")]
    HostInUse {
        /// Its label.
        label: String,
        /// How many.
        apps: usize,
    },
    /// The database was written by a newer version.
    #[error("the database is of schema {found}, this program knows {known} at most")]
    TooNew {
        /// In the file.
        found: i64,
        /// Known here.
        known: i64,
    },
    /// The key file is missing, of another database, or readable by others.
    #[error("key file {path}: {why}")]
    Key {
        /// Where.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A stored value could not be read back.
    #[error("stored {what} is damaged: {why}")]
    Damaged {
        /// Which value.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DatabaseError),
    /// A file operation failed.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl StoreError {
    /// A word for what kind of error it is, of a closed list.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::LeaseLost { .. } => "lease_lost",
            Self::HostnameTaken { .. } => "hostname_taken",
            Self::PortsExhausted { .. } => "ports_exhausted",
            Self::Busy { .. } => "busy",
            Self::QueueFull { .. } => "queue_full",
            Self::IllegalTransition { .. } => "illegal_transition",
            Self::NotFound { .. } => "not_found",
            Self::Exists { .. } => "exists",
            Self::KeyReused { .. } => "key_reused",
            Self::HostInUse { .. } => "host_in_use",
            Self::TooNew { .. } => "too_new",
            Self::Key { .. } => "key",
            Self::Damaged { .. } => "damaged",
            Self::ApplyLost { .. } => "apply_lost",
            Self::PlanApplied { .. } => "plan_applied",
            Self::ApplyOverlaps { .. } => "apply_overlaps",
            Self::BrakeStops { .. } => "brake_stops",
            Self::Rejected { .. } => "rejected",
            Self::SecretInUse { .. } => "secret_in_use",
            Self::Database(error) => error.label(),
            Self::File { .. } => "file",
        }
    }
}

/// The names of the apps, the first five of many.
fn names(rejected: &[RejectedRevision]) -> String {
    const NAMED: usize = 5;
    let named: Vec<&str> = rejected
        .iter()
        .take(NAMED)
        .map(|row| row.name.as_str())
        .collect();
    let more = if rejected.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", named.join(", "))
}

/// The ports in brackets; nothing for none, and the first twenty of many.
fn listed(ports: &[u16]) -> String {
    const NAMED: usize = 20;
    if ports.is_empty() {
        return String::new();
    }
    let named: Vec<String> = ports.iter().take(NAMED).map(u16::to_string).collect();
    let more = if ports.len() > NAMED { ", …" } else { "" };
    format!(" ({}{more})", named.join(", "))
}
