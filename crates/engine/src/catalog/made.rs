//! Secrets that nobody gives, out of chance.

use secrecy::SecretString;

use super::format::{Alphabet, Generate};

/// Characters of a password of root.
const ROOT_CHARS: u64 = 24;

/// A password for root of a container, as secrets of settings are made; `None` if there is no chance.
pub(crate) fn root_password(random: &mut dyn FnMut() -> u128) -> Option<SecretString> {
    let how = Generate {
        length: ROOT_CHARS,
        alphabet: Alphabet::Alphanumeric,
    };
    made(how, &mut || Some(random()))
}

/// A secret of characters that are all equally likely; `None` if there is no chance.
pub(super) fn made(
    how: Generate,
    random: &mut dyn FnMut() -> Option<u128>,
) -> Option<SecretString> {
    let signs: &[u8] = match how.alphabet {
        Alphabet::Alphanumeric => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
        Alphabet::Hex => b"0123456789abcdef",
    };
    // A byte above the last whole multiple would make the first signs likelier.
    let even = 256 - 256 % signs.len();
    let length = usize::try_from(how.length).ok()?;
    let mut text = String::with_capacity(length);
    // Of sixteen bytes hardly one is passed over: chance that gives nothing in so many is none.
    for _ in 0..length {
        for byte in random()?.to_be_bytes() {
            let at = usize::from(byte);
            if at < even
                && let Some(sign) = signs.get(at % signs.len())
            {
                text.push(char::from(*sign));
            }
            if text.len() == length {
                return Some(text.into());
            }
        }
    }
    None
}
