//! Requests that may come twice: the first one under a key counts.

use proximity_domain::time::Timestamp;

use super::state::{KeptKey, State};
use crate::error::StoreError;
use crate::records::RequestKey;
use crate::request_keys::KEPT_MS;

impl State {
    /// Takes the key for `resource`. `Some` = it was taken before, for that one.
    pub(crate) fn claim_key(
        &mut self,
        account: &str,
        key: Option<&RequestKey>,
        resource: &str,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let Some(key) = key else { return Ok(None) };
        self.forget_keys(now);
        if let Some(first) = self.find_key(account, key, now)? {
            return Ok(Some(first));
        }
        let kept = KeptKey {
            fingerprint: key.fingerprint.clone(),
            resource: resource.to_owned(),
            created_at: now,
        };
        self.keys.put((account.to_owned(), key.key.clone()), kept);
        Ok(None)
    }

    /// Forgets those whose day is over; gives their number.
    pub(crate) fn has_old_keys(&self, now: Timestamp) -> bool {
        self.keys.values().any(|kept| !kept.is_kept(now))
    }

    pub(crate) fn forget_keys(&mut self, now: Timestamp) -> u64 {
        let old = self.keys.iter().filter(|(_, kept)| !kept.is_kept(now));
        let old: Vec<(String, String)> = old.map(|(name, _)| name.clone()).collect();
        for name in &old {
            self.keys.remove(name);
        }
        old.len() as u64
    }

    pub(crate) fn find_key(
        &self,
        account: &str,
        key: &RequestKey,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let found = self.keys.get(&(account.to_owned(), key.key.clone()));
        match found.filter(|kept| kept.is_kept(now)) {
            None => Ok(None),
            Some(kept) if kept.fingerprint == key.fingerprint => Ok(Some(kept.resource.clone())),
            Some(_) => Err(StoreError::KeyReused {
                key: key.key.clone(),
            }),
        }
    }
}

impl KeptKey {
    fn is_kept(&self, now: Timestamp) -> bool {
        self.created_at.0 >= now.0 - KEPT_MS
    }
}
