//! R9: nobody's record goes because a node fails.

use std::sync::Arc;

use anyhow::Result;
use serde_json::json;

use super::Args;
use super::guards::Off;
use super::stand::Stand;
use super::trouble::{Failure, Question, Trouble};
use crate::draw::Draw;
use crate::{say, verdict};

const NODES: u32 = 20;
/// More than a proof takes.
const LOOKS: u32 = 4;

/// What was said during a case.
#[derive(Debug, Default)]
struct Heard {
    /// A look that was not complete, or something that could not be read.
    failed: bool,
    /// Containers under suspicion.
    suspected: u64,
}

pub(super) async fn run(args: &Args) -> Result<()> {
    let stand = Stand::raise(NODES, args.records).await?;
    let mut faults = Vec::new();
    let calm = stand.look().await?;
    if !calm.result.success || calm.result.real_vmids_count != args.records as usize {
        faults.push(format!("nothing fails, and yet: {:?}", calm.result));
    }
    let cases = cases(&stand, args);
    for trouble in &cases {
        let heard = {
            let _off = Off::if_control(args.sabotage, trouble.failure.guard())?;
            play(&stand, trouble).await?
        };
        let Trouble {
            node, failure, at, ..
        } = trouble;
        let is_off = *failure == Failure::Offline;
        // What is on a node that is off is not even suspected; all else is told.
        if is_off == (heard.failed || heard.suspected > 0) {
            faults.push(format!("{node} fails ({failure:?}) at {at:?}: {heard:?}"));
        }
        let (archived, freed) = (stand.archived().await?, stand.freed().await?);
        if archived > 0 || freed > 0 {
            faults.push(format!(
                "{node} fails ({failure:?}) at {at:?}: {archived} records archived, {freed} ports freed"
            ));
            // What was archived is gone: the cases after it would say no more.
            break;
        }
    }
    if stand.changing_calls() > 0 {
        faults.push(format!("{} changing calls", stand.changing_calls()));
    }
    let verdict = json!({
        "records": args.records,
        "cases": cases.len(),
        "archived": stand.archived().await?,
        "freed": stand.freed().await?,
        "faults": faults.len(),
        "told": verdict::told(&faults),
    });
    Ok(say::line(&verdict.to_string())?)
}

/// Fails it for so many looks and mends it.
async fn play(stand: &Stand, trouble: &Trouble) -> Result<Heard> {
    let failing = trouble.clone();
    let distortion = move |request: &_, answer| failing.distort(request, answer);
    stand.w.pve.distort(Some(Arc::new(distortion)));
    let mut heard = Heard::default();
    for _ in 0..LOOKS {
        let report = stand.look().await?;
        heard.failed |= !report.result.success;
        heard.suspected = heard.suspected.max(report.suspected);
    }
    stand.w.pve.distort(None);
    stand.look().await?;
    Ok(heard)
}

/// Every node in every way at every question, or some of them.
fn cases(stand: &Stand, args: &Args) -> Vec<Trouble> {
    let mut all = Vec::new();
    for node in &stand.nodes {
        let vmids: std::collections::BTreeSet<u32> = stand.on(node).into_iter().collect();
        for failure in Failure::ALL {
            for at in Question::ALL {
                all.push(Trouble {
                    node: node.clone(),
                    vmids: vmids.clone(),
                    failure,
                    at,
                });
            }
        }
    }
    let Some(some) = args.cases else {
        return all;
    };
    let mut draws = Draw::seeded(args.seed);
    while all.len() > some {
        let at = draws.below(all.len());
        all.swap_remove(at);
    }
    all
}
