//! Where a repository is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::names::BadName;

/// Longest address, bytes.
const LONGEST: usize = 500;
/// Longest scheme that a refusal repeats, bytes.
const LONGEST_SCHEME: usize = 8;
const RULE: &str = "must be https://HOST[:PORT]/PATH without a user, or ssh://[USER@]HOST[:PORT]/PATH: at most 500 letters, digits and '-', '_', '.', '~', '+', '/', no part starting with a dash";

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Over HTTPS, with a token or openly.
    Https,
    /// Over SSH, with a key.
    Ssh,
    /// A folder of this machine. Only taken where the configuration lets it be.
    File,
}

/// The address of a repository. It holds no password, and nothing that Git takes for an option, another transport or a command.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryUrl(String);

impl RepositoryUrl {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How it is reached.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        match self.0.split_once("://") {
            Some(("https", _)) => Scheme::Https,
            Some(("ssh", _)) => Scheme::Ssh,
            // There is no third one.
            Some(_) | None => Scheme::File,
        }
    }

    /// Scheme, host and port, with a slash at its end: to whom a token may be shown.
    #[must_use]
    pub fn origin(&self) -> String {
        let (scheme, rest) = self.0.split_once("://").unwrap_or_default();
        let authority = rest.split('/').next().unwrap_or_default();
        format!("{scheme}://{authority}/")
    }
}

impl TryFrom<String> for RepositoryUrl {
    type Error = BadName;

    fn try_from(value: String) -> Result<Self, BadName> {
        if is_url(&value) {
            return Ok(Self(value));
        }
        // What was typed may hold a password or a token, also where its scheme was left out.
        let (scheme, _) = value.split_once("://").unwrap_or_default();
        let is_scheme = scheme.bytes().all(|b| b.is_ascii_lowercase());
        Err(BadName {
            what: "address",
            value: match is_scheme && scheme.len() <= LONGEST_SCHEME {
                true => scheme.to_owned(),
                false => String::new(),
            },
            rule: RULE,
        })
    }
}

impl FromStr for RepositoryUrl {
    type Err = BadName;

    fn from_str(s: &str) -> Result<Self, BadName> {
        Self::try_from(s.to_owned())
    }
}

impl From<RepositoryUrl> for String {
    fn from(url: RepositoryUrl) -> Self {
        url.0
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_url(text: &str) -> bool {
    if text.len() > LONGEST {
        return false;
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let Some((authority, path)) = rest.split_once('/') else {
        return false;
    };
    let is_place = match scheme {
        "https" => is_place(authority),
        "ssh" => match authority.split_once('@') {
            Some((user, place)) => is_word(user) && is_place(place),
            None => is_place(authority),
        },
        "file" => authority.is_empty(),
        _ => false,
    };
    is_place && is_path(path)
}

/// `HOST` or `HOST:PORT`.
fn is_place(text: &str) -> bool {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let is_port = |port: &str| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    host.split('.').all(is_word) && port.is_none_or(is_port)
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

fn is_path(path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/').all(|part| {
        !part.is_empty()
            && !part.starts_with('-')
            && !matches!(part, "." | "..")
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.~+".contains(&b))
    })
}
