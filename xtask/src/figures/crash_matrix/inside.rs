//! A lane from inside: reads cases, one JSON object per line, and answers each with its report.
//!
//! It runs in a private namespace; the kernel ends everything in it when this process ends.

use std::io::BufRead;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::cases::{self, Case, Kill};
use super::life::{self, Report};
use super::stand::{Order, Stand};
use crate::say;

/// The order of a lane in its folder.
pub(super) const ORDER: &str = "order.json";

/// One line of a lane.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// A case was run.
    Report(Box<Report>),
    /// A case, or the lane, could not be run: nothing can be said.
    Broken(String),
    /// The lane is over; what was wrong at its end.
    Ended(Vec<String>),
}

/// The whole life of a lane; its order lies in `folder`.
///
/// # Errors
/// Its last line said why already.
pub(crate) fn run(folder: &Path) -> Result<()> {
    let lived = live(folder);
    if let Err(error) = &lived {
        tell(&Line::Broken(format!("{error:#}")))?;
    }
    lived
}

fn live(folder: &Path) -> Result<()> {
    let order = std::fs::read_to_string(folder.join(ORDER)).context("reading the order")?;
    let order: Order = serde_json::from_str(&order)?;
    let mut stand = Stand::raise(order).context("starting the lane")?;
    let mut remove_takes = None;
    for line in std::io::stdin().lock().lines() {
        let case: Case = serde_json::from_str(&line?)?;
        let takes = match (remove_takes, &case.remove) {
            (None, Kill::AfterPermille(_)) => undisturbed(&mut stand, &case)?,
            (known, _) => known.unwrap_or_default(),
        };
        if matches!(case.remove, Kill::AfterPermille(_)) {
            remove_takes = Some(takes);
        }
        let (report, _) = life::run(&stand, &case, takes).with_context(|| case.to_string())?;
        tell(&Line::Report(Box::new(report)))?;
    }
    tell(&Line::Ended(stand.leave()?))
}

/// How long a remove takes that nobody disturbs, on this machine, now.
fn undisturbed(stand: &mut Stand, case: &Case) -> Result<Duration> {
    let calm = Case {
        number: case.number,
        ..cases::calm()
    };
    let (report, took) = life::run(stand, &calm, Duration::ZERO)?;
    anyhow::ensure!(
        report.faults.is_empty(),
        "without any kill there are faults: {:?}",
        report.faults
    );
    Ok(took)
}

fn tell(line: &Line) -> Result<()> {
    say::line(serde_json::to_string(line)?);
    Ok(())
}
