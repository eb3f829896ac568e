//! Cases of the simulation side by side; each has a runtime of its own, and a guard is taken off where it is played.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, anyhow, bail};
use proximity_engine::saga::Guard;

use super::Args;
use crate::draw::Draw;

const THREADS: usize = 2;

/// Plays each of them once.
pub(super) fn each<C: Sync, S: Send>(
    cases: &[C],
    sum: S,
    one: impl Fn(&C, &Mutex<S>) -> Result<()> + Sync,
) -> Result<S> {
    let next = AtomicUsize::new(0);
    let sum = Mutex::new(sum);
    let lane = || -> Result<()> {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            one(case, &sum)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| -> Result<()> {
        let lanes: Vec<_> = (0..THREADS).map(|_| scope.spawn(lane)).collect();
        for lane in lanes {
            lane.join().map_err(|_| anyhow!("a lane panicked"))??;
        }
        Ok(())
    })?;
    sum.into_inner().map_err(|_| anyhow!("a lane panicked"))
}

/// Lets this work on a thread of its own, where no runtime is yet.
pub(super) fn apart(work: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    let ended = std::thread::scope(|scope| scope.spawn(work).join());
    ended.map_err(|_| anyhow!("a lane panicked"))?
}

/// As many of them as were asked for, drawn.
pub(super) fn some_of<C>(mut all: Vec<C>, args: &Args) -> Vec<C> {
    let mut draws = Draw::seeded(args.seed);
    while args.cases.is_some_and(|some| all.len() > some) {
        let at = draws.below(all.len());
        all.swap_remove(at);
    }
    all
}

/// The guard that the control takes off.
pub(super) fn off(args: &Args, guard: Guard) -> Result<Option<Guard>> {
    if args.sabotage && !cfg!(feature = "bug-switches") {
        bail!("the control takes a guard off: build with the feature bug-switches");
    }
    Ok(args.sabotage.then_some(guard))
}
