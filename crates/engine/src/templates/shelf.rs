//! What this process knows of templates beside the record: what is wanted, and what went wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use proximity_domain::failure::Failure;
use proximity_domain::ids::PreparedId;
use proximity_domain::prepared::{Base, BaseKey, Spot};
use proximity_domain::time::{Monotonic, Timestamp};
use tokio::sync::Notify;

/// How long none is made again of a base of which one came to nothing, ms.
const REST_MS: i64 = 24 * 3_600 * 1_000;
/// So many looks in a row show that one is gone which we have not destroyed.
const LOOKS: u32 = 3;
/// So many wishes wait at most; the next deploy of a base wishes again.
const MOST_WISHES: usize = 64;

/// A template that a deploy would have been quicker with.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) spot: Spot,
    pub(crate) base: Base,
    pub(crate) disk_gib: u32,
    /// How often its base was deployed there.
    pub(crate) deploys: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    bell: Notify,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    wishes: Vec<Wanted>,
    troubles: BTreeMap<PreparedId, String>,
    failed: BTreeMap<(Spot, BaseKey), Timestamp>,
    absences: BTreeMap<PreparedId, Absence>,
    destroyed: BTreeSet<PreparedId>,
    refused: BTreeMap<PreparedId, Failure>,
}

/// Looks in a row that showed nothing at a template's number.
#[derive(Debug)]
struct Absence {
    looks: u32,
    last: Monotonic,
}

impl Shelf {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody asked for something.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits until somebody has.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    pub(crate) fn wish(&self, wanted: Wanted) {
        let mut inside = self.inside();
        if inside.wishes.len() < MOST_WISHES {
            inside.wishes.push(wanted);
        }
        drop(inside);
        self.ring();
    }

    /// A person lets one of this base go: deploys of before ask for no other one. The next deploy may.
    pub(super) fn unwish(&self, spot: &Spot, key: &BaseKey) {
        let mut inside = self.inside();
        inside
            .wishes
            .retain(|one| one.spot != *spot || one.base.key() != *key);
    }

    pub(super) fn take_wishes(&self) -> Vec<Wanted> {
        std::mem::take(&mut self.inside().wishes)
    }

    /// What stands in a template's way, or that nothing does. Whether that is news.
    pub(super) fn trouble(&self, id: PreparedId, trouble: Option<String>) -> bool {
        let mut inside = self.inside();
        match trouble {
            Some(text) => {
                let before = inside.troubles.insert(id, text.clone());
                before.as_ref() != Some(&text)
            }
            None => inside.troubles.remove(&id).is_some(),
        }
    }

    pub(super) fn trouble_of(&self, id: PreparedId) -> Option<String> {
        self.inside().troubles.get(&id).cloned()
    }

    /// A call of its end was refused: none is sent again before a person says so.
    pub(super) fn refused(&self, id: PreparedId, failure: Failure) {
        self.inside().refused.insert(id, failure);
    }

    pub(super) fn refusal_of(&self, id: PreparedId) -> Option<Failure> {
        self.inside().refused.get(&id).cloned()
    }

    /// A person says that what was refused is to be tried again, or the record has ended.
    pub(super) fn forgive(&self, id: PreparedId) {
        self.inside().refused.remove(&id);
    }

    /// A destroy of ours came to its end well: the next look that shows nothing proves it.
    pub(super) fn destroyed(&self, id: PreparedId) {
        self.inside().destroyed.insert(id);
    }

    /// Something was seen at its number, or its record has ended.
    pub(super) fn is_there(&self, id: PreparedId) {
        let mut inside = self.inside();
        inside.absences.remove(&id);
        inside.destroyed.remove(&id);
    }

    /// A whole look showed nothing at its number. Whether that is proven by now: by looks that are so far apart, or at once after a
    /// destroy of ours.
    pub(super) fn is_proven_absent(&self, id: PreparedId, now: Monotonic, apart_ms: u64) -> bool {
        let mut inside = self.inside();
        if inside.destroyed.contains(&id) {
            return true;
        }
        let fresh = Absence {
            looks: 0,
            last: now,
        };
        let absence = inside.absences.entry(id).or_insert(fresh);
        if absence.looks == 0 || now.since_ms(absence.last) >= apart_ms {
            absence.looks += 1;
            absence.last = now;
        }
        absence.looks >= LOOKS
    }

    pub(super) fn failed(&self, spot: &Spot, key: BaseKey, now: Timestamp) {
        self.inside().failed.insert((spot.clone(), key), now);
    }

    /// Whether one of this base came to nothing there lately.
    pub(super) fn has_failed(&self, spot: &Spot, key: &BaseKey, now: Timestamp) -> bool {
        let mut inside = self.inside();
        let is_late = |at: &Timestamp| now.0.saturating_sub(at.0) < REST_MS;
        inside.failed.retain(|_, at| is_late(at));
        inside.failed.contains_key(&(spot.clone(), key.clone()))
    }
}

#[cfg(test)]
mod tests {
    use proximity_domain::ids::HostId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_came_to_nothing_is_left_for_a_day() {
        let shelf = Shelf::default();
        let spot = Spot {
            host: HostId(Uuid::from_u128(1)),
            node: "pve1".parse().unwrap(),
            storage: "local".parse().unwrap(),
        };
        let os_template = "local:vztmpl/debian.tar.zst".parse().unwrap();
        let key = Base::of(os_template, 1, Vec::new()).key();
        shelf.failed(&spot, key.clone(), Timestamp(0));
        assert!(shelf.has_failed(&spot, &key, Timestamp(REST_MS - 1)));
        assert!(!shelf.has_failed(&spot, &key, Timestamp(REST_MS)));
    }

    #[test]
    fn an_absence_is_proven_by_three_looks_in_a_row_or_by_a_destroy_of_ours() {
        let shelf = Shelf::default();
        let id = PreparedId(Uuid::from_u128(1));
        let looks = |at: &[u64]| {
            let each = at
                .iter()
                .map(|ms| shelf.is_proven_absent(id, Monotonic(*ms), 30));
            each.collect::<Vec<bool>>()
        };
        assert_eq!(
            looks(&[0, 29, 30, 59, 60]),
            [false, false, false, false, true]
        );
        shelf.is_there(id);
        assert_eq!(looks(&[90, 120]), [false, false]);
        shelf.destroyed(id);
        assert_eq!(looks(&[121]), [true]);
        shelf.is_there(id);
        assert_eq!(looks(&[200]), [false], "there is another one");
    }

    #[test]
    fn a_trouble_is_news_once() {
        let shelf = Shelf::default();
        let id = PreparedId(Uuid::from_u128(1));
        assert!(shelf.trouble(id, Some("locked".to_owned())));
        assert!(!shelf.trouble(id, Some("locked".to_owned())));
        assert_eq!(shelf.trouble_of(id).as_deref(), Some("locked"));
        assert!(shelf.trouble(id, None));
        assert_eq!(shelf.trouble_of(id), None);
    }
}
