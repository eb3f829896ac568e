//! What a repository is read with, as it is sealed.

use serde::{Deserialize, Serialize};

/// A key or a token. It is never shown: there is no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Credential {
    /// Sent to the host of the repository alone, over HTTPS.
    Token {
        /// One word.
        token: String,
    },
    /// Of an account on the host of the repository.
    SshKey {
        /// The private key, OpenSSH's or PEM's form, without a passphrase.
        key: String,
        /// The host's keys, as OpenSSH lists known hosts.
        known_hosts: String,
    },
}

impl Credential {
    /// The text that is sealed.
    pub(crate) fn text(&self) -> String {
        // Texts always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What was sealed; none if that is something else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_what_is_read() {
        let text = Credential::SshKey {
            key: "a\nb".to_owned(),
            known_hosts: "c".to_owned(),
        }
        .text();
        let read = Credential::parse(&text);
        assert!(matches!(read, Some(Credential::SshKey { key, .. }) if key == "a\nb"));
        assert!(Credential::parse("hunter2").is_none());
    }
}
