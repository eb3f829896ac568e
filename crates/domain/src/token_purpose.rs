//! What a token of a host is for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What one of a host's API tokens is for. Proxmox VE refuses by itself what a token was not made for, so each holds what its
/// purpose needs and no more (docs/reference/privileges.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenPurpose {
    /// Everything that only looks, at all guests: absence is read with it.
    Observe,
    /// Everything that changes guests of ours. A host's main token is this one.
    Operate,
    /// What brings OS templates and images onto a storage, over the network.
    Images,
    /// What adopted guests allow, each by itself.
    Adopted,
}

impl TokenPurpose {
    /// Each one.
    pub const ALL: [Self; 4] = [Self::Observe, Self::Operate, Self::Images, Self::Adopted];

    /// As it is stored and shown.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Operate => "operate",
            Self::Images => "images",
            Self::Adopted => "adopted",
        }
    }
}

impl fmt::Display for TokenPurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// The text names no purpose of a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no purpose of a token: observe, operate, images or adopted")]
pub struct NotAPurpose(pub String);

impl FromStr for TokenPurpose {
    type Err = NotAPurpose;

    fn from_str(text: &str) -> Result<Self, NotAPurpose> {
        let named = Self::ALL.into_iter().find(|p| p.label() == text);
        named.ok_or_else(|| NotAPurpose(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_names_its_purpose_alone() {
        for purpose in TokenPurpose::ALL {
            assert_eq!(purpose.label().parse(), Ok(purpose));
            let stored = serde_json::to_value(purpose).unwrap();
            assert_eq!(stored, purpose.label());
        }
        assert!("root".parse::<TokenPurpose>().is_err());
    }
}
