//! Applies: plans that are carried out, change by change.

use std::collections::BTreeMap;

use proximity_domain::apply::{ApplyState, ChangeState, Next, held_up_by};
use proximity_domain::desired::Documents;
use proximity_domain::failure::Failure;
use proximity_domain::ids::{AppId, ApplyId, Epoch, HolderId, OperationId, PlanId};
use proximity_domain::names::Hostname;
use proximity_domain::plan::Plan;
use proximity_domain::time::Timestamp;
use serde_json::json;

use super::state::State;
use crate::applies::{
    APPLIES_KEPT, ApplyChange, ApplyFence, ApplyRecord, ChangeEnd, ClaimableApply, KeptChange,
    NewApply, OpenChange, STARTED, STOPPED, became, begun, details, no_apply, no_documents,
    no_plan, over, overlap, planned, put_in, standing, stands, started, stops,
};
use crate::apply_changes::{SpecHash, end_of, no_change, refuse_stopping, refuse_unless, whole};
use crate::apply_claims::lost;
use crate::error::StoreError;
use crate::journal::{Act, MAX_ROWS};
use crate::records::{Actor, Lease};
use crate::rejections::{anew, refuse_rejected};
use crate::removals::{counts, let_go};
use crate::row::damaged;

impl State {
    pub(crate) fn start_apply(
        &mut self,
        (apply, spec_hash): (&NewApply, &SpecHash<'_>),
        actor: &Actor,
        now: Timestamp,
    ) -> Result<ApplyRecord, StoreError> {
        let id = apply.id.to_string();
        if let Some(first) = self.claim_key(&actor.account, apply.key.as_ref(), &id, now)? {
            let first = first.parse().map_err(|_| damaged("resource", first))?;
            return self.existing_apply(first);
        }
        let (plan, documents) = self.to_apply(apply.plan)?;
        if let Some(refusal) = overlap(&self.open_changes(), &plan, &documents) {
            return Err(refusal);
        }
        if let Some(basis) = &apply.brake {
            let_go(basis, self.removals_after(basis.from), &plan)?;
        }
        if apply.unless_rejected {
            let anew = anew(&documents, self.all_desired());
            refuse_rejected(self.all_rejected(), (&plan, &documents, &anew), spec_hash)?;
        }
        if self.applies.contains_key(&apply.id) {
            return Err(StoreError::Exists { what: "apply", id });
        }
        if let Some(plan) = self.plans.row(&apply.plan) {
            plan.applied_at = Some(now);
        }
        let record = begun(apply, actor, now);
        self.applies.put(apply.id, record.clone());
        let changes = planned(apply.id, &plan, &documents);
        let act = Act::request(STARTED, &id, details(&record, &changes));
        self.add_audit(actor, act, now);
        self.add_event(&started(&record, &changes), None, None, now);
        for kept in changes {
            self.changes.put((apply.id, kept.change.position), kept);
        }
        self.keep_standing(&record, &plan, &documents);
        self.forget_old_applies(&record);
        self.existing_apply(apply.id)
    }

    fn to_apply(&self, id: PlanId) -> Result<(Plan, Documents), StoreError> {
        let record = self.plan(id).ok_or_else(|| no_plan(id))?;
        if record.applied_at.is_some() {
            let mut applies = self.applies.values();
            let apply = applies.find(|apply| apply.plan == id);
            let apply = apply.map(|apply| apply.id);
            return Err(StoreError::PlanApplied { plan: id, apply });
        }
        let documents = self.plan_documents(id);
        let documents = documents.ok_or_else(|| no_documents(id))?;
        Ok((record.plan, documents))
    }

    fn open_changes(&self) -> Vec<OpenChange> {
        let open = self.changes.iter();
        let open = open.filter(|(_, kept)| !kept.change.state.is_over());
        let open = open.map(|((apply, _), kept)| {
            let change = &kept.change;
            (change.name.clone(), change.app, *apply)
        });
        open.collect()
    }

    pub(crate) fn removals_after(&self, moment: Timestamp) -> u64 {
        let all = self.changes.iter().filter(|((apply, _), kept)| {
            let apply = self.applies.get(apply);
            apply.is_some_and(|apply| counts(apply, &kept.change, moment))
        });
        u64::try_from(all.count()).unwrap_or(u64::MAX)
    }

    fn keep_standing(&mut self, record: &ApplyRecord, plan: &Plan, documents: &Documents) {
        let before = self.all_desired().into_iter();
        let before: BTreeMap<Hostname, _> =
            before.map(|before| (before.name.clone(), before)).collect();
        let apps = self.apps.values().filter(|app| app.is_live());
        let apps = apps.map(|app| (app.asked.hostname.clone(), app.asked.id));
        let apps: BTreeMap<Hostname, AppId> = apps.collect();
        for (name, spec) in standing(plan, documents) {
            let before = before.get(name);
            let wanted = stands((name, spec), apps.get(name).copied(), before, record);
            match before {
                Some(before) => self.revise(Some(before), wanted, record.started_at),
                None => self.want(wanted, record.started_at),
            }
        }
    }

    fn forget_old_applies(&mut self, record: &ApplyRecord) {
        let own = self.applies.values();
        let own = own.filter(|other| other.asked_by == record.asked_by && other.id != record.id);
        let mut own: Vec<(i64, ApplyId, bool)> = own
            .map(|other| (other.started_at.0, other.id, other.ended_at.is_some()))
            .collect();
        own.sort_unstable();
        let most = APPLIES_KEPT as usize - 1;
        let beyond = own.len().saturating_sub(most);
        let old = own.into_iter().take(beyond);
        for (_, id, _) in old.filter(|(_, _, is_over)| *is_over) {
            let gone: Vec<(ApplyId, u32)> = self.changes_from(id).map(|(key, _)| *key).collect();
            for key in &gone {
                self.changes.remove(key);
            }
            self.applies.remove(&id);
        }
    }

    pub(crate) fn stop_apply(
        &mut self,
        id: ApplyId,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<ApplyRecord, StoreError> {
        let found = self.existing_apply(id)?;
        if !stops(&found)? {
            return Ok(found);
        }
        let record = self.apply_row(id)?;
        record.state = ApplyState::Stopping;
        record.stopped_by = Some(actor.account.clone());
        let target = id.to_string();
        let act = Act::request(STOPPED, &target, json!({ "plan": found.plan }));
        self.add_audit(actor, act, now);
        self.existing_apply(id)
    }

    pub(crate) fn apply_by_id(&self, id: ApplyId) -> Option<ApplyRecord> {
        let record = self.applies.get(&id)?;
        let mut counts = BTreeMap::new();
        for (_, kept) in self.changes_from(id) {
            *counts.entry(kept.change.state).or_insert(0) += 1;
        }
        Some(ApplyRecord {
            counts,
            ..record.clone()
        })
    }

    pub(crate) fn changes_of(&self, id: ApplyId) -> Vec<ApplyChange> {
        let all = self.changes_from(id);
        all.map(|(_, kept)| kept.change.clone()).collect()
    }

    pub(crate) fn newest_applies(&self, account: Option<&str>, limit: u32) -> Vec<ApplyRecord> {
        let all = self.applies.values();
        let all = all.filter(|apply| account.is_none_or(|account| account == apply.asked_by));
        let mut all: Vec<(Timestamp, ApplyId)> =
            all.map(|apply| (apply.started_at, apply.id)).collect();
        all.sort_unstable();
        let most = limit.min(MAX_ROWS) as usize;
        let newest = all.into_iter().rev().take(most);
        newest.filter_map(|(_, id)| self.apply_by_id(id)).collect()
    }

    fn changes_from(&self, id: ApplyId) -> impl Iterator<Item = (&(ApplyId, u32), &KeptChange)> {
        self.changes.range((id, 0)..=(id, u32::MAX))
    }

    fn existing_apply(&self, id: ApplyId) -> Result<ApplyRecord, StoreError> {
        self.apply_by_id(id).ok_or_else(|| no_apply(id))
    }

    fn apply_row(&mut self, id: ApplyId) -> Result<&mut ApplyRecord, StoreError> {
        self.applies.row(&id).ok_or_else(|| no_apply(id))
    }
}

impl State {
    pub(crate) fn claimable_applies(&self) -> Vec<ClaimableApply> {
        let open = self.applies.values();
        let mut open: Vec<_> = open.filter(|apply| apply.ended_at.is_none()).collect();
        open.sort_by_key(|apply| (apply.started_at, apply.id));
        let open = open.into_iter().map(|apply| ClaimableApply {
            id: apply.id,
            epoch: apply.epoch,
            lease: apply.lease,
        });
        open.collect()
    }

    pub(crate) fn claim_apply(
        &mut self,
        seen: &ClaimableApply,
        holder: HolderId,
        lease_ms: i64,
        now: Timestamp,
    ) -> Option<(ApplyRecord, ApplyFence)> {
        let found = self.applies.get(&seen.id)?;
        let last = seen.lease.map(|lease| lease.until);
        let as_seen = found.epoch == seen.epoch && found.lease.map(|lease| lease.until) == last;
        if !as_seen || found.ended_at.is_some() {
            return None;
        }
        let record = self.applies.row(&seen.id)?;
        record.epoch = Epoch(record.epoch.0 + 1);
        record.lease = Some(lease(holder, last, lease_ms, now));
        let fence = ApplyFence {
            apply: record.id,
            holder,
            epoch: record.epoch,
        };
        Some((self.apply_by_id(seen.id)?, fence))
    }

    pub(crate) fn renew_apply(
        &mut self,
        fence: &ApplyFence,
        lease_ms: i64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let held = self.held_apply(fence)?;
        let last = held.lease.map(|lease| lease.until);
        self.apply_row(held.id)?.lease = Some(lease(fence.holder, last, lease_ms, now));
        Ok(held.state == ApplyState::Stopping)
    }

    pub(crate) fn release_apply(&mut self, fence: &ApplyFence) -> Result<(), StoreError> {
        let held = self.held_apply(fence)?;
        self.apply_row(held.id)?.lease = None;
        Ok(())
    }

    /// The apply under the fence; what every write of a loop begins with.
    pub(crate) fn held_apply(&self, fence: &ApplyFence) -> Result<ApplyRecord, StoreError> {
        let holds = |record: &&ApplyRecord| {
            record.epoch == fence.epoch
                && record
                    .lease
                    .is_some_and(|lease| lease.holder == fence.holder)
                && record.ended_at.is_none()
        };
        let found = self.applies.get(&fence.apply).filter(holds);
        found.cloned().ok_or_else(|| lost(fence))
    }
}

/// It grows with each claim and renewal, whatever the clock does.
fn lease(holder: HolderId, last: Option<Timestamp>, lease_ms: i64, now: Timestamp) -> Lease {
    let until = now.0.saturating_add(lease_ms);
    let until = last.map_or(until, |last| until.max(last.0.saturating_add(1)));
    Lease {
        holder,
        until: Timestamp(until),
        lease_ms,
    }
}

impl State {
    pub(crate) fn turn_changes(
        &mut self,
        fence: &ApplyFence,
        next: &Next,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let record = self.held_apply(fence)?;
        if !next.start.is_empty() {
            refuse_stopping(&record)?;
        }
        let versions = self.secret_versions();
        for at in &next.start {
            let kept = self.change_row(record.id, *at)?;
            refuse_unless(&kept.change, ChangeState::Waiting, "be started")?;
            kept.change.state = ChangeState::Started;
            kept.change.started_at = Some(now);
            put_in(&mut kept.secrets, &versions);
        }
        for (at, by) in &next.held_up {
            let why = held_up_by(&self.change_row(record.id, *by)?.change.name);
            self.end_unstarted(record.id, *at, (ChangeState::HeldUp, Some(why)), now)?;
        }
        for at in &next.not_started {
            self.end_unstarted(record.id, *at, (ChangeState::NotStarted, None), now)?;
        }
        Ok(())
    }

    fn end_unstarted(
        &mut self,
        apply: ApplyId,
        at: usize,
        (state, why): (ChangeState, Option<Failure>),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let kept = self.change_row(apply, at)?;
        refuse_unless(
            &kept.change,
            ChangeState::Waiting,
            "end without being started",
        )?;
        kept.end(state, why, now);
        Ok(())
    }

    pub(crate) fn record_change(
        &mut self,
        fence: &ApplyFence,
        position: u32,
        app: Option<AppId>,
        operation: Option<OperationId>,
    ) -> Result<(), StoreError> {
        let record = self.held_apply(fence)?;
        let kept = self.change_row(record.id, whole(position))?;
        refuse_unless(&kept.change, ChangeState::Started, "become anything")?;
        let change = &mut kept.change;
        change.app = app.or(change.app);
        change.operation = operation.or(change.operation);
        Ok(())
    }

    pub(crate) fn end_change(
        &mut self,
        fence: &ApplyFence,
        position: u32,
        (how, spec_hash): (&ChangeEnd, &SpecHash<'_>),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let record = self.held_apply(fence)?;
        let kept = self.change_row(record.id, whole(position))?;
        refuse_unless(&kept.change, ChangeState::Started, "end")?;
        match how {
            ChangeEnd::Done => {
                kept.end(ChangeState::Done, None, now);
                let kept = kept.clone();
                let is_now = spec_hash(kept.spec.as_ref())?;
                let before = self.newest_desired(&kept.change.name);
                let wanted = became(&kept, before.as_ref(), &record, now);
                self.want(wanted, now);
                self.forget_rejected(&kept.change.name, &is_now, now);
            }
            ChangeEnd::Failed(why) => kept.end(ChangeState::Failed, Some(why.clone()), now),
        }
        Ok(())
    }

    pub(crate) fn end_apply(
        &mut self,
        fence: &ApplyFence,
        now: Timestamp,
    ) -> Result<ApplyRecord, StoreError> {
        let held = self.held_apply(fence)?;
        let changes = self.changes_of(held.id);
        let (state, why) = end_of(&held, changes.iter())?;
        let record = self.apply_row(held.id)?;
        record.state = state;
        record.ended_at = Some(now);
        record.why = why.cloned();
        record.lease = None;
        let record = self.existing_apply(held.id)?;
        self.add_event(&over(&record), None, None, now);
        Ok(record)
    }

    fn change_row(&mut self, apply: ApplyId, at: usize) -> Result<&mut KeptChange, StoreError> {
        let position = u32::try_from(at).map_err(|_| no_change(at))?;
        let kept = self.changes.row(&(apply, position));
        kept.ok_or_else(|| no_change(at))
    }
}

impl KeptChange {
    fn end(&mut self, state: ChangeState, why: Option<Failure>, now: Timestamp) {
        self.change.state = state;
        self.change.why = why;
        self.change.ended_at = Some(now);
    }
}
