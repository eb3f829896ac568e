//! Many cases side by side, within one deadline.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, bail};

use crate::clock::Deadline;

/// Runs every case once, at most `lanes` at a time, and gives the results in the order of the
/// cases. A lane has a number of its own, so that its ports and folders can differ from the
/// others'. The first error ends the run: cases not yet begun are left out, and so is the figure.
/// So does the deadline: a figure over a part of its cases would look better than it is.
pub(crate) fn run<C: Sync, T: Send>(
    lanes: usize,
    cases: &[C],
    deadline: Deadline,
    one: impl Fn(usize, &C) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Result<T>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for lane in 0..lanes.clamp(1, cases.len().max(1)) {
            let (next, results, one) = (&next, &results, &one);
            scope.spawn(move || {
                while let Some((at, case)) = take(next, cases) {
                    if deadline.remaining().is_zero() {
                        return;
                    }
                    let result = one(lane, case);
                    if result.is_err() {
                        next.store(cases.len(), Ordering::Relaxed);
                    }
                    if let Ok(mut results) = results.lock() {
                        results.push((at, result));
                    }
                }
            });
        }
    });
    let Ok(mut results) = results.into_inner() else {
        bail!("a lane panicked");
    };
    results.sort_by_key(|(at, _)| *at);
    let done: Vec<T> = results
        .into_iter()
        .map(|(_, result)| result)
        .collect::<Result<_>>()?;
    if done.len() < cases.len() {
        bail!(
            "the time was over after {} of {} cases",
            done.len(),
            cases.len()
        );
    }
    Ok(done)
}

fn take<'a, C>(next: &AtomicUsize, cases: &'a [C]) -> Option<(usize, &'a C)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    cases.get(at).map(|case| (at, case))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Barrier;
    use std::time::Duration;

    use super::*;

    fn minute() -> Deadline {
        Deadline::after(Duration::from_secs(60))
    }

    #[test]
    fn cases_run_side_by_side_and_come_back_in_order() {
        // Each case waits for a second one, so one lane alone would never end.
        let barrier = Barrier::new(2);
        let lanes = Mutex::new(BTreeSet::new());
        let doubled = run(2, &[1, 2, 3, 4], minute(), |lane, case| {
            lanes.lock().unwrap().insert(lane);
            barrier.wait();
            Ok(case * 2)
        });
        assert_eq!(doubled.unwrap(), [2, 4, 6, 8]);
        assert_eq!(lanes.into_inner().unwrap(), BTreeSet::from([0, 1]));
    }

    #[test]
    fn an_error_ends_the_run() {
        let begun = AtomicUsize::new(0);
        let ran = run(1, &[1, 2, 3], minute(), |_, case| {
            begun.fetch_add(1, Ordering::Relaxed);
            if *case == 2 {
                bail!("case two");
            }
            Ok(())
        });
        assert_eq!(ran.unwrap_err().to_string(), "case two");
        assert_eq!(begun.into_inner(), 2);
    }

    #[test]
    fn a_part_of_the_cases_is_no_result() {
        let over = Deadline::after(Duration::ZERO);
        let ran = run(2, &[1, 2], over, |_, _| Ok(()));
        assert!(ran.unwrap_err().to_string().contains("0 of 2"));
    }
}
