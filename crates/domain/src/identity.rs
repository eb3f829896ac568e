//! What of a guest's identity changed, and whether that may be learned (doctrine section 2, *drifted identity*).
//!
//! What was learned counts for everything but destroy-class acts: [`crate::guest::NativeGuest::owns`] and with it every permit
//! keep to the recorded factors until a person re-identifies the guest.

use serde::{Deserialize, Serialize};

use crate::guest::{Conflict, ObservedContainer, Ownership};
use crate::names::{Mac, Volid};
use crate::recorded::RecordedGuest;
use crate::time::Timestamp;

/// What a guest is known by besides its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// The mark in its description.
    Mark,
    /// MAC of `net0`.
    Mac,
    /// Volume of the root file system.
    Volume,
}

impl Factor {
    /// Stable label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Mark => "mark",
            Self::Mac => "mac",
            Self::Volume => "volume",
        }
    }
}

/// All factors as a container shows them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shown {
    /// It bears the recorded mark; false if it bears none. An adopted guest has no mark to bear.
    pub marked: bool,
    /// MAC of `net0`.
    pub net0_mac: Mac,
    /// Volume of the root file system.
    pub rootfs_volid: Volid,
}

/// A changed identity that was learned.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Learned {
    /// What it shows instead of what was recorded.
    pub shown: Shown,
    /// When.
    pub at: Timestamp,
}

/// One factor that is not as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drifted {
    /// Which.
    pub factor: Factor,
    /// As recorded.
    pub was: String,
    /// As read.
    pub now: String,
    /// All factors as read.
    pub shown: Shown,
    /// The same as a difference, for as long as it is not learned.
    pub conflict: Conflict,
}

/// What an observed container is to a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It shows every factor as recorded.
    Owned,
    /// One factor is not as recorded, and was learned before.
    Learned(Drifted),
    /// Exactly one factor is not as recorded, and nobody has learned it yet: a conflict, unless its history explains it.
    Drifted(Drifted),
    /// It is being created, or its volume is seen for the first time.
    Unfinished(Ownership),
    /// Anything else.
    Conflict(Conflict),
}

/// What is known of a number since its container was verified last. What came after that is not told by the wall clock alone, which may
/// have been set; where it cannot be told, it is taken to have come after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// A complete list was without the number since.
    pub is_missed: bool,
    /// What the nodes' task lists show.
    pub tasks: Tasks,
}

/// What the task lists of all nodes show of one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tasks {
    /// Nothing destroyed, created or restored it.
    Quiet,
    /// These did, by their UPIDs.
    Found(Vec<String>),
    /// They could not be read whole.
    Unreadable(String),
}

/// Why one changed factor is not learned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotLearned {
    /// Its number was missing from a list since.
    #[error("its number was missing from a list since it was verified last")]
    Missed,
    /// It was destroyed, created or restored since.
    #[error("tasks of Proxmox VE destroyed, created or restored it since: {}", .0.join(", "))]
    Made(Vec<String>),
    /// The task lists are not whole.
    #[error("what happened to it since cannot be told: {0}")]
    Untold(String),
}

impl History {
    /// Whether one changed factor may be learned: the number was in every list since the last verified look, and no task
    /// destroyed, created or restored it.
    ///
    /// # Errors
    /// [`NotLearned`]: it is a conflict.
    pub fn explains(&self) -> Result<(), NotLearned> {
        if self.is_missed {
            return Err(NotLearned::Missed);
        }
        match &self.tasks {
            Tasks::Quiet => Ok(()),
            Tasks::Found(upids) => Err(NotLearned::Made(upids.clone())),
            Tasks::Unreadable(why) => Err(NotLearned::Untold(why.clone())),
        }
    }
}

impl RecordedGuest {
    /// What `seen` is to this record. [`Judgement::Learned`] is enough for all but destroy-class acts.
    #[must_use]
    pub fn judge(&self, seen: &ObservedContainer) -> Judgement {
        let conflict = match self.compare_strictly(seen) {
            Ownership::Owned => return Judgement::Owned,
            unfinished @ (Ownership::OwnedUnconfirmed { .. } | Ownership::BeingCreated) => {
                return Judgement::Unfinished(unfinished);
            }
            Ownership::Conflict(conflict) => conflict,
        };
        let Some(drifted) = self.one_changed(seen, &conflict) else {
            return Judgement::Conflict(conflict);
        };
        match self.learned() {
            Some(learned) if learned.shown == drifted.shown => Judgement::Learned(drifted),
            Some(_) | None => Judgement::Drifted(drifted),
        }
    }

    /// The changed factor, if it is exactly one. Another mark, no MAC and no volume are never a mere change.
    fn one_changed(&self, seen: &ObservedContainer, conflict: &Conflict) -> Option<Drifted> {
        let place = self.place();
        if (seen.place.host, seen.place.vmid) != (place.host, place.vmid) {
            return None;
        }
        let marked = match (self.native(), seen.mark) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(native), Some(mark)) if mark == native.identity.mark => true,
            (Some(_), Some(_)) => return None,
        };
        let shown = Shown {
            marked,
            net0_mac: seen.net0_mac?,
            rootfs_volid: seen.rootfs_volid.clone()?,
        };
        let volume = self.rootfs_volid()?;
        let changes = [
            (!marked, Factor::Mark),
            (shown.net0_mac != self.net0_mac(), Factor::Mac),
            (shown.rootfs_volid != *volume, Factor::Volume),
        ];
        let mut changed = changes.into_iter().filter(|(changed, _)| *changed);
        let (Some((_, factor)), None) = (changed.next(), changed.next()) else {
            return None;
        };
        let (was, now) = match factor {
            Factor::Mark => ("as written by us".to_owned(), "none".to_owned()),
            Factor::Mac => (self.net0_mac().to_string(), shown.net0_mac.to_string()),
            Factor::Volume => (volume.to_string(), shown.rootfs_volid.to_string()),
        };
        Some(Drifted {
            factor,
            was,
            now,
            shown,
            conflict: conflict.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::adopted::{AdoptedGuest, AdoptedIdentity};
    use crate::destroy::NoPermit;
    use crate::guest::{ContainerIdentity, ContainerRef, NativeGuest};
    use crate::ids::{AppId, Epoch, GuestId, HostId, InstallationId, OperationId, Vmid};
    use crate::mark::Mark;
    use crate::time::Monotonic;

    fn mark(nonce: u128) -> Mark {
        Mark {
            installation: InstallationId(Uuid::from_u128(1)),
            app: AppId(Uuid::from_u128(2)),
            nonce,
        }
    }

    fn mac(last: u8) -> Mac {
        Mac::with_pve_prefix([0, 0, last])
    }

    fn volume(n: u8) -> Volid {
        format!("local-lvm:vm-105-disk-{n}").parse().unwrap()
    }

    fn seen() -> ObservedContainer {
        ObservedContainer {
            place: ContainerRef {
                host: HostId(Uuid::from_u128(1)),
                node: "pve1".parse().unwrap(),
                vmid: Vmid::try_from(105).unwrap(),
            },
            mark: Some(mark(7)),
            net0_mac: Some(mac(1)),
            rootfs_volid: Some(volume(0)),
            lock: None,
            protection: false,
            digest: "d".to_owned(),
            ha_managed: false,
            replicated: false,
        }
    }

    fn native(learned: Option<Learned>) -> NativeGuest {
        NativeGuest {
            id: GuestId(Uuid::from_u128(2)),
            app: AppId(Uuid::from_u128(2)),
            created_by: OperationId(Uuid::from_u128(4)),
            place: seen().place,
            identity: ContainerIdentity {
                vmid: seen().place.vmid,
                mark: mark(7),
                net0_mac: mac(1),
                rootfs_volid: Some(volume(0)),
            },
            learned,
        }
    }

    fn adopted() -> AdoptedGuest {
        AdoptedGuest {
            id: GuestId(Uuid::from_u128(2)),
            app: AppId(Uuid::from_u128(2)),
            created_by: OperationId(Uuid::from_u128(4)),
            place: seen().place,
            identity: AdoptedIdentity::of(&seen()).unwrap(),
            learned: None,
        }
    }

    fn quiet() -> History {
        History {
            is_missed: false,
            tasks: Tasks::Quiet,
        }
    }

    #[test]
    fn one_changed_factor_is_drift_and_two_are_a_conflict() {
        let mut other = seen();
        other.net0_mac = Some(mac(2));
        let guest = RecordedGuest::Native(native(None));
        let Judgement::Drifted(drifted) = guest.judge(&other) else {
            panic!("{:?}", guest.judge(&other))
        };
        assert_eq!(drifted.factor, Factor::Mac);
        assert_eq!(drifted.now, mac(2).to_string());
        assert!(matches!(guest.compare(&other), Ownership::Conflict(_)));
        other.rootfs_volid = Some(volume(1));
        assert!(matches!(guest.judge(&other), Judgement::Conflict(_)));
    }

    #[test]
    fn what_was_learned_counts_for_all_but_a_destroy() {
        let mut other = seen();
        other.mark = None;
        let Judgement::Drifted(drifted) = RecordedGuest::Native(native(None)).judge(&other) else {
            panic!("a lost mark is one factor")
        };
        let guest = native(Some(Learned {
            shown: drifted.shown,
            at: Timestamp(5),
        }));
        assert_eq!(
            RecordedGuest::Native(guest.clone()).compare(&other),
            Ownership::Owned
        );
        let refused = guest.verify(&other, Monotonic(1), Epoch(1)).unwrap_err();
        assert!(matches!(refused, NoPermit::Conflict(_)), "{refused}");
        other.net0_mac = Some(mac(2));
        assert!(matches!(
            RecordedGuest::Native(guest).compare(&other),
            Ownership::Conflict(_)
        ));
    }

    #[test]
    fn another_mark_no_mac_and_no_volume_are_never_drift() {
        let spoils: [fn(&mut ObservedContainer); 4] = [
            |s| s.mark = Some(mark(8)),
            |s| s.net0_mac = None,
            |s| s.rootfs_volid = None,
            |s| s.place.host = HostId(Uuid::from_u128(9)),
        ];
        for spoil in spoils {
            let mut other = seen();
            spoil(&mut other);
            let judged = RecordedGuest::Native(native(None)).judge(&other);
            assert!(matches!(judged, Judgement::Conflict(_)), "{judged:?}");
        }
    }

    #[test]
    fn only_a_quiet_history_explains_a_change() {
        assert_eq!(quiet().explains(), Ok(()));
        let missed = History {
            is_missed: true,
            ..quiet()
        };
        assert_eq!(missed.explains(), Err(NotLearned::Missed));
        let made = History {
            tasks: Tasks::Found(vec!["UPID:x".to_owned()]),
            ..quiet()
        };
        assert!(matches!(made.explains(), Err(NotLearned::Made(_))));
        let untold = History {
            tasks: Tasks::Unreadable("pve2 is offline".to_owned()),
            ..quiet()
        };
        assert!(matches!(untold.explains(), Err(NotLearned::Untold(_))));
    }

    proptest! {
        // Whatever is seen: as many factors as changed decide, for guests of both classes.
        #[test]
        fn the_number_of_changed_factors_decides(lost in any::<bool>(), m in 1_u8..3, v in 0_u8..2, ours in any::<bool>()) {
            let mut other = seen();
            if lost { other.mark = None; }
            other.net0_mac = Some(mac(m));
            other.rootfs_volid = Some(volume(v));
            let guest = if ours { RecordedGuest::Native(native(None)) } else { RecordedGuest::Adopted(adopted()) };
            let changed = usize::from(lost && ours) + usize::from(m != 1) + usize::from(v != 0);
            let judged = guest.judge(&other);
            prop_assert_eq!(matches!(judged, Judgement::Owned), changed == 0);
            prop_assert_eq!(matches!(judged, Judgement::Drifted(_)), changed == 1);
            prop_assert_eq!(matches!(judged, Judgement::Conflict(_)), changed > 1);
        }
    }
}
