//! A change of a native app in place: what is wanted of its container against what its configuration says, and the way back.
//! Decided from the two alone.
//!
//! Memory and cores are options, which go both ways. A root file system only grows: a smaller one is another container.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::create::{ResourceRequest, Resources};
use crate::restore::OptionChange;

const GIB: u64 = 1 << 30;
/// What Proxmox VE gives a container whose configuration says nothing of it, MiB (its schema of `memory`). A running one keeps
/// its limit when the key is taken away, and that is refused, so this is written down.
const DEFAULT_MEMORY_MIB: u64 = 512;

const MEMORY: &str = "memory";
const CORES: &str = "cores";

/// The limits of a container, as its configuration has them or as they are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Memory, MiB. Of a configuration `None` says that it has no such key, of a wish that it stays as it is.
    pub memory_mib: Option<u64>,
    /// CPU cores; the same.
    pub cores: Option<u64>,
}

/// One limit that is not as it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitDiff {
    /// The key of the configuration.
    pub key: &'static str,
    /// As it is; `None` = no such key.
    pub from: Option<u64>,
    /// As it is to be; `None` = no such key.
    pub to: Option<u64>,
}

impl Limits {
    /// Those that a request names.
    #[must_use]
    pub fn wanted(asked: ResourceRequest) -> Self {
        Self {
            memory_mib: asked.memory_mib,
            cores: asked.cores.map(u64::from),
        }
    }

    /// What is not as it is wanted.
    #[must_use]
    pub fn differing(self, wanted: Self) -> Vec<LimitDiff> {
        let of = |key, now: Option<u64>, wanted: Option<u64>| {
            let to = wanted.filter(|wanted| now != Some(*wanted))?;
            Some(LimitDiff {
                key,
                from: now,
                to: Some(to),
            })
        };
        let each = [
            of(MEMORY, self.memory_mib, wanted.memory_mib),
            of(CORES, self.cores, wanted.cores),
        ];
        each.into_iter().flatten().collect()
    }

    /// What brings these back to `before`, of those that an operation wanted and that are as it wanted them: what somebody else
    /// has set since stays.
    #[must_use]
    pub fn going_back(self, wanted: Self, before: Self) -> Vec<LimitDiff> {
        let of = |key, now: Option<u64>, wanted: Option<u64>, before: Option<u64>| {
            let is_ours = wanted.is_some() && now == wanted && now != before;
            is_ours.then_some(LimitDiff {
                key,
                from: now,
                to: before,
            })
        };
        let memory = before.memory_mib.unwrap_or(DEFAULT_MEMORY_MIB);
        let each = [
            of(MEMORY, self.memory_mib, wanted.memory_mib, Some(memory)),
            of(CORES, self.cores, wanted.cores, before.cores),
        ];
        each.into_iter().flatten().collect()
    }

    /// The one change that does all of `diffs`; `None` if there is nothing to do.
    #[must_use]
    pub fn change(diffs: &[LimitDiff]) -> Option<OptionChange> {
        let (mut set, mut delete) = (BTreeMap::new(), Vec::new());
        for diff in diffs {
            match diff.to {
                Some(value) => {
                    set.insert(diff.key.to_owned(), value.to_string());
                }
                None => delete.push(diff.key.to_owned()),
            }
        }
        OptionChange::of(set, delete)
    }
}

/// What is to become of a root file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskStep {
    /// It has that size, or nothing is wanted of it.
    Nothing,
    /// It grows to so many GiB.
    Grows {
        /// The new size.
        to_gib: u32,
    },
    /// Less is wanted than there is.
    Shrinks,
}

/// What brings a root file system of so many bytes to the size that is wanted.
#[must_use]
pub fn disk_step(now_bytes: u64, wanted_gib: Option<u32>) -> DiskStep {
    let Some(to_gib) = wanted_gib else {
        return DiskStep::Nothing;
    };
    match now_bytes.cmp(&(u64::from(to_gib) * GIB)) {
        std::cmp::Ordering::Less => DiskStep::Grows { to_gib },
        std::cmp::Ordering::Equal => DiskStep::Nothing,
        std::cmp::Ordering::Greater => DiskStep::Shrinks,
    }
}

/// A request with what there is in the place of what it does not name, to be held against what the app's entry needs. Memory that is
/// not asked for is not judged: the entry may have come to need more since, and that keeps nobody from changing something else.
#[must_use]
pub fn filled(asked: ResourceRequest, now: Resources, least_memory_mib: u64) -> ResourceRequest {
    ResourceRequest {
        memory_mib: asked
            .memory_mib
            .or(Some(now.memory_mib.max(least_memory_mib))),
        cores: asked.cores.or(Some(now.cores)),
        disk_gib: asked.disk_gib.or(Some(now.disk_gib)),
    }
}

/// What is on record once a request is carried out.
#[must_use]
pub fn recorded_after(before: Resources, asked: ResourceRequest) -> Resources {
    Resources {
        memory_mib: asked.memory_mib.unwrap_or(before.memory_mib),
        cores: asked.cores.unwrap_or(before.cores),
        disk_gib: asked.disk_gib.unwrap_or(before.disk_gib),
    }
}

/// What is on record once an operation that wanted this was taken back: all as before, but for a root file system that had
/// grown, which stays as it is.
#[must_use]
pub fn recorded_after_undo(
    before: Resources,
    wanted_gib: Option<u32>,
    now_bytes: u64,
) -> Resources {
    let has_grown = |gib: &u32| now_bytes >= u64::from(*gib) * GIB && *gib > before.disk_gib;
    Resources {
        disk_gib: wanted_gib.filter(has_grown).unwrap_or(before.disk_gib),
        ..before
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits(memory_mib: Option<u64>, cores: Option<u64>) -> Limits {
        Limits { memory_mib, cores }
    }

    /// As Proxmox VE would: keys that are set and taken away, and no others.
    fn applied(now: Limits, diffs: &[LimitDiff]) -> Limits {
        let mut after = now;
        for diff in diffs {
            match diff.key {
                MEMORY => after.memory_mib = diff.to,
                _ => after.cores = diff.to,
            }
        }
        after
    }

    #[test]
    fn only_what_differs_is_sent() {
        let now = limits(Some(512), Some(1));
        let differing = now.differing(limits(Some(1024), Some(1)));
        let change = Limits::change(&differing).unwrap();
        assert!(
            change
                .set()
                .iter()
                .eq([(&"memory".to_owned(), &"1024".to_owned())])
        );
        assert!(change.delete().is_empty());
        for same in [limits(None, None), limits(Some(512), None), now] {
            assert!(Limits::change(&now.differing(same)).is_none());
        }
    }

    #[test]
    fn a_limit_that_was_none_is_taken_away_again_but_for_memory() {
        let before = limits(None, None);
        let wanted = limits(Some(1024), Some(2));
        let back = applied(before, &before.differing(wanted)).going_back(wanted, before);
        let change = Limits::change(&back).unwrap();
        assert_eq!(change.delete(), ["cores"]);
        assert_eq!(change.set()["memory"], "512");
    }

    #[test]
    fn a_disk_grows_or_stays_and_never_shrinks() {
        assert_eq!(disk_step(4 * GIB, Some(8)), DiskStep::Grows { to_gib: 8 });
        assert_eq!(disk_step(8 * GIB, Some(8)), DiskStep::Nothing);
        assert_eq!(disk_step(8 * GIB + 1, Some(8)), DiskStep::Shrinks);
        assert_eq!(disk_step(8 * GIB, None), DiskStep::Nothing);
    }

    #[test]
    fn a_disk_that_had_grown_is_on_record_with_its_new_size() {
        let before = Resources {
            memory_mib: 512,
            cores: 1,
            disk_gib: 4,
        };
        assert_eq!(recorded_after_undo(before, Some(8), 4 * GIB), before);
        assert_eq!(recorded_after_undo(before, Some(8), 8 * GIB).disk_gib, 8);
        assert_eq!(recorded_after_undo(before, None, 8 * GIB), before);
    }

    #[test]
    fn memory_is_judged_where_it_is_asked_for_alone() {
        let now = Resources {
            memory_mib: 64,
            cores: 2,
            disk_gib: 4,
        };
        let whole = filled(ResourceRequest::default(), now, 128);
        assert_eq!(whole.memory_mib, Some(128));
        assert_eq!((whole.cores, whole.disk_gib), (Some(2), Some(4)));
        let asked = ResourceRequest {
            memory_mib: Some(96),
            ..ResourceRequest::default()
        };
        assert_eq!(filled(asked, now, 128).memory_mib, Some(96));
    }

    fn some() -> impl Strategy<Value = Option<u64>> {
        prop::option::of(1_u64..4)
    }

    proptest! {
        #[test]
        fn what_is_taken_back_is_as_before_and_what_others_set_stays(
            now in (some(), some()), wanted in (some(), some()), theirs in prop::option::of(5_u64..9),
        ) {
            // A container of ours always says how much memory it has.
            let before = limits(Some(now.0.unwrap_or(DEFAULT_MEMORY_MIB)), now.1);
            let wanted = limits(wanted.0, wanted.1);
            let mut after = applied(before, &before.differing(wanted));
            prop_assert!(after.differing(wanted).is_empty());
            if let Some(theirs) = theirs {
                after.cores = Some(theirs);
            }
            let back = applied(after, &after.going_back(wanted, before));
            prop_assert_eq!(back.memory_mib, before.memory_mib);
            prop_assert_eq!(back.cores, theirs.or(before.cores));
        }
    }
}
