//! One-time codes, made independently of the server's own reckoning.

use sha1::{Digest, Sha1};

/// The six-digit code of a key at a time.
pub fn at(key: &[u8], now_s: u64) -> String {
    let mut padded = [0_u8; 64];
    padded[..key.len()].copy_from_slice(key);
    let round = |byte: u8, message: &[u8]| {
        let mut hash = Sha1::new();
        hash.update(padded.map(|b| b ^ byte));
        hash.update(message);
        hash.finalize()
    };
    let inner = round(0x36, &(now_s / 30).to_be_bytes());
    let digest = round(0x5c, &inner);
    let at = usize::from(digest[19] & 15);
    let word = digest[at..at + 4]
        .iter()
        .fold(0_u32, |word, byte| (word << 8) | u32::from(*byte));
    format!("{:06}", (word & 0x7fff_ffff) % 1_000_000)
}
