//! How long many requests took.

use std::time::Duration;

/// Times of requests of one kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(super) fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    pub(super) fn merge(&mut self, others: &Self) {
        self.0.extend(&others.0);
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// So many of a thousand took no longer than this, milliseconds.
    pub(super) fn of_thousand(&self, many: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let place = (sorted.len() * many).div_ceil(1000).max(1) - 1;
        let took = sorted.get(place).copied();
        took.map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_of_a_hundred_is_beyond_the_99th() {
        let mut all = Latencies::default();
        for ms in (1..=100).rev() {
            all.add(Duration::from_millis(ms));
        }
        assert_eq!(all.count(), 100);
        let places = [0, 500, 990, 991, 1000].map(|many| all.of_thousand(many));
        assert_eq!(places, [1.0, 50.0, 99.0, 100.0, 100.0]);
        assert!(Latencies::default().of_thousand(500).is_nan());
    }
}
