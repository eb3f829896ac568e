//! SSH keys: ours and the nodes'.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::{HashAlg, PrivateKey, PublicKey};
use secrecy::{ExposeSecret, SecretString};

/// A key or an address that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// The private key.
    #[error("the private key cannot be used: {0}")]
    Private(String),
    /// A host key.
    #[error("the host key cannot be read: {0}")]
    Host(String),
    /// An address.
    #[error("{0:?} is no SSH address: it must be HOST or HOST:PORT")]
    Address(String),
    /// The system gave no randomness for a new key.
    #[error("no key could be made: {0}")]
    NoRandomness(String),
}

/// A node's public host key, e.g. `ssh-ed25519 AAAA…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey(PublicKey);

impl HostKey {
    pub(super) fn from_public(key: &PublicKey) -> Self {
        Self(PublicKey::new(key.key_data().clone(), ""))
    }

    pub(super) fn public(&self) -> &PublicKey {
        &self.0
    }

    /// As OpenSSH prints it: `SHA256:…`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }
}

impl FromStr for HostKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let key = PublicKey::from_openssh(text.trim()).map_err(|e| BadKey::Host(e.to_string()))?;
        Ok(Self::from_public(&key))
    }
}

impl fmt::Display for HostKey {
    /// Algorithm and key as in `known_hosts`, without a comment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0.to_openssh().map_err(|_| fmt::Error)?;
        f.write_str(line.trim_end())
    }
}

/// A new key pair.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// Private key in OpenSSH's PEM form, without a passphrase: seal it.
    pub private_pem: SecretString,
    /// The line for `authorized_keys`.
    pub public_line: String,
}

/// Makes an Ed25519 key pair, with `proximity` as its comment.
///
/// # Errors
/// [`BadKey::NoRandomness`] if the system gives no randomness.
pub fn generate_keypair() -> Result<KeyPair, BadKey> {
    let none = |e: &dyn fmt::Display| BadKey::NoRandomness(e.to_string());
    let mut seed = zeroize::Zeroizing::new([0_u8; 32]);
    getrandom::fill(seed.as_mut()).map_err(|e| none(&e))?;
    let pair = KeypairData::from(Ed25519Keypair::from_seed(&seed));
    let mut key = PrivateKey::try_from(pair).map_err(|e| none(&e))?;
    key.set_comment("proximity");
    let pem = key.to_openssh(LineEnding::LF).map_err(|e| none(&e))?;
    let public_line = key.public_key().to_openssh().map_err(|e| none(&e))?;
    Ok(KeyPair {
        private_pem: SecretString::from(pem.as_str()),
        public_line,
    })
}

pub(super) fn parse_private(pem: &SecretString) -> Result<Arc<PrivateKey>, BadKey> {
    let key = PrivateKey::from_openssh(pem.expose_secret())
        .map_err(|e| BadKey::Private(e.to_string()))?;
    if key.is_encrypted() {
        return Err(BadKey::Private("it has a passphrase".to_owned()));
    }
    Ok(Arc::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_pair_is_read_back_and_fits_together() {
        let made = generate_keypair().unwrap();
        let private = parse_private(&made.private_pem).unwrap();
        let line: HostKey = made.public_line.parse().unwrap();
        assert_eq!(HostKey::from_public(private.public_key()), line);
        assert!(
            made.public_line.starts_with("ssh-ed25519 ")
                && made.public_line.ends_with(" proximity")
        );
        assert_ne!(generate_keypair().unwrap().public_line, made.public_line);
        assert!(
            !format!("{made:?}").contains("OPENSSH"),
            "a private key is not shown"
        );
    }

    #[test]
    fn comments_of_host_keys_do_not_count() {
        let made = generate_keypair().unwrap();
        let key: HostKey = made.public_line.parse().unwrap();
        let printed = key.to_string();
        assert_eq!(printed.split(' ').count(), 2, "{printed}");
        assert_eq!(printed.parse::<HostKey>().unwrap(), key);
        assert!("ssh-ed25519 nonsense".parse::<HostKey>().is_err());
    }
}
