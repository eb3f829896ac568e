//! Passwords and keys of this run: drawn anew each time, as the accounts may be made on somebody's server.

use std::sync::OnceLock;

/// Bytes of a second factor's key.
const KEY_BYTES: usize = 20;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn seed() -> &'static [u8; KEY_BYTES] {
    static SEED: OnceLock<[u8; KEY_BYTES]> = OnceLock::new();
    SEED.get_or_init(|| {
        let mut seed = [0; KEY_BYTES];
        getrandom::fill(&mut seed).expect("random numbers");
        seed
    })
}

/// The password of a user that this run makes.
pub fn password(user: &str) -> String {
    format!("{}-of-{user}", hex::encode(&seed()[..12]))
}

/// The key of a user's second factor.
pub fn totp_key() -> Vec<u8> {
    seed().to_vec()
}

/// The same as it is told, base32.
pub fn totp_secret() -> String {
    seed()
        .chunks(5)
        .flat_map(|five| {
            let bits = five
                .iter()
                .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            (0..8).rev().map(move |place| {
                let digit = usize::try_from(bits >> (5 * place) & 31).unwrap_or(0);
                char::from(BASE32[digit])
            })
        })
        .collect()
}
