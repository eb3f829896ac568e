//! Claims on applies: one loop carries an apply out, told apart by its epoch, as with operations.

use proximity_domain::apply::ApplyState;
use proximity_domain::ids::{Epoch, HolderId};
use proximity_domain::time::Timestamp;

use crate::applies::{ApplyFence, ApplyRecord, ClaimableApply};
use crate::apply_rows::{apply, lease, with_counts};
use crate::error::StoreError;
use crate::row::{Columns, each};
use crate::sql::{Tx, query};
use crate::store::{Reader, Store};

impl Store {
    /// Claims an apply under a new epoch, if it still is as it was `seen`. Who may claim what is decided by the caller: whoever
    /// had it before is fenced out from this commit on.
    ///
    /// `None`: it has been claimed, renewed or ended since.
    ///
    /// # Errors
    /// The database's.
    pub async fn claim_apply_as_seen(
        &self,
        seen: &ClaimableApply,
        holder: HolderId,
        lease_ms: i64,
        now: Timestamp,
    ) -> Result<Option<(ApplyRecord, ApplyFence)>, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| Ok(state.claim_apply(seen, holder, lease_ms, now)));
        }
        self.write(async |tx| {
            let last = seen.lease.map_or(-1, |lease| lease.until.0);
            let row = query(
                "UPDATE applies SET epoch = epoch + 1, lease_holder = $2, lease_until = $3, lease_ms = $4 \
                 WHERE id = $1 AND epoch = $5 AND COALESCE(lease_until, -1) = $6 AND ended_at IS NULL \
                 RETURNING *",
            )
            .bind(seen.id.to_string())
            .bind(holder.to_string())
            .bind(now.0.saturating_add(lease_ms).max(last.saturating_add(1)))
            .bind(lease_ms)
            .bind(seen.epoch.0)
            .bind(last)
            .fetch_optional(&mut *tx)
            .await?;
            let Some(row) = row else { return Ok(None) };
            let record = with_counts(tx, apply(&row)?).await?;
            let fence = ApplyFence {
                apply: record.id,
                holder,
                epoch: record.epoch,
            };
            Ok(Some((record, fence)))
        })
        .await
    }

    /// Prolongs a lease to `lease_ms` from now; tells whether a stop was asked for. It grows with each renewal, whatever the clock does.
    ///
    /// # Errors
    /// [`StoreError::ApplyLost`].
    pub async fn renew_apply(
        &self,
        fence: &ApplyFence,
        lease_ms: i64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.renew_apply(fence, lease_ms, now));
        }
        self.write(async |tx| {
            let record = held(tx, fence).await?;
            let last = record.lease.map_or(0, |lease| lease.until.0);
            query("UPDATE applies SET lease_until = $2, lease_ms = $3 WHERE id = $1")
                .bind(fence.apply.to_string())
                .bind(now.0.saturating_add(lease_ms).max(last.saturating_add(1)))
                .bind(lease_ms)
                .execute(tx)
                .await?;
            Ok(record.state == ApplyState::Stopping)
        })
        .await
    }

    /// Gives a claim back: the apply can be claimed at once, by anybody.
    ///
    /// # Errors
    /// [`StoreError::ApplyLost`].
    pub async fn release_apply(&self, fence: &ApplyFence) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.release_apply(fence));
        }
        self.write(async |tx| {
            held(tx, fence).await?;
            query(
                "UPDATE applies SET lease_holder = NULL, lease_until = NULL, lease_ms = NULL WHERE id = $1",
            )
            .bind(fence.apply.to_string())
            .execute(tx)
            .await?;
            Ok(())
        })
        .await
    }
}

impl Reader {
    /// Every apply that is not over, oldest first, for one who looks for work.
    ///
    /// # Errors
    /// The database's.
    pub async fn claimable_applies(&self) -> Result<Vec<ClaimableApply>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.claimable_applies()));
        }
        let rows = query("SELECT * FROM applies WHERE ended_at IS NULL ORDER BY started_at, id")
            .fetch_all(self.named("claimable_applies"))
            .await?;
        each(&rows, |row| {
            Ok(ClaimableApply {
                id: row.parsed("id")?,
                epoch: Epoch(row.int("epoch")?),
                lease: lease(row)?,
            })
        })
    }

    /// Whether the claim still stands; asked before each call that changes something outside.
    ///
    /// # Errors
    /// [`StoreError::ApplyLost`] if it does not, or the apply is over.
    pub async fn check_apply_fence(&self, fence: &ApplyFence) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.read(|state| state.held_apply(fence).map(|_| ()));
        }
        let row = query(
            "SELECT epoch FROM applies WHERE id = $1 AND epoch = $2 AND lease_holder = $3 AND ended_at IS NULL",
        )
        .bind(fence.apply.to_string())
        .bind(fence.epoch.0)
        .bind(fence.holder.to_string())
        .fetch_optional(self.named("check_apply_fence"))
        .await?;
        row.map(|_| ()).ok_or_else(|| lost(fence))
    }
}

/// Compare-and-swap on the claim: the first statement of every write of a loop. It is an update, so that it also takes the row's lock
/// where rows have one. The record has no counts.
pub(crate) async fn held(tx: &mut Tx, fence: &ApplyFence) -> Result<ApplyRecord, StoreError> {
    let row = query(
        "UPDATE applies SET epoch = epoch WHERE id = $1 AND epoch = $2 AND lease_holder = $3 \
         AND ended_at IS NULL RETURNING *",
    )
    .bind(fence.apply.to_string())
    .bind(fence.epoch.0)
    .bind(fence.holder.to_string())
    .fetch_optional(tx)
    .await?;
    let row = row.ok_or_else(|| lost(fence))?;
    apply(&row)
}

pub(crate) fn lost(fence: &ApplyFence) -> StoreError {
    StoreError::ApplyLost { apply: fence.apply }
}
