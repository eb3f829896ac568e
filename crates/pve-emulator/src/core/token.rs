//! API tokens: who calls.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a token may do. The ACL model of a real PVE replaces this one day; see [`super::rights`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Every privilege on every path, as a token of `root@pam` without privilege separation.
    Full,
    /// No privilege anywhere: empty lists and refusals.
    Empty,
}

/// A token as the cluster knows it; the secret only as hash.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Token {
    /// `user@realm!name`.
    pub(crate) id: String,
    /// SHA-256 of the secret, hex.
    pub(crate) secret_sha256: String,
    /// Its rights.
    pub(crate) access: Access,
}

/// Who calls; nobody before authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// `user@realm!name`; empty for calls that need no account.
    pub(crate) id: String,
    /// Its rights.
    pub(crate) access: Access,
}

/// The form in which secrets are stored.
pub fn hash_secret(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// Finds the caller of an `Authorization` header; PVE's reason when there is none.
pub(crate) fn authenticate(
    tokens: &[Token],
    authorization: Option<&str>,
    cookie: Option<&str>,
) -> Result<Caller, &'static str> {
    // A ticket takes precedence over a token, and this emulator hands out no tickets.
    let ticket = [cookie, authorization]
        .into_iter()
        .flatten()
        .find_map(|h| credential(h, "PVEAuthCookie"));
    if ticket.is_some() {
        return Err("Authentication failed!");
    }
    let Some(given) = authorization.and_then(|header| credential(header, "PVEAPIToken")) else {
        return Err("No ticket");
    };
    let (id, secret) = given.split_once('=').ok_or("Authentication failed!")?;
    let token = tokens
        .iter()
        .find(|token| token.id == id)
        .ok_or("Authentication failed!")?;
    // Hashes are compared, so timing tells nothing about the secret itself.
    if token.secret_sha256 != hash_secret(secret) {
        return Err("Authentication failed!");
    }
    Ok(Caller {
        id: token.id.clone(),
        access: token.access,
    })
}

/// The value of `name=…` (or `name …`) in a header, percent-decoded, empty ones left out.
fn credential(header: &str, name: &str) -> Option<String> {
    let start = header.find(name)?;
    let bounded = start == 0 || header[..start].ends_with([' ', ';']);
    let rest = header[start + name.len()..].strip_prefix(['=', ' '])?;
    let value = rest.split(';').next().unwrap_or_default().trim();
    (bounded && !value.is_empty()).then(|| super::decode::unescape(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Vec<Token> {
        vec![Token {
            id: "root@pam!t".into(),
            secret_sha256: hash_secret("s"),
            access: Access::Full,
        }]
    }

    #[test]
    fn tells_missing_from_wrong_credentials() {
        assert_eq!(authenticate(&tokens(), None, None), Err("No ticket"));
        for wrong in [
            "PVEAPIToken=root@pam!t=x",
            "PVEAPIToken=root@pam!nosuch=s",
            "PVEAPIToken=root",
            "PVEAuthCookie=PVE:x",
        ] {
            assert_eq!(
                authenticate(&tokens(), Some(wrong), None),
                Err("Authentication failed!"),
                "{wrong}"
            );
        }
        assert_eq!(
            authenticate(&tokens(), Some("PVEAPIToken=root@pam!t=s"), None)
                .unwrap()
                .id,
            "root@pam!t"
        );
        assert_eq!(
            authenticate(
                &tokens(),
                Some("PVEAPIToken=root@pam!t=s"),
                Some("PVEAuthCookie=x")
            ),
            Err("Authentication failed!")
        );
    }
}
