//! Whose turn it is to bring an OS template: two deploys that lack the same one download it once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use proximity_domain::ids::HostId;
use proximity_domain::names::StorageName;
use tokio::sync::OwnedMutexGuard;

/// Host entry, its storage for templates, file.
type Key = (HostId, StorageName, String);

type Turn = Arc<tokio::sync::Mutex<()>>;

/// The turns of this process. There are as many as files that were ever fetched, and none is taken away.
#[derive(Debug, Default)]
pub(crate) struct Fetching(Mutex<HashMap<Key, Turn>>);

impl Fetching {
    /// Waits until nobody else of this process brings this file to this storage, on whichever node: the storage may be the same.
    pub(crate) async fn turn(
        &self,
        host: HostId,
        storage: &StorageName,
        file: &str,
    ) -> OwnedMutexGuard<()> {
        let turn = self.of((host, storage.clone(), file.to_owned()));
        turn.lock_owned().await
    }

    fn of(&self, key: Key) -> Turn {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(key).or_default())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn one_file_is_brought_by_one_at_a_time_and_others_beside_it() {
        let fetching = Fetching::default();
        let host = HostId(Uuid::from_u128(1));
        let local: StorageName = "local".parse().unwrap();
        let first = fetching.turn(host, &local, "a").await;
        assert!(fetching.turn(host, &local, "a").now_or_never().is_none());
        assert!(fetching.turn(host, &local, "b").now_or_never().is_some());
        let other = HostId(Uuid::from_u128(2));
        assert!(fetching.turn(other, &local, "a").now_or_never().is_some());
        drop(first);
        assert!(fetching.turn(host, &local, "a").now_or_never().is_some());
    }
}
