//! R16: many tasks in several processes take port pairs from one database and give them back, with kills inside.
//!
//! Taking is recording an app; giving back is claiming its operation and archiving it. Both are the store's own calls, and
//! nothing but the database stands between the processes.

mod check;
mod crowd;
mod worker;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use proximity_domain::ports::PortRange;
use proximity_store::StoreOptions;

use crate::things::options;

/// Pairs there are: fewer than tasks, so that some have to be refused.
const CAPACITY: u16 = 200;
const PUBLIC: PortRange = PortRange {
    first: 20_000,
    last: 20_000 + CAPACITY - 1,
};
const INTERNAL: PortRange = PortRange {
    first: 30_000,
    last: 30_000 + CAPACITY - 1,
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Starts processes, kills some, looks at what is left; prints the verdict.
    Crowd(Crowd),
    /// One of the processes: works until its standard input ends.
    Worker {
        /// Where the database is.
        #[arg(long)]
        dir: PathBuf,
        /// A number no other process has or had.
        #[arg(long)]
        number: u64,
        /// How many tasks.
        #[arg(long)]
        tasks: u64,
    },
}

#[derive(Args)]
pub(crate) struct Crowd {
    /// An empty directory.
    #[arg(long)]
    dir: PathBuf,
    /// How many processes.
    #[arg(long)]
    processes: u64,
    /// How many tasks in each.
    #[arg(long)]
    tasks: u64,
    /// How long they work, seconds.
    #[arg(long)]
    seconds: u64,
    /// How many are killed meanwhile.
    #[arg(long)]
    kills: u64,
    /// All chance of ours comes from here.
    #[arg(long)]
    seed: u64,
    /// The control: the database forgets who holds a port, now and then.
    #[arg(long)]
    sabotage: bool,
}

fn store_in(dir: &Path) -> StoreOptions {
    options(dir, PUBLIC, INTERNAL)
}

pub(crate) fn run(command: Command) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    match command {
        Command::Crowd(order) => runtime.block_on(crowd::run(&order)),
        Command::Worker { dir, number, tasks } => {
            let worked = runtime.block_on(worker::run(&dir, number, tasks));
            // The reader of standard input may still wait for its end.
            runtime.shutdown_background();
            worked
        }
    }
}
