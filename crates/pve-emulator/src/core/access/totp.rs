//! Time-based one-time codes (RFC 6238 with SHA-1, as PVE's).

use sha1::{Digest, Sha1};

use super::password::TotpEntry;

/// Steps before and after the current one that are accepted too.
const SLACK: i64 = 1;

/// The step that a code is of, if it is right at a time.
pub(crate) fn step_of(entry: &TotpEntry, given: &str, now_s: u64) -> Option<u64> {
    let key = hex::decode(&entry.key).ok()?;
    let step = i64::try_from(now_s / entry.step_s.max(1)).ok()?;
    (-SLACK..=SLACK)
        .filter_map(|offset| u64::try_from(step + offset).ok())
        .find(|step| code(&key, *step, entry.digits) == given)
}

fn code(key: &[u8], counter: u64, digits: u32) -> String {
    let digest = hmac_sha1(key, &counter.to_be_bytes());
    let at = usize::from(digest[19] & 15);
    let word = u32::from_be_bytes([
        digest[at] & 0x7f,
        digest[at + 1],
        digest[at + 2],
        digest[at + 3],
    ]);
    let width = digits.min(9) as usize;
    format!("{:0width$}", word % 10_u32.pow(digits.min(9)))
}

fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    let mut block = [0_u8; 64];
    if key.len() > 64 {
        block[..20].copy_from_slice(&Sha1::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let pad = |byte: u8| block.map(|b| b ^ byte);
    let inner = Sha1::new()
        .chain_update(pad(0x36))
        .chain_update(message)
        .finalize();
    Sha1::new()
        .chain_update(pad(0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238, appendix B, SHA-1.
        let key = b"12345678901234567890";
        for (at_s, expected) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(code(key, at_s / 30, 8), expected);
        }
        let entry = TotpEntry {
            description: String::new(),
            created_s: 0,
            enabled: true,
            key: hex::encode(key),
            digits: 8,
            step_s: 30,
            last_step: None,
        };
        let step_at = |now_s| step_of(&entry, "94287082", now_s);
        assert_eq!(
            [59, 59 + 30, 59 + 90].map(step_at),
            [Some(1), Some(1), None]
        );
    }
}
