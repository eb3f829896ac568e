//! Claims and leases: one writer per operation, told apart by its epoch.

use proximity_domain::ids::{Epoch, HolderId};
use proximity_domain::operation::OperationEvent;
use proximity_domain::time::Timestamp;

use crate::error::StoreError;
use crate::operations::{advance, existing, operation};
use crate::records::{Fence, OperationRecord};
use crate::row::Columns;
use crate::sql::{Row, Tx, query};
use crate::store::{Reader, Store};

impl Store {
    /// Claims the oldest operation that waits for a worker, under a new epoch.
    ///
    /// That is: one that is queued; one that runs or unwinds and whose lease was cleared or has expired; and, when
    /// `exclusive` (the caller holds the lock of the data directory, so every other holder is dead), one that
    /// another holder has. Whoever had it before is fenced out from this commit on.
    ///
    /// # Errors
    /// The database's.
    pub async fn claim(
        &self,
        holder: HolderId,
        lease_ms: i64,
        exclusive: bool,
        now: Timestamp,
    ) -> Result<Option<(OperationRecord, Fence)>, StoreError> {
        // Most looks find nothing; those should not wait for the write lock.
        let waiting = self.read(async |tx| next(tx, holder, exclusive, now).await);
        if waiting.await?.is_none() {
            return Ok(None);
        }
        self.write(async |tx| {
            let Some(found) = next(tx, holder, exclusive, now).await? else {
                return Ok(None);
            };
            advance(tx, &found, OperationEvent::Claimed, now).await?;
            query(
                "UPDATE operations SET epoch = epoch + 1, lease_holder = $2, lease_until = $3 \
                 WHERE id = $1",
            )
            .bind(found.id.to_string())
            .bind(holder.to_string())
            .bind(now.0.saturating_add(lease_ms))
            .execute(&mut *tx)
            .await?;
            let claimed = existing(tx, found.id).await?;
            let fence = Fence {
                operation: claimed.id,
                holder,
                epoch: claimed.epoch,
            };
            Ok(Some((claimed, fence)))
        })
        .await
    }

    /// Prolongs a lease to `lease_ms` from now; tells whether a cancel was requested.
    ///
    /// An expired lease that nobody has claimed since is prolonged as well: what ends a claim is the next epoch.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`].
    pub async fn renew(
        &self,
        fence: &Fence,
        lease_ms: i64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(async |tx| {
            let operation = held(tx, fence).await?;
            query("UPDATE operations SET lease_until = $2 WHERE id = $1")
                .bind(fence.operation.to_string())
                .bind(now.0.saturating_add(lease_ms))
                .execute(tx)
                .await?;
            Ok(operation.cancel_requested)
        })
        .await
    }
}

impl Reader {
    /// Whether the claim still stands; asked before each call that changes something outside.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if it does not, or the operation has ended or is stuck.
    pub async fn check_fence(&self, fence: &Fence) -> Result<(), StoreError> {
        let row = query(
            "SELECT epoch FROM operations WHERE id = $1 AND epoch = $2 AND lease_holder = $3 \
             AND state IN ('running', 'unwinding')",
        )
        .bind(fence.operation.to_string())
        .bind(fence.epoch.0)
        .bind(fence.holder.to_string())
        .fetch_optional(self)
        .await?;
        let epoch = row.map(|row: Row| row.int("epoch")).transpose()?;
        match epoch.map(Epoch) {
            Some(epoch) if epoch == fence.epoch => Ok(()),
            Some(_) | None => Err(lost(fence)),
        }
    }
}

/// Compare-and-swap on the claim: the first statement of every write of a worker.
///
/// It is an update, so that it also takes the row's lock where rows have one.
pub(crate) async fn held(tx: &mut Tx, fence: &Fence) -> Result<OperationRecord, StoreError> {
    let row = query(
        "UPDATE operations SET epoch = epoch WHERE id = $1 AND epoch = $2 AND lease_holder = $3 \
         AND state IN ('running', 'unwinding') RETURNING *",
    )
    .bind(fence.operation.to_string())
    .bind(fence.epoch.0)
    .bind(fence.holder.to_string())
    .fetch_optional(tx)
    .await?;
    row.as_ref()
        .map(operation)
        .transpose()?
        .ok_or_else(|| lost(fence))
}

fn lost(fence: &Fence) -> StoreError {
    StoreError::LeaseLost {
        operation: fence.operation,
    }
}

async fn next(
    tx: &mut Tx,
    holder: HolderId,
    exclusive: bool,
    now: Timestamp,
) -> Result<Option<OperationRecord>, StoreError> {
    let row = query(
        "SELECT * FROM operations WHERE state IN ('queued', 'running', 'unwinding') \
         AND (lease_holder IS NULL OR lease_until <= $1 OR ($2 = 1 AND lease_holder <> $3)) \
         ORDER BY created_at, id LIMIT 1",
    )
    .bind(now.0)
    .bind(i64::from(exclusive))
    .bind(holder.to_string())
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(operation).transpose()
}
