//! Names of states and of wishes: digests that tell one from another.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// SHA-256 over all of them as JSON, a line each, in hexadecimal digits.
#[must_use]
pub fn digest<T: Serialize>(facts: impl IntoIterator<Item = T>) -> String {
    let mut hash = Sha256::new();
    for fact in facts {
        // Facts are of strings, numbers and maps by name, which are always written. Should one ever not be, it names no state.
        let line = serde_json::to_vec(&fact).unwrap_or_default();
        hash.update(&line);
        hash.update(b"\n");
    }
    hex::encode(hash.finalize())
}
