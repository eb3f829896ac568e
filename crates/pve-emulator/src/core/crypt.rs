//! Hashes of passwords as `/etc/shadow` has them: SHA-512-crypt, as Ulrich Drepper described it.

use sha2::{Digest, Sha512};

/// The fewest there are: these are passwords of a lab.
const ROUNDS: usize = 1_000;
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// In which order the bytes of the sum are written, three at a time.
const ORDER: [[usize; 3]; 21] = [
    [0, 21, 42],
    [22, 43, 1],
    [44, 2, 23],
    [3, 24, 45],
    [25, 46, 4],
    [47, 5, 26],
    [6, 27, 48],
    [28, 49, 7],
    [50, 8, 29],
    [9, 30, 51],
    [31, 52, 10],
    [53, 11, 32],
    [12, 33, 54],
    [34, 55, 13],
    [56, 14, 35],
    [15, 36, 57],
    [37, 58, 16],
    [59, 17, 38],
    [18, 39, 60],
    [40, 61, 19],
    [62, 20, 41],
];

/// `$6$rounds=1000$SALT$SUM`. Of the salt sixteen characters count.
pub(crate) fn sha512_crypt(password: &str, salt: &str) -> String {
    let key = password.as_bytes();
    let salt = &salt[..salt.len().min(16)];
    let mut sum = start(key, salt.as_bytes());
    let p = repeated(&times(key, key.len()), key.len());
    let s = repeated(
        &times(salt.as_bytes(), 16 + usize::from(sum[0])),
        salt.len(),
    );
    for round in 0..ROUNDS {
        let mut next = Sha512::new();
        let odd = round % 2 == 1;
        next.update(if odd { &p[..] } else { &sum[..] });
        if round % 3 != 0 {
            next.update(&s);
        }
        if round % 7 != 0 {
            next.update(&p);
        }
        next.update(if odd { &sum[..] } else { &p[..] });
        sum = next.finalize().to_vec();
    }
    format!("$6$rounds={ROUNDS}${salt}${}", written(&sum))
}

/// Whether a hash that was made here is this password's.
pub(crate) fn password_fits(password: &str, hash: &str) -> bool {
    let salt = hash.strip_prefix(&format!("$6$rounds={ROUNDS}$"));
    let salt = salt.and_then(|rest| rest.split_once('$'));
    salt.is_some_and(|(salt, _)| sha512_crypt(password, salt) == hash)
}

fn start(key: &[u8], salt: &[u8]) -> Vec<u8> {
    let other = Sha512::new()
        .chain_update(key)
        .chain_update(salt)
        .chain_update(key)
        .finalize();
    let mut first = Sha512::new().chain_update(key).chain_update(salt);
    first.update(repeated(&other, key.len()));
    let mut length = key.len();
    while length > 0 {
        match length & 1 {
            1 => first.update(other),
            _ => first.update(key),
        }
        length >>= 1;
    }
    first.finalize().to_vec()
}

/// The sum of a text so many times.
fn times(text: &[u8], count: usize) -> Vec<u8> {
    let mut sum = Sha512::new();
    (0..count).for_each(|_| sum.update(text));
    sum.finalize().to_vec()
}

/// Bytes repeated to a length.
fn repeated(bytes: &[u8], length: usize) -> Vec<u8> {
    bytes.iter().copied().cycle().take(length).collect()
}

fn written(sum: &[u8]) -> String {
    let mut text = String::new();
    let mut write = |mut value: usize, digits: usize| {
        for _ in 0..digits {
            text.push(char::from(DIGITS[value & 63]));
            value >>= 6;
        }
    };
    for [high, middle, low] in ORDER {
        let byte = |at: usize| usize::from(sum[at]);
        write(byte(high) << 16 | byte(middle) << 8 | byte(low), 4);
    }
    write(usize::from(sum[63]), 2);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_what_openssl_makes_of_the_same() {
        assert_eq!(
            sha512_crypt("Hello world!", "saltstring"),
            "$6$rounds=1000$saltstring$Zu2Vknok2/f53APfN687ADnzeNBLcsEgTwvcBHMD2./07rZQAt8vsuKVufD15dyZh.LOLB/uZKf6I3GyON4bp/"
        );
    }
}
