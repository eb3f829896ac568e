//! R31: whatever is done to the audit in its file is found; it has each change that was sent, once; it is verified fast.

mod bits;
mod drawn;
mod ends;
mod fill;
mod sent;
mod stand;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use proximity_domain::audit::{Break, Head};
use proximity_store::Store;
use serde_json::json;
use tokio::time::Instant;

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
    /// Changes that are drawn
    #[arg(long)]
    tampers: usize,
    /// Of so many entries every bit is changed, one at a time
    #[arg(long)]
    bits_of: i64,
    /// How many of the last entries are cut off, one more each time
    #[arg(long)]
    cuts: i64,
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
}

/// Runs it; the last line is what was found.
pub(crate) async fn run(args: Args) -> Result<()> {
    let mut draw = Draw::seeded(args.seed);
    let store = fill::open(&args.dir).await?;
    let anchors = fill::fill(&store, args.entries, &mut draw).await?;
    let per_second = speed(&store, &anchors, args.entries).await?;
    let mut sum = Sum::default();
    let mut bits = Sum::default();
    let mut cut = Sum::default();
    let stand = Stand::new(store, &args.dir, anchors)?;
    if args.sabotage {
        drawn::made_anew(&stand, args.tampers, &mut draw, &mut sum).await?;
    } else {
        drawn::drawn(&stand, args.tampers, &mut draw, &mut sum).await?;
        bits::every_bit(&stand, args.bits_of, &mut bits).await?;
        ends::cut_off(&stand, args.cuts, &mut cut).await?;
    }
    let whole = stand.verify_all().await?;
    ensure!(whole.is_ok(), "it was not put right again: {whole:?}");
    stand.close().await;
    let sent = sent::against_what_was_sent(args.apps).await?;
    let told = [sum.told.as_slice(), &bits.told, &cut.told, &sent.wrong].concat();
    let found = json!({
        "entries": args.entries,
        "per_second": per_second,
        "tampers": {"made": sum.made, "found": sum.found},
        "bits": {"made": bits.made, "found": bits.found},
        "cuts": {"made": cut.made, "found": cut.found},
        "sent": sent.calls, "unlike": sent.wrong.len(),
        "told": verdict::told(&told),
    });
    Ok(say::line(&found.to_string())?)
}

/// Entries verified in a second, at the middle of some rounds.
async fn speed(store: &Store, anchors: &[Head], entries: i64) -> Result<f64> {
    let mut each = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let verified = store.verify_audit(Head::NONE, anchors.to_vec()).await?;
        let took = began.elapsed().as_secs_f64();
        let head = verified?;
        ensure!(
            head.seq == entries,
            "{} entries instead of {entries}",
            head.seq
        );
        each.push(entries as f64 / took);
    }
    each.sort_by(f64::total_cmp);
    Ok(each.get(ROUNDS / 2).copied().unwrap_or_default())
}
