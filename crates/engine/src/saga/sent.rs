//! What became of the calls a step has sent to make, destroy or switch off a container, to lift its protection, or to change what
//! it may use: an answer may be lost, and the call arrive later all the same.
//!
//! Each call is audited before it is sent. Those of which it is known how they ended are noted in the step's intent; of
//! the others a container may still come, or go.

use proximity_domain::ids::{OperationId, Vmid};
use proximity_domain::time::Timestamp;
use proximity_pve::upid::Upid;
use proximity_store::Store;
use proximity_store::error::StoreError;
use proximity_store::views::AuditRow;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::context::Cx;
use super::step::StepResult;

/// The key of the step's intent that holds them.
const SETTLED: &str = "settled";
/// How far the clock of a node may be behind ours, seconds.
const CLOCKS_APART_S: i64 = 300;

/// A kind of call that is not sent again as if nothing had been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Create,
    Destroy,
    /// `protection=0`. The call that protects goes to the same path; only what was audited with it tells them apart.
    Unprotect,
    /// A shutdown, or a forced stop.
    PowerOff,
    /// Memory and cores. It goes to the path of [`Self::Unprotect`]; what was audited with it tells them apart.
    Limits,
    /// A volume that grows.
    Grow,
}

impl Change {
    /// Whether the call is of this kind and for this number, on any node.
    fn is(self, call: &str, target: &str, vmid: Vmid) -> bool {
        let for_number = target.ends_with(&format!("/{vmid}"));
        for_number
            && match self {
                // A clone's path names its source, its target the number that it is to get.
                Self::Create => {
                    let makes = call.ends_with("/lxc") || call.ends_with("/clone");
                    call.starts_with("POST ") && makes
                }
                Self::Destroy => {
                    call.starts_with("DELETE ") && call.ends_with(&format!("/lxc/{vmid}"))
                }
                Self::Unprotect | Self::Limits => {
                    call.starts_with("PUT ") && call.ends_with(&format!("/lxc/{vmid}/config"))
                }
                Self::Grow => {
                    call.starts_with("PUT ") && call.ends_with(&format!("/lxc/{vmid}/resize"))
                }
                Self::PowerOff => {
                    let to = |what: &str| call.ends_with(&format!("/lxc/{vmid}/status/{what}"));
                    call.starts_with("POST ") && (to("shutdown") || to("stop"))
                }
            }
    }

    /// Whether the call was sent with what makes it one of this kind.
    fn is_sent_with(self, details: &Value) -> bool {
        match self {
            Self::Create | Self::Destroy | Self::PowerOff | Self::Grow => true,
            Self::Unprotect => details["protection"] == 0,
            Self::Limits => details["keys"].is_object(),
        }
    }
}

/// A call of which it is known how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Settled {
    call: String,
    target: String,
    /// Its task, if it got one.
    upid: Option<String>,
    /// It was done with its answer, and has no task. Without a task and without this it did nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    done: bool,
    /// The step itself read that its task ended before it did anything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    void: bool,
}

impl Settled {
    fn did_nothing(&self) -> bool {
        self.void || (self.upid.is_none() && !self.done)
    }
}

/// The calls of one kind that a step has sent for one number.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// When each was audited, oldest first.
    at: Vec<Timestamp>,
    settled: Vec<Settled>,
    /// The newest of them, as it was audited.
    last: Option<AuditRow>,
}

impl Sent {
    /// Those of this kind for this number among what a step has audited, oldest first; `intent` is that step's.
    pub(super) fn of(change: Change, vmid: Vmid, audited: &[AuditRow], intent: &Value) -> Self {
        let is_one = |a: &&AuditRow| {
            change.is(&a.action, &a.target, vmid) && change.is_sent_with(&a.details)
        };
        let ours: Vec<&AuditRow> = audited.iter().filter(is_one).collect();
        let mut settled = settled_in(intent);
        settled.retain(|s| change.is(&s.call, &s.target, vmid));
        Self {
            at: ours.iter().map(|a| a.at).collect(),
            settled,
            last: ours.last().map(|a| (*a).clone()),
        }
    }

    /// The newest, as it was audited.
    pub(super) fn last(&self) -> Option<&AuditRow> {
        self.last.as_ref()
    }

    /// None has left, or each was refused, by PVE or by its task before that did anything: what has the number cannot come from us.
    pub(crate) fn did_nothing(&self) -> bool {
        self.effective() == 0
    }

    /// How many have left and were not refused, nor ended before they did anything.
    pub(crate) fn effective(&self) -> usize {
        let void = self.settled.iter().filter(|call| call.did_nothing());
        self.at.len().saturating_sub(void.count())
    }

    /// Whether there is a call of which nothing is known, when `more` are known to have ended beside those on record.
    pub(crate) fn is_in_doubt(&self, more: usize) -> bool {
        self.at.len() > self.settled.len().saturating_add(more)
    }

    /// From when on its tasks are to be looked for, seconds since 1970 by a node's clock.
    pub(crate) fn since_s(&self) -> Option<u64> {
        self.at.first().map(|at| earliest_s(*at))
    }

    /// How long the last call may still be under way, if a call can be for `late_ms`.
    pub(crate) fn late_for_ms(&self, now: Timestamp, late_ms: u64) -> u64 {
        let Some(last) = self.at.last() else {
            return 0;
        };
        // A clock that was set back makes no wait longer.
        let passed = u64::try_from(now.0.saturating_sub(last.0)).unwrap_or(0);
        late_ms.saturating_sub(passed)
    }

    pub(crate) fn knows(&self, upid: &Upid) -> bool {
        let known = |call: &Settled| call.upid.as_deref() == Some(upid.as_str());
        self.settled.iter().any(known)
    }
}

/// The earliest that the clock of a node may have shown then, seconds since 1970.
pub(super) fn earliest_s(at: Timestamp) -> u64 {
    u64::try_from(at.0 / 1_000 - CLOCKS_APART_S).unwrap_or(0)
}

/// What a step's intent holds of calls of which it is known how they ended.
fn settled_in(intent: &Value) -> Vec<Settled> {
    serde_json::from_value(intent[SETTLED].clone()).unwrap_or_default()
}

/// Whether a call of this operation that destroys the container of this number has left, and was not refused, nor its task ended
/// before it did anything: then its absence is our own doing, whatever the operation could read back of it.
///
/// # Errors
/// The database's.
pub(crate) async fn may_have_destroyed(
    store: &Store,
    operation: OperationId,
    vmid: Vmid,
) -> Result<bool, StoreError> {
    for step in store.steps(operation).await? {
        let audited = store.mutations(operation, step.index).await?;
        let sent = Sent::of(Change::Destroy, vmid, &audited, &step.intent);
        if !sent.did_nothing() {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Cx {
    /// What this step has sent of this kind for this number.
    pub(crate) async fn sent(&self, change: Change, vmid: Vmid) -> StepResult<Sent> {
        let audited = self
            .store()
            .mutations(self.op.id, self.step_index())
            .await?;
        let intent = self.row().map_or(Value::Null, |row| row.intent);
        Ok(Sent::of(change, vmid, &audited, &intent))
    }

    fn settled(&self) -> Vec<Settled> {
        self.row()
            .map_or_else(Vec::new, |row| settled_in(&row.intent))
    }

    /// Notes that the call just sent did nothing, or how the one ended that got this task.
    pub(crate) async fn settle(
        &self,
        call: String,
        target: String,
        upid: Option<&Upid>,
    ) -> StepResult<()> {
        let upid = upid.map(ToString::to_string);
        self.settle_once(Settled {
            call,
            target,
            upid,
            done: false,
            void: false,
        })
        .await
    }

    /// Notes that the call that got this task did nothing: the step has read that the task ended before it did.
    pub(crate) async fn settle_void(
        &self,
        call: String,
        target: String,
        upid: &Upid,
    ) -> StepResult<()> {
        self.settle_once(Settled {
            call,
            target,
            upid: Some(upid.to_string()),
            done: false,
            void: true,
        })
        .await
    }

    /// A task is noted once.
    async fn settle_once(&self, call: Settled) -> StepResult<()> {
        let is_noted = |settled: &Settled| settled.upid == call.upid;
        if call.upid.is_some() && self.settled().iter().any(is_noted) {
            return Ok(());
        }
        self.note_settled(call).await
    }

    /// Notes that the call just sent was done with its answer.
    pub(crate) async fn settle_done(&self, call: String, target: String) -> StepResult<()> {
        self.note_settled(Settled {
            call,
            target,
            upid: None,
            done: true,
            void: false,
        })
        .await
    }

    async fn note_settled(&self, call: Settled) -> StepResult<()> {
        let mut settled = self.settled();
        settled.push(call);
        let mut intent = self.row().map_or(Value::Null, |row| row.intent);
        if !intent.is_object() {
            intent = json!({});
        }
        intent[SETTLED] = json!(settled);
        self.store()
            .amend_intent(&self.fence, self.step_index(), intent, self.now())
            .await?;
        self.reload().await.map_err(super::step::StepError::Halt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(at: &[i64], refused: usize) -> Sent {
        let call = Settled {
            call: "POST /nodes/pve1/lxc".to_owned(),
            target: "lab/pve1/100".to_owned(),
            upid: None,
            done: false,
            void: false,
        };
        Sent {
            at: at.iter().copied().map(Timestamp).collect(),
            settled: vec![call; refused],
            last: None,
        }
    }

    #[test]
    fn a_call_without_an_answer_may_have_worked_and_a_refused_one_may_not() {
        assert!(sent(&[], 0).did_nothing());
        assert!(sent(&[1], 1).did_nothing());
        assert!(!sent(&[1], 0).did_nothing());
        assert!(!sent(&[1, 2], 1).did_nothing());
        assert_eq!(sent(&[1, 2], 1).effective(), 1);
        assert!(sent(&[1, 2], 1).is_in_doubt(0));
        assert!(!sent(&[1, 2], 1).is_in_doubt(1));
    }

    #[test]
    fn a_call_may_be_late_for_so_long_and_no_clock_makes_it_longer() {
        let calls = sent(&[1_000, 5_000], 0);
        assert_eq!(calls.late_for_ms(Timestamp(5_400), 1_000), 600);
        assert_eq!(calls.late_for_ms(Timestamp(6_000), 1_000), 0);
        assert_eq!(calls.late_for_ms(Timestamp(-9_000_000), 1_000), 1_000);
        assert_eq!(sent(&[], 0).late_for_ms(Timestamp(0), 1_000), 0);
    }

    #[test]
    fn kinds_and_numbers_are_told_apart() {
        let vmid = Vmid::try_from(100).unwrap();
        let is = |change: Change, call: &str, target: &str| change.is(call, target, vmid);
        let make = "POST /nodes/pve1/lxc";
        assert!(is(Change::Create, make, "lab/pve1/100"));
        assert!(!is(Change::Create, make, "lab/pve1/1100"));
        assert!(!is(Change::Destroy, make, "lab/pve1/100"));
        let copy = "POST /nodes/pve1/lxc/101/clone";
        assert!(is(Change::Create, copy, "lab/pve1/100"));
        assert!(!is(Change::Create, copy, "lab/pve1/101"));
        let start = "POST /nodes/pve1/lxc/100/status/start";
        assert!(!is(Change::Create, start, "lab/pve1/100"));
        let delete = "DELETE /nodes/pve2/lxc/100";
        assert!(is(Change::Destroy, delete, "lab/pve2/100"));
        let put = "PUT /nodes/pve1/lxc/100/config";
        assert!(is(Change::Unprotect, put, "lab/pve1/100"));
        assert!(!is(Change::Unprotect, put, "lab/pve1/101"));
        assert!(!is(Change::Unprotect, start, "lab/pve1/100"));
        for off in ["shutdown", "stop"] {
            let off = format!("POST /nodes/pve1/lxc/100/status/{off}");
            assert!(is(Change::PowerOff, &off, "lab/pve1/100"));
            assert!(!is(Change::PowerOff, &off, "lab/pve1/101"));
        }
        assert!(is(Change::Limits, put, "lab/pve1/100"));
        let resize = "PUT /nodes/pve1/lxc/100/resize";
        assert!(is(Change::Grow, resize, "lab/pve1/100"));
        assert!(!is(Change::Grow, put, "lab/pve1/100"));
        assert!(!is(Change::Limits, resize, "lab/pve1/100"));
        assert!(!is(Change::PowerOff, start, "lab/pve1/100"));
        assert!(!is(Change::PowerOff, make, "lab/pve1/100"));
    }

    /// Both go to the same path, and only the one that lifts has to be answered for.
    #[test]
    fn a_lift_is_told_from_a_call_that_protects() {
        let lifts = |details: Value| Change::Unprotect.is_sent_with(&details);
        assert!(lifts(json!({ "protection": 0, "digest": "a" })));
        assert!(!lifts(json!({ "protection": 1, "digest": "a" })));
        assert!(!lifts(json!({})));
        let limits = |details: Value| Change::Limits.is_sent_with(&details);
        assert!(limits(json!({ "keys": { "memory": 512 }, "digest": "a" })));
        assert!(!limits(json!({ "protection": 0, "digest": "a" })));
    }

    #[test]
    fn a_call_that_was_done_with_its_answer_did_something_and_is_in_no_doubt() {
        let mut calls = sent(&[1], 1);
        calls.settled[0].done = true;
        assert!(!calls.did_nothing() && !calls.is_in_doubt(0));
    }

    #[test]
    fn a_call_whose_task_ended_before_it_did_anything_did_nothing() {
        let mut calls = sent(&[1, 2], 2);
        for call in &mut calls.settled {
            call.upid = Some("UPID:pve1:1:1:1:vzdestroy:100:root@pam:".to_owned());
            call.void = true;
        }
        assert!(calls.did_nothing() && !calls.is_in_doubt(0));
        calls.settled[1].void = false;
        assert!(
            !calls.did_nothing(),
            "of one only a person saw how it ended"
        );
    }

    /// What an earlier version has noted is read as it was.
    #[test]
    fn what_is_noted_says_only_what_is_so() {
        let noted =
            json!({ "call": "DELETE /nodes/pve1/lxc/100", "target": "lab/pve1/100", "upid": "x" });
        let read = settled_in(&json!({ SETTLED: [noted] }));
        assert!(!read[0].void && !read[0].done && !read[0].did_nothing());
        assert_eq!(json!(read), json!([noted]));
        let void = Settled {
            void: true,
            ..read[0].clone()
        };
        assert_eq!(settled_in(&json!({ SETTLED: [void] })), [void]);
    }
}
