//! What figures measure that is no figure of the product binary: programs over the real store.
//!
//! `xtask` starts it, one subcommand per figure; its last line on standard output is the result, as JSON.

mod draw;
mod power_cut;
mod say;
mod sse;
mod things;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Programs that figures run; not part of the product")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// R17: the work that is cut off, and the judgement of what a cut leaves.
    #[command(subcommand)]
    PowerCut(power_cut::Command),
    /// SSE: many clients that follow the events of a server which is killed again and again.
    Sse(sse::Args),
}

fn main() -> Result<(), anyhow::Error> {
    match Cli::parse().command {
        Command::PowerCut(command) => power_cut::run(command),
        Command::Sse(args) => sse::run(args),
    }
}
