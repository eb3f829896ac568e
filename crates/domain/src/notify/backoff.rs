//! How long a channel that did not take a message is left alone.

/// Wait after the first failure, milliseconds.
const FIRST_MS: u64 = 5_000;
/// Longest wait before chance is added, milliseconds.
const LONGEST_MS: u64 = 30 * 60_000;

/// How long to wait after `failures` failures in a row (from 1), milliseconds: 5 s, doubled each time, 30 min at most.
///
/// `random` moves the wait by up to a quarter up or down. What the receiver asked for (`Retry-After`) is kept if it is
/// longer, up to the longest wait.
#[must_use]
pub fn pause_ms(failures: u32, asked_ms: Option<u64>, random: u64) -> u64 {
    let doubled = 2_u64.saturating_pow(failures.saturating_sub(1));
    let wait = FIRST_MS.saturating_mul(doubled).min(LONGEST_MS);
    let quarter = wait / 4;
    let moved = wait - quarter + random % (2 * quarter + 1);
    moved.max(asked_ms.unwrap_or(0).min(LONGEST_MS))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_half_an_hour() {
        let middle = |failures| {
            let plain = (5_000 * 2_u64.pow(failures - 1)).min(LONGEST_MS);
            pause_ms(failures, None, plain / 4)
        };
        let waits: Vec<u64> = (1..=11).map(|n| middle(n) / 1000).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800]);
    }

    #[test]
    fn what_the_receiver_asks_for_is_kept_within_bounds() {
        assert_eq!(pause_ms(1, Some(60_000), 0), 60_000);
        assert_eq!(pause_ms(1, Some(u64::MAX), 0), LONGEST_MS);
        assert!(
            pause_ms(5, Some(1), 0) > 1_000,
            "a short wish is no short wait"
        );
    }

    proptest! {
        #[test]
        fn no_wait_is_out_of_bounds(failures: u32, asked: Option<u64>, random: u64) {
            let wait = pause_ms(failures, asked, random);
            prop_assert!((3_750..=LONGEST_MS + LONGEST_MS / 4).contains(&wait));
        }
    }
}
