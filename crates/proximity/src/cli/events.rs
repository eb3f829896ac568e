//! `proximity events`.

use clap::Args;
use jiff::Timestamp;

/// What happened, from everywhere.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Go on with new events until Ctrl-C; comes back to the same place when the connection breaks
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Only events after this number; 0 begins with the first [default: the newest, or with --follow the next]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) after: Option<i64>,
    /// How many at most, without --follow
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) lines: u16,
    /// Only those of this app (host name or id; a removed one by its id)
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Only those of this operation
    #[arg(long, value_name = "ID")]
    pub(crate) operation: Option<String>,
    /// Only this kind, e.g. AppDeployed; may be given several times
    #[arg(long = "kind", value_name = "KIND")]
    pub(crate) kinds: Vec<String>,
    /// Only those of this resource of a cluster (its id; see `proximity snapshots list --json`)
    #[arg(long, value_name = "ID")]
    pub(crate) resource: Option<String>,
    /// Only those of this moment or later, e.g. 2026-01-31T12:00:00Z; without --after what is shown begins there
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
}
