//! What a list shows of a guest beside its place and power.

use super::inventory::ListedPower;

/// Copies of one guest's statistics on two nodes may lie so far apart, seconds: `pvestatd` tells every 10 s.
const COPIES_APART_S: u32 = 60;

/// What a cluster's list shows of one guest. That it is the recorded one nothing of that proves; but another one that came under
/// its number mostly shows something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Face {
    /// A checksum of its name and tags, of use within one process.
    pub words: u64,
    /// A checksum of its limits of memory and processors, of use within one process.
    pub limits: u32,
    /// Its power, as old as what follows.
    pub power: ListedPower,
    /// Seconds since its start.
    pub uptime_s: u32,
    /// Size of its root disk, MiB. Of a running one it is what its file system says, which may change with the storage.
    pub disk_mib: u32,
    /// It is under a lock of Proxmox VE's behind which it is made, rolled back or destroyed.
    pub in_the_making: bool,
}

impl Face {
    /// Whether what shows this face may be what showed `before` in an earlier look. Switching it on or off, or starting it anew
    /// soon after its start, makes no other face; nor do other limits, which people change.
    #[must_use]
    pub fn may_be(&self, before: &Self) -> bool {
        if self.words != before.words || self.in_the_making != before.in_the_making {
            return false;
        }
        match (before.power, self.power) {
            (ListedPower::Running, ListedPower::Running) => {
                self.uptime_s.saturating_add(COPIES_APART_S) >= before.uptime_s
            }
            (ListedPower::Stopped, ListedPower::Stopped) => self.disk_mib == before.disk_mib,
            (ListedPower::Running | ListedPower::Stopped | ListedPower::Unknown, _) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNS: Face = Face {
        words: 7,
        limits: 1,
        power: ListedPower::Running,
        uptime_s: 500,
        disk_mib: 973,
        in_the_making: false,
    };
    const RESTS: Face = Face {
        power: ListedPower::Stopped,
        uptime_s: 0,
        disk_mib: 1024,
        ..RUNS
    };

    #[test]
    fn power_alone_makes_no_other_face() {
        assert!(RESTS.may_be(&RUNS) && RUNS.may_be(&RESTS));
        let later = Face {
            uptime_s: 510,
            disk_mib: 970,
            ..RUNS
        };
        assert!(later.may_be(&RUNS));
        let larger = Face { limits: 2, ..later };
        assert!(larger.may_be(&RUNS));
        assert!(RUNS.may_be(&later), "another node's copy lags");
    }

    #[test]
    fn what_no_power_explains_makes_another_one() {
        for other in [
            Face { words: 8, ..RUNS },
            Face { words: 8, ..RESTS },
            Face {
                uptime_s: 3,
                ..RUNS
            },
            Face {
                in_the_making: true,
                ..RUNS
            },
        ] {
            assert!(!other.may_be(&RUNS), "{other:?}");
        }
        let larger = Face {
            disk_mib: 2048,
            ..RESTS
        };
        assert!(!larger.may_be(&RESTS));
        let locked = Face {
            in_the_making: true,
            ..RUNS
        };
        assert!(locked.may_be(&locked), "it is told once");
        assert!(!RUNS.may_be(&locked), "what came out of it may be another");
    }
}
