//! R18: a disk that is full, breaks or lies, under a server with its engine and its worker.
//!
//! The server, the engine, the worker and the store are the product's; the cluster is the emulated one, in this process.
//! The shim `shim/disk.c` lets writes fail from the k-th on, as the plan file says.
//!
//! Beside it, the program as it is, with a lab: few files that it may have open, and a log file on a disk that is full.

mod app;
mod case;
mod files;
mod log;
mod loss;
mod plan;
mod product;
mod world;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

pub(crate) use self::plan::Mode;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// One server, one case after the other; prints the verdict.
    World(World),
    /// The program with a limit of 32 open files, and callers that take all it has.
    Files(product::Args),
    /// The program whose log file is on a full disk.
    Log(log::Args),
}

#[derive(Args)]
pub(crate) struct World {
    /// The plan that the shim follows.
    #[arg(long)]
    plan: PathBuf,
    /// Where the data directory is made; the shim watches it.
    #[arg(long)]
    dir: PathBuf,
    /// What fails.
    #[arg(long)]
    mode: Mode,
    /// At which writes, in turn.
    #[arg(long, value_delimiter = ',')]
    at: Vec<u64>,
}

pub(crate) fn run(command: Command) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match command {
            Command::World(order) => world::run(&order).await,
            Command::Files(args) => files::run(&args).await,
            Command::Log(args) => log::run(&args).await,
        }
    })
}
