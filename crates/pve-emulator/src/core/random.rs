//! The world's own source of arbitrary numbers: repeatable from its seed, kept with the world.

use serde::{Deserialize, Serialize};

use super::datacenter::MAC_PREFIX;

/// SplitMix64: one 64-bit word of state, good enough for MACs and pids, never for secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Random {
    word: u64,
    /// What network addresses begin with, if not as usual; an option of the cluster says so.
    #[serde(skip)]
    mac_prefix: Option<String>,
}

impl Random {
    /// Starts a sequence.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self {
            word: seed,
            mac_prefix: None,
        }
    }

    /// Network addresses begin with this from now on.
    pub(crate) fn set_mac_prefix(&mut self, prefix: Option<String>) {
        self.mac_prefix = prefix;
    }

    /// A network address.
    pub(crate) fn mac(&mut self) -> String {
        let prefix = self.mac_prefix.clone();
        let mut mac = prefix
            .unwrap_or_else(|| MAC_PREFIX.to_owned())
            .to_uppercase();
        let hex = hex::encode_upper(self.next().to_be_bytes());
        for digit in hex.chars() {
            if mac.len() >= "00:00:00:00:00:00".len() {
                break;
            }
            if mac.len() % 3 == 2 {
                mac.push(':');
            }
            mac.push(digit);
        }
        mac
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.word = self.word.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.word;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_begin_as_they_are_told_to() {
        let mut random = Random::seeded(7);
        let usual = random.mac();
        assert!(
            usual.starts_with("BC:24:11:") && usual.len() == 17,
            "{usual}"
        );
        for prefix in ["aa", "0A:0", "0a:bb:cc", "0a:bb:cc:"] {
            random.set_mac_prefix(Some(prefix.into()));
            let mac = random.mac();
            let pairs: Vec<&str> = mac.split(':').collect();
            assert!(mac.starts_with(&prefix.to_uppercase()), "{mac}");
            assert!(
                pairs.len() == 6 && pairs.iter().all(|pair| pair.len() == 2),
                "{mac}"
            );
        }
    }
}
