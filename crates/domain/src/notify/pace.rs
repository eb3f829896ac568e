//! How many messages a channel is sent.

use crate::time::Monotonic;

/// Lets so many messages pass in a minute, spread out; after a pause up to a third of them at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Milliseconds one message is worth.
    each_ms: u64,
    /// Milliseconds that can be saved up.
    most_ms: u64,
    saved_ms: u64,
    at: Monotonic,
}

impl Pace {
    /// `per_minute` messages (1 to 600), with all that can be saved up at `now`.
    #[must_use]
    pub fn new(per_minute: u32, now: Monotonic) -> Self {
        let per_minute = u64::from(per_minute.clamp(1, 600));
        let each_ms = 60_000 / per_minute;
        let most_ms = each_ms * (per_minute / 3).max(1);
        Self {
            each_ms,
            most_ms,
            saved_ms: most_ms,
            at: now,
        }
    }

    /// Takes one message's worth. `Err`: so many milliseconds are missing, and nothing was taken.
    ///
    /// # Errors
    /// How long to wait.
    pub fn take(&mut self, now: Monotonic) -> Result<(), u64> {
        self.saved_ms = (self.saved_ms + now.since_ms(self.at)).min(self.most_ms);
        self.at = now;
        match self.saved_ms.checked_sub(self.each_ms) {
            Some(left) => {
                self.saved_ms = left;
                Ok(())
            }
            None => Err(self.each_ms - self.saved_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many pass within a minute of asking every 100 ms.
    fn passed(per_minute: u32) -> usize {
        let mut pace = Pace::new(per_minute, Monotonic(0));
        let moments = (0..600).map(|n| Monotonic(n * 100));
        moments.filter(|now| pace.take(*now).is_ok()).count()
    }

    #[test]
    fn a_burst_of_a_third_and_then_so_many_a_minute() {
        assert_eq!(passed(30), 10 + 29);
        assert_eq!(passed(1), 1);
    }

    #[test]
    fn it_says_how_long_to_wait() {
        let mut pace = Pace::new(6, Monotonic(0));
        assert_eq!(pace.take(Monotonic(0)), Ok(()));
        assert_eq!(pace.take(Monotonic(0)), Ok(()));
        assert_eq!(pace.take(Monotonic(4_000)), Err(6_000));
        assert_eq!(pace.take(Monotonic(10_000)), Ok(()));
    }
}
