//! R15: too many at once stop, and a person is asked for the number.

use anyhow::{Result, anyhow};
use proximity_engine::reconcile::Pass;
use proximity_engine::saga::Guard;
use proximity_store::records::Actor;
use serde_json::json;

use super::Args;
use super::guards::Off;
use super::stand::Stand;
use crate::{say, verdict};

/// More than a proof takes.
const LOOKS: u32 = 5;
const NODES: u32 = 4;
const HOUR_MS: u64 = 3_600_000;

/// What came of one size.
#[derive(Debug, Default)]
struct Found {
    /// Times at which more than the limit was to go.
    asked: usize,
    /// Of these, those at which nothing went before the very number was typed.
    stopped: usize,
    faults: Vec<String>,
}

pub(super) async fn run(args: &Args) -> Result<()> {
    let mut all = Found::default();
    let _off = Off::if_control(args.sabotage, Guard::Brake)?;
    for records in [10, 100, args.records] {
        let found = one(records).await?;
        all.asked += found.asked;
        all.stopped += found.stopped;
        let of_size = found.faults.into_iter();
        all.faults
            .extend(of_size.map(|what| format!("of {records}: {what}")));
    }
    let verdict = json!({
        "asked": all.asked,
        "stopped": all.stopped,
        "faults": all.faults.len(),
        "told": verdict::told(&all.faults),
    });
    Ok(say::line(&verdict.to_string())?)
}

/// As many as may go, go; one more within the hour stops; so does one more than may go at once.
async fn one(records: u32) -> Result<Found> {
    let stand = Stand::raise(NODES, records).await?;
    let mut found = Found::default();
    let limit = proximity_domain::observe::limit(records.into());
    let mut next = stand.vmids();
    vanish(&stand, &mut next, limit)?;
    looks(&stand).await?;
    if stand.archived().await? != limit {
        let went = stand.archived().await?;
        found
            .faults
            .push(format!("{limit} may go, and {went} went"));
    }
    vanish(&stand, &mut next, 1)?;
    must_stop(&stand, &mut found, 1).await?;
    stand.wait(HOUR_MS);
    let left = records.saturating_sub(u32::try_from(stand.archived().await?)?);
    let more = proximity_domain::observe::limit(left.into()) + 1;
    vanish(&stand, &mut next, more)?;
    must_stop(&stand, &mut found, more).await?;
    if stand.changing_calls() > 0 {
        found
            .faults
            .push(format!("{} changing calls", stand.changing_calls()));
    }
    Ok(found)
}

fn vanish(stand: &Stand, next: &mut std::ops::Range<u32>, count: u64) -> Result<()> {
    for vmid in next.take(usize::try_from(count)?) {
        let gone = stand.w.pve.meddle(|world| world.vanish(vmid));
        gone.map_err(|why| anyhow!(why))?;
    }
    Ok(())
}

/// Looks enough for a proof; the number that is asked for, if one is.
async fn looks(stand: &Stand) -> Result<Option<u64>> {
    let mut asked = None;
    for _ in 0..LOOKS {
        let report = stand.look().await?;
        asked = report.brake.map(|brake| brake.missing);
    }
    Ok(asked)
}

fn typed(missing: u64) -> Pass {
    let actor = Actor {
        account: "admin".to_owned(),
        token: None,
        request: None,
    };
    Pass::Confirmed { missing, actor }
}

async fn must_stop(stand: &Stand, found: &mut Found, missing: u64) -> Result<()> {
    let before = stand.archived().await?;
    found.asked += 1;
    let asked = looks(stand).await?;
    for wrong in [missing - 1, missing + 1] {
        stand.pass(&typed(wrong)).await?;
    }
    let went = stand.archived().await? - before;
    if went > 0 || asked != Some(missing) {
        let what = format!("{missing} are missing: {went} went, and {asked:?} was asked for");
        found.faults.push(what);
        return Ok(());
    }
    found.stopped += 1;
    stand.pass(&typed(missing)).await?;
    let went = stand.archived().await? - before;
    if went != missing {
        let what = format!("{missing} were typed, and {went} went");
        found.faults.push(what);
    }
    Ok(())
}
