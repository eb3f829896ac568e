//! Chance: whatever a simulation draws comes from its seed.

use std::ops::RangeInclusive;

/// A stream of arbitrary numbers (SplitMix64), the same for the same seed and name.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    /// The stream of this name. Streams of one seed do not depend on how much is drawn from each other.
    #[must_use]
    pub(super) fn of(seed: u64, name: &str) -> Self {
        let mut word = seed ^ 0xA076_1D64_78BD_642F;
        for byte in name.bytes() {
            word = (word ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        let mut chance = Self(word);
        chance.next();
        chance
    }

    /// The next number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// A number of this range.
    pub(super) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.below(range.end() - range.start() + 1)
    }

    /// Once in so many times.
    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// How long a call is under way one way, milliseconds: mostly a moment, sometimes long enough for others to act.
    pub(super) fn way_ms(&mut self) -> u64 {
        match self.below(64) {
            0 => self.within(400..=6_000),
            1..=6 => self.within(5..=400),
            _ => self.within(0..=4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_again_and_differs_by_seed_and_name() {
        let first = |seed, name| Chance::of(seed, name).next();
        assert_eq!(first(1, "wire"), first(1, "wire"));
        assert_ne!(first(1, "wire"), first(2, "wire"));
        assert_ne!(first(1, "wire"), first(1, "acts"));
    }
}
