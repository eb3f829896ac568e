//! R31: the chains of the audit and of the events.
//!
//! The program fills both by the product's calls, changes them in their files and asks the product what it sees. What it saw is
//! reported; what is reached is decided here, of each chain by itself.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::scratch::Scratch;
use super::{Bench, Binary, Figure, Measured};
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;

/// The figure.
pub(super) const FIGURE: Figure = Figure {
    id: "R31",
    shows: "changes of the audit and of the log of events in their files (drawn ones, every bit of some entries, the end cut off, with and without something written on; of the events also where they begin) that are found and named by their first number; calls that a cluster was sent, and those of which the audit has more or fewer; entries verified in a second",
    goal: "of the audit all of 10,000, of 10 entries and of 100 cuts (quick: 500, 1, 10), of the events all of 4,000, of 2 and of 40 (quick: 200, 1, 10), 0 unlike, >= 200,000/s of each",
    binaries: &[Binary::FastFigures],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(300),
    measure,
};

/// What is done to one chain.
struct Tampering {
    entries: u64,
    tampers: u64,
    bits_of: u64,
    cuts: u64,
}

/// How much of it is measured.
struct Extent {
    audit: Tampering,
    events: Tampering,
    apps: u64,
}

/// Of the events a fifth is cleared away, and the rest is read whole after each change. It is a little more than full pages, for one
/// that cannot be read is looked for one by one in its page, and the last ones are looked for most.
const FULL: Extent = Extent {
    audit: Tampering {
        entries: 100_000,
        tampers: 10_000,
        bits_of: 10,
        cuts: 100,
    },
    events: Tampering {
        entries: 2_550,
        tampers: 4_000,
        bits_of: 2,
        cuts: 40,
    },
    apps: 24,
};
const QUICK: Extent = Extent {
    audit: Tampering {
        entries: 10_000,
        tampers: 500,
        bits_of: 1,
        cuts: 10,
    },
    events: Tampering {
        entries: 1_300,
        tampers: 200,
        bits_of: 1,
        cuts: 10,
    },
    apps: 4,
};
/// Of each chain. Each makes hundreds of links anew.
const SABOTAGED: u64 = 20;
/// The goal.
const PER_SECOND: f64 = 200_000.0;
/// Bits that an entry has at least, of either chain: its link alone has 512, its numbers 128.
const BITS: u64 = 640;
/// Bits of where the events begin: a number and a link.
const BITS_OF_CUT: u64 = 576;
/// Calls that an app's life takes at least.
const CALLS: u64 = 3;

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let extent = if bench.mode.quick { QUICK } else { FULL };
    let found = found(bench, &extent)?;
    for told in found["told"].as_array().into_iter().flatten() {
        say::note(format!("R31: {told}"));
    }
    judge(found, &extent)
}

/// What came of one chain.
struct Outcome {
    made: u64,
    found: u64,
    entries: u64,
    per_second: f64,
    /// All that was to be done was done and found, and fast.
    reached: bool,
}

/// Adds both chains up; each has to reach the goal by itself.
fn judge(found: Value, extent: &Extent) -> Result<Measured> {
    let audit = outcome(&found["audit"], &extent.audit, 0)?;
    let events = outcome(&found["events"], &extent.events, BITS_OF_CUT)?;
    for (name, of) in [("audit", &audit), ("events", &events)] {
        say::note(format!(
            "R31: {name}: {} of {} changes found, {} entries verified at {:.0} a second",
            of.found, of.made, of.entries, of.per_second
        ));
    }
    let (sent, unlike) = (whole(&found, "sent")?, whole(&found, "unlike")?);
    let all_sent = sent >= CALLS * extent.apps && unlike == 0;
    let (seen, made) = (audit.found + events.found, audit.made + events.made);
    let seconds = audit.seconds() + events.seconds();
    let rate = (audit.entries + events.entries) as f64 / seconds;
    Ok(Measured {
        value: format!("{seen}/{made}/{unlike}/{sent}/{rate:.0}"),
        unit: "found/changes/unlike/calls/entries per s",
        reached: audit.reached && events.reached && all_sent,
        raw: found,
    })
}

impl Outcome {
    /// How long all of it takes to be verified.
    fn seconds(&self) -> f64 {
        self.entries as f64 / self.per_second
    }
}

/// `more_bits` are changed beside those of entries.
fn outcome(chain: &Value, wanted: &Tampering, more_bits: u64) -> Result<Outcome> {
    let per_second = chain["per_second"].as_f64().context("no per_second")?;
    let mut outcome = Outcome {
        made: 0,
        found: 0,
        entries: whole(chain, "entries")?,
        per_second,
        reached: per_second >= PER_SECOND,
    };
    for (kind, wanted) in [
        ("tampers", wanted.tampers),
        ("bits", wanted.bits_of * BITS + more_bits),
        ("cuts", 2 * wanted.cuts),
    ] {
        let (made, found) = (whole(&chain[kind], "made")?, whole(&chain[kind], "found")?);
        outcome.made += made;
        outcome.found += found;
        outcome.reached &= made >= wanted && found == made;
    }
    Ok(outcome)
}

/// What the program found.
fn found(bench: &Bench<'_>, extent: &Extent) -> Result<Value> {
    let scratch = Scratch::new(bench.place, "R31")?;
    let tampers = |of: &Tampering| match bench.mode.sabotage {
        true => SABOTAGED,
        false => of.tampers,
    };
    let (audit, events) = (&extent.audit, &extent.events);
    let mut program = Invocation::new(Binary::FastFigures.path(bench.place))
        .args(["audit", "--seed", &bench.seed.to_string(), "--dir"])
        .arg(scratch.path())
        .until(bench.deadline);
    for (name, value) in [
        ("--entries", audit.entries),
        ("--tampers", tampers(audit)),
        ("--bits-of", audit.bits_of),
        ("--cuts", audit.cuts),
        ("--events", events.entries),
        ("--event-tampers", tampers(events)),
        ("--event-bits-of", events.bits_of),
        ("--event-cuts", events.cuts),
        ("--apps", extent.apps),
    ] {
        program = program.args([name, &value.to_string()]);
    }
    if bench.mode.sabotage {
        program = program.arg("--sabotage");
    }
    let answer = program
        .capture(bench.place.root())?
        .expect_success("the chains")?;
    let last = answer.lines().last().unwrap_or_default();
    serde_json::from_str(last).context("reading what was found")
}

fn whole(found: &Value, name: &str) -> Result<u64> {
    let number = found[name].as_u64();
    number.with_context(|| format!("no {name} in {found}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What the program says when all is found of a chain.
    fn all(wanted: &Tampering, more_bits: u64) -> Value {
        let count = |n: u64| json!({"made": n, "found": n});
        json!({
            "entries": 1_000,
            "per_second": 300_000.0,
            "tampers": count(wanted.tampers),
            "bits": count(wanted.bits_of * BITS + more_bits),
            "cuts": count(2 * wanted.cuts),
        })
    }

    fn everything() -> Value {
        json!({
            "audit": all(&QUICK.audit, 0),
            "events": all(&QUICK.events, BITS_OF_CUT),
            "sent": CALLS * QUICK.apps,
            "unlike": 0,
            "told": [],
        })
    }

    #[test]
    fn both_chains_are_added_up() {
        let measured = judge(everything(), &QUICK).unwrap();
        assert!(measured.reached);
        let made = 500 + 640 + 20 + 200 + 640 + 576 + 20;
        let value = format!("{made}/{made}/0/12/300000");
        assert_eq!(measured.value, value);
    }

    /// What one chain lacks the other does not make up for.
    #[test]
    fn each_chain_has_to_reach_the_goal() {
        for chain in ["audit", "events"] {
            for kind in ["tampers", "bits", "cuts"] {
                for (name, value) in [("made", 1_000_000), ("found", 0)] {
                    let mut found = everything();
                    found[chain][kind][name] = json!(value);
                    assert!(!judge(found, &QUICK).unwrap().reached, "{chain} {kind}");
                }
                let mut fewer = everything();
                fewer[chain][kind] = json!({"made": 1, "found": 1});
                assert!(!judge(fewer, &QUICK).unwrap().reached, "{chain} {kind}");
            }
            let mut slow = everything();
            slow[chain]["per_second"] = json!(199_999.0);
            assert!(!judge(slow, &QUICK).unwrap().reached, "{chain}");
        }
        for (name, value) in [("sent", 11), ("unlike", 1)] {
            let mut found = everything();
            found[name] = json!(value);
            assert!(!judge(found, &QUICK).unwrap().reached, "{name}");
        }
    }
}
