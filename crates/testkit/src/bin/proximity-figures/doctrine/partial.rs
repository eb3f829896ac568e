//! R9: nobody's record goes because a node fails.

use std::sync::Arc;

use anyhow::Result;
use serde_json::json;

use super::Args;
use super::stand::Stand;
use super::trouble::{Failure, Question, Trouble};
use crate::draw::Draw;
use crate::{say, verdict};

const NODES: u32 = 20;
/// More than a proof takes.
const LOOKS: u32 = 4;

pub(super) async fn run(args: &Args) -> Result<()> {
    let stand = Stand::raise(NODES, args.records).await?;
    let mut faults = Vec::new();
    let calm = stand.look().await?;
    if !calm.result.success || calm.result.real_vmids_count != args.records as usize {
        faults.push(format!("nothing fails, and yet: {:?}", calm.result));
    }
    let cases = cases(&stand, args);
    let mut unheard = 0_usize;
    for trouble in &cases {
        if !play(&stand, trouble).await? {
            unheard += 1;
        }
        let (archived, freed) = (stand.archived().await?, stand.freed().await?);
        if archived > 0 || freed > 0 {
            let Trouble {
                node, failure, at, ..
            } = trouble;
            faults.push(format!(
                "{node} fails ({failure:?}) at {at:?}: {archived} records archived, {freed} ports freed"
            ));
            // What was archived is gone: the cases after it would say no more.
            break;
        }
    }
    if unheard > 0 {
        faults.push(format!("{unheard} cases in which nothing was said"));
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

/// Fails it for so many looks and mends it. Whether somebody is told of anything: missing containers, or no complete look.
async fn play(stand: &Stand, trouble: &Trouble) -> Result<bool> {
    let failing = trouble.clone();
    let distortion = move |request: &_, answer| failing.distort(request, answer);
    stand.w.pve.distort(Some(Arc::new(distortion)));
    let mut heard = false;
    for _ in 0..LOOKS {
        let report = stand.look().await?;
        heard |= !report.result.success || report.suspected > 0;
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
                    lies: args.sabotage,
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
