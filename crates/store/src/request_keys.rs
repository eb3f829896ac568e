//! Requests that may come twice: the first one under a key counts, the second finds what came of it.

use proximity_domain::time::Timestamp;

use crate::error::StoreError;
use crate::records::{Actor, RequestKey};
use crate::row::Columns;
use crate::sql::{Tx, query};
use crate::store::{Reader, Store};

/// How long a key is kept, milliseconds: a day.
pub(crate) const KEPT_MS: i64 = 24 * 60 * 60 * 1000;

impl Reader {
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
}

impl Store {
    /// Keeps the key of a request that has taken place already and does no harm when it is repeated.
    ///
    /// # Errors
    /// [`StoreError::KeyReused`] if the key was used for another request.
    pub async fn remember_request(
        &self,
        key: &RequestKey,
        resource: &str,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| {
                state
                    .claim_key(&actor.account, Some(key), resource, now)
                    .map(|_| ())
            });
        }
        self.write(async |tx| {
            claim(tx, &actor.account, Some(key), resource, now).await?;
            Ok(())
        })
        .await
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
    query("DELETE FROM request_keys WHERE created_at < $1")
        .bind(now.0 - KEPT_MS)
        .execute(&mut *tx)
        .await?;
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
