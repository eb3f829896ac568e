//! When something that did not work is tried again: decided here, waited for elsewhere.

use serde::{Deserialize, Serialize};

/// How often and after which waits.
///
/// An attempt is made again only where looking first shows what is there; what may have happened is never repeated blindly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Attempts in all, the first included; at least 1.
    pub attempts: u32,
    /// Wait after the first attempt, milliseconds; each further one is four times as long.
    pub first_ms: u64,
    /// Longest wait, milliseconds, before chance is added.
    pub longest_ms: u64,
}

impl RetryPolicy {
    /// Three attempts, after about 1 s and about 4 s.
    pub const DEFAULT: Self = Self {
        attempts: 3,
        first_ms: 1_000,
        longest_ms: 60_000,
    };

    /// How long to wait after attempt number `failed` (from 1), milliseconds; `None` when it was the last.
    ///
    /// `random` moves the wait by up to a quarter up or down, so that what failed together does not come back together.
    #[must_use]
    pub fn wait_ms(self, failed: u32, random: u64) -> Option<u64> {
        if failed >= self.attempts {
            return None;
        }
        let wait = self.plain_ms(failed);
        let quarter = wait / 4;
        Some(wait - quarter + random % (2 * quarter + 1))
    }

    /// From the first attempt to the last in all, milliseconds, without chance and without what the attempts take themselves.
    #[must_use]
    pub fn in_all_ms(self) -> u64 {
        let waits = (1..self.attempts).map(|failed| self.plain_ms(failed));
        waits.fold(0, u64::saturating_add)
    }

    fn plain_ms(self, failed: u32) -> u64 {
        let factor = 4_u64.saturating_pow(failed.saturating_sub(1));
        self.first_ms.saturating_mul(factor).min(self.longest_ms)
    }

    /// The longest wait there can be, milliseconds.
    #[must_use]
    pub fn bound_ms(self) -> u64 {
        self.longest_ms + self.longest_ms / 4
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn three_attempts_after_one_and_four_seconds() {
        let middle = |failed| RetryPolicy::DEFAULT.wait_ms(failed, 250 * 4_u64.pow(failed - 1));
        assert_eq!(
            [middle(1), middle(2), middle(3)],
            [Some(1_000), Some(4_000), None]
        );
        assert_eq!(RetryPolicy::DEFAULT.in_all_ms(), 5_000);
        let once = RetryPolicy {
            attempts: 1,
            ..RetryPolicy::DEFAULT
        };
        assert_eq!(once.in_all_ms(), 0);
    }

    proptest! {
        #[test]
        fn waits_stay_within_a_quarter_and_below_the_bound(failed in 0..40_u32, random: u64, first_ms in 0..100_000_u64) {
            let policy = RetryPolicy { attempts: 50, first_ms, longest_ms: 60_000 };
            let wait = policy.wait_ms(failed, random).unwrap();
            let plain = first_ms.saturating_mul(4_u64.saturating_pow(failed.saturating_sub(1))).min(60_000);
            prop_assert!(wait >= plain - plain / 4 && wait <= plain + plain / 4);
            prop_assert!(wait <= policy.bound_ms());
        }
    }
}
