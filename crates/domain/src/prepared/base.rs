//! What a prepared template is made of, and the name it has by that.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::names::Volid;

/// Grows whenever something else is done to a template than before: one of another format is not used any more.
pub const FORMAT: u32 = 1;

/// What a prepared template is made of. Nothing that a user chose is in it, and no secret: settings, files and commands of a
/// recipe come into the clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Base {
    /// What was done to it, as a number that grows ([`FORMAT`]).
    pub format: u32,
    /// The OS template's volume.
    pub os_template: Volid,
    /// Its size in bytes, as its storage lists it: a file that was replaced under its name is another one.
    pub os_template_bytes: u64,
    /// Names of Debian packages that lie in its cache. None of them is installed: what their scripts make would be the same in every
    /// clone, keys included.
    pub packages: BTreeSet<String>,
}

impl Base {
    /// What a template has to be made of for a recipe with these packages, by this program.
    #[must_use]
    pub fn of(
        os_template: Volid,
        os_template_bytes: u64,
        packages: impl IntoIterator<Item = String>,
    ) -> Self {
        Self {
            format: FORMAT,
            os_template,
            os_template_bytes,
            packages: packages.into_iter().collect(),
        }
    }

    /// The key of all that, the same for the same content alone.
    #[must_use]
    pub fn key(&self) -> BaseKey {
        let mut hash = Sha256::new();
        // Each part with its length, so that no two lists of parts are the same bytes.
        let mut put = |part: &str| hash.update(format!("{}:{part}\n", part.len()));
        put(&self.format.to_string());
        put(self.os_template.as_str());
        put(&self.os_template_bytes.to_string());
        for package in &self.packages {
            put(package);
        }
        BaseKey(hex::encode(hash.finalize()))
    }
}

/// SHA-256 over a [`Base`], 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaseKey(String);

impl BaseKey {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no key of a base.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no key of a base: it has 64 hexadecimal digits")]
pub struct NotABaseKey(pub String);

impl FromStr for BaseKey {
    type Err = NotABaseKey;

    fn from_str(text: &str) -> Result<Self, NotABaseKey> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 64 && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotABaseKey(text.to_owned()))
        }
    }
}
