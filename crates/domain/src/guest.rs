//! Guests of ours: what we recorded, what was seen, and whether the two are the same container.

use serde::{Deserialize, Serialize};

use crate::identity::Learned;
use crate::ids::{AppId, GuestId, HostId, OperationId, Vmid};
use crate::mark::Mark;
use crate::names::{Mac, NodeName, Volid};

/// Fixed at birth, for life (doctrine: classes of guests).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "class", rename_all = "snake_case")]
pub enum GuestClass {
    /// Made by us, is or may become an app's live guest.
    Native,
    /// Made by us for one operation, never promoted.
    Ephemeral {
        /// What it is for, e.g. `rehearsal`.
        purpose: String,
    },
    /// Found by us.
    Adopted,
}

impl GuestClass {
    /// Stable label, as stored.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Ephemeral { .. } => "ephemeral",
            Self::Adopted => "adopted",
        }
    }
}

/// Where a guest is. The node may change (migration, HA); (cluster, vmid) identifies the place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ContainerRef {
    /// The cluster.
    pub host: HostId,
    /// The node that was last seen to hold it.
    pub node: NodeName,
    /// PVE's number.
    pub vmid: Vmid,
}

/// What we chose and wrote for a guest we create. `rootfs_volid` is learned once, from a guest that shows the other three.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ContainerIdentity {
    /// PVE's number.
    pub vmid: Vmid,
    /// The mark in the description.
    pub mark: Mark,
    /// MAC of `net0`, chosen by us.
    pub net0_mac: Mac,
    /// Volume of the root file system; `None` = the identity is not confirmed yet.
    pub rootfs_volid: Option<Volid>,
}

/// The identity row of a native guest. That of an adopted one is another type, which nothing can destroy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeGuest {
    /// Row id.
    pub id: GuestId,
    /// The app it belongs to.
    pub app: AppId,
    /// The operation that created it.
    pub created_by: OperationId,
    /// Cluster and node.
    pub place: ContainerRef,
    /// What proves that it is ours.
    pub identity: ContainerIdentity,
    /// What it shows instead in one factor, if that was learned: enough for all but what destroys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned: Option<Learned>,
}

/// One look at one container's configuration (and power, if read).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedContainer {
    /// Cluster, node and number that were asked.
    pub place: ContainerRef,
    /// The mark in its description, if there is one.
    pub mark: Option<Mark>,
    /// MAC of `net0`.
    pub net0_mac: Option<Mac>,
    /// Volume of its root file system.
    pub rootfs_volid: Option<Volid>,
    /// PVE's `lock`, e.g. `create`.
    pub lock: Option<String>,
    /// PVE's `protection`.
    pub protection: bool,
    /// SHA-1 of the configuration file, for compare-and-swap.
    pub digest: String,
    /// Member of PVE's HA, if that was read.
    pub ha_managed: bool,
    /// Has replication jobs in PVE, if that was read.
    #[serde(default)]
    pub replicated: bool,
}

/// Whether an observed container is the one we recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// Mark, volume, MAC and VMID are as recorded.
    Owned,
    /// Mark, MAC and VMID are as recorded, the volume is seen for the first time.
    OwnedUnconfirmed {
        /// What to record.
        rootfs_volid: Volid,
    },
    /// PVE is still creating it: locked by `create`, no description yet. Wait while its task runs.
    BeingCreated,
    /// Anything else: no mutating call.
    Conflict(Conflict),
}

/// What differs between the record and what was seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("container {vmid} is not the one we {what}: {}", differences.join(", "))]
pub struct Conflict {
    /// What we did with the one on record: `created` or `adopted`.
    pub what: &'static str,
    /// The container.
    pub vmid: Vmid,
    /// One text per difference.
    pub differences: Vec<String>,
}

impl ContainerIdentity {
    /// Whether what was seen is the container on the cluster `host` that this was recorded for: every factor is compared.
    pub(crate) fn owns(&self, host: HostId, seen: &ObservedContainer) -> Ownership {
        let id = self;
        if seen.lock.as_deref() == Some("create")
            && seen.mark.is_none()
            && seen.place.vmid == id.vmid
            && id.rootfs_volid.is_none()
        {
            return Ownership::BeingCreated;
        }
        let mut differences = Vec::new();
        if seen.place.host != host || seen.place.vmid != id.vmid {
            differences.push(format!(
                "it has VMID {}, recorded {}",
                seen.place.vmid, id.vmid
            ));
        }
        match seen.mark {
            None => differences.push("its description has no mark of ours".to_owned()),
            Some(m) if m != id.mark => differences.push("its mark is another one".to_owned()),
            Some(_) => {}
        }
        if seen.net0_mac != Some(id.net0_mac) {
            let seen_mac = seen
                .net0_mac
                .map_or_else(|| "none".to_owned(), |m| m.to_string());
            differences.push(format!(
                "its net0 MAC is {seen_mac}, recorded {}",
                id.net0_mac
            ));
        }
        match (&id.rootfs_volid, &seen.rootfs_volid) {
            (_, None) => differences.push("it has no root volume".to_owned()),
            (Some(recorded), Some(volid)) if recorded != volid => {
                differences.push(format!("its root volume is {volid}, recorded {recorded}"));
            }
            (Some(_), Some(_)) => {}
            (None, Some(volid)) if differences.is_empty() => {
                return Ownership::OwnedUnconfirmed {
                    rootfs_volid: volid.clone(),
                };
            }
            (None, Some(_)) => {}
        }
        if differences.is_empty() {
            Ownership::Owned
        } else {
            Ownership::Conflict(Conflict {
                what: "created",
                vmid: id.vmid,
                differences,
            })
        }
    }
}

impl ContainerIdentity {
    /// See [`NativeGuest::shares_nothing_with`].
    pub(crate) fn shares_nothing_with(&self, seen: &ObservedContainer) -> bool {
        let bare = seen.mark.is_none() && seen.net0_mac.is_none();
        !bare && seen.mark != Some(self.mark) && seen.net0_mac != Some(self.net0_mac)
    }
}

impl NativeGuest {
    /// Doctrine section 2, `owns(guest)`.
    #[must_use]
    pub fn owns(&self, seen: &ObservedContainer) -> Ownership {
        self.identity.owns(self.place.host, seen)
    }

    /// Neither the mark nor the MAC that were drawn for this guest is on `seen`, and another mark or MAC is: it is somebody
    /// else's, for both are random.
    ///
    /// A container that shows no mark and no MAC at all may be ours, stripped of both.
    #[must_use]
    pub fn shares_nothing_with(&self, seen: &ObservedContainer) -> bool {
        self.identity.shares_nothing_with(seen)
    }
}

/// Power as observed. `Unknown` is never taken for `Missing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// PVE says running.
    Running,
    /// PVE says stopped.
    Stopped,
    /// Proven absent.
    Missing,
    /// Could not be read.
    Unknown,
}
