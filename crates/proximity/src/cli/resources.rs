//! Commands on what the clusters have, and what it was.

use clap::{Args, Subcommand};
use jiff::Timestamp;

/// Which resource is meant.
#[derive(Debug, Args)]
pub(crate) struct ResourceName {
    /// Its name, its number in Proxmox VE (VMID), `NODE/STORAGE`, a UPID, or its id here
    #[arg(value_name = "RESOURCE")]
    pub(crate) resource: String,
    /// Only on this host
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Only of this kind: container, node, storage, task or vm
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
}

/// `proximity history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    pub(crate) name: ResourceName,
    /// How many changes at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
    /// Those before this number
    #[arg(long, value_name = "N")]
    pub(crate) after: Option<String>,
}

/// `proximity snapshots …`.
#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotsCommand {
    /// List what the clusters have: nodes, storages, virtual machines, containers and tasks
    List(SnapshotsList),
    /// Show what a resource was at a moment
    At(SnapshotsAt),
    /// Show what of a resource differs between two moments
    Diff(SnapshotsDiff),
}

/// `proximity snapshots list`.
#[derive(Debug, Args)]
pub(crate) struct SnapshotsList {
    /// Only on this host
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Only this kind: container, node, storage, task or vm
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// Only with this status, e.g. running
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<String>,
    /// Those that are gone too
    #[arg(long)]
    pub(crate) gone: bool,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
    /// Those that come after this id
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<String>,
}

/// `proximity snapshots at`.
#[derive(Debug, Args)]
pub(crate) struct SnapshotsAt {
    #[command(flatten)]
    pub(crate) name: ResourceName,
    /// The moment, e.g. 2026-01-31T12:00:00Z
    #[arg(value_name = "TIME")]
    pub(crate) time: Timestamp,
}

/// `proximity snapshots diff`.
#[derive(Debug, Args)]
pub(crate) struct SnapshotsDiff {
    #[command(flatten)]
    pub(crate) name: ResourceName,
    /// One moment, e.g. 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Timestamp,
    /// The other one [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<Timestamp>,
}
