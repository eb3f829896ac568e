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
    /// Why it was not seen whole, if it was not.
    unseen: Option<String>,
}

impl Sights {
    /// A cluster was seen whole, or `unseen` says why not. Said when that changes, and when the reason is another one.
    pub(super) fn note(&self, host: &HostRecord, unseen: Option<&str>) {
        let label = host.label.as_str();
        let sight = Sight {
            label: label.to_owned(),
            unseen: unseen.map(str::to_owned),
        };
        let mut sights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = sights.insert(host.id, sight);
        let before = before.and_then(|sight| sight.unseen);
        match unseen {
            Some(why) if before.as_deref() != Some(why) => tracing::warn!(
                host = label,
                "NOT SEEN WHOLE: what is missing there is found by nobody until it is: {why}"
            ),
            None if before.is_some() => {
                tracing::info!(host = label, "the cluster is seen whole again");
            }
            Some(_) | None => {}
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
        all.map(|sight| (sight.label.clone(), sight.unseen.is_none()))
            .collect()
    }
}
