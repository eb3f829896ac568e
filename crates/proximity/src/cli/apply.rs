//! Commands that carry plans out, and the secrets that documents name.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Setting;

/// `proximity apply`.
#[derive(Debug, Args)]
#[command(
    after_help = "With PATH the plan is made, shown and asked about; with PLAN it is the one that `proximity plan` showed.\n\
A plan is refused where it would be another one by now: plan again then. What depends on something that failed is not begun, all else is.\n\
Exit code 0: all of it is done, or nothing was to be done. Else that of the first change that failed; 20: it was stopped, or you said no.\n\
Ctrl-C ends the waiting alone; the apply goes on: proximity applies show ID, proximity applies stop ID"
)]
pub(crate) struct ApplyArgs {
    /// A plan's id; or files of documents and folders of them, as for `proximity plan`
    #[arg(value_name = "PLAN|PATH", required_unless_present = "stop")]
    pub(crate) what: Vec<PathBuf>,
    /// File with documents of kind Values that go before those among the documents; may be given several times
    #[arg(long = "values", value_name = "FILE")]
    pub(crate) values: Vec<PathBuf>,
    /// One value, which goes before all others; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) set: Vec<Setting>,
    /// Remove every app that no document names as well; of a plan, agree to that it does
    #[arg(long)]
    pub(crate) prune: bool,
    /// Do not ask; what is destroyed has to be confirmed by its number all the same
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// How many records end with it: lets the mass brake go for exactly so many
    #[arg(long, value_name = "N")]
    pub(crate) confirm_removed: Option<u64>,
    /// How many containers are destroyed with what they hold
    #[arg(long, value_name = "N")]
    pub(crate) confirm_destroyed: Option<u64>,
    /// How many changes at the same time at most [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) parallel: Option<u32>,
    /// Show the plan, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not wait: print what was recorded and end
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Ask a running apply to begin nothing more, and wait until what it has begun has ended
    #[arg(
        long,
        value_name = "ID",
        conflicts_with_all = ["what", "values", "set", "prune", "yes", "confirm_removed", "confirm_destroyed", "parallel", "dry_run"]
    )]
    pub(crate) stop: Option<String>,
}

/// `proximity applies …`.
#[derive(Debug, Subcommand)]
pub(crate) enum AppliesCommand {
    /// List applies, newest first
    List(AppliesList),
    /// Show one apply with its changes
    Show(ApplyName),
    /// Ask one to begin nothing more; what it has begun goes to its end
    Stop(ApplyName),
}

/// `proximity applies list`.
#[derive(Debug, Args)]
pub(crate) struct AppliesList {
    /// Only older ones than this: the id of the last one of a list, or its `next`
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<String>,
    /// How many at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u16).range(1..=200))]
    pub(crate) limit: u16,
}

/// `proximity applies show`, `proximity applies stop`.
#[derive(Debug, Args)]
pub(crate) struct ApplyName {
    /// Id of the apply
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

/// `proximity secrets …`.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// List secrets by name; their values are never told
    List,
    /// Give a secret its value: the first line of stdin, or what is typed at the prompt
    Set(SecretName),
    /// Forget a secret that no app has
    Remove(SecretName),
}

/// `proximity secrets set`, `proximity secrets remove`.
#[derive(Debug, Args)]
pub(crate) struct SecretName {
    /// What documents call it, as in {secret: NAME}
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}
