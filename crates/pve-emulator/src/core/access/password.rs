//! Secrets as they are kept: salted hashes, and the shared keys of time-based codes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The form in which token secrets are stored: SHA-256, hex.
pub fn hash_secret(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// A password, as salt and hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Password {
    salt: String,
    hash: String,
}

impl Password {
    /// Hashes a password.
    pub(crate) fn new(password: &str, salt: String) -> Self {
        let hash = hash_secret(&format!("{salt}{password}"));
        Self { salt, hash }
    }

    /// Whether this is the password.
    pub(crate) fn fits(&self, password: &str) -> bool {
        self.hash == hash_secret(&format!("{}{password}", self.salt))
    }
}

/// A user's second factors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totp {
    /// By entry id.
    pub(crate) entries: BTreeMap<String, TotpEntry>,
    /// Wrong codes since the last right one.
    pub(crate) failures: u32,
    /// Too many wrong codes.
    pub(crate) locked: bool,
}

/// A time-based code generator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TotpEntry {
    pub(crate) description: String,
    /// Unix seconds.
    pub(crate) created_s: u64,
    pub(crate) enabled: bool,
    /// Shared key, hex.
    pub(crate) key: String,
    pub(crate) digits: u32,
    pub(crate) step_s: u64,
    /// The step of the last code that was taken: none of that step or one before is taken again.
    #[serde(default)]
    pub(crate) last_step: Option<u64>,
}

impl Totp {
    /// Asks for a code at login.
    pub(crate) fn is_armed(&self) -> bool {
        self.entries.values().any(|entry| entry.enabled)
    }
}
