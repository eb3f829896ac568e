//! An authenticator: the other side of a second factor, written apart from what checks the codes.

use sha1::{Digest, Sha1};

/// What the authenticator and whoever checks its codes share.
const KEY: &[u8; 20] = b"12345678901234567890";
const KEY_BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
/// How long a code is shown, milliseconds.
const STEP_MS: u64 = 30_000;

/// The authenticator of a user, as PVE takes it in `totp`.
#[must_use]
pub fn uri(user: &str) -> String {
    format!("otpauth://totp/{user}?secret={KEY_BASE32}&digits=6&period=30")
}

/// Which code is shown at a time, milliseconds since 1970; the next number's is shown next.
#[must_use]
pub fn step(at_ms: i64) -> u64 {
    u64::try_from(at_ms).unwrap_or_default() / STEP_MS
}

/// The code of a step (RFC 6238).
#[must_use]
pub fn code(step: u64) -> String {
    let mut block = [0_u8; 64];
    for (to, from) in block.iter_mut().zip(KEY) {
        *to = *from;
    }
    let pad = |byte: u8| block.map(|b| b ^ byte);
    let hash = |first: [u8; 64], then: &[u8]| {
        let both = Sha1::new().chain_update(first).chain_update(then);
        <[u8; 20]>::from(both.finalize())
    };
    let digest = hash(pad(0x5c), &hash(pad(0x36), &step.to_be_bytes()));
    let at = usize::from(digest[19] & 15);
    let word = digest.iter().skip(at).take(4);
    let number = word.fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}
