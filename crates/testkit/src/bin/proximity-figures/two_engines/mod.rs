//! R20: two engines on one database file, one of them stopped while it works, and told to go on after the other took over.
//!
//! Lanes run side by side. Each has an emulated PVE of its own behind HTTPS, a database file, and engines that are processes
//! of this program. In each round one engine claims an operation and is stopped; the other takes it over and ends it; then
//! the first one goes on. What it writes and what it sends from then on is stale.

mod args;
mod child;
mod engine;
mod judge;
mod lane;
mod round;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;
use tokio::task::{JoinSet, LocalSet};

use self::args::Args;
use self::lane::Lane;
use self::round::Report;
use crate::say;

pub(crate) use self::engine::run as engine;

/// What all rounds together showed, as JSON on stdout.
#[derive(Serialize)]
struct Sum {
    rounds: Vec<Report>,
}

/// Plays `rounds=N` rounds in `lanes=N` lanes below `dir=PATH`, drawn by `seed=N`; with `late=1` engines send however late
/// it is.
pub(crate) async fn run(words: &[String]) -> Result<(), String> {
    LocalSet::new().run_until(play(words)).await
}

async fn play(words: &[String]) -> Result<(), String> {
    let args = Arc::new(Args::parse(words)?);
    let rounds: usize = args.number("rounds")?;
    let lanes: usize = args.number("lanes")?;
    let next = Arc::new(AtomicUsize::new(0));
    let mut running = JoinSet::new();
    for number in 0..lanes {
        let (args, next) = (args.clone(), next.clone());
        running.spawn_local(async move {
            let mut lane = Lane::start(&args, number).await?;
            let mut reports = Vec::new();
            loop {
                let round = next.fetch_add(1, Ordering::Relaxed);
                if round >= rounds {
                    break;
                }
                let report = round::play(&mut lane, &args, round).await;
                reports.push(report.map_err(|e| format!("round {round}: {e}"))?);
            }
            lane.end().await?;
            Ok::<_, String>(reports)
        });
    }
    let mut all = Vec::new();
    while let Some(ended) = running.join_next().await {
        all.extend(ended.map_err(|e| e.to_string())??);
    }
    all.sort_by_key(|r| r.round);
    let text = serde_json::to_string(&Sum { rounds: all }).map_err(|e| e.to_string())?;
    say::line(&text).map_err(|e| e.to_string())
}
