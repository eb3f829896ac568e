//! R31: whatever is done to the audit and to the log of events in their file is found; the audit has each change that was sent, once;
//! both are verified fast.

mod begin;
mod bits;
mod drawn;
mod ends;
mod fill;
mod journal;
mod sent;
mod stand;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use proximity_domain::audit::{Break, Chain, Head};
use proximity_store::Store;
use serde_json::{Value, json};
use tokio::time::Instant;

use self::journal::{AUDIT, EVENTS, Journal};
use self::stand::Stand;
use crate::draw::Draw;
use crate::{say, verdict};

/// Verifications that are timed.
const ROUNDS: usize = 5;

/// `proximity-figures audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// An empty folder
    #[arg(long)]
    dir: PathBuf,
    /// Entries of the audit
    #[arg(long)]
    entries: i64,
    /// Changes of it that are drawn
    #[arg(long)]
    tampers: usize,
    /// Of so many of its entries every bit is changed, one at a time
    #[arg(long)]
    bits_of: i64,
    /// How many of its last entries are cut off, one more each time
    #[arg(long)]
    cuts: i64,
    /// Events that are written; a fifth of them is cleared away
    #[arg(long)]
    events: i64,
    /// As of the audit
    #[arg(long)]
    event_tampers: usize,
    /// As of the audit
    #[arg(long)]
    event_bits_of: i64,
    /// As of the audit
    #[arg(long)]
    event_cuts: i64,
    /// Apps that come and go
    #[arg(long)]
    apps: u16,
    /// All chance
    #[arg(long)]
    seed: u64,
    /// The control: all links behind a change are made anew, and no anchor is at hand
    #[arg(long)]
    sabotage: bool,
}

/// What is done to a chain.
#[derive(Debug)]
struct Extent {
    entries: i64,
    tampers: usize,
    bits_of: i64,
    cuts: i64,
    sabotage: bool,
}

impl Args {
    fn of_audit(&self) -> Extent {
        Extent {
            entries: self.entries,
            tampers: self.tampers,
            bits_of: self.bits_of,
            cuts: self.cuts,
            sabotage: self.sabotage,
        }
    }

    fn of_events(&self) -> Extent {
        Extent {
            entries: self.events,
            tampers: self.event_tampers,
            bits_of: self.event_bits_of,
            cuts: self.event_cuts,
            sabotage: self.sabotage,
        }
    }
}

/// Changes that were made, and those of them that were found and named.
#[derive(Debug, Default)]
pub(super) struct Sum {
    made: u64,
    found: u64,
    told: Vec<String>,
}

impl Sum {
    /// A change whose lowest wrong number is `first`, and what the verification said.
    fn judge(&mut self, what: &str, first: i64, said: Result<Head, Break>) {
        self.made += 1;
        match said {
            Err(broken) if broken.seq() == first => self.found += 1,
            said => self.told.push(format!("{what}, first {first}: {said:?}")),
        }
    }

    fn counts(&self) -> Value {
        json!({"made": self.made, "found": self.found})
    }
}

/// What was done to one chain, and what came of it.
#[derive(Debug, Default)]
struct Outcome {
    /// Entries that are verified when all of it is.
    entries: i64,
    per_second: f64,
    drawn: Sum,
    bits: Sum,
    cuts: Sum,
}

impl Outcome {
    fn found(&self) -> Value {
        json!({
            "entries": self.entries,
            "per_second": self.per_second,
            "tampers": self.drawn.counts(),
            "bits": self.bits.counts(),
            "cuts": self.cuts.counts(),
        })
    }

    /// One sentence for each change that was not found, as far as they are told.
    fn told(&self) -> Vec<String> {
        let sums = [&self.drawn, &self.bits, &self.cuts];
        sums.map(|sum| verdict::told(&sum.told)).concat()
    }
}

/// Runs it; the last line is what was found.
pub(crate) async fn run(args: Args) -> Result<()> {
    let mut draw = Draw::seeded(args.seed);
    let dir = &args.dir;
    let audit = tampered(&AUDIT, &dir.join("audit"), &args.of_audit(), &mut draw).await?;
    let events = tampered(&EVENTS, &dir.join("events"), &args.of_events(), &mut draw).await?;
    let sent = sent::against_what_was_sent(args.apps).await?;
    let told = [verdict::told(&sent.wrong), &audit.told(), &events.told()].concat();
    let found = json!({
        "audit": audit.found(),
        "events": events.found(),
        "sent": sent.calls,
        "unlike": sent.wrong.len(),
        "told": told,
    });
    Ok(say::line(&found.to_string())?)
}

/// Fills a store in `dir`, which is not there yet, changes this chain of it, and asks the product each time.
async fn tampered(
    journal: &'static Journal,
    dir: &Path,
    extent: &Extent,
    draw: &mut Draw,
) -> Result<Outcome> {
    std::fs::create_dir(dir)?;
    let store = fill::open(dir).await?;
    let anchors = fill::fill(&store, journal, extent.entries, draw).await?;
    let cleared = match journal.chain {
        Chain::Audit => 0,
        Chain::Events => fill::clear(&store, dir, extent.entries).await?,
    };
    let mut outcome = Outcome {
        entries: extent.entries - cleared,
        ..Outcome::default()
    };
    outcome.per_second = speed(&store, journal, &anchors, outcome.entries).await?;
    let stand = Stand::new(store, dir, journal, anchors)?;
    if extent.sabotage {
        drawn::made_anew(&stand, extent.tampers, draw, &mut outcome.drawn).await?;
    } else {
        drawn::drawn(&stand, extent.tampers, draw, &mut outcome.drawn).await?;
        bits::every_bit(&stand, extent.bits_of, &mut outcome.bits).await?;
        if let Some(cut) = &stand.cut {
            begin::every_bit(&stand, cut, &mut outcome.bits).await?;
        }
        ends::cut_off(&stand, extent.cuts, &mut outcome.cuts).await?;
    }
    let whole = stand.verify_all().await?;
    ensure!(
        whole == Ok(stand.head),
        "it was not put right again: {whole:?}"
    );
    stand.close().await;
    Ok(outcome)
}

/// Entries verified in a second, at the middle of some rounds.
async fn speed(store: &Store, journal: &Journal, anchors: &[Head], entries: i64) -> Result<f64> {
    let mut each = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let verified = journal.verify(store, Head::NONE, anchors.to_vec()).await?;
        let took = began.elapsed().as_secs_f64();
        let head = verified?;
        ensure!(anchors.last() == Some(&head), "it ends at {head:?}");
        each.push(entries as f64 / took);
    }
    each.sort_by(f64::total_cmp);
    Ok(each.get(ROUNDS / 2).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENT: Extent = Extent {
        entries: 100,
        tampers: 120,
        bits_of: 0,
        cuts: 3,
        sabotage: false,
    };

    async fn outcome(journal: &'static Journal, extent: &Extent) -> Outcome {
        let dir = tempfile::tempdir().unwrap();
        let mut draw = Draw::seeded(7);
        let dir = dir.path().join("store");
        tampered(journal, &dir, extent, &mut draw).await.unwrap()
    }

    /// In small what the figure does: whatever is drawn, cut off, or changed where the events begin.
    #[tokio::test]
    async fn what_is_done_to_either_chain_is_found() {
        for (journal, entries, of_cut) in [(&AUDIT, 100, 0), (&EVENTS, 80, 64 + 512)] {
            let outcome = outcome(journal, &EXTENT).await;
            assert_eq!(outcome.told(), [""; 0], "{}", journal.table);
            assert_eq!(outcome.entries, entries);
            let made = [&outcome.drawn, &outcome.bits, &outcome.cuts].map(|sum| sum.made);
            assert_eq!(made, [120, of_cut, 6], "{}", journal.table);
        }
    }

    #[tokio::test]
    async fn what_is_made_anew_is_found_in_neither() {
        let extent = Extent {
            tampers: 3,
            sabotage: true,
            ..EXTENT
        };
        for journal in [&AUDIT, &EVENTS] {
            let outcome = outcome(journal, &extent).await;
            let (made, found) = (outcome.drawn.made, outcome.drawn.found);
            assert_eq!((made, found), (3, 0), "{}", journal.table);
        }
    }
}
