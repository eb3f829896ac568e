//! Claims and leases: one writer per operation, told apart by its epoch.

use proximity_domain::ids::{Epoch, HolderId, OperationId};
use proximity_domain::operation::{OperationEvent, OperationState};
use proximity_domain::time::Timestamp;

use crate::apply::apply;
use crate::effects::Effects;
use crate::error::StoreError;
use crate::operations::{advance, existing, is_at_work, operation};
use crate::records::{Claimable, Fence, Lease, OperationRecord, Wait};
use crate::row::{Columns, each, to_json};
use crate::sql::{Row, Tx, query};
use crate::store::{Reader, Store};

impl Store {
    /// Claims an operation under a new epoch, if it still is as it was `seen`. Who may claim what is decided by the
    /// caller: whoever had it before is fenced out from this commit on. A wait ends with the claim.
    ///
    /// `None`: it has been claimed, renewed or ended since.
    ///
    /// # Errors
    /// The database's.
    pub async fn claim_as_seen(
        &self,
        seen: &Claimable,
        holder: HolderId,
        lease_ms: i64,
        now: Timestamp,
    ) -> Result<Option<(OperationRecord, Fence)>, StoreError> {
        let one = std::slice::from_ref(seen);
        let mut claimed = self.claim_all_as_seen(one, holder, lease_ms, now).await?;
        Ok(claimed.pop())
    }

    /// As [`Store::claim_as_seen`], of several in one commit; gives those that still are as they were seen, in order.
    ///
    /// # Errors
    /// The database's; none is claimed then.
    pub async fn claim_all_as_seen(
        &self,
        seen: &[Claimable],
        holder: HolderId,
        lease_ms: i64,
        now: Timestamp,
    ) -> Result<Vec<(OperationRecord, Fence)>, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| {
                let each = seen.iter().filter_map(|seen| {
                    state.claim_as_seen(seen, holder, lease_ms, now).transpose()
                });
                each.collect()
            });
        }
        self.write(async |tx| {
            let mut claimed = Vec::with_capacity(seen.len());
            for seen in seen {
                claimed.extend(claim(tx, seen, holder, lease_ms, now).await?);
            }
            Ok(claimed)
        })
        .await
    }

    /// Claims the oldest operation that nobody holds and that does not wait; with `exclusive` (the caller holds the lock
    /// of the data directory, so every other holder is dead) also one that another holder has.
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
        if let Some(model) = self.model() {
            return model.write(|state| state.claim(holder, lease_ms, exclusive, now));
        }
        self.write(async |tx| {
            let all = claimable(tx).await?;
            let free = |c: &&Claimable| match c.lease {
                None => c.due_at.is_none_or(|due| due <= now),
                Some(lease) => exclusive && lease.holder != holder,
            };
            match all.iter().find(free) {
                Some(seen) => claim(tx, seen, holder, lease_ms, now).await,
                None => Ok(None),
            }
        })
        .await
    }

    /// Prolongs a lease to `lease_ms` from now; tells whether a cancel was requested.
    ///
    /// What ends a claim is the next epoch, not the clock. `until` grows with each renewal, whatever the clock does, so
    /// that others see that the holder lives.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`].
    pub async fn renew(
        &self,
        fence: &Fence,
        lease_ms: i64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.renew(fence, lease_ms, now));
        }
        self.write(async |tx| {
            let operation = held(tx, fence).await?;
            let last = operation.lease.map_or(0, |(_, until)| until.0);
            let until = now.0.saturating_add(lease_ms).max(last.saturating_add(1));
            query("UPDATE operations SET lease_until = $2, lease_ms = $3 WHERE id = $1")
                .bind(fence.operation.to_string())
                .bind(until)
                .bind(lease_ms)
                .execute(tx)
                .await?;
            Ok(operation.cancel_requested)
        })
        .await
    }

    /// Gives a claim back: the operation can be claimed at once, by anybody.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`].
    pub async fn release(&self, fence: &Fence) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.release(fence));
        }
        self.write(async |tx| {
            held(tx, fence).await?;
            give_back(tx, fence).await
        })
        .await
    }

    /// Records that an attempt failed and that the next one, number `attempt`, is due at `due_at`; gives the claim back.
    /// Nothing is lost by it: a crash afterwards changes neither number nor moment.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`].
    pub async fn wait(
        &self,
        fence: &Fence,
        attempt: u32,
        wait: Wait,
        effects: Effects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.wait(fence, attempt, wait, effects, now));
        }
        self.write(async |tx| {
            let operation = held(tx, fence).await?;
            apply(tx, &operation, &effects, &self.shared, now).await?;
            query(
                "UPDATE operations SET attempt = $2, due_at = $3, waits_because = $4 WHERE id = $1",
            )
            .bind(fence.operation.to_string())
            .bind(i64::from(attempt))
            .bind(wait.due_at.0)
            .bind(to_json("failure", &wait.because)?)
            .execute(&mut *tx)
            .await?;
            // Turning back is what was asked for, so that its undos wait like any other.
            if operation.cancel_requested && operation.state == OperationState::Running {
                end_wait(tx, fence.operation).await?;
            }
            give_back(tx, fence).await
        })
        .await
    }
}

/// A wait is over: the next attempt is due now.
pub(crate) async fn end_wait(tx: &mut Tx, id: OperationId) -> Result<(), StoreError> {
    query("UPDATE operations SET due_at = NULL, waits_because = NULL WHERE id = $1")
        .bind(id.to_string())
        .execute(tx)
        .await?;
    Ok(())
}

/// The next undo, or the end, counts its attempts anew.
pub(crate) async fn count_anew(tx: &mut Tx, fence: &Fence) -> Result<(), StoreError> {
    query("UPDATE operations SET attempt = 1 WHERE id = $1")
        .bind(fence.operation.to_string())
        .execute(tx)
        .await?;
    Ok(())
}

async fn give_back(tx: &mut Tx, fence: &Fence) -> Result<(), StoreError> {
    query(
        "UPDATE operations SET lease_holder = NULL, lease_until = NULL, lease_ms = NULL WHERE id = $1",
    )
    .bind(fence.operation.to_string())
    .execute(tx)
    .await?;
    Ok(())
}

async fn claim(
    tx: &mut Tx,
    seen: &Claimable,
    holder: HolderId,
    lease_ms: i64,
    now: Timestamp,
) -> Result<Option<(OperationRecord, Fence)>, StoreError> {
    let taken = query(
        "UPDATE operations SET epoch = epoch + 1, lease_holder = $2, lease_until = $3, lease_ms = $4 \
         WHERE id = $1 AND epoch = $5 AND COALESCE(lease_until, -1) = $6 AND state IN ('running', 'unwinding')",
    );
    let found = existing(tx, seen.id).await?;
    let last = seen.lease.map_or(-1, |lease| lease.until.0);
    let claimable = found.state == OperationState::Queued || is_at_work(&found.state);
    let until = found.lease.map_or(-1, |(_, until)| until.0);
    if !claimable || found.epoch != seen.epoch || until != last {
        return Ok(None);
    }
    // The state first: only what runs or unwinds may be held.
    advance(tx, &found, OperationEvent::Claimed, now).await?;
    let changed = taken
        .bind(seen.id.to_string())
        .bind(holder.to_string())
        .bind(now.0.saturating_add(lease_ms).max(last.saturating_add(1)))
        .bind(lease_ms)
        .bind(seen.epoch.0)
        .bind(last)
        .execute(&mut *tx)
        .await?;
    if changed.rows_affected() == 0 {
        return Err(StoreError::LeaseLost { operation: seen.id });
    }
    let claimed = existing(tx, seen.id).await?;
    let fence = Fence {
        operation: claimed.id,
        holder,
        epoch: claimed.epoch,
    };
    Ok(Some((claimed, fence)))
}

impl Reader {
    /// Whether the claim still stands; asked before each call that changes something outside.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if it does not, or the operation has ended or is stuck.
    pub async fn check_fence(&self, fence: &Fence) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.read(|state| state.held(fence).map(|_| ()));
        }
        let row = query(
            "SELECT epoch FROM operations WHERE id = $1 AND epoch = $2 AND lease_holder = $3 \
             AND state IN ('running', 'unwinding')",
        )
        .bind(fence.operation.to_string())
        .bind(fence.epoch.0)
        .bind(fence.holder.to_string())
        .fetch_optional(self.named("check_fence"))
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
    swap(
        tx,
        fence,
        "UPDATE operations SET epoch = epoch WHERE id = $1 AND epoch = $2 AND lease_holder = $3 \
         AND state IN ('running', 'unwinding') RETURNING *",
    )
    .await
}

/// As [`held`], by a write with which a step begins or is over: what comes next counts its attempts anew.
pub(crate) async fn held_anew(tx: &mut Tx, fence: &Fence) -> Result<OperationRecord, StoreError> {
    swap(
        tx,
        fence,
        "UPDATE operations SET attempt = 1 WHERE id = $1 AND epoch = $2 AND lease_holder = $3 \
         AND state IN ('running', 'unwinding') RETURNING *",
    )
    .await
}

async fn swap(
    tx: &mut Tx,
    fence: &Fence,
    sql: &'static str,
) -> Result<OperationRecord, StoreError> {
    let row = query(sql)
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

impl Reader {
    /// Every live operation that is not stuck, oldest first, for one who looks for work.
    ///
    /// # Errors
    /// The database's.
    pub async fn claimable(&self) -> Result<Vec<Claimable>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.claimable()));
        }
        self.read(async |tx| claimable(tx).await).await
    }
}

pub(crate) const CLAIMABLE: &str = "SELECT o.id, a.host_id, o.epoch, o.lease_holder, o.lease_until, o.lease_ms, o.due_at \
         FROM operations o JOIN apps a ON a.id = o.app_id \
         WHERE o.state IN ('queued', 'running', 'unwinding') ORDER BY o.created_at, o.id";

async fn claimable(tx: &mut Tx) -> Result<Vec<Claimable>, StoreError> {
    let rows = query(CLAIMABLE).fetch_all(tx).await?;
    each(&rows, |row| {
        let holder = row.parsed_opt("lease_holder")?;
        let until = row.moment_opt("lease_until")?;
        // A lease written by the version before has no length of its own: that version's was 30 s.
        let lease_ms = row.int_opt("lease_ms")?.unwrap_or(30_000);
        Ok(Claimable {
            id: row.parsed("id")?,
            host: row.parsed("host_id")?,
            epoch: Epoch(row.int("epoch")?),
            lease: holder.zip(until).map(|(holder, until)| Lease {
                holder,
                until,
                lease_ms,
            }),
            due_at: row.moment_opt("due_at")?,
        })
    })
}
