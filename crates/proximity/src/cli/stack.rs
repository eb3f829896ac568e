//! Commands on stacks.

use clap::{Args, Subcommand};

/// `proximity stack …`.
#[derive(Debug, Subcommand)]
pub(crate) enum StackCommand {
    /// List the stacks that apps belong to
    List,
    /// Show one stack: its apps, and what they need
    Show(StackName),
    /// Start its apps, each after those that it needs
    Start(StackStartArgs),
    /// Shut its apps down, each after those that need it
    Stop(StackPowerArgs),
    /// Shut all of its apps down, then start all of them
    Restart(StackPowerArgs),
}

/// `proximity stack show`.
#[derive(Debug, Args)]
pub(crate) struct StackName {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// `proximity stack start`.
#[derive(Debug, Args)]
pub(crate) struct StackStartArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Go on with this run, which was not done
    #[arg(long, value_name = "RUN")]
    pub(crate) resume: Option<String>,
    /// How long to wait, in seconds; what is under way goes on afterwards, and nothing more is begun
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub(crate) wait_timeout: u64,
}

/// `proximity stack stop`, `proximity stack restart`.
#[derive(Debug, Args)]
pub(crate) struct StackPowerArgs {
    #[command(flatten)]
    pub(crate) start: StackStartArgs,
    /// Pull the plug instead of shutting down
    #[arg(long)]
    pub(crate) force: bool,
}
