//! Claims and leases: one writer per operation, told apart by its epoch.

use proximity_domain::ids::{Epoch, HolderId, OperationId};
use proximity_domain::operation::{OperationEvent, OperationState};
use proximity_domain::time::Timestamp;

use super::state::{Operation, State};
use crate::effects::Effects;
use crate::error::StoreError;
use crate::operations::is_at_work;
use crate::records::{Claimable, Fence, Lease, OperationRecord, Wait};
use crate::sql::DatabaseError;

/// What a claim gives: the operation as it is now, and the proof.
type Claimed = Option<(OperationRecord, Fence)>;

impl State {
    /// Operations a worker may look at, oldest first.
    pub(crate) fn claimable(&self) -> Vec<Claimable> {
        let live = self.live.values().filter_map(|id| self.operations.get(id));
        let mut found: Vec<&Operation> = live.filter(|o| may_be_claimed(&o.record.state)).collect();
        found.sort_by_key(|operation| (operation.record.created_at, operation.record.id));
        let found = found.into_iter().filter_map(|operation| {
            let record = &operation.record;
            Some(Claimable {
                id: record.id,
                host: self.apps.get(&record.app)?.asked.host,
                epoch: record.epoch,
                lease: record.lease.map(|(holder, until)| Lease {
                    holder,
                    until,
                    lease_ms: operation.lease_ms,
                }),
                due_at: record.wait.as_ref().map(|wait| wait.due_at),
            })
        });
        found.collect()
    }

    pub(crate) fn claim(
        &mut self,
        holder: HolderId,
        lease_ms: i64,
        exclusive: bool,
        now: Timestamp,
    ) -> Result<Claimed, StoreError> {
        let free = |seen: &Claimable| match seen.lease {
            None => seen.due_at.is_none_or(|due| due <= now),
            Some(lease) => exclusive && lease.holder != holder,
        };
        match self.claimable().into_iter().find(free) {
            Some(seen) => self.claim_as_seen(&seen, holder, lease_ms, now),
            None => Ok(None),
        }
    }

    pub(crate) fn claim_as_seen(
        &mut self,
        seen: &Claimable,
        holder: HolderId,
        lease_ms: i64,
        now: Timestamp,
    ) -> Result<Claimed, StoreError> {
        let found = self.existing(seen.id)?;
        let last = seen.lease.map(|lease| lease.until);
        let as_seen = found.epoch == seen.epoch && found.lease.map(|(_, until)| until) == last;
        if !as_seen || !may_be_claimed(&found.state) {
            return Ok(None);
        }
        self.advance(&found, OperationEvent::Claimed, now)?;
        let operation = self.operation_row(found.id)?;
        operation.lease_ms = lease_ms;
        let record = &mut operation.record;
        record.epoch = Epoch(found.epoch.0 + 1);
        record.lease = Some((holder, lease_until(last, lease_ms, now)));
        let fence = Fence {
            operation: record.id,
            holder,
            epoch: record.epoch,
        };
        Ok(Some((record.clone(), fence)))
    }

    pub(crate) fn renew(
        &mut self,
        fence: &Fence,
        lease_ms: i64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let held = self.held(fence)?;
        let last = held.lease.map(|(_, until)| until);
        let operation = self.operation_row(held.id)?;
        operation.lease_ms = lease_ms;
        operation.record.lease = Some((fence.holder, lease_until(last, lease_ms, now)));
        Ok(held.cancel_requested)
    }

    pub(crate) fn release(&mut self, fence: &Fence) -> Result<(), StoreError> {
        let held = self.held(fence)?;
        self.operation_row(held.id)?.record.lease = None;
        Ok(())
    }

    pub(crate) fn wait(
        &mut self,
        fence: &Fence,
        attempt: u32,
        wait: Wait,
        effects: Effects,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let held = self.held(fence)?;
        self.apply(&held, effects, now)?;
        if attempt == 0 {
            let what = "attempts are counted from 1".to_owned();
            return Err(DatabaseError::Misfit(what).into());
        }
        // Turning back is what was asked for, so that its undos wait like any other.
        let turns_now = held.cancel_requested && held.state == OperationState::Running;
        let record = &mut self.operation_row(held.id)?.record;
        record.attempt = attempt;
        record.wait = (!turns_now).then_some(wait);
        record.lease = None;
        Ok(())
    }

    /// The next step, undo or end counts its attempts anew.
    pub(crate) fn count_anew(&mut self, id: OperationId) -> Result<(), StoreError> {
        self.operation_row(id)?.record.attempt = 1;
        Ok(())
    }

    /// The operation under the fence; what every write of a worker begins with.
    pub(crate) fn held(&self, fence: &Fence) -> Result<OperationRecord, StoreError> {
        let holds = |record: &OperationRecord| {
            record.epoch == fence.epoch
                && record.lease.is_some_and(|(who, _)| who == fence.holder)
                && is_at_work(&record.state)
        };
        let found = self.operation(fence.operation).filter(holds);
        found.ok_or(StoreError::LeaseLost {
            operation: fence.operation,
        })
    }
}

fn may_be_claimed(state: &OperationState) -> bool {
    *state == OperationState::Queued || is_at_work(state)
}

/// It grows with each claim and renewal, whatever the clock does.
fn lease_until(last: Option<Timestamp>, lease_ms: i64, now: Timestamp) -> Timestamp {
    let until = now.0.saturating_add(lease_ms);
    Timestamp(last.map_or(until, |last| until.max(last.0.saturating_add(1))))
}
