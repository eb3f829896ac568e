//! R32: the rights of the table, each dropped in turn, and what is not ours.

use proximity_testkit::least::cases::{CASES, FLOWS};
use proximity_testkit::least::flows::run as flow;
use proximity_testkit::least::{Least, cluster, fences};
use serde_json::json;

use crate::say;

/// Arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The control: roles are too wide, for nothing is dropped.
    #[arg(long)]
    sabotage: bool,
}

/// Runs every case; the last line is what came of it.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let mut told = Vec::new();
    for wanted in FLOWS {
        let pve = cluster();
        let least = Least::on(&pve, None).await.map_err(anyhow::Error::msg)?;
        if let Err(said) = flow(wanted, &pve, &least).await {
            told.push(format!("{wanted:?} with everything: {said}"));
        }
    }
    let mut broken = 0;
    for case in CASES {
        let dropped = (!args.sabotage).then_some(case.without);
        match case.breaks_with(dropped).await {
            Ok(()) => broken += 1,
            Err(said) => told.push(said),
        }
    }
    let passed = fences::passed().await.map_err(anyhow::Error::msg)?;
    let faults = told.len() + passed.len();
    told.extend(passed);
    let verdict = json!({
        "cases": CASES.len(),
        "broken": broken,
        "faults": faults,
        "told": told,
    });
    say::line(&verdict.to_string())?;
    Ok(())
}
