//! How fast the slow sweep asks: so many requests a second over all clusters together, evenly.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Between two requests of the sweep: five a second.
const APART: Duration = Duration::from_millis(200);

/// Gives out turns, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(super) struct Pace {
    ticks: Mutex<Option<Interval>>,
}

impl Pace {
    /// Returns when the next request may be sent. Turns that nobody took are not made up for.
    pub(super) async fn turn(&self) {
        let mut ticks = self.ticks.lock().await;
        let ticks = ticks.get_or_insert_with(|| {
            let mut ticks = interval(APART);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        ticks.tick().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn five_a_second_and_no_burst_after_a_rest() {
        let pace = Pace::default();
        pace.turn().await;
        let begun = Instant::now();
        for _ in 0..5 {
            pace.turn().await;
        }
        assert_eq!(begun.elapsed(), Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(60)).await;
        pace.turn().await;
        let rested = Instant::now();
        pace.turn().await;
        assert_eq!(rested.elapsed(), APART);
    }
}
