//! R17: what a power cut may leave on the disk, for every moment of a piece of work.
//!
//! `work` runs the real store under the shim `shim/disk.c`, which keeps a journal of everything that reaches the
//! disk and of every promise. `judge` replays the journal, makes the images that a cut may leave, and opens them.

mod acks;
mod cuts;
mod disk;
mod image;
mod journal;
mod judge;
mod old;
mod state;
mod verdict;
mod work;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Works on a store in a directory; prints what is acknowledged.
    Work {
        /// The directory.
        #[arg(long)]
        dir: PathBuf,
        /// Which part of the work.
        #[arg(long)]
        part: work::Part,
    },
    /// Makes images and opens them; prints the verdict.
    Judge(Judge),
}

#[derive(Args)]
pub(crate) struct Judge {
    /// Journal of the shim.
    #[arg(long)]
    journal: PathBuf,
    /// An empty directory for the images, best in memory.
    #[arg(long)]
    scratch: PathBuf,
    /// How many images.
    #[arg(long)]
    images: usize,
    /// All chance comes from here.
    #[arg(long)]
    seed: u64,
}

pub(crate) fn run(command: Command) -> Result<()> {
    match command {
        Command::Work { dir, part } => work::run(&dir, part),
        Command::Judge(judge) => judge::run(&judge),
    }
}
