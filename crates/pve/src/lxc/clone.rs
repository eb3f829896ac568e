//! Copies of containers, and templates to copy from.

use proximity_domain::ids::Vmid;
use proximity_domain::names::{GuestSnapshotName, Hostname, NodeName, PoolName, StorageName};

use super::segment;
use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use crate::upid::Upid;

/// A container to be made as a copy of another one. It is not started.
///
/// PVE gives it new MACs and copies everything else: static addresses, tags, `onboot`, `protection`. Neither can be given in
/// the call; change them afterwards, before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloneLxc {
    /// The number it gets; refused if taken.
    pub vmid: Vmid,
    /// Host name.
    pub hostname: Hostname,
    /// Notes, with the mark as the last line: without any, PVE copies those of the source.
    pub description: String,
    /// Pool it becomes a member of.
    pub pool: Option<PoolName>,
    /// What it is a copy of, and how.
    pub of: CloneOf,
}

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloneOf {
    /// The container as it is, whole. PVE refuses this for one that runs.
    Container {
        /// Where to; where the source is if not given.
        storage: Option<StorageName>,
    },
    /// A snapshot of it, whole: of a container that may run.
    GuestSnapshot {
        /// The snapshot.
        name: GuestSnapshotName,
        /// Where to; where the source is if not given.
        storage: Option<StorageName>,
    },
    /// A template, by sharing what is the same: it can then not be removed any more.
    Template,
}

impl CloneLxc {
    fn call(&self, node: &NodeName, source: Vmid) -> Call {
        let call = Call::post(&["nodes", node.as_str(), "lxc", &segment(source), "clone"])
            .with("newid", self.vmid)
            .with("hostname", &self.hostname)
            .with("description", &self.description)
            .with_some("pool", self.pool.as_ref());
        match &self.of {
            CloneOf::Container { storage } => call
                .with_flag("full", true)
                .with_some("storage", storage.as_ref()),
            CloneOf::GuestSnapshot { name, storage } => call
                .with("snapname", name)
                .with_flag("full", true)
                .with_some("storage", storage.as_ref()),
            CloneOf::Template => call.with_flag("full", false),
        }
    }
}

impl Client {
    /// Copies a container of this node; the task does the work, and has the number of the source.
    ///
    /// # Errors
    /// [`crate::Error::is_vmid_taken`] when the id was lost to somebody else; otherwise see [`crate::Error`].
    pub async fn clone_lxc(&self, node: &NodeName, source: Vmid, copy: CloneLxc) -> Result<Upid> {
        self.change(copy.call(node, source)).await
    }

    /// Makes a template of a stopped container. **There is no way back**: it can never be started again, and its root volume
    /// gets another name, so that its recorded identity is gone. PVE also says yes without quorum: read it back.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn make_template(&self, node: &NodeName, vmid: Vmid) -> Result<()> {
        let call = Call::post(&["nodes", node.as_str(), "lxc", &segment(vmid), "template"]);
        self.change(call).await
    }
}
