//! Chance that can be repeated: every draw comes from a seed that was printed.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;

/// The start of a sequence of draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seed(u64);

/// A sequence of draws.
#[derive(Debug, Clone)]
pub(crate) struct Draws(u64);

impl Seed {
    /// A seed nobody chose.
    pub(crate) fn random() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    /// The sequence that starts here.
    pub(crate) fn draws(self) -> Draws {
        Draws(self.0)
    }

    /// `count` different members of `all`, or all of them if there are fewer.
    pub(crate) fn draw<T: Copy>(self, all: &[T], count: usize) -> Vec<T> {
        let mut draws = self.draws();
        let mut rest = all.to_vec();
        let mut drawn = Vec::new();
        while drawn.len() < count && !rest.is_empty() {
            drawn.push(rest.swap_remove(draws.below(rest.len())));
        }
        drawn
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Seed {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Draws {
    /// A number below `bound`; 0 if the bound is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        let drawn = self.next().checked_rem(bound).unwrap_or(0);
        usize::try_from(drawn).unwrap_or(0)
    }

    /// The next 64 bits: a counter in odd steps, its bits then stirred by two multiplications.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same() {
        let seed: Seed = "7".parse().unwrap();
        let all: Vec<u32> = (0..20).collect();
        let drawn = seed.draw(&all, 3);
        assert_eq!(drawn, seed.draw(&all, 3));
        assert_eq!(drawn.len(), 3);
        assert!(
            drawn
                .iter()
                .all(|one| drawn.iter().filter(|other| *other == one).count() == 1)
        );
    }

    #[test]
    fn fewer_than_asked_for_are_all_drawn() {
        let mut drawn = Seed::random().draw(&[1, 2], 3);
        drawn.sort_unstable();
        assert_eq!(drawn, vec![1, 2]);
    }

    #[test]
    fn every_place_is_reached() {
        let mut draws = "1".parse::<Seed>().unwrap().draws();
        let mut seen = [0; 5];
        for _ in 0..1000 {
            seen[draws.below(5)] += 1;
        }
        assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
        assert_eq!(draws.below(0), 0);
    }
}
