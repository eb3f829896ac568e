//! What is kept between passes so that the power that a list tells counts by itself, without a read of the container.
//!
//! A list names numbers, and lags. It counts for a guest that showed its identity and was in its place in every look since,
//! while there was no gap between the looks, and that nobody here has touched for so long that the list cannot be older. All
//! moments are of the clock that nobody sets.

use std::collections::{HashMap, HashSet};

use proximity_domain::ids::{AppId, HostId};
use proximity_domain::time::Monotonic;

/// So long a list may tell of what was: `pvestatd` tells every 10 s, and what it told last is shown for 300 s when it is silent
/// (pve-manager, `PVE/Service/pvestatd.pm`; pve-cluster, `src/pmxcfs/status.c`); with some room for both. Milliseconds.
const OLD_MS: u64 = 330_000;
/// Looks that are further apart leave a gap: three of the passes between. Milliseconds.
const GAP_MS: u64 = 30_000;

/// An unbroken sequence of complete looks at a cluster.
#[derive(Debug, Clone, Copy)]
struct Looks {
    /// When the first one had ended.
    since: Monotonic,
    /// When the newest one had ended.
    newest: Monotonic,
}

/// Kept between passes.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// When the first pass of this process began: what was done before it nobody here knows.
    began: Option<Monotonic>,
    looks: HashMap<HostId, Looks>,
    /// When a pass first found that the work on an app had ended.
    touched: HashMap<AppId, Monotonic>,
}

impl Settled {
    /// A pass begins; on these apps somebody was at work since the last one.
    pub(super) fn begin(&mut self, left: HashSet<AppId>, now: Monotonic) {
        self.began.get_or_insert(now);
        self.touched.retain(|_, at| now.since_ms(*at) < OLD_MS);
        self.touched.extend(left.into_iter().map(|app| (app, now)));
    }

    /// A cluster was seen whole.
    pub(super) fn looked(&mut self, host: HostId, began: Monotonic, ended: Monotonic) {
        let looks = self.looks.entry(host).or_insert(Looks {
            since: ended,
            newest: ended,
        });
        if began.since_ms(looks.newest) > GAP_MS {
            looks.since = ended;
        }
        looks.newest = ended;
    }

    /// Whether nobody was at work on this app for so long that what a list tells of its power, which was asked for at the moment
    /// `began`, is not of before.
    pub(super) fn is_quiet(&self, app: AppId, began: Monotonic) -> bool {
        let known = self
            .began
            .is_some_and(|first| began.since_ms(first) >= OLD_MS);
        known && !self.touched.contains_key(&app)
    }

    /// Whether looks at the cluster without a gap reach back to the moment at which a guest there showed its identity.
    pub(super) fn reaches(&self, host: HostId, shown: Option<Monotonic>) -> bool {
        let unbroken = |looks: &Looks| shown.is_some_and(|shown| shown >= looks.since);
        self.looks.get(&host).is_some_and(unbroken)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const HOST: HostId = HostId(Uuid::from_u128(1));
    const APP: AppId = AppId(Uuid::from_u128(2));

    fn at(seconds: u64) -> Monotonic {
        Monotonic(seconds * 1_000)
    }

    /// Looks every 10 s from second 0, each of a second, the last one beginning then.
    fn watched(until: u64) -> Settled {
        let mut settled = Settled::default();
        for second in (0..=until).step_by(10) {
            settled.begin(HashSet::new(), at(second));
            settled.looked(HOST, at(second), at(second + 1));
        }
        settled
    }

    #[test]
    fn looks_without_a_gap_reach_back_to_the_first() {
        let mut settled = watched(60);
        assert!(settled.reaches(HOST, Some(at(1))));
        assert!(!settled.reaches(HOST, Some(at(0))), "before anybody looked");
        assert!(!settled.reaches(HOST, None));
        assert!(!settled.reaches(HostId(Uuid::from_u128(9)), Some(at(1))));
        settled.looked(HOST, at(91), at(92));
        assert!(settled.reaches(HOST, Some(at(1))), "30 s after the last");
        settled.looked(HOST, at(123), at(124));
        assert!(!settled.reaches(HOST, Some(at(1))), "a gap of 31 s");
        assert!(settled.reaches(HOST, Some(at(124))), "shown anew");
    }

    #[test]
    fn a_list_may_be_of_before_somebody_was_at_work() {
        assert!(!watched(320).is_quiet(APP, at(320)), "nobody knows yet");
        let mut settled = watched(330);
        assert!(settled.is_quiet(APP, at(330)));
        settled.begin(HashSet::from([APP]), at(340));
        for (second, quiet) in [(340, false), (669, false), (670, true)] {
            settled.begin(HashSet::new(), at(second));
            assert_eq!(settled.is_quiet(APP, at(second)), quiet, "at {second}");
        }
    }
}
