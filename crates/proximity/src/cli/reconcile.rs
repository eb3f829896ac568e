//! Commands on what the loops of the server do by themselves, and on the archive.

use clap::{Args, Subcommand};

/// `proximity reconcile`.
#[derive(Debug, Args)]
pub(crate) struct ReconcileArgs {
    /// Only look and tell
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// So many apps are proven to be missing and were really removed: archive them though they are many
    #[arg(long, value_name = "N", conflicts_with = "dry_run", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) confirm_missing: Option<u64>,
}

/// `proximity janitor`.
#[derive(Debug, Args)]
pub(crate) struct JanitorArgs {
    /// Only look and tell
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `proximity resolve`.
#[derive(Debug, Args)]
pub(crate) struct ResolveArgs {
    /// Host name or id
    #[arg(value_name = "APP")]
    pub(crate) app: String,
}

/// `proximity reidentify`.
#[derive(Debug, Args)]
pub(crate) struct ReidentifyArgs {
    /// Host name or id
    #[arg(value_name = "APP")]
    pub(crate) app: String,
    /// Only show the evidence
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Accept without being asked
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) yes: bool,
}

/// `proximity archive …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ArchiveCommand {
    /// List archived apps, archived last first
    List(ArchiveListArgs),
    /// Show one archived app
    Show(ArchiveShow),
}

/// `proximity archive list`.
#[derive(Debug, Args)]
pub(crate) struct ArchiveListArgs {
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) limit: u32,
    /// Those that come after this id
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<String>,
}

/// `proximity archive show`.
#[derive(Debug, Args)]
pub(crate) struct ArchiveShow {
    /// Id of the app, or the host name that it had
    #[arg(value_name = "APP")]
    pub(crate) app: String,
}
