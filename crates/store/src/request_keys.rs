//! Requests that may come twice: the first one under a key counts, the second finds what came of it.

use proximity_domain::time::Timestamp;

use crate::error::StoreError;
use crate::records::RequestKey;
use crate::row::Columns;
use crate::sql::{Tx, query};
use crate::store::{Reader, Store};

/// How long a key is kept, milliseconds: a day.
pub(crate) const KEPT_MS: i64 = 24 * 60 * 60 * 1000;

impl Reader {
    /// Stands for a request of which `parts` is all that is asked for, to tell it from another one under the same key.
    ///
    /// A request may hold secrets, so this is no plain hash that guesses could be held against: without the key of
    /// this store it tells nothing.
    #[must_use]
    pub fn fingerprint(&self, parts: &[&[u8]]) -> String {
        self.shared.sealer.fingerprint(parts)
    }

    /// What came of an earlier request of this account under this key: the id it was claimed for.
    ///
    /// # Errors
    /// [`StoreError::KeyReused`] if that was another request.
    pub async fn request(
        &self,
        account: &str,
        key: &RequestKey,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        if let Some(model) = self.model() {
            return model.read(|state| state.find_key(account, key, now));
        }
        self.read(async |tx| find(tx, account, key, now).await)
            .await
    }

    /// Whether there is a key whose day is over.
    async fn has_old_requests(&self, now: Timestamp) -> Result<bool, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.has_old_keys(now)));
        }
        let old = query("SELECT 1 AS one FROM request_keys WHERE created_at < $1 LIMIT 1")
            .bind(now.0 - KEPT_MS)
            .fetch_optional(self.named("has_old_requests"))
            .await?;
        Ok(old.is_some())
    }
}

impl Store {
    /// Forgets the keys whose day is over; gives their number. Also done whenever a key is taken, but nobody may take
    /// another one for long. Nothing is committed when there are none.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_old_requests(&self, now: Timestamp) -> Result<u64, StoreError> {
        if !self.has_old_requests(now).await? {
            return Ok(0);
        }
        if let Some(model) = self.model() {
            return model.write(|state| Ok(state.forget_keys(now)));
        }
        self.write(async |tx| forget(tx, now).await).await
    }
}

/// Takes the key for `resource`, in the transaction that makes it. `Some` = it was taken before, for that id.
pub(crate) async fn claim(
    tx: &mut Tx,
    account: &str,
    key: Option<&RequestKey>,
    resource: &str,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let Some(key) = key else { return Ok(None) };
    forget(tx, now).await?;
    if let Some(first) = find(tx, account, key, now).await? {
        return Ok(Some(first));
    }
    query(
        "INSERT INTO request_keys (account, request_key, fingerprint, resource, created_at) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(account)
    .bind(&key.key)
    .bind(&key.fingerprint)
    .bind(resource)
    .bind(now.0)
    .execute(tx)
    .await?;
    Ok(None)
}

async fn forget(tx: &mut Tx, now: Timestamp) -> Result<u64, StoreError> {
    let gone = query("DELETE FROM request_keys WHERE created_at < $1")
        .bind(now.0 - KEPT_MS)
        .execute(tx)
        .await?;
    Ok(gone.rows_affected())
}

async fn find(
    tx: &mut Tx,
    account: &str,
    key: &RequestKey,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let row = query(
        "SELECT fingerprint, resource FROM request_keys \
         WHERE account = $1 AND request_key = $2 AND created_at >= $3",
    )
    .bind(account)
    .bind(&key.key)
    .bind(now.0 - KEPT_MS)
    .fetch_optional(tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.text("fingerprint")? != key.fingerprint {
        return Err(StoreError::KeyReused {
            key: key.key.clone(),
        });
    }
    row.text("resource").map(Some)
}
