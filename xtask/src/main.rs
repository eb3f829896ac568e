//! Tasks of the repository. Starts other programs; uses no crate of the product.

mod catalog_test;
mod clock;
mod conformance;
mod dist;
mod figures;
mod generated;
mod invocation;
mod ledger;
mod metadata;
mod packages;
mod place;
mod processes;
mod say;
mod seed;
mod sim;
mod stages;
mod tidy;
mod tools;
mod try_run;
mod ui;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::clock::Deadline;
use crate::figures::{Binary, Mode, Verdict};
use crate::generated::schema_table;
use crate::place::Place;
use crate::seed::Seed;

/// Tasks of the Proximity repository.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
struct Command {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build and start everything: emulated cluster, control plane, gateway, and nginx deployed.
    Try {
        /// Passed on to `proximity try`, for example --once.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Check, test and build the page, which the next build of the server has inside.
    Ui,
    /// Build the product as it is shipped, with the page and the helper for the nodes inside; the last line says where it is.
    Dist,
    /// Everything that has to hold, within an hour from cold.
    #[command(visible_alias = "ci")]
    Test(Test),
    /// The dependency picture, lengths, leftovers, words, links.
    Tidy,
    /// Write the generated files anew.
    Gen,
    /// Compare the generated files with their sources.
    CheckGen {
        /// Proxmox VE's API schema as JSON: compare the emulator's table with it too.
        #[arg(long, value_name = "FILE")]
        pve_schema: Option<PathBuf>,
    },
    /// Name the figures, or measure all of them in full.
    Figures {
        /// Measure all of them.
        #[arg(long)]
        all: bool,
        /// Repeat a run with the seed it printed.
        #[arg(long)]
        seed: Option<Seed>,
    },
    /// Measure one figure; its last line has the result.
    Figure {
        /// As `cargo xtask figures` names it.
        id: String,
        /// At most a minute, a part of the cases.
        #[arg(long)]
        quick: bool,
        /// The control: with a guard off, the figure has to end short.
        #[arg(long)]
        sabotage: bool,
        /// Repeat a run with the seed it printed.
        #[arg(long)]
        seed: Option<Seed>,
    },
    /// Play one seed of the simulation, or a case that was kept, line by line; ends 1 if a rule was broken.
    Sim {
        /// The seed.
        #[arg(long, required_unless_present = "case")]
        seed: Option<u64>,
        /// What it is about: all, or adopted.
        #[arg(long, default_value = "all")]
        theme: String,
        /// How many acts are drawn.
        #[arg(long, default_value_t = 48)]
        steps: u32,
        /// A case in a file instead, as in fixtures/sim.
        #[arg(long, conflicts_with = "seed", value_name = "FILE")]
        case: Option<PathBuf>,
        /// A guard of the engine that is off; an unknown one names all.
        #[arg(long, value_name = "GUARD")]
        off: Option<String>,
    },
    /// Replay recordings of a real Proxmox VE and compare the answers; the last line counts.
    Conformance {
        /// Holds the recordings and the fixtures they build on.
        folder: PathBuf,
        /// Passed on, for example `--only clone` or `--verbose`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Deploy every shipped entry into a real container, and look at it until it is removed; the last line counts. Needs root.
    CatalogTest(catalog_test::Wish),
    /// A lane of figure R1, which starts it in a namespace of its own.
    #[command(hide = true)]
    CrashLane { folder: PathBuf },
}

#[derive(Args)]
struct Test {
    /// Only this stage; may be given several times.
    #[arg(long, value_name = "STAGE")]
    only: Vec<String>,
    /// Name the stages and their minutes.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    match perform(Command::parse().task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say::note(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// True if what was asked for holds.
fn perform(task: Task) -> Result<bool> {
    if let Task::CrashLane { folder } = &task {
        // In its namespace it needs nothing of the checkout but what its order names.
        figures::run_lane(folder)?;
        return Ok(true);
    }
    let place = Place::discover()?;
    match task {
        Task::CrashLane { .. } => Ok(true),
        Task::Try { args } => match try_run::become_try(&place, &args)? {},
        Task::Ui => ui::run(&place).map(|()| true),
        Task::Dist => dist::run(&place).map(|()| true),
        Task::Test(Test { list: true, .. }) => {
            say::line(stages::list());
            Ok(true)
        }
        Task::Test(Test { only, .. }) => stages::run(&place, &only),
        Task::Tidy => {
            let report = tidy::run(&place)?;
            report.print();
            say::line(report.summary());
            Ok(report.is_clean())
        }
        Task::Gen => {
            build_for_pages(&place)?;
            let found = generated::write(&place)?;
            say::line(format!(
                "{} of {} files changed",
                found.stale.len(),
                found.count
            ));
            Ok(true)
        }
        Task::CheckGen { pve_schema } => {
            check_generated(&place, pve_schema.as_deref())?;
            Ok(true)
        }
        Task::Sim {
            seed,
            theme,
            steps,
            case,
            off,
        } => {
            let what = sim::What::new((seed, &theme), steps, case.as_deref());
            sim::run(&place, &what, off.as_deref())
        }
        Task::CatalogTest(wish) => catalog_test::run(&place, &wish),
        Task::Conformance { folder, args } => conformance::run(&place, &folder, &args),
        Task::Figures { all: false, .. } => {
            say::line(figures::list());
            Ok(true)
        }
        Task::Figures { all: true, seed } => {
            figures::measure_all(&place, seed.unwrap_or_else(Seed::random))
        }
        Task::Figure {
            id,
            quick,
            sabotage,
            seed,
        } => {
            let seed = seed.unwrap_or_else(Seed::random);
            let mode = Mode { quick, sabotage };
            let verdict = figures::measure(&place, figures::find(&id)?, mode, seed)?.verdict;
            Ok(verdict == Verdict::Pass)
        }
    }
}

/// Some pages are printed by the program itself.
fn build_for_pages(place: &Place) -> Result<()> {
    Binary::Plain.build(place, Deadline::after(Duration::from_secs(1200)))
}

fn check_generated(place: &Place, pve_schema: Option<&Path>) -> Result<()> {
    build_for_pages(place)?;
    let found = generated::compare(place)?;
    if !found.stale.is_empty() {
        bail!("stale: {}; run `cargo xtask gen`", found.stale.join(", "));
    }
    say::line(format!("{} generated files are current", found.count));
    if let Some(schema) = pve_schema {
        if !schema_table::is_current(place, schema)? {
            bail!(
                "{} is not what {} says",
                schema_table::FILE,
                schema.display()
            );
        }
        say::line(format!("{} is current", schema_table::FILE));
    }
    Ok(())
}
