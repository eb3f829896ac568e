//! P1 to P5, P8, P11, P12, P15, P16 and R21: what it takes to observe a cluster of many guests, beside what its list takes to fetch and to read.
//!
//! The cluster is a lab in a process of its own, over TLS; the engine and its store are the product's, in this process, so that
//! the processor time of the one is not that of the other. For memory and idling the server itself runs, as a process as well.

mod apply_size;
mod busy;
mod cost;
mod floor;
mod history;
mod latency;
mod passes;
mod plan_size;
mod server;
mod storm;
mod terraform;
mod world;

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;

use crate::say;
use world::World;

/// `proximity-figures observe`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What is measured
    #[arg(long)]
    what: What,
    /// The program of the lab and of the server
    #[arg(long)]
    program: PathBuf,
    /// The program of the server that is watched, as it is shipped [default: that of the lab]
    #[arg(long)]
    server: Option<PathBuf>,
    /// An empty folder
    #[arg(long)]
    dir: PathBuf,
    /// Guests of the cluster
    #[arg(long)]
    guests: u32,
    /// So many of them are on record
    #[arg(long)]
    apps: u32,
    /// How often each side is measured, in turn
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// For how long the idle server is watched, seconds
    #[arg(long, default_value_t = 30)]
    idle_s: u64,
    /// Terraform, to plan beside [default: it is not here]
    #[arg(long)]
    terraform: Option<PathBuf>,
    /// A storm is over when what is not on the node that hangs is handled
    #[arg(long)]
    others: bool,
    /// Changes in the history
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// For how long requests are sent, seconds
    #[arg(long, default_value_t = 60)]
    load_s: u64,
    /// Requests of a kind
    #[arg(long, default_value_t = 300)]
    requests: u64,
    /// The control: what is measured is spoiled
    #[arg(long)]
    sabotage: bool,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Passes in which nothing changed, beside the bare fetch: time, processor, requests, commits
    Unchanged,
    /// Passes in which some apps changed their power
    Changes,
    /// One node that hangs, and a cluster that is far away
    Slow,
    /// The server's memory, processor time and wake-ups
    Server,
    /// All change at once, somebody rings, the cluster is slow and a node hangs
    Storm,
    /// A plan of all apps, none of which is to be changed
    Plan,
    /// What changes take of the database, and how long it takes to tell of one among very many
    History,
    /// 500 requests a second while the server is at work, and while it is not
    Busy,
    /// Very many changes carried out, beside a fifth of them
    Apply,
}

/// Runs it and prints what was found.
pub(crate) async fn run(args: Args) -> Result<()> {
    std::fs::create_dir_all(&args.dir)?;
    let mut world = World::make(&args).await?;
    let found = match args.what {
        What::Unchanged => passes::unchanged(&world, &args).await,
        What::Changes => passes::changes(&world, &args).await,
        What::Slow => passes::slow(&mut world, &args).await,
        What::Server => server::watch(&world, &args).await,
        What::Storm => storm::watch(&world, &args).await,
        What::Plan => plan_size::measure(&world, &args).await,
        What::History => history::measure(&world, &args).await,
        What::Busy => busy::measure(&world, &args).await,
        What::Apply => apply_size::measure(&world, &args).await,
    };
    world.end().await?;
    say::line(&found?.to_string())?;
    Ok(())
}
