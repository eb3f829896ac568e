//! A node's host key: made once, kept in the state directory.

use std::path::Path;

use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PublicKey};

use crate::lab::write_atomically;

/// A host key on disk.
#[derive(Debug, Clone)]
pub struct HostKey {
    secret: PrivateKey,
}

/// The host key cannot be made, read or kept.
#[derive(Debug, thiserror::Error)]
#[error("host key {path}: {reason}", path = .path.display())]
pub struct KeyError {
    path: std::path::PathBuf,
    reason: String,
}

impl HostKey {
    /// Reads the Ed25519 key at `path`, or makes one there (0600).
    ///
    /// # Errors
    /// The file is unreadable or cannot be written.
    pub fn load_or_make(path: &Path) -> Result<Self, KeyError> {
        let bad = |reason: String| KeyError {
            path: path.to_owned(),
            reason,
        };
        match std::fs::read(path) {
            Ok(bytes) => {
                let secret = PrivateKey::from_openssh(bytes).map_err(|e| bad(e.to_string()))?;
                Ok(Self { secret })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut seed = [0; 32];
                getrandom::fill(&mut seed).map_err(|error| bad(error.to_string()))?;
                let secret = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
                let text = secret
                    .to_openssh(LineEnding::LF)
                    .map_err(|e| bad(e.to_string()))?;
                write_atomically(path, text.as_bytes(), 0o600).map_err(|e| bad(e.to_string()))?;
                Ok(Self { secret })
            }
            Err(error) => Err(bad(error.to_string())),
        }
    }

    /// `ssh-ed25519 AAAA…`, as in a known_hosts file behind the address.
    ///
    /// # Errors
    /// Never for a key that was read or made; the encoder's type says it may.
    pub fn public_line(&self) -> Result<String, KeyError> {
        let bad = |reason: String| KeyError {
            path: "(public part)".into(),
            reason,
        };
        let public = PublicKey::from(self.secret.public_key().key_data().clone());
        public.to_openssh().map_err(|error| bad(error.to_string()))
    }

    pub(crate) fn secret(&self) -> PrivateKey {
        self.secret.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_kept_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made = HostKey::load_or_make(&path).unwrap().public_line().unwrap();
        assert!(made.starts_with("ssh-ed25519 AAAA"), "{made}");
        assert_eq!(
            HostKey::load_or_make(&path).unwrap().public_line().unwrap(),
            made
        );
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        std::fs::write(&path, "junk").unwrap();
        assert!(HostKey::load_or_make(&path).is_err());
    }
}
