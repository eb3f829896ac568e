//! What is on record, kept in memory as long as nothing was committed: an unchanged pass reads nothing anew.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use proximity_domain::ids::{GuestId, HostId};
use proximity_domain::observe::Suspicion;
use proximity_store::Store;
use proximity_store::alarms::{Alarm, AlarmKey};
use proximity_store::observation::WatchedGuest;

use super::settled::Settled;
use super::suspect::Suspected;
use crate::error::EngineError;

/// Guests of each cluster and the suspicions, each as of a commit of this process, which is the only one that writes; and what
/// the passes before have seen.
#[derive(Debug, Default)]
pub(super) struct Watch {
    guests: HashMap<HostId, (u64, Arc<Vec<WatchedGuest>>)>,
    suspicions: Option<(u64, BTreeMap<GuestId, Suspicion>)>,
    alarms: Option<(u64, Arc<Alarms>)>,
    /// What makes a list's word count.
    pub(super) settled: Settled,
    /// What was told of as missing.
    pub(super) suspected: Suspected,
}

/// What was told and has not ended.
pub(super) type Alarms = BTreeMap<AlarmKey, Alarm>;

impl Watch {
    /// Recorded guests of a cluster.
    pub(super) async fn guests(
        &mut self,
        store: &Store,
        host: HostId,
    ) -> Result<Arc<Vec<WatchedGuest>>, EngineError> {
        // Taken before the read: what is committed during it is read again the next time.
        let commit = *store.commits().borrow();
        if let Some((at, guests)) = self.guests.get(&host)
            && *at == commit
        {
            return Ok(Arc::clone(guests));
        }
        let guests = Arc::new(store.watched_guests(host).await?);
        self.guests.insert(host, (commit, Arc::clone(&guests)));
        Ok(guests)
    }

    /// All suspicions.
    pub(super) async fn suspicions(
        &mut self,
        store: &Store,
    ) -> Result<&BTreeMap<GuestId, Suspicion>, EngineError> {
        let commit = *store.commits().borrow();
        let known = match self.suspicions.take() {
            Some((at, known)) if at == commit => known,
            Some(_) | None => store.suspicions().await?.into_iter().collect(),
        };
        Ok(&self.suspicions.insert((commit, known)).1)
    }

    /// All alarms.
    pub(super) async fn alarms(&mut self, store: &Store) -> Result<Arc<Alarms>, EngineError> {
        let commit = *store.commits().borrow();
        if let Some((at, alarms)) = &self.alarms
            && *at == commit
        {
            return Ok(Arc::clone(alarms));
        }
        let alarms = Arc::new(read_alarms(store).await?);
        self.alarms = Some((commit, Arc::clone(&alarms)));
        Ok(alarms)
    }
}

/// All alarms, as they are on record now.
pub(super) async fn read_alarms(store: &Store) -> Result<Alarms, EngineError> {
    let alarms = store.alarms().await?.into_iter();
    Ok(alarms.map(|alarm| (alarm.key, alarm)).collect())
}
