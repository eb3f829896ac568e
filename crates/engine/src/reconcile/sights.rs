//! Which clusters the newest pass saw whole: a change is said once, the state is there for the figures.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use proximity_domain::ids::HostId;
use proximity_store::records::HostRecord;

/// What the newest pass saw of each cluster.
#[derive(Debug, Default)]
pub(super) struct Sights(Mutex<BTreeMap<HostId, Sight>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Sight {
    label: String,
    /// How many containers are on no record; or why it was not seen whole.
    seen: Result<u64, String>,
}

impl Sights {
    /// A cluster was seen whole, with so many containers that are on no record, or why not. Said when that changes, and when
    /// the reason is another one.
    pub(super) fn note(&self, host: &HostRecord, seen: Result<u64, String>) {
        let label = host.label.as_str();
        let sight = Sight {
            label: label.to_owned(),
            seen: seen.clone(),
        };
        let mut sights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = sights.insert(host.id, sight);
        let before = before.and_then(|sight| sight.seen.err());
        match seen {
            Err(why) if before.as_ref() != Some(&why) => tracing::warn!(
                host = label,
                "NOT SEEN WHOLE: what is missing there is found by nobody until it is: {why}"
            ),
            Ok(_) if before.is_some() => {
                tracing::info!(host = label, "the cluster is seen whole again");
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Forgets entries that are no more.
    pub(super) fn retain(&self, hosts: &[HostRecord]) {
        let mut sights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sights.retain(|host, _| hosts.iter().any(|entry| entry.id == *host));
    }

    /// By label, whether it was seen whole.
    pub(super) fn whole(&self) -> Vec<(String, bool)> {
        let sights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = sights.values();
        all.map(|sight| (sight.label.clone(), sight.seen.is_ok()))
            .collect()
    }

    /// By label, how many containers are on no record; those alone that were seen whole.
    pub(super) fn unmanaged(&self) -> BTreeMap<String, u64> {
        let sights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |sight: &Sight| Some((sight.label.clone(), *sight.seen.as_ref().ok()?));
        sights.values().filter_map(of).collect()
    }
}
