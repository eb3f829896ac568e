//! How often something may be tried, by key: so many at once, and then one after another, in bounded memory.

use std::collections::BTreeMap;

use crate::time::Monotonic;

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many at once; 1 at least.
    pub at_once: u64,
    /// After that one each so many milliseconds.
    pub every_ms: u64,
}

/// What was tried lately, by key. Of more keys than may be kept, those go that have been tried least.
#[derive(Debug, Clone)]
pub struct Throttle<K> {
    rate: Rate,
    most: usize,
    /// The moment by which all that was tried is forgotten.
    paid: BTreeMap<K, Monotonic>,
}

impl<K: Ord + Clone> Throttle<K> {
    /// Nothing was tried yet. `most` keys are kept, one at least.
    #[must_use]
    pub fn new(rate: Rate, most: usize) -> Self {
        Self {
            rate,
            most: most.max(1),
            paid: BTreeMap::new(),
        }
    }

    /// How long this key has to wait until it may try, milliseconds; 0 = it may now.
    #[must_use]
    pub fn wait_ms(&self, key: &K, now: Monotonic) -> u64 {
        let Some(paid) = self.paid.get(key) else {
            return 0;
        };
        let free = self
            .rate
            .every_ms
            .saturating_mul(self.rate.at_once.max(1) - 1);
        paid.since_ms(now).saturating_sub(free)
    }

    /// The key tries once.
    pub fn tried(&mut self, key: &K, now: Monotonic) {
        let before = self.paid.get(key).copied().unwrap_or(now).max(now);
        self.make_room(key, now);
        let paid = before.plus_ms(self.rate.every_ms);
        self.paid.insert(key.clone(), paid);
    }

    /// What the key tried is forgotten.
    pub fn forgive(&mut self, key: &K) {
        self.paid.remove(key);
    }

    /// How many keys are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.paid.len()
    }

    fn make_room(&mut self, key: &K, now: Monotonic) {
        if self.paid.contains_key(key) || self.paid.len() < self.most {
            return;
        }
        self.paid.retain(|_, paid| *paid > now);
        if self.paid.len() < self.most {
            return;
        }
        let least = self.paid.iter().min_by_key(|(_, paid)| **paid);
        if let Some(least) = least.map(|(key, _)| key.clone()) {
            self.paid.remove(&least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        at_once: 3,
        every_ms: 10,
    };

    fn at(ms: u64) -> Monotonic {
        Monotonic(ms)
    }

    #[test]
    fn some_at_once_and_then_one_after_another() {
        let mut throttle = Throttle::new(RATE, 10);
        for _ in 0..3 {
            assert_eq!(throttle.wait_ms(&"a", at(100)), 0);
            throttle.tried(&"a", at(100));
        }
        assert_eq!(throttle.wait_ms(&"a", at(100)), 10);
        assert_eq!(throttle.wait_ms(&"b", at(100)), 0, "others do not wait");
        assert_eq!(throttle.wait_ms(&"a", at(109)), 1);
        assert_eq!(throttle.wait_ms(&"a", at(110)), 0);
        throttle.tried(&"a", at(110));
        assert_eq!(throttle.wait_ms(&"a", at(110)), 10);
        assert_eq!(throttle.wait_ms(&"a", at(1_000)), 0);
        throttle.tried(&"a", at(1_000));
        assert_eq!(throttle.wait_ms(&"a", at(1_000)), 0, "rest counts once");
        throttle.tried(&"b", at(1_000));
        throttle.forgive(&"a");
        assert_eq!(throttle.kept(), 1);
    }

    #[test]
    fn what_is_kept_has_an_end_and_who_tries_most_stays() {
        let mut throttle = Throttle::new(RATE, 4);
        for _ in 0..9 {
            throttle.tried(&0, at(5));
        }
        for key in 1..1_000 {
            throttle.tried(&key, at(5));
            assert!(throttle.kept() <= 4);
        }
        assert!(
            throttle.wait_ms(&0, at(5)) > 0,
            "many others push nobody out"
        );
        // What is forgotten anyway goes first.
        throttle.tried(&2_000, at(10_000));
        assert_eq!(throttle.kept(), 1);
    }
}
