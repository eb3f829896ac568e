//! R11: operations whose nodes are lost, on the ground of the simulation.

use std::time::Duration;

use anyhow::Result;

use super::doctrine::{ask, number};
use super::{Binary, Figure, Measured};
use crate::place::Place;

/// Nodes that are lost.
pub(super) const LOSS: Figure = Figure {
    id: "R11",
    shows: "changes sent while no node has quorum, records archived, containers started twice and rules broken, while nodes are cut off or without power and come back",
    goal: "0/0/0/0 over every loss, node and operation (quick: over 60 drawn ones)",
    binaries: &[Binary::Guarded],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(1_800),
    measure: |bench| {
        let cases: &[&str] = if bench.mode.quick {
            &["--cases", "60"]
        } else {
            &[]
        };
        let found = ask(bench, "loss", cases)?;
        let names = ["without_quorum", "archived", "started_twice", "faults"];
        let mut counts = Vec::new();
        for name in names {
            counts.push(number(&found, name)?);
        }
        let shown: Vec<String> = counts.iter().map(u64::to_string).collect();
        Ok(Measured {
            value: shown.join("/"),
            unit: "changes/archived/started twice/cases with a rule broken",
            reached: counts.iter().all(|count| *count == 0) && number(&found, "cases")? > 0,
            raw: found,
        })
    },
};

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}
