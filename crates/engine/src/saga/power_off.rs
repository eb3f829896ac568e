//! Switching a container off: gracefully, or by force where a request covers it.
//!
//! The answer to such a call may be lost, and the call arrive later all the same: at a container that was started again by then,
//! or at another one that has the number. So nothing goes on before what was sent has shown itself among the node's tasks, or
//! can no longer arrive.

use proximity_domain::app::AppClass;
use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::Vmid;
use proximity_domain::time::Timestamp;
use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::Client;
use proximity_pve::error::Error as PveError;
use proximity_pve::task::{TaskFilter, TaskOutcome, TaskRow};
use proximity_pve::upid::Upid;
use proximity_store::views::AuditRow;
use serde_json::{Value, json};

use super::arrival::{FreeWay, LOOK_EVERY_MS};
use super::context::Cx;
use super::pve_calls::pve_failure;
use super::sent::{Change, Sent, earliest_s};
use super::step::{StepError, StepResult};
use crate::cluster::tokens;

/// The task of a shutdown.
const SHUTDOWN: &str = "vzshutdown";
/// The task of a forced stop.
const STOP: &str = "vzstop";
/// Under which key the audit of a call has the tasks of before it.
const BEFORE: &str = "tasks_before";

/// The tasks there were right before a call that switches a container off, of those that its own task could be taken for: it is
/// none of them.
#[derive(Debug)]
pub(crate) struct Before(Vec<Upid>);

impl Before {
    /// Of these, seen at this moment or later.
    fn of(tasks: &[TaskRow], at: Timestamp) -> Self {
        let since_s = earliest_s(at);
        let all = tasks.iter().map(|task| &task.upid);
        Self(all.filter(|u| u.start_s() >= since_s).cloned().collect())
    }
}

impl Cx {
    /// A graceful shutdown. `before` was looked at in this step, and so was the identity.
    pub(crate) async fn shutdown_lxc(
        &self,
        place: &ContainerRef,
        timeout_s: u32,
        before: &Before,
    ) -> StepResult<TaskOutcome> {
        let details = json!({ "timeout": timeout_s, "forceStop": 0 });
        self.power_off(
            "shutting the container down",
            SHUTDOWN,
            place,
            details,
            before,
            |client| async move { client.shutdown(&place.node, place.vmid, timeout_s).await },
        )
        .await
    }

    /// Forced stop: only where the operation's own request covers it (doctrine: disruptive). As for a shutdown.
    pub(crate) async fn stop_lxc(
        &self,
        place: &ContainerRef,
        before: &Before,
    ) -> StepResult<TaskOutcome> {
        self.power_off(
            "stopping the container by force",
            STOP,
            place,
            json!({}),
            before,
            |client| async move { client.stop(&place.node, place.vmid).await },
        )
        .await
    }

    async fn power_off<F, Fut>(
        &self,
        doing: &'static str,
        kind: &str,
        place: &ContainerRef,
        mut details: Value,
        before: &Before,
        send: F,
    ) -> StepResult<TaskOutcome>
    where
        F: FnOnce(Client) -> Fut,
        Fut: Future<Output = Result<Upid, PveError>>,
    {
        if let Some(upid) = self.answered() {
            // The next task takes its place in the step's row.
            let sent = self.audit(call_of(upid.kind(), place), place, Value::Null);
            self.settle(sent.call, sent.target, Some(&upid)).await?;
        }
        details[BEFORE] = json!(before.0);
        let (change, call) = (Some(Change::PowerOff), call_of(kind, place));
        let outcome = self.task(doing, change, call, place, details, send).await?;
        // The row names its task now.
        self.reload().await.map_err(StepError::Halt)?;
        Ok(outcome)
    }

    /// Waits for what switches the container off now, whoever began it, and for what this step has sent: until that has shown
    /// itself among the node's tasks, or can no longer arrive. Gives the tasks there are then, for the next call.
    pub(crate) async fn await_power_off(
        &self,
        doing: &str,
        place: &ContainerRef,
    ) -> StepResult<Before> {
        let clock = &self.engine.inner.parts.clock;
        let (began, mut awaited) = (clock.monotonic(), Vec::new());
        let mut way = FreeWay::default();
        loop {
            let now = self.now();
            let tasks = self.power_offs(place).await?;
            let running = tasks
                .iter()
                .find(|task| task.is_running() && !awaited.contains(&task.upid));
            if let Some(task) = running {
                self.await_task(doing, &task.upid).await?;
                awaited.push(task.upid.clone());
                continue;
            }
            let sent = self.sent(Change::PowerOff, place.vmid).await?;
            let answered = self.answered();
            if self.is_open(&sent)
                && let Some((of, upid)) = shown(&tasks, &sent, answered.as_ref(), &self.sender())
            {
                let (call, target) = (of.action.clone(), of.target.clone());
                self.settle(call, target, Some(upid)).await?;
                continue;
            }
            let free_ms = self.limits().power_off_late_ms;
            let left_ms = match self.is_open(&sent) {
                true => self.left_ms(&sent, place, free_ms, &mut way).await,
                false => 0,
            };
            let waited_ms = clock.monotonic().since_ms(began);
            if left_ms == 0 || waited_ms >= self.limits().proxied_late_ms {
                return Ok(Before::of(&tasks, now));
            }
            self.pause_ms(left_ms.min(LOOK_EVERY_MS)).await;
        }
    }

    /// Before the step is done with this number where nothing is to be switched off: a call of it that may still arrive would hit
    /// whoever has the number then.
    pub(crate) async fn outwait_power_off(
        &self,
        doing: &str,
        place: &ContainerRef,
    ) -> StepResult<()> {
        if self.may_power_off(place.vmid).await? {
            self.await_power_off(doing, place).await?;
        }
        Ok(())
    }

    /// The tasks there are, for a call that follows at once, whatever is under way.
    pub(crate) async fn tasks_before(&self, place: &ContainerRef) -> StepResult<Before> {
        let now = self.now();
        Ok(Before::of(&self.power_offs(place).await?, now))
    }

    /// Whether a call of this step that switches off may still arrive.
    async fn may_power_off(&self, vmid: Vmid) -> StepResult<bool> {
        let sent = self.sent(Change::PowerOff, vmid).await?;
        let kept_ms = sent.late_for_ms(self.now(), self.limits().proxied_late_ms);
        Ok(self.is_open(&sent) && kept_ms > 0)
    }

    /// Whether there is one of which nothing is known.
    fn is_open(&self, sent: &Sent) -> bool {
        let answered = self.answered().filter(|upid| !sent.knows(upid));
        sent.is_in_doubt(usize::from(answered.is_some()))
    }

    /// The task of the last one that was answered, as long as it is on the step's row.
    fn answered(&self) -> Option<Upid> {
        let upid: Upid = self.row()?.upid?.parse().ok()?;
        [SHUTDOWN, STOP].contains(&upid.kind()).then_some(upid)
    }

    /// Whose tasks those of our calls are: of the token that they go with.
    pub(crate) fn sender(&self) -> String {
        let purpose = match self.app.class {
            AppClass::Native => TokenPurpose::Operate,
            AppClass::Adopted => TokenPurpose::Adopted,
        };
        tokens(self.cluster.host()).of(purpose).id.clone()
    }

    /// Tasks that switch this container off, running and ended ones, the newest at least.
    async fn power_offs(&self, place: &ContainerRef) -> StepResult<Vec<TaskRow>> {
        let filter = TaskFilter {
            vmid: Some(place.vmid),
            ..TaskFilter::default()
        };
        let read = self.cluster.read();
        let mut tasks = read
            .node_tasks(&place.node, &filter)
            .await
            .map_err(|e| pve_failure("reading the node's tasks", &e))?;
        tasks.retain(|task| [SHUTDOWN, STOP].contains(&task.upid.kind()));
        Ok(tasks)
    }
}

/// The call that begins a task of this kind.
fn call_of(kind: &str, place: &ContainerRef) -> String {
    let to = if kind == STOP { "stop" } else { "shutdown" };
    let (node, vmid) = (&place.node, place.vmid);
    format!("POST /nodes/{node}/lxc/{vmid}/status/{to}")
}

/// The task of the newest call, with that call, if it is among these: it began when that was sent or later, and was not there
/// before, nor is it another call's or another user's than the `sender`'s. Of a call that was audited without the tasks of
/// before it, none is known to be its own.
fn shown<'a>(
    tasks: &'a [TaskRow],
    sent: &'a Sent,
    answered: Option<&Upid>,
    sender: &str,
) -> Option<(&'a AuditRow, &'a Upid)> {
    let last = sent.last()?;
    let before: Vec<String> = serde_json::from_value(last.details[BEFORE].clone()).ok()?;
    let is_stop = last.action.ends_with("/status/stop");
    let (kind, since_s) = (if is_stop { STOP } else { SHUTDOWN }, earliest_s(last.at));
    let is_its = |upid: &&Upid| {
        upid.kind() == kind
            && upid.user() == sender
            && upid.start_s() >= since_s
            && !before.iter().any(|text| text == upid.as_str())
            && !sent.knows(upid)
            && answered != Some(*upid)
    };
    let upid = tasks.iter().map(|task| &task.upid).find(is_its)?;
    Some((last, upid))
}

#[cfg(test)]
mod tests {
    use proximity_store::views::AuditKind;

    use super::*;

    /// When the call was audited, seconds.
    const SENT_S: i64 = 1_700_000_000;
    /// Who sent it.
    const US: &str = "root@pam!gold";

    fn upid(kind: &str, start_s: i64) -> Upid {
        upid_of(US, kind, start_s)
    }

    fn upid_of(user: &str, kind: &str, start_s: i64) -> Upid {
        let text = format!("UPID:pve1:000002F5:0006BA26:{start_s:08X}:{kind}:100:{user}:");
        text.parse().unwrap()
    }

    fn ended(upids: &[&Upid]) -> Vec<TaskRow> {
        let row = |upid: &&Upid| TaskRow {
            upid: (*upid).clone(),
            end_s: Some(upid.start_s() + 1),
            outcome: Some(TaskOutcome::Ok),
        };
        upids.iter().map(row).collect()
    }

    /// A shutdown, or a stop, that was audited with these details; those that are settled had these tasks.
    fn sent(to: &str, details: Value, settled: &[&Upid]) -> Sent {
        let vmid = Vmid::try_from(100).unwrap();
        let (action, target) = (
            format!("POST /nodes/pve1/lxc/100/status/{to}"),
            "lab/pve1/100".to_owned(),
        );
        let settled: Vec<Value> = settled
            .iter()
            .map(|upid| json!({ "call": action, "target": target, "upid": upid }))
            .collect();
        let audited = AuditRow {
            seq: 1,
            at: Timestamp(SENT_S * 1_000),
            account: "admin".to_owned(),
            token: None,
            kind: AuditKind::Mutation,
            action,
            target,
            details,
            operation: None,
            step: None,
            epoch: None,
        };
        let intent = json!({ "settled": settled });
        Sent::of(Change::PowerOff, vmid, &[audited], &intent)
    }

    #[test]
    fn a_task_that_came_after_the_call_and_belongs_to_no_other_is_its_own() {
        let (old, of_before) = (upid(SHUTDOWN, SENT_S - 301), upid(SHUTDOWN, SENT_S - 60));
        let (other, its) = (upid(STOP, SENT_S + 1), upid(SHUTDOWN, SENT_S + 2));
        let details = json!({ "tasks_before": [of_before] });
        let call = sent("shutdown", details.clone(), &[]);
        let of = |tasks: &[&Upid], call: &Sent, answered: Option<&Upid>| {
            let tasks = ended(tasks);
            shown(&tasks, call, answered, US).map(|(_, upid)| upid.clone())
        };
        let none_of_it = [&old, &of_before, &other];
        assert_eq!(of(&none_of_it, &call, None), None);
        let all = [&old, &of_before, &other, &its];
        assert_eq!(of(&all, &call, None), Some(its.clone()));
        assert_eq!(of(&all, &call, Some(&its)), None, "of an answered call");
        let known = sent("shutdown", details.clone(), &[&its]);
        assert_eq!(of(&all, &known, None), None, "of one that is settled");
        let stop = sent("stop", details, &[]);
        assert_eq!(of(&all, &stop, None), Some(other.clone()));
        let untold = sent("shutdown", json!({ "timeout": 60 }), &[]);
        assert_eq!(of(&all, &untold, None), None, "nobody looked before it");
    }

    /// That our call may still arrive is as true as before.
    #[test]
    fn a_task_of_somebody_else_is_not_that_of_a_call_of_ours() {
        let call = sent("shutdown", json!({ "tasks_before": [] }), &[]);
        let its = upid(SHUTDOWN, SENT_S + 2);
        for user in ["root@pam", "root@pam!silver", "gold@pve"] {
            let theirs = upid_of(user, SHUTDOWN, SENT_S + 1);
            let alone = ended(&[&theirs]);
            assert!(shown(&alone, &call, None, US).is_none(), "{user}");
            let both = ended(&[&theirs, &its]);
            let found = shown(&both, &call, None, US).map(|(_, upid)| upid);
            assert_eq!(found, Some(&its), "{user}");
        }
    }

    #[test]
    fn what_is_kept_of_before_is_what_could_be_taken_for_the_call_s_own() {
        let (old, new) = (upid(SHUTDOWN, SENT_S - 301), upid(STOP, SENT_S - 300));
        let Before(kept) = Before::of(&ended(&[&old, &new]), Timestamp(SENT_S * 1_000));
        assert_eq!(kept, [new]);
    }
}
