//! R2 and R3: operations whose calls are hit and whose processes die, on the ground of the simulation.

use std::time::Duration;

use anyhow::Result;

use super::doctrine::{ask, number};
use super::{Binary, Figure, Measured};
use crate::place::Place;

/// Calls that are hit.
pub(super) const CALLS: Figure = Figure {
    id: "R3",
    shows: "operations that did not end, left something or named another cause, with each call to the cluster refused, answered 401, 403, 500 or 595, silent, cut before or after its effect, late, its task failed, with warnings or lost, and each way into the guest and to its page hanging, flapping or cut in half",
    goal: "0 over every call that each operation sends; every recorded cause names what was hit (quick: over 1,000 drawn cases)",
    binaries: &[Binary::Guarded],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(1_800),
    measure: |bench| {
        let cases: &[&str] = if bench.mode.quick {
            &["--cases", "1000"]
        } else {
            &[]
        };
        let found = ask(bench, "calls", cases)?;
        let (hit, faults) = (number(&found, "hit")?, number(&found, "faults")?);
        let (causes, named) = (number(&found, "causes")?, number(&found, "named")?);
        Ok(Measured {
            value: format!("{faults}/{hit}/{named}/{causes}"),
            unit: "with a fault/hit/causes that name it/causes",
            reached: faults == 0 && hit > 0 && named == causes && causes > 0,
            raw: found,
        })
    },
};

/// Deaths inside recoveries.
pub(super) const RECOVERY: Figure = Figure {
    id: "R2",
    shows: "faults after a process died at a place that it came by, the next one inside the recovery from that, and a third one inside that of both; every operation, also on its way back",
    goal: "0 faults in 2,000 pairs and 500 triples (quick: in 400 and 100)",
    binaries: &[Binary::Guarded],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(1_200),
    measure: |bench| {
        let (cases, wanted): (&[&str], (u64, u64)) = if bench.mode.quick {
            (&["--cases", "440"], (400, 100))
        } else {
            (&[], (2_000, 500))
        };
        let found = ask(bench, "recovery", cases)?;
        let (pairs, triples) = (number(&found, "pairs")?, number(&found, "triples")?);
        let faults = number(&found, "faults")?;
        let enough = pairs >= wanted.0 && triples >= wanted.1;
        Ok(Measured {
            value: format!("{faults}/{pairs}/{triples}"),
            unit: "faults/pairs/triples",
            reached: faults == 0 && enough,
            raw: found,
        })
    },
};

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}
