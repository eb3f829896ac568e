//! What a token may do.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::call::Call;
use crate::error::Result;
use crate::lenient;
use crate::read::ReadClient;

/// Effective privileges on one path of PVE's tree.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Privileges {
    held: BTreeMap<String, Propagates>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
struct Propagates(#[serde(deserialize_with = "lenient::flag")] bool);

impl Privileges {
    /// Whether the privilege, e.g. `VM.Audit`, is held on the path itself.
    #[must_use]
    pub fn contains(&self, privilege: &str) -> bool {
        self.held.contains_key(privilege)
    }

    /// Whether it also holds below the path. PVE says 0 for one that was granted without propagation.
    #[must_use]
    pub fn propagates(&self, privilege: &str) -> bool {
        self.held.get(privilege).is_some_and(|p| p.0)
    }

    /// The privileges, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.held.keys().map(String::as_str)
    }

    /// No privilege at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

impl ReadClient {
    /// The token's own effective privileges: of every path where some were granted, or of the one that is asked.
    ///
    /// A token without rights gets an empty map, not an error. That is why an empty inventory proves nothing
    /// until this was read.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn permissions(&self, path: Option<&str>) -> Result<BTreeMap<String, Privileges>> {
        self.get(Call::quick(&["access", "permissions"]).with_some("path", path))
            .await
    }

    /// The effective privileges of another token of the host, likewise.
    ///
    /// # Errors
    /// See [`crate::Error`]; without `Sys.Audit` on `/access` PVE refuses it.
    pub async fn permissions_of(
        &self,
        token_id: &str,
        path: Option<&str>,
    ) -> Result<BTreeMap<String, Privileges>> {
        let call = Call::quick(&["access", "permissions"])
            .with("userid", token_id)
            .with_some("path", path);
        self.get(call).await
    }
}
