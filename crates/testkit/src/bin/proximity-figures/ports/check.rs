//! What is left: the events in their one order, what was acknowledged, and whether every pair can be had again.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use proximity_domain::event::EventKind;
use proximity_domain::ids::{AppId, HolderId};
use proximity_domain::ports::PortPair;
use proximity_store::{Store, StoreError};
use serde::Serialize;

use super::worker::{GIVEN_BACK, farewell, notes, now};
use super::{CAPACITY, store_in};
use crate::things::{LEASE_MS, Things};

/// Faults that are told in full.
const TOLD: usize = 20;

/// The result, as the last line.
#[derive(Debug, Default, Serialize)]
pub(super) struct Verdict {
    /// Processes, the killed ones too.
    processes: u64,
    /// Pairs that were taken.
    taken: usize,
    /// Pairs that were given back.
    given_back: usize,
    /// Times that somebody was refused because all pairs were held.
    refused: usize,
    /// Most pairs that were held at once.
    most_held: usize,
    faults: usize,
    told: Vec<String>,
}

impl Verdict {
    fn fault(&mut self, why: String) {
        self.faults += 1;
        if self.told.len() < TOLD {
            self.told.push(why);
        }
    }
}

pub(super) async fn all(dir: &Path, processes: u64) -> Result<Verdict> {
    let store = Store::open(store_in(dir), now()).await?;
    let mut verdict = Verdict {
        processes,
        ..Verdict::default()
    };
    let pairs = replay(&store, &mut verdict).await?;
    for number in 1..=processes {
        acknowledged(dir, number, &pairs, &mut verdict)?;
    }
    for wrong in store.invariants().await? {
        verdict.fault(wrong);
    }
    for damage in store.integrity().await?.iter().filter(|line| *line != "ok") {
        verdict.fault(damage.clone());
    }
    settle(&store, &mut verdict).await?;
    fill(&store, &mut verdict).await?;
    store.close().await;
    Ok(verdict)
}

/// Goes through the events, which are in the order of the commits: nobody may get what another one holds.
async fn replay(store: &Store, verdict: &mut Verdict) -> Result<BTreeMap<AppId, PortPair>> {
    let mut pairs = BTreeMap::new();
    let mut holders: BTreeMap<u16, AppId> = BTreeMap::new();
    let mut after = 0;
    loop {
        let page = store.events(after, 1000).await?;
        let Some((last, ..)) = page.last() else { break };
        after = *last;
        for (seq, _, event, app, _) in page {
            let Some(app) = app else { continue };
            if event.kind == EventKind::AppCreated {
                let pair: PortPair = serde_json::from_value(event.body["ports"].clone())?;
                for port in [pair.public, pair.internal] {
                    if let Some(holder) = holders.insert(port, app) {
                        verdict.fault(format!("event {seq}: port {port} is held by {holder}"));
                    }
                }
                pairs.insert(app, pair);
                verdict.taken += 1;
                verdict.most_held = verdict.most_held.max(holders.len() / 2);
            } else if event.kind == GIVEN_BACK {
                let pair = pairs
                    .get(&app)
                    .with_context(|| format!("app {app} was never made"))?;
                for port in [pair.public, pair.internal] {
                    if holders.get(&port) == Some(&app) {
                        holders.remove(&port);
                    } else {
                        verdict.fault(format!("event {seq}: {app} gave back {port} of another"));
                    }
                }
                verdict.given_back += 1;
            }
        }
    }
    Ok(pairs)
}

/// What one process was told is what is recorded, and each refusal was due.
fn acknowledged(
    dir: &Path,
    number: u64,
    pairs: &BTreeMap<AppId, PortPair>,
    verdict: &mut Verdict,
) -> Result<()> {
    let path = notes(dir, number);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        // Killed before it began.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e).with_context(|| path.display().to_string()),
    };
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["took", app, public, internal] => {
                let told = PortPair {
                    public: public.parse()?,
                    internal: internal.parse()?,
                };
                if pairs.get(&AppId(app.parse()?)) != Some(&told) {
                    verdict.fault(format!("{app} was told {told:?}, which is not recorded"));
                }
            }
            ["took", app, ..] => verdict.fault(format!("{app} was made without a pair")),
            ["gave", _] => {}
            ["refused", held, "0"] if held.parse() == Ok(CAPACITY) => verdict.refused += 1,
            ["refused", held, resting] => {
                verdict.fault(format!("refused with {held} held and {resting} resting"));
            }
            _ => verdict.fault(line.to_owned()),
        }
    }
    Ok(())
}

/// Gives back what killed processes left, then nothing may be held.
async fn settle(store: &Store, verdict: &mut Verdict) -> Result<()> {
    let holder = HolderId(Things::from(1_000_000).id());
    // They are all gone, so every claim may be taken over.
    while let Some((_, fence)) = store.claim(holder, LEASE_MS, true, now()).await? {
        if let Err(error) = store.complete(&fence, farewell(), now()).await {
            verdict.fault(format!("giving back what was left: {error}"));
        }
    }
    let held = store.ports().await?.held;
    if !held.is_empty() {
        verdict.fault(format!("{} pairs are held by nobody", held.len()));
    }
    Ok(())
}

/// All pairs can be had, and not one more.
async fn fill(store: &Store, verdict: &mut Verdict) -> Result<()> {
    let mut things = Things::from(2_000_000);
    let hosts = store.hosts().await?;
    let host = hosts.first().context("the host is gone")?.id;
    for n in 0..=CAPACITY {
        let (app, operation) = things.app(&format!("fill-{n}"), host)?;
        let made = store
            .create_app(app, operation, &things.actor, None, now())
            .await;
        match (n < CAPACITY, made) {
            (true, Ok(_)) | (false, Err(StoreError::PortsExhausted { .. })) => {}
            (true, Err(StoreError::PortsExhausted { held, .. })) => {
                verdict.fault(format!("exhausted after {n} pairs, with {held} held"));
                return Ok(());
            }
            (false, Ok(_)) => verdict.fault(format!("more than {CAPACITY} pairs were given")),
            (_, Err(other)) => bail!(other),
        }
    }
    Ok(())
}
