//! What can be done with a container, by the storages of its volumes.

use proximity_domain::ids::Vmid;
use proximity_domain::names::{GuestSnapshotName, NodeName};
use serde::Deserialize;

use super::segment;
use crate::call::Call;
use crate::error::Result;
use crate::lenient;
use crate::read::ReadClient;

/// Something storages can or cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// Take a snapshot.
    GuestSnapshot,
    /// Make a copy that shares what is the same (a linked clone).
    Clone,
    /// Make a whole copy.
    Copy,
}

impl Feature {
    fn as_str(self) -> &'static str {
        match self {
            Self::GuestSnapshot => "snapshot",
            Self::Clone => "clone",
            Self::Copy => "copy",
        }
    }
}

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "hasFeature", deserialize_with = "lenient::flag")]
    has: bool,
}

impl ReadClient {
    /// Whether all volumes of a container, or of a snapshot of it, can do this.
    ///
    /// # Errors
    /// [`crate::Error::is_missing_config`] if that node does not have it.
    pub async fn has_feature(
        &self,
        node: &NodeName,
        vmid: Vmid,
        feature: Feature,
        snapshot: Option<&GuestSnapshotName>,
    ) -> Result<bool> {
        let call = Call::get(&["nodes", node.as_str(), "lxc", &segment(vmid), "feature"])
            .with("feature", feature.as_str())
            .with_some("snapname", snapshot);
        Ok(self.get::<Wire>(call).await?.has)
    }
}
