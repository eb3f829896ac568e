//! What this process knows of templates beside the record: what is wanted, and what went wrong.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use proximity_domain::ids::PreparedId;
use proximity_domain::prepared::{Base, BaseKey, Spot};
use proximity_domain::time::Timestamp;
use tokio::sync::Notify;

/// How long none is made again of a base of which one came to nothing, ms.
const REST_MS: i64 = 24 * 3_600 * 1_000;
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
