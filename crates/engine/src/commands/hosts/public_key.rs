//! The public part of a private key that was given. An OpenSSH key file holds it in the clear, before the private part:
//! `openssh-key-v1\0`, then cipher, KDF and KDF options as strings, the number of keys, and the public key as a string
//! (OpenSSH's PROTOCOL.key). Strings have their length before them, four bytes, most significant first.

use secrecy::{ExposeSecret, SecretString};

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
const MAGIC: &[u8] = b"openssh-key-v1\0";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The line for `authorized_keys`, without a comment; `None` if it is no OpenSSH key file with one key.
pub(super) fn public_line(private_pem: &SecretString) -> Option<String> {
    let (_, rest) = private_pem.expose_secret().split_once(BEGIN)?;
    let (body, _) = rest.split_once(END)?;
    let bytes = decode(body)?;
    let mut rest = bytes.strip_prefix(MAGIC)?;
    for _header in ["cipher", "KDF", "KDF options"] {
        (_, rest) = string(rest)?;
    }
    let rest = rest.strip_prefix(&1_u32.to_be_bytes())?;
    let (key, _) = string(rest)?;
    let (kind, _) = string(key)?;
    let kind = std::str::from_utf8(kind)
        .ok()
        .filter(|k| k.bytes().all(|b| b.is_ascii_graphic()))?;
    Some(format!("{kind} {}", encode(key)))
}

/// A string and what follows it.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut bits, mut count) = (0_u32, 0);
    let digits = text.bytes().filter(|b| !b.is_ascii_whitespace());
    for digit in digits.take_while(|b| *b != b'=') {
        let value = ALPHABET.iter().position(|a| *a == digit)?;
        bits = (bits << 6 | u32::try_from(value).ok()?) & 0xFFFF;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xFF).ok()?);
        }
    }
    Some(bytes)
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = ALPHABET
                .get((bits >> (18 - 6 * place) & 0x3F) as usize)
                .copied();
            text.push(if place <= chunk.len() {
                digit.map_or('=', char::from)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proximity_pve::guest::ssh::{HostKey, generate_keypair};

    use super::*;

    #[test]
    fn the_public_part_is_that_of_the_pair() {
        let pair = generate_keypair().unwrap();
        let line = public_line(&pair.private_pem).unwrap();
        assert_eq!(format!("{line} proximity"), pair.public_line);
        let key: HostKey = line.parse().unwrap();
        assert_eq!(key.to_string(), line);
    }

    #[test]
    fn other_texts_have_none() {
        let empty = format!("{BEGIN}\n{END}");
        let foreign = format!("{BEGIN}\nAAAA\n{END}");
        let short = format!(
            "{BEGIN}\n{}\n{END}",
            encode(b"openssh-key-v1\0\0\0\0\xffnone")
        );
        for text in ["", "ssh-ed25519 AAAA", BEGIN, &empty, &foreign, &short] {
            assert_eq!(public_line(&SecretString::from(text)), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn encoding_loses_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let text = encode(&bytes);
            prop_assert_eq!(text.len() % 4, 0);
            prop_assert_eq!(decode(&text), Some(bytes));
        }
    }
}
