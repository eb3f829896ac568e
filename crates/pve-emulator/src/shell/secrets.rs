//! Secrets of tokens, and the password of `root@pam`: made once, kept in a file of their own (0600); the world knows their hashes only.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::ShellError;
use super::options::TokenWish;
use crate::core::{TokenSeed, hash_secret};
use crate::persist::write_atomically;

const FILE: &str = "tokens.json";
/// The user who has a password from the start.
pub(super) const ROOT: &str = "root@pam";

/// Secrets by token id, and the password by its user.
pub(super) type Secrets = BTreeMap<String, String>;

/// The stored secrets, completed for tokens that have none yet.
pub(super) fn load_or_make(directory: &Path, wishes: &[TokenWish]) -> Result<Secrets, ShellError> {
    let path = directory.join(FILE);
    let failed = |source| ShellError::File {
        path: path.clone(),
        source,
    };
    let mut secrets: Secrets = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Secrets::new(),
        Err(error) => return Err(failed(error)),
    };
    let before = secrets.len();
    for id in wishes.iter().map(|wish| wish.id.as_str()).chain([ROOT]) {
        if !secrets.contains_key(id) {
            secrets.insert(id.to_owned(), new_secret()?);
        }
    }
    if secrets.len() != before {
        let bytes = serde_json::to_vec(&secrets).map_err(|error| failed(error.into()))?;
        write_atomically(&path, &bytes).map_err(failed)?;
    }
    Ok(secrets)
}

/// Tokens as the world stores them.
pub(super) fn seeds(wishes: &[TokenWish], secrets: &Secrets) -> Vec<TokenSeed> {
    let seed = |wish: &TokenWish| {
        let secret = secrets.get(&wish.id)?;
        Some(TokenSeed {
            id: wish.id.clone(),
            secret_sha256: hash_secret(secret),
            access: wish.access,
        })
    };
    wishes.iter().filter_map(seed).collect()
}

/// A secret in the shape PVE gives them: a random UUID.
fn new_secret() -> Result<String, ShellError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| ShellError::Random(error.to_string()))?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = hex::encode(bytes);
    Ok([
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-"))
}

/// A key for the world's tickets and secrets.
pub(super) fn random_key() -> Result<String, ShellError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| ShellError::Random(error.to_string()))?;
    Ok(hex::encode(bytes))
}

/// A seed for the world's arbitrary numbers.
pub(super) fn random_seed() -> Result<u64, ShellError> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).map_err(|error| ShellError::Random(error.to_string()))?;
    Ok(u64::from_le_bytes(bytes))
}
