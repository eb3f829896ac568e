//! What is on record, kept in memory: an unchanged pass reads nothing anew, another one of the guests only those of which
//! something was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use proximity_domain::ids::GuestId;
use proximity_store::alarms::{Alarm, AlarmKey};
use proximity_store::observation::KeptSuspicion;
use proximity_store::{KeptRecord, Store};

use super::faces::Faces;
use super::settled::Settled;
use super::suspect::Suspected;
use crate::error::EngineError;

/// Guests of each cluster, suspicions and alarms, each as of a commit of this process, which is the only one that writes; and
/// what the passes before have seen.
#[derive(Debug)]
pub(super) struct Watch {
    /// Guests of all clusters, and how many apps are live.
    pub(super) record: KeptRecord,
    suspicions: Option<(u64, BTreeMap<GuestId, KeptSuspicion>)>,
    alarms: Option<(u64, Arc<Alarms>)>,
    /// What makes a list's word count.
    pub(super) settled: Settled,
    /// What was told of as missing.
    pub(super) suspected: Suspected,
    /// What the lists showed.
    pub(super) faces: Faces,
}

/// What was told and has not ended.
pub(super) type Alarms = BTreeMap<AlarmKey, Alarm>;

impl Watch {
    /// Nothing is read yet.
    pub(super) fn new(store: &Store) -> Self {
        Self {
            record: store.keep_record(),
            suspicions: None,
            alarms: None,
            settled: Settled::default(),
            suspected: Suspected::default(),
            faces: Faces::default(),
        }
    }

    /// All suspicions.
    pub(super) async fn suspicions(
        &mut self,
        store: &Store,
    ) -> Result<&BTreeMap<GuestId, KeptSuspicion>, EngineError> {
        // Taken before the read: what is committed during it is read again the next time.
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
