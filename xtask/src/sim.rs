//! `cargo xtask sim`: one seed of the simulation, or a case that was kept, told line by line.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::clock::Deadline;
use crate::figures::Binary;
use crate::invocation::Invocation;
use crate::place::Place;

/// What building and playing may take.
const LIMIT: Duration = Duration::from_secs(1_800);

/// What is to be played.
pub(crate) enum What<'a> {
    /// A seed, with so many acts about this.
    Seed {
        seed: u64,
        theme: &'a str,
        steps: u32,
    },
    /// A case in a file.
    Case(&'a Path),
}

impl<'a> What<'a> {
    /// The case if there is one, else the seed.
    pub(crate) fn new(
        (seed, theme): (Option<u64>, &'a str),
        steps: u32,
        case: Option<&'a Path>,
    ) -> Self {
        case.map_or(
            Self::Seed {
                seed: seed.unwrap_or_default(),
                theme,
                steps,
            },
            Self::Case,
        )
    }
}

/// Builds the program and plays; true if no rule was broken.
pub(crate) fn run(place: &Place, what: &What<'_>, off: Option<&str>) -> Result<bool> {
    let deadline = Deadline::after(LIMIT);
    Binary::Simulation.build(place, deadline)?;
    let program = Invocation::new(Binary::Simulation.path(place)).until(deadline);
    let program = match what {
        What::Seed { seed, theme, steps } => program
            .args(["one", "--seed", &seed.to_string(), "--theme", theme])
            .args(["--steps", &steps.to_string()]),
        What::Case(file) => program.arg("case").arg(file),
    };
    let program = match off {
        Some(guard) => program.args(["--off", guard]),
        None => program,
    };
    Ok(program.run(place.root())?.is_success())
}
