//! R11: nodes that are lost and come back.

use anyhow::{Result, anyhow};
use proximity_engine::saga::Guard;
use proximity_testkit::sim::{LossFound, Lost, losses, play_loss};
use serde_json::json;

use super::{Args, lanes};
use crate::{say, verdict};

/// What came of all of them.
#[derive(Debug, Default)]
struct Sum {
    without_quorum: u64,
    archived: u64,
    started_twice: usize,
    /// Cases that broke a rule.
    wrong: usize,
    told: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let off = lanes::off(args, Guard::Offline)?;
    let cases = lanes::some_of(losses(), args);
    let sum = lanes::each(&cases, Sum::default(), |lost: &Lost, sum| {
        let found = play_loss(lost, args.seed, off).map_err(|why| anyhow!("{lost:?}: {why}"))?;
        let mut sum = sum.lock().map_err(|_| anyhow!("a lane panicked"))?;
        sum.add(lost, found);
        Ok(())
    })?;
    let verdict = json!({
        "cases": cases.len(),
        "without_quorum": sum.without_quorum,
        "archived": sum.archived,
        "started_twice": sum.started_twice,
        "faults": sum.wrong,
        "told": verdict::told(&sum.told),
    });
    Ok(say::line(&verdict.to_string())?)
}

impl Sum {
    fn add(&mut self, lost: &Lost, found: LossFound) {
        if found == LossFound::default() {
            return;
        }
        self.without_quorum += found.without_quorum;
        self.archived += found.archived;
        self.started_twice += found.started_twice;
        self.wrong += usize::from(!found.faults.is_empty());
        self.told.push(format!("{lost:?}: {found:?}"));
    }
}
