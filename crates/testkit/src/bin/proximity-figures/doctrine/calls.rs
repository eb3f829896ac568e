//! R3: every call of every operation, and every entry into its guest, hit by every fault.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow};
use proximity_engine::saga::Guard;
use proximity_testkit::sim::{Call, Case, Hit, Played, Saga, cases_of, play_case, sent_by};
use serde_json::json;

use super::{Args, lanes};
use crate::{say, verdict};

/// What came of all of them.
#[derive(Debug, Default)]
struct Sum {
    hit: usize,
    ended: BTreeMap<String, usize>,
    longest_ms: u64,
    /// Causes on record, and those of them that name what was hit.
    causes: usize,
    named: usize,
    /// Cases with a fault.
    wrong: usize,
    told: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let off = lanes::off(args, Guard::Leftover)?;
    let (all, sent) = cases(args.seed)?;
    let there_are = all.len();
    let cases = lanes::some_of(all, args);
    let sum = lanes::each(&cases, Sum::default(), |case: &Case, sum| {
        let played = play_case(case, args.seed, off).map_err(|why| anyhow!("{case:?}: {why}"))?;
        let mut sum = sum.lock().map_err(|_| anyhow!("a lane panicked"))?;
        sum.add(case, played);
        Ok(())
    })?;
    let verdict = json!({
        "there_are": there_are,
        "cases": cases.len(),
        "calls": sent,
        "hit": sum.hit,
        "ended": sum.ended,
        "causes": sum.causes,
        "named": sum.named,
        "longest_ms": sum.longest_ms,
        "faults": sum.wrong,
        "told": verdict::told(&sum.told),
        "all": &sum.told,
    });
    Ok(say::line(&verdict.to_string())?)
}

/// All cases, and how many different calls are in them.
fn cases(seed: u64) -> Result<(Vec<Case>, usize)> {
    let mut all = Vec::new();
    let mut calls: BTreeSet<Call> = BTreeSet::new();
    for saga in Saga::ALL {
        let sent = sent_by(saga, seed).map_err(|why| anyhow!("{saga:?}: {why}"))?;
        all.extend(cases_of(saga, &sent));
        calls.extend(sent.calls());
    }
    Ok((all, calls.len()))
}

impl Sum {
    fn add(&mut self, case: &Case, played: Played) {
        if !played.hit {
            return;
        }
        self.hit += 1;
        *self.ended.entry(played.ended).or_default() += 1;
        self.longest_ms = self.longest_ms.max(played.took_ms);
        self.causes += usize::from(played.named.is_some());
        self.named += usize::from(played.named == Some(true));
        self.wrong += usize::from(!played.faults.is_empty());
        let (saga, nth) = (case.saga, case.nth);
        let lasts = if case.lasts { " and on" } else { "" };
        let what = match &case.hit {
            Hit::Call(call, harm) => format!("{} {} {harm:?}", call.verb, call.path),
            Hit::Way(way, snag) => format!("{way:?} {snag:?}"),
        };
        for fault in played.faults {
            self.told
                .push(format!("{saga:?}, {what} #{nth}{lasts}: {fault}"));
        }
    }
}
