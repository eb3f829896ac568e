//! Sealing of secrets: XChaCha20-Poly1305, a random nonce each time, bound to the place where they are stored.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use secrecy::SecretString;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::key::random;

/// Names the format, so that another one can come beside it.
const PREFIX: &str = "x1:";
const NONCE_BYTES: usize = 24;
/// What a subkey is for is part of it.
const FINGERPRINTS: &[u8] = b"proximity: fingerprints of requests";

/// Where a sealed value is stored. It is authenticated with the value: a sealed text moved to another row or
/// column does not open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Table.
    pub(crate) table: &'static str,
    /// Row.
    pub(crate) id: &'a str,
    /// Column.
    pub(crate) column: &'static str,
}

impl Place<'_> {
    fn bytes(&self) -> Vec<u8> {
        format!("{}/{}/{}", self.table, self.id, self.column).into_bytes()
    }
}

/// Seals and opens with one key, and makes fingerprints with a key made from it.
pub(crate) struct Sealer {
    cipher: XChaCha20Poly1305,
    fingerprints: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self {
            cipher: XChaCha20Poly1305::new(&Key::from(*key)),
            fingerprints: Zeroizing::new(authenticate(key, &[FINGERPRINTS])),
        }
    }

    /// Tells lists of texts apart, and nothing else about them: not even a right guess shows without the key.
    pub(crate) fn fingerprint(&self, parts: &[&[u8]]) -> String {
        hex::encode(authenticate(&self.fingerprints, parts))
    }

    /// The text to store for `secret` at `place`.
    pub(crate) fn seal(&self, place: Place<'_>, secret: &str) -> Result<String, StoreError> {
        let nonce: [u8; NONCE_BYTES] = random()?;
        let payload = Payload {
            msg: secret.as_bytes(),
            aad: &place.bytes(),
        };
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| damaged(place, "it is too long to be sealed"))?;
        Ok(format!(
            "{PREFIX}{}{}",
            hex::encode(nonce),
            hex::encode(sealed)
        ))
    }

    /// The secret in `sealed`, which was read from `place`.
    pub(crate) fn unseal(
        &self,
        place: Place<'_>,
        sealed: &str,
    ) -> Result<SecretString, StoreError> {
        let text = sealed
            .strip_prefix(PREFIX)
            .ok_or_else(|| damaged(place, "its format is unknown"))?;
        let bytes = hex::decode(text).map_err(|_| damaged(place, "it is not hexadecimal"))?;
        let (nonce, msg) = bytes
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or_else(|| damaged(place, "it is too short"))?;
        let payload = Payload {
            msg,
            aad: &place.bytes(),
        };
        let plain = self
            .cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| damaged(place, "it was altered, moved, or sealed with another key"))?;
        let text = std::str::from_utf8(&plain).map_err(|_| damaged(place, "it is not text"))?;
        Ok(SecretString::from(text))
    }
}

/// HMAC-SHA-256 over the parts, each after its length, so that no two lists run together to the same bytes.
fn authenticate(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // A key shorter than the block is filled up with zeros; so says RFC 2104.
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new(&(*block).into());
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn damaged(place: Place<'_>, why: &str) -> StoreError {
    StoreError::Damaged {
        what: "secret",
        why: format!("{} of {} {}: {why}", place.column, place.table, place.id),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const HERE: Place<'_> = Place {
        table: "hosts",
        id: "1",
        column: "token_secret_sealed",
    };

    #[test]
    fn what_was_sealed_opens_only_where_it_was_put() {
        let sealer = Sealer::new(&[7; 32]);
        let sealed = sealer.seal(HERE, "swordfish").unwrap();
        assert_eq!(
            sealer.unseal(HERE, &sealed).unwrap().expose_secret(),
            "swordfish"
        );
        for elsewhere in [
            Place {
                table: "apps",
                ..HERE
            },
            Place { id: "2", ..HERE },
            Place {
                column: "ssh_private_key_sealed",
                ..HERE
            },
        ] {
            assert!(sealer.unseal(elsewhere, &sealed).is_err());
        }
        assert!(Sealer::new(&[8; 32]).unseal(HERE, &sealed).is_err());
    }

    #[test]
    fn the_same_secret_never_looks_the_same() {
        let sealer = Sealer::new(&[7; 32]);
        assert_ne!(
            sealer.seal(HERE, "a").unwrap(),
            sealer.seal(HERE, "a").unwrap()
        );
    }

    #[test]
    fn every_changed_digit_is_noticed() {
        let sealer = Sealer::new(&[7; 32]);
        let sealed = sealer.seal(HERE, "a").unwrap();
        for at in 0..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            let altered = String::from_utf8(bytes).unwrap();
            assert!(sealer.unseal(HERE, &altered).is_err(), "digit {at}");
        }
    }

    #[test]
    fn a_fingerprint_depends_on_the_key_and_on_every_part() {
        let sealer = Sealer::new(&[7; 32]);
        let of = |parts: &[&str]| {
            let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
            sealer.fingerprint(&parts)
        };
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        for other in [
            &["a", "c"][..],
            &["ab", ""],
            &["", "ab"],
            &["ab"],
            &["b", "a"],
        ] {
            assert_ne!(of(&["a", "b"]), of(other), "{other:?}");
        }
        let parts: &[&[u8]] = &[b"a", b"b"];
        assert_ne!(of(&["a", "b"]), Sealer::new(&[8; 32]).fingerprint(parts));
    }

    #[test]
    fn filling_the_key_up_is_what_the_library_does_with_a_short_one() {
        let mut short = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
        short.update(&4_u64.to_be_bytes());
        short.update(b"what");
        let expected: [u8; 32] = short.finalize().into_bytes().into();
        assert_eq!(authenticate(&[7; 32], &[b"what"]), expected);
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", Sealer::new(&[7; 32])), "Sealer");
    }
}
