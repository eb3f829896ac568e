//! Adopted guests: what we recorded of a container that others made, and whether what is seen is still that container.
//!
//! There is no mark, for nothing was written into it, and no `verify`: nothing leads from here to a permit. What an adopted
//! guest is recognised by is enough for what a person asks for (power, snapshots, backups), never for a destroy.

use serde::{Deserialize, Serialize};

use crate::guest::{Conflict, ContainerRef, ObservedContainer};
use crate::identity::Learned;
use crate::ids::{AppId, GuestId, OperationId, Vmid};
use crate::names::{Mac, Volid};

/// What a container showed on the day of its adoption. Any guest shows a volume `vm-<vmid>-disk-0`: it proves something only
/// together with the MAC.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AdoptedIdentity {
    /// PVE's number.
    pub vmid: Vmid,
    /// MAC of `net0`.
    pub net0_mac: Mac,
    /// Volume of the root file system.
    pub rootfs_volid: Volid,
}

/// The identity row of an adopted guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptedGuest {
    /// Row id.
    pub id: GuestId,
    /// The app it belongs to.
    pub app: AppId,
    /// The operation that adopted it.
    pub created_by: OperationId,
    /// Cluster and node.
    pub place: ContainerRef,
    /// What it is recognised by.
    pub identity: AdoptedIdentity,
    /// What it shows instead in one factor, if that was learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned: Option<Learned>,
}

/// A container lacks what an adopted one is recognised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum NoIdentity {
    /// No `net0`, or one without a MAC.
    #[error("it has no network device net0 with a MAC")]
    NoMac,
    /// Its root is no volume of a storage.
    #[error("its root file system is no volume of a storage")]
    NoVolume,
}

impl AdoptedIdentity {
    /// What an observed container can be recognised by later.
    ///
    /// # Errors
    /// [`NoIdentity`]: it could not be told from another one with its number.
    pub fn of(seen: &ObservedContainer) -> Result<Self, NoIdentity> {
        Ok(Self {
            vmid: seen.place.vmid,
            net0_mac: seen.net0_mac.ok_or(NoIdentity::NoMac)?,
            rootfs_volid: seen.rootfs_volid.clone().ok_or(NoIdentity::NoVolume)?,
        })
    }
}

impl AdoptedGuest {
    /// Doctrine section 2, `recognises(guest)`: volume, MAC and VMID are as recorded, in the recorded cluster.
    ///
    /// # Errors
    /// [`Conflict`] with each difference; then no call is made on it.
    pub fn recognises(&self, seen: &ObservedContainer) -> Result<(), Conflict> {
        let id = &self.identity;
        let mut differences = Vec::new();
        if seen.place.host != self.place.host || seen.place.vmid != id.vmid {
            let vmid = seen.place.vmid;
            differences.push(format!("it has VMID {vmid}, recorded {}", id.vmid));
        }
        if seen.net0_mac != Some(id.net0_mac) {
            let mac = seen
                .net0_mac
                .map_or_else(|| "none".to_owned(), |m| m.to_string());
            differences.push(format!("its net0 MAC is {mac}, recorded {}", id.net0_mac));
        }
        match &seen.rootfs_volid {
            Some(volid) if *volid == id.rootfs_volid => {}
            Some(volid) => differences.push(format!(
                "its root volume is {volid}, recorded {}",
                id.rootfs_volid
            )),
            None => differences.push("it has no root volume".to_owned()),
        }
        if differences.is_empty() {
            return Ok(());
        }
        Err(Conflict {
            what: "adopted",
            vmid: id.vmid,
            differences,
        })
    }

    /// Another MAC is on `seen` than on the day of adoption: with the number alone it is somebody else's.
    #[must_use]
    pub fn shares_nothing_with(&self, seen: &ObservedContainer) -> bool {
        seen.net0_mac
            .is_some_and(|mac| mac != self.identity.net0_mac)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::ids::HostId;

    fn seen() -> ObservedContainer {
        ObservedContainer {
            place: ContainerRef {
                host: HostId(Uuid::from_u128(1)),
                node: "pve1".parse().unwrap(),
                vmid: Vmid::try_from(105).unwrap(),
            },
            mark: None,
            net0_mac: Some("BC:24:11:00:00:01".parse().unwrap()),
            rootfs_volid: Some("local-lvm:vm-105-disk-0".parse().unwrap()),
            lock: None,
            protection: false,
            digest: "d".to_owned(),
            ha_managed: false,
            replicated: false,
        }
    }

    fn guest() -> AdoptedGuest {
        AdoptedGuest {
            id: GuestId(Uuid::from_u128(2)),
            app: AppId(Uuid::from_u128(3)),
            created_by: OperationId(Uuid::from_u128(4)),
            place: seen().place,
            identity: AdoptedIdentity::of(&seen()).unwrap(),
            learned: None,
        }
    }

    #[test]
    fn what_was_adopted_is_recognised_on_whichever_node_it_is() {
        let mut moved = seen();
        moved.place.node = "pve2".parse().unwrap();
        moved.lock = Some("backup".to_owned());
        moved.protection = true;
        moved.digest = "other".to_owned();
        assert_eq!(guest().recognises(&seen()), Ok(()));
        assert_eq!(guest().recognises(&moved), Ok(()));
    }

    #[test]
    fn each_factor_counts_and_is_told() {
        type Spoil = fn(&mut ObservedContainer);
        let spoils: [(Spoil, &str); 6] = [
            (|s| s.net0_mac = None, "net0 MAC is none"),
            (
                |s| s.net0_mac = Some("BC:24:11:00:00:02".parse().unwrap()),
                "net0 MAC is BC:24:11:00:00:02",
            ),
            (|s| s.rootfs_volid = None, "no root volume"),
            (
                |s| s.rootfs_volid = Some("local-lvm:vm-105-disk-1".parse().unwrap()),
                "root volume is local-lvm:vm-105-disk-1",
            ),
            (
                |s| s.place.vmid = Vmid::try_from(106).unwrap(),
                "it has VMID 106",
            ),
            (
                |s| s.place.host = HostId(Uuid::from_u128(9)),
                "it has VMID 105",
            ),
        ];
        for (spoil, told) in spoils {
            let mut other = seen();
            spoil(&mut other);
            let conflict = guest().recognises(&other).unwrap_err();
            assert_eq!(conflict.differences.len(), 1, "{conflict}");
            assert!(conflict.to_string().contains(told), "{conflict}");
            assert!(conflict.to_string().contains("we adopted"), "{conflict}");
        }
    }

    #[test]
    fn what_could_not_be_told_from_another_is_not_adopted() {
        let mut bare = seen();
        bare.net0_mac = None;
        assert_eq!(AdoptedIdentity::of(&bare), Err(NoIdentity::NoMac));
        let mut bound = seen();
        bound.rootfs_volid = None;
        assert_eq!(AdoptedIdentity::of(&bound), Err(NoIdentity::NoVolume));
    }

    #[test]
    fn another_mac_is_another_guest_and_no_mac_may_be_ours() {
        let mut other = seen();
        other.net0_mac = Some("BC:24:11:00:00:02".parse().unwrap());
        assert!(guest().shares_nothing_with(&other));
        other.net0_mac = None;
        assert!(!guest().shares_nothing_with(&other));
        assert!(!guest().shares_nothing_with(&seen()));
    }

    proptest! {
        // Whatever is seen: it is recognised exactly if all three factors and the cluster are as recorded.
        #[test]
        fn recognition_is_the_whole_identity(mac in 0_u8..3, volume in 0_u8..3, vmid in 105_u32..107, host in 1_u128..3) {
            let mut other = seen();
            other.net0_mac = (mac > 0).then(|| format!("BC:24:11:00:00:0{mac}").parse().unwrap());
            other.rootfs_volid = (volume > 0).then(|| format!("local-lvm:vm-105-disk-{}", volume - 1).parse().unwrap());
            other.place.vmid = Vmid::try_from(vmid).unwrap();
            other.place.host = HostId(Uuid::from_u128(host));
            let same = mac == 1 && volume == 1 && vmid == 105 && host == 1;
            prop_assert_eq!(guest().recognises(&other).is_ok(), same);
        }
    }
}
