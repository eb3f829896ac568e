//! `/run/proximity-lab`: what all labs of a machine share — who holds changed kernel settings, and private scopes.
//!
//! Inside a private namespace another directory is mounted there, so the two never mix.

use std::path::Path;

use super::error::LabError;
use crate::lxc::locks;

/// The directory; it exists only while something in it is needed.
pub(crate) const REGISTRY: &str = "/run/proximity-lab";

/// Removes the registry's directories if nothing is in them.
pub(crate) fn remove_if_empty() {
    for part in ["scopes", "holders", ""] {
        // Not empty or not there: both are fine.
        let _ = std::fs::remove_dir(Path::new(REGISTRY).join(part));
    }
    if !Path::new(REGISTRY).exists() {
        locks::prune();
    }
}

/// `bytes` random bytes as hex digits.
///
/// # Errors
/// The kernel's random source failed.
pub(crate) fn random_hex(bytes: usize) -> Result<String, LabError> {
    let mut buffer = vec![0; bytes];
    getrandom::fill(&mut buffer)
        .map_err(|error| LabError::Refused(format!("no randomness from the kernel: {error}")))?;
    Ok(hex::encode(buffer))
}
