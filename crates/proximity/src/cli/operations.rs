//! Commands on operations.

use clap::{Args, Subcommand};

use super::apps::Waiting;

/// `proximity operations …`.
#[derive(Debug, Subcommand)]
pub(crate) enum OperationsCommand {
    /// List operations, newest first
    List(OperationsList),
    /// Show one operation with its steps
    Show(OperationsShow),
    /// Run it again: a stuck one goes on after its last finished step, a failed one begins anew
    Retry(OperationChange),
    /// Give a stuck one up: nothing more is done, and what it left stays recorded and reserved
    Abandon(OperationsShow),
    /// Ask a running one to stop and to undo what it began
    Cancel(OperationChange),
}

/// `proximity operations list`.
#[derive(Debug, Args)]
pub(crate) struct OperationsList {
    /// Only those of this app (host name or id)
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Only those in this state, e.g. stuck
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// Only those of this kind, e.g. deploy
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// Only those of apps whose host name contains this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
    /// Only older ones than this: the id of the last one of a list, or its `next`
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<String>,
    /// How many at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u16).range(1..=499))]
    pub(crate) limit: u16,
}

/// `proximity operations show`, `proximity operations abandon`.
#[derive(Debug, Args)]
pub(crate) struct OperationsShow {
    /// Id of the operation
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

/// `proximity operations retry`, `proximity operations cancel`.
#[derive(Debug, Args)]
pub(crate) struct OperationChange {
    /// Id of the operation
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}
