//! Commands on ports.

use clap::{Args, Subcommand};

/// `proximity ports …`.
#[derive(Debug, Subcommand)]
pub(crate) enum PortsCommand {
    /// Show which ports are in use, which rest, and how many are free
    List(PortsList),
    /// Let ports of orphans be given out before their time
    Free(PortsFree),
}

/// `proximity ports list`.
#[derive(Debug, Args)]
pub(crate) struct PortsList {
    /// Also say whether this port could be given out now
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
}

/// `proximity ports free`.
#[derive(Debug, Args)]
pub(crate) struct PortsFree {
    /// End the rest now: what still leads to an old port may then reach another app
    #[arg(long, required = true)]
    pub(crate) now: bool,
    /// Only this one [default: all that rest]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
}
