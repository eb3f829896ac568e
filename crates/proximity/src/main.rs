//! The Proximity binary: commands, configuration and the wiring of roles.
//!
//! **Architecture invariant:** this crate decides nothing about apps. Commands talk to the server over its
//! API; roles are put together from the other crates and run.

mod ask;
mod cli;
mod commands;
mod config;
mod context;
mod document_folder;
mod failed;
mod follow;
mod manifest_files;
mod output;
mod progress;
mod roles;
mod secret_input;
mod text;
#[cfg(feature = "lab")]
mod trial;

use std::num::NonZero;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::config::LogFormat;
use crate::context::Context;
use crate::failed::Failed;
use crate::roles::{logging, signals};

/// Gives back what is not used any more: a server that reads a list of 10,000 containers every ten seconds keeps no such list.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads that tasks run on at most, beside the one that looks (`roles::looking`). Each has a heap of its own, which keeps what a pass needed for a moment while it ran there.
const WORKERS: usize = 4;

fn main() -> ExitCode {
    #[cfg(feature = "lab")]
    if let Some(code) = lab_pct() {
        return code;
    }
    if let Some(code) = version_alone() {
        return code;
    }
    let cli = Cli::parse();
    let context = Context::new(cli.globals.clone());
    match start(&context, cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            context.output.failure(&failed);
            ExitCode::from(failed.number())
        }
    }
}

/// Inside the lab's nodes this program is `pct`. Its arguments are not ours to parse, and it needs a process
/// with one thread.
#[cfg(feature = "lab")]
fn lab_pct() -> Option<ExitCode> {
    use proximity_pve_emulator::lab::{PCT_SUBCOMMAND, pct};
    let mut args = std::env::args_os().skip(1);
    let first = args.next()?;
    (first == PCT_SUBCOMMAND).then(|| ExitCode::from(pct::main(args)))
}

/// `--version` alone is answered before the command line is put together: scripts ask it often.
fn version_alone() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let first = args.next()?;
    let asked = (first == "--version" || first == "-V") && args.next().is_none();
    asked.then(|| match output::to_stdout(commands::VERSION_LINE) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

fn start(context: &Context, cli: Cli) -> Result<(), Failed> {
    if let Some(parent) = cli.globals.die_with_parent {
        signals::die_with_parent(parent)?;
    }
    if let Some(filter) = logging::filter_of(cli.globals.verbose)
        && !cli.command.is_role()
    {
        logging::start(filter, LogFormat::Text)?;
    }
    // Somebody installed one before us? Then that one is as good.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(WORKERS))
        .enable_all()
        .build()
        .map_err(|e| {
            Failed::error(
                "runtime",
                format!("cannot start: {e}"),
                "check limits of threads and files",
            )
        })?;
    let ended = runtime.block_on(commands::run(context, cli.command));
    runtime.shutdown_background();
    ended
}
