//! Commands on the audit.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `proximity audit …`.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Read all of it, and fail with the first entry that was altered, removed or cut off
    Verify(AuditVerify),
}

/// `proximity audit verify`.
#[derive(Debug, Args)]
pub(crate) struct AuditVerify {
    /// A log of the server, whose anchors it is held against; `-` for stdin, e.g. of journalctl
    #[arg(long = "anchor", value_name = "FILE")]
    pub(crate) anchors: Vec<PathBuf>,
}
