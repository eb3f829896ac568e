//! R2, R3, R9, R10, R10-quiet, R11, R14, R15: the real reconciler over the real client, an emulated cluster with very many containers, and as many records.

mod brake;
mod calls;
mod guards;
mod janitor;
mod lanes;
mod loss;
mod partial;
mod quiet;
mod recovery;
mod shrink;
mod stand;
mod trouble;

use anyhow::Result;
use clap::Subcommand;

/// What every one of them takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Records, each with a container
    #[arg(long, default_value_t = 10_000)]
    records: u32,
    /// All chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// So many cases, drawn; all of them when absent
    #[arg(long)]
    cases: Option<usize>,
    /// The control
    #[arg(long)]
    sabotage: bool,
}

/// One figure each.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// R9: each node fails in each way at each question of a look.
    Partial(Args),
    /// R10: rights that shrink, and what is written when they are back.
    Shrink(Args),
    /// R10-quiet: every loop at rest.
    Quiet(Args),
    /// R15: too many containers at once.
    Brake(Args),
    /// R14: the janitor, over and over.
    Janitor(Args),
    /// R11: nodes that are lost.
    Loss(Args),
    /// R3: calls that are hit.
    Calls(Args),
    /// R2: deaths inside recoveries.
    Recovery(Args),
}

/// Runs it; the last line is the verdict.
pub(crate) async fn run(command: Command) -> Result<()> {
    match command {
        Command::Partial(args) => partial::run(&args).await,
        Command::Shrink(args) => shrink::run(&args).await,
        Command::Quiet(args) => quiet::run(&args).await,
        Command::Brake(args) => brake::run(&args).await,
        Command::Janitor(args) => janitor::run(&args).await,
        Command::Loss(args) => lanes::apart(|| loss::run(&args)),
        Command::Calls(args) => lanes::apart(|| calls::run(&args)),
        Command::Recovery(args) => lanes::apart(|| recovery::run(&args)),
    }
}
