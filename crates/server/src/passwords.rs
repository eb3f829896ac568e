//! Passwords: kept as Argon2id says, and looked at with one hash each time, whether there is such an account or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use proximity_api::error::ErrorKind;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use crate::extract::internal;
use crate::refusal::Refusal;

/// What one hash costs: OWASP's advice for Argon2id with one lane.
const COST: Cost = Cost {
    memory_kib: 19_456,
    passes: 2,
    lanes: 1,
};
/// Most memory that a kept hash may ask for, KiB.
const MOST_MEMORY_KIB: u32 = 65_536;
/// Hashes that are made at the same time; further ones wait.
const AT_ONCE: usize = 2;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// Hashes passwords. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct Passwords(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    turns: Arc<Semaphore>,
    hashed: AtomicU64,
}

impl Default for Passwords {
    fn default() -> Self {
        Self(Arc::new(Inner {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            hashed: AtomicU64::new(0),
        }))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// A hash as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    cost: Cost,
    salt: Vec<u8>,
    hash: [u8; HASH_BYTES],
}

impl Passwords {
    /// How many hashes were made so far.
    #[must_use]
    pub fn hashed(&self) -> u64 {
        self.0.hashed.load(Ordering::Relaxed)
    }

    /// What is kept of a password: Argon2id in the usual text form. The salt is random, and of this password alone.
    pub(crate) async fn hash(
        &self,
        password: SecretString,
        salt: [u8; SALT_BYTES],
    ) -> Result<String, Refusal> {
        let hash = self.make(password, salt.to_vec(), COST).await?;
        let kept = Kept {
            cost: COST,
            salt: salt.to_vec(),
            hash,
        };
        Ok(kept.text())
    }

    /// Whether a password is the one of which this was kept. Where nothing was, the same is done, so that time tells nothing.
    pub(crate) async fn fits(
        &self,
        password: SecretString,
        kept: Option<&str>,
    ) -> Result<bool, Refusal> {
        let kept = kept.and_then(Kept::parse);
        let is_kept = kept.is_some();
        let kept = kept.unwrap_or_else(|| Kept {
            cost: COST,
            salt: vec![0; SALT_BYTES],
            hash: [0; HASH_BYTES],
        });
        let hash = self.make(password, kept.salt, kept.cost).await?;
        Ok(is_kept & bool::from(hash.ct_eq(&kept.hash)))
    }

    /// On a thread that may block; the turn ends with the work, not with whoever asked for it.
    async fn make(
        &self,
        password: SecretString,
        salt: Vec<u8>,
        cost: Cost,
    ) -> Result<[u8; HASH_BYTES], Refusal> {
        let turn = Arc::clone(&self.0.turns).acquire_owned().await;
        self.0.hashed.fetch_add(1, Ordering::Relaxed);
        let work = move || {
            let _turn = turn;
            let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(HASH_BYTES));
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params?);
            let mut hash = [0; HASH_BYTES];
            let text = password.expose_secret().as_bytes();
            argon2.hash_password_into(text, &salt, &mut hash)?;
            Ok::<_, argon2::Error>(hash)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(hash)) => Ok(hash),
            Ok(Err(error)) => Err(failed(&error.to_string())),
            Err(error) => Err(failed(&error.to_string())),
        }
    }
}

fn failed(why: &str) -> Refusal {
    tracing::error!(why, "a password could not be hashed");
    Refusal::new(ErrorKind::Internal, internal())
}

impl Kept {
    fn text(&self) -> String {
        let Cost {
            memory_kib,
            passes,
            lanes,
        } = self.cost;
        let salt = STANDARD_NO_PAD.encode(&self.salt);
        let hash = STANDARD_NO_PAD.encode(self.hash);
        format!("$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${hash}")
    }

    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("$argon2id$v=19$")?;
        let (cost, rest) = rest.split_once('$')?;
        let (salt, hash) = rest.split_once('$')?;
        let mut figures = cost.splitn(3, ',');
        let mut figure = |name: &str| figures.next()?.strip_prefix(name)?.parse::<u32>().ok();
        let cost = Cost {
            memory_kib: figure("m=")?,
            passes: figure("t=")?,
            lanes: figure("p=")?,
        };
        let hash = STANDARD_NO_PAD.decode(hash).ok()?;
        let kept = Self {
            cost,
            salt: STANDARD_NO_PAD.decode(salt).ok()?,
            hash: hash.try_into().ok()?,
        };
        (cost.memory_kib <= MOST_MEMORY_KIB).then_some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[tokio::test]
    async fn a_password_fits_what_was_kept_of_it_and_nothing_else() {
        let passwords = Passwords::default();
        let kept = passwords.hash(secret("herring"), [7; 16]).await.unwrap();
        assert!(
            kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{kept}"
        );
        assert!(!kept.contains("herring"));
        let other = passwords.hash(secret("herring"), [8; 16]).await.unwrap();
        assert_ne!(kept, other);
        let kept = Some(kept.as_str());
        for (text, kept, fits) in [
            ("herring", kept, true),
            ("herrings", kept, false),
            ("", kept, false),
            ("herring", None, false),
            ("herring", Some("$argon2id$"), false),
        ] {
            let before = passwords.hashed();
            let told = passwords.fits(secret(text), kept).await.unwrap();
            assert_eq!(told, fits, "{text} {kept:?}");
            assert_eq!(passwords.hashed(), before + 1, "one hash, whatever it is");
        }
    }

    /// The known answer of RFC 9106 uses a key and data that ours has not; this one was made by the reference program:
    /// `echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32`.
    #[tokio::test]
    async fn it_is_what_others_call_argon2id() {
        let made_elsewhere = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ\
             $CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let passwords = Passwords::default();
        let kept = Some(made_elsewhere);
        assert!(passwords.fits(secret("password"), kept).await.unwrap());
        assert!(!passwords.fits(secret("Password"), kept).await.unwrap());
    }

    #[test]
    fn what_is_kept_reads_back_and_asks_for_no_more_memory_than_there_may_be() {
        let kept = Kept {
            cost: COST,
            salt: vec![1; 16],
            hash: [2; 32],
        };
        assert_eq!(Kept::parse(&kept.text()), Some(kept.clone()));
        let large = kept.text().replace("m=19456", "m=999999");
        for wrong in ["", "$argon2i$v=19$m=1,t=1,p=1$AA$AA", "plain", &large] {
            assert_eq!(Kept::parse(wrong), None, "{wrong}");
        }
    }
}
