//! Snapshots of a container. Not every storage can make them: see [`super::Feature`].

use proximity_domain::guest_snapshot::{Deletion, GuestSnapshotPermit, Rollback};
use proximity_domain::ids::Vmid;
use proximity_domain::names::{GuestSnapshotName, NodeName};
use serde::Deserialize;

use super::{LxcConfig, segment};
use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::lenient;
use crate::read::ReadClient;
use crate::upid::Upid;

/// One snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestSnapshot {
    /// Its name.
    pub name: GuestSnapshotName,
    /// When it was taken, seconds since 1970 by the node's clock; `None` while it is being taken.
    pub taken_s: Option<u64>,
    /// What it follows.
    pub parent: Option<String>,
    /// What somebody wrote about it. PVE adds a newline at the end.
    pub description: Option<String>,
}

#[derive(Deserialize)]
struct Wire {
    #[serde(deserialize_with = "lenient::text")]
    name: String,
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    snaptime: Option<u64>,
    #[serde(default, deserialize_with = "lenient::opt_text")]
    parent: Option<String>,
    #[serde(default, deserialize_with = "lenient::opt_text")]
    description: Option<String>,
}

/// The row that stands for the container as it is.
const NOW: &str = "current";

fn rows(wires: Vec<Wire>) -> Result<Vec<GuestSnapshot>, String> {
    let mut rows = Vec::new();
    for wire in wires.into_iter().filter(|wire| wire.name != NOW) {
        rows.push(GuestSnapshot {
            name: wire.name.parse().map_err(|e| format!("name: {e}"))?,
            taken_s: wire.snaptime,
            parent: wire.parent,
            description: wire.description,
        });
    }
    rows.sort_by(|a, b| (a.taken_s, &a.name).cmp(&(b.taken_s, &b.name)));
    Ok(rows)
}

fn path(node: &NodeName, vmid: Vmid) -> [String; 5] {
    ["nodes", node.as_str(), "lxc", &segment(vmid), "snapshot"].map(str::to_owned)
}

fn call(make: fn(&[&str]) -> Call, node: &NodeName, vmid: Vmid, rest: &[&str]) -> Call {
    let path = path(node, vmid);
    let segments: Vec<&str> = path
        .iter()
        .map(String::as_str)
        .chain(rest.iter().copied())
        .collect();
    make(&segments)
}

impl ReadClient {
    /// The snapshots of a container, oldest first; one that is being taken comes before.
    ///
    /// # Errors
    /// [`Error::is_missing_config`] if that node does not have it.
    pub async fn guest_snapshots(&self, node: &NodeName, vmid: Vmid) -> Result<Vec<GuestSnapshot>> {
        let call = call(Call::get, node, vmid, &[]);
        let name = call.name();
        let wires = self.get(call).await?;
        rows(wires).map_err(|why| Error::Unreadable { call: name, why })
    }

    /// The configuration a snapshot holds. It has no digest.
    ///
    /// # Errors
    /// [`Error::is_missing_config`] if that node does not have the container.
    pub async fn guest_snapshot_config(
        &self,
        node: &NodeName,
        vmid: Vmid,
        snapshot: &GuestSnapshotName,
    ) -> Result<LxcConfig> {
        let call = call(Call::get, node, vmid, &[snapshot.as_str(), "config"]);
        let name = call.name();
        let raw = self.get(call).await?;
        LxcConfig::of_snapshot(raw).map_err(|why| Error::Unreadable { call: name, why })
    }
}

impl Client {
    /// Takes a snapshot, of a running container too (its file systems, not its memory). That the storage cannot, or that the
    /// name is taken, shows only in the task's exit status.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn take_guest_snapshot(
        &self,
        node: &NodeName,
        vmid: Vmid,
        snapshot: &GuestSnapshotName,
        description: &str,
    ) -> Result<Upid> {
        let call = call(Call::post, node, vmid, &[])
            .with("snapname", snapshot)
            .with("description", description);
        self.change(call).await
    }

    /// Replaces what is written about a snapshot.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn describe_guest_snapshot(
        &self,
        node: &NodeName,
        vmid: Vmid,
        snapshot: &GuestSnapshotName,
        description: &str,
    ) -> Result<()> {
        let call = call(Call::put, node, vmid, &[snapshot.as_str(), "config"])
            .with("description", description);
        self.change(call).await
    }

    /// Rolls the container back to the snapshot the permit is for. **What was written since is lost, and PVE stops the
    /// container itself if it runs.** It is not started again: that would be a task of its own, whose end this one's does not
    /// show.
    ///
    /// Guarantees: as [`Client::destroy_lxc`].
    ///
    /// # Errors
    /// As [`Client::destroy_lxc`].
    pub async fn rollback(&self, permit: GuestSnapshotPermit<Rollback>) -> Result<Upid> {
        let place = permit.place();
        let rest = [permit.name().as_str(), "rollback"];
        let call = call(Call::post, &place.node, place.vmid, &rest);
        self.permitted(call, place.host, permit.expires()).await
    }

    /// Deletes the snapshot the permit is for, without `force`: if its volumes cannot be deleted it stays.
    ///
    /// Guarantees: as [`Client::destroy_lxc`].
    ///
    /// # Errors
    /// As [`Client::destroy_lxc`].
    pub async fn delete_guest_snapshot(
        &self,
        permit: GuestSnapshotPermit<Deletion>,
    ) -> Result<Upid> {
        let place = permit.place();
        let rest = [permit.name().as_str()];
        let call = call(Call::delete, &place.node, place.vmid, &rest);
        self.permitted(call, place.host, permit.expires()).await
    }
}
