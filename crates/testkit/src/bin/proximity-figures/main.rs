//! What figures measure that is no figure of the product binary: programs over the real store and the real engine.
//!
//! `xtask` starts it, one subcommand per figure; its last line on standard output is the result, as JSON.

mod audit;
mod deploys;
mod disk;
mod doctrine;
mod draw;
mod entries;
mod flight;
mod least;
mod no_gateway;
mod observe;
mod overhead;
mod ports;
mod power_cut;
mod restart;
mod say;
mod soak;
mod sse;
mod stack;
mod things;
#[cfg(feature = "crash-points")]
mod two_engines;
mod verdict;

use clap::{Parser, Subcommand};

/// As the product has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Programs that figures run; not part of the product")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// R16: many tasks in several processes that take port pairs and give them back.
    #[command(subcommand)]
    Ports(ports::Command),
    /// R17: the work that is cut off, and the judgement of what a cut leaves.
    #[command(subcommand)]
    PowerCut(power_cut::Command),
    /// SSE: many clients that follow the events of a server which is killed again and again.
    Sse(sse::Args),
    /// R20: two engines on one database, one of them suspended. Takes `name=value` words.
    #[cfg(feature = "crash-points")]
    TwoEngines {
        /// See the module.
        words: Vec<String>,
    },
    /// R20: one of its engines.
    #[cfg(feature = "crash-points")]
    Engine {
        /// See the module.
        words: Vec<String>,
    },
    /// P13: a server with many operations at work is killed and started again.
    Restart(restart::Args),
    /// deploys: many at the same time, and several servers that want the same VMID.
    Deploys(deploys::Args),
    /// P6: deploys one after the other, and what they take beyond the cluster's own tasks.
    Overhead(overhead::Args),
    /// R32: each privilege of the tokens dropped in turn.
    Least(least::Args),
    /// P1 to P5, P8, P11, P12, P15, P16, R21: what it takes to observe a large cluster, to plan for it, and to tell what became of it.
    Observe(observe::Args),
    /// R22: a server that is at work for very long.
    Soak(soak::Args),
    /// R2, R3, R9 to R11, R14, R15: very many records, and a cluster that does not say the whole truth.
    #[command(subcommand)]
    Doctrine(doctrine::Command),
    /// R31: an audit and a log of events that are tampered with, what was sent beside the audit, and how fast both are verified.
    Audit(audit::Args),
    /// malformed-entries: entries of the catalog that are spoilt, and what is told of each.
    Entries(entries::Args),
    /// R18: a server whose disk is full or broken.
    #[command(subcommand)]
    Disk(disk::Command),
}

fn main() -> Result<(), anyhow::Error> {
    match Cli::parse().command {
        Command::Ports(command) => ports::run(command),
        Command::Disk(command) => disk::run(command),
        Command::Entries(args) => entries::run(&args),
        Command::PowerCut(command) => power_cut::run(command),
        Command::Sse(args) => sse::run(args),
        Command::Restart(args) => with_tls(restart::run(args)),
        Command::Deploys(args) => with_tls(deploys::run(args)),
        Command::Overhead(args) => with_tls(overhead::run(args)),
        Command::Observe(args) => with_tls(observe::run(args)),
        Command::Audit(args) => with_tls(audit::run(args)),
        Command::Soak(args) => with_tls(soak::run(args)),
        Command::Least(args) => with_tls(least::run(args)),
        Command::Doctrine(command) => on_one_thread(doctrine::run(command)),
        #[cfg(feature = "crash-points")]
        Command::TwoEngines { words } => on_runtime(two_engines::run(&words)),
        #[cfg(feature = "crash-points")]
        Command::Engine { words } => on_runtime(two_engines::engine(&words)),
    }
}

fn with_tls(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    // Once per process; a second call would be refused, and there is none.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work)
}

/// A guard is taken off for one thread, on which all of the engine has to be.
fn on_one_thread(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work)
}

#[cfg(feature = "crash-points")]
fn on_runtime(work: impl Future<Output = Result<(), String>>) -> Result<(), anyhow::Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(work).map_err(anyhow::Error::msg);
    // A read of standard input that nobody ends must not hold the process.
    runtime.shutdown_background();
    ended
}
