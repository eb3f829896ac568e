//! `proximity crash-points`: only in builds that can be made to crash.

use std::ffi::OsString;

use clap::{Args, Subcommand};

/// `proximity crash-points`.
#[derive(Debug, Args)]
pub(crate) struct CrashPointsArgs {
    /// What to do [default: name the places]
    #[command(subcommand)]
    pub(crate) command: Option<CrashPointsCommand>,
}

/// `proximity crash-points …`.
#[derive(Debug, Subcommand)]
pub(crate) enum CrashPointsCommand {
    /// Print what the data directory records, and what is wrong with it
    Check,
    /// Make the containers' OS template, if it is not there
    #[cfg(feature = "lab")]
    Template {
        /// Where templates are kept
        #[arg(value_name = "DIR")]
        dir: std::path::PathBuf,
    },
    /// Run a program in a private network, mount and process namespace
    #[cfg(feature = "lab")]
    Enter {
        /// The program with its arguments
        #[arg(last = true, required = true, value_name = "PROGRAM")]
        argv: Vec<OsString>,
    },
}
