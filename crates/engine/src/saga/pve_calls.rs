//! Mutating calls to PVE: each is audited under the fence before it is sent, and its task is awaited.

use proximity_domain::destroy::{DestroyPermit, PERMIT_VALID_MS};
use proximity_domain::failure::Failure;
use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;
use proximity_pve::Client;
use proximity_pve::error::Error as PveError;
use proximity_pve::lxc::{ConfigDigest, CreateLxc};
use proximity_pve::task::TaskOutcome;
use proximity_pve::transport::says_out_of_files;
use proximity_pve::upid::Upid;
use proximity_pve::wording::{says_guest_was_not_free, says_lock_timeout};
use proximity_store::effects::{Effects, MutationAudit};
use serde_json::{Value, json};

use super::context::Cx;
use super::guards::{Guard, is_off};
use super::sent::Change;
use super::step::{StepError, StepResult};
use crate::denied::denied_hint;
use crate::error::OUT_OF_FILES_HINT;
use crate::view;

/// What an error of the client means for a step.
pub(crate) fn pve_failure(doing: &str, error: &PveError) -> StepError {
    let failure = |code: &str, hint: &str| Failure::new(code, format!("{doing}: {error}"), hint);
    match error {
        PveError::NotSent { why, .. } if says_out_of_files(why) => {
            StepError::Transient(failure("out_of_files", OUT_OF_FILES_HINT))
        }
        PveError::NotSent { .. } => StepError::Transient(failure(
            "pve_unreachable",
            "check that the node is up and reachable, then retry",
        )),
        PveError::Untrusted { .. } => StepError::Failed(failure(
            "fingerprint_mismatch",
            "compare it with `pvenode cert info` on the node; if it was renewed, add the host again",
        )),
        PveError::Unauthorized { .. } => StepError::Failed(failure(
            "token_invalid",
            "check the API token in PVE (it may be deleted or expired), then add the host again",
        )),
        PveError::SecondFactor { .. } => StepError::Failed(failure(
            "token_invalid",
            "add the host with an API token, which needs no second factor",
        )),
        PveError::MaybeApplied { .. } => StepError::Uncertain(failure(
            "pve_outcome_unknown",
            "look at the task list in PVE; retry lets Proximity look again before it acts",
        )),
        PveError::PermitExpired => StepError::Transient(failure(
            "permit_expired",
            "the node was slow; retry looks again",
        )),
        PveError::Unreadable { .. } => StepError::Transient(failure(
            "pve_unreadable",
            "PVE's answer could not be read; check its version, then retry",
        )),
        refused @ PveError::Refused { .. } => refusal(refused, failure),
    }
}

const LOCKED_HINT: &str =
    "another task works on the container in PVE; wait for it, or unlock it with pct unlock";
const LOCK_TIMEOUT_HINT: &str = "another task worked on the container for so long that nothing was done; wait for it, then retry";

/// What a refusal of PVE means for a step.
fn refusal(refused: &PveError, failure: impl Fn(&str, &str) -> Failure) -> StepError {
    if refused.is_vmid_taken() {
        // It may be our own call that arrived late, after a crash: only a look can tell.
        return StepError::Uncertain(failure("vmid_taken", "retry chooses a new VMID"));
    }
    if refused.is_already_running() || refused.is_not_running() || refused.is_missing_config() {
        // The state changed between look and call; looking again decides.
        return StepError::Transient(failure("state_changed", "somebody else acts on it; retry"));
    }
    if refused.is_node_unreachable() {
        StepError::Transient(failure(
            "pve_node_unreachable",
            "check that the node is up, then retry",
        ))
    } else if refused.is_permission_denied() {
        StepError::Failed(failure("pve_permission_denied", &denied_hint(refused)))
    } else if let PveError::Refused { message, .. } = refused
        && says_guest_was_not_free(message)
        && refused.is_locked().is_some()
    {
        // As at the end of a task, and before there is one: nothing was done.
        StepError::Transient(failure("container_locked", LOCKED_HINT))
    } else if refused.is_locked().is_some() {
        StepError::Failed(failure("container_locked", LOCKED_HINT))
    } else if refused.is_lock_timeout() {
        // PVE says so before it does anything.
        StepError::Transient(failure("container_locked", LOCK_TIMEOUT_HINT))
    } else if refused.is_digest_mismatch() {
        StepError::Transient(failure(
            "config_changed",
            "somebody edited it at the same time; retry",
        ))
    } else {
        StepError::Failed(failure(
            "pve_refused",
            "read PVE's message; retry when it is mended",
        ))
    }
}

/// Kinds of tasks that a cancel does not wait for.
const LET_GO: [&str; 4] = ["vzcreate", "vzrestore", "download", "ociregistrypull"];
/// Kinds of tasks that make a guest under the number they name. A clone names the number of what it copies.
const MAKERS: [&str; 4] = ["vzcreate", "vzrestore", "qmcreate", "qmrestore"];

impl Cx {
    pub(super) fn audit(
        &self,
        call: String,
        place: &ContainerRef,
        details: Value,
    ) -> MutationAudit {
        MutationAudit {
            call,
            target: format!("{}/{}/{}", self.cluster.label(), place.node, place.vmid),
            details,
        }
    }

    /// Audits, sends, records the task, awaits it. The identity must have been read in this step. A refusal is noted where the
    /// call is a `change` of which it is asked later what became of it.
    pub(super) async fn task<F, Fut>(
        &self,
        doing: &'static str,
        change: Option<Change>,
        call: String,
        place: &ContainerRef,
        details: Value,
        send: F,
    ) -> StepResult<TaskOutcome>
    where
        F: FnOnce(Client) -> Fut,
        Fut: Future<Output = Result<Upid, PveError>>,
    {
        // A destroy has its permit, for which quorum was read.
        if change != Some(Change::Destroy) {
            self.must_have_quorum(place).await?;
        }
        let sending = self.cuts.call();
        // It is waited for from its audit on, so it does not leave long after that. A destroy has its permit.
        let waits = matches!(change, Some(Change::PowerOff | Change::Grow));
        let soon = waits.then(|| self.changes_within(PERMIT_VALID_MS));
        let audit = self.audit(call, place, details);
        let (call, target) = (audit.call.clone(), audit.target.clone());
        self.record_mutation(audit, Effects::default()).await?;
        self.crash_point("before_call");
        let upid = match send(soon.unwrap_or_else(|| self.changes())).await {
            Ok(upid) => upid,
            Err(e) => {
                if change.is_some() && !e.is_maybe_applied() {
                    self.settle(call, target, None).await?;
                }
                return Err(pve_failure(doing, &e));
            }
        };
        self.crash_point("after_call");
        self.store()
            .record_upid(
                &self.fence,
                self.step_index(),
                &upid.to_string(),
                self.now(),
            )
            .await?;
        self.crash_point("after_upid");
        drop(sending);
        self.await_task(doing, &upid).await
    }

    /// Nothing is sent to a node that cannot change its cluster's configuration: it refuses some of it, and does a part of the
    /// rest.
    pub(super) async fn must_have_quorum(&self, place: &ContainerRef) -> StepResult<()> {
        let membership = view::status(&self.cluster)
            .await
            .map_err(|e| pve_failure("reading the cluster's status", &e))?;
        if view::has_quorum(&membership, &place.node) {
            return Ok(());
        }
        Err(StepError::Transient(Failure::new(
            "no_quorum",
            format!("node {} has no quorum, and nothing was sent", place.node),
            "bring the cluster back to quorum; what is asked for goes on then, or retry",
        )))
    }

    /// Waits for a task; an unknown outcome is uncertain, never a failure.
    ///
    /// A cancel does not stop the task: PVE would leave a half made container or one half shut down. A create is awaited by
    /// its undo, and a download of a template or image leaves nothing to undo, so the operation turns back at once; every other task is
    /// awaited first.
    pub(crate) async fn await_task(&self, doing: &str, upid: &Upid) -> StepResult<TaskOutcome> {
        let is_let_go = LET_GO.contains(&upid.kind());
        let _settling = (!is_let_go).then(|| self.cuts.settle());
        let waited = self
            .cluster
            .watcher()
            .wait(upid, self.limits().task_ms)
            .await
            .map_err(|e| pve_failure(doing, &e))?;
        if let TaskOutcome::Unknown(why) = &waited {
            return Err(StepError::Uncertain(Failure::new(
                "task_outcome_unknown",
                format!("{doing}: {why} ({upid})"),
                "look at the task in PVE; retry lets Proximity look again before it acts",
            )));
        }
        Ok(waited)
    }

    /// The task of this kind that the step has started before, as long as its verdict counts: once a failure named it, a
    /// person has seen how it ended, and their retry goes by a new look.
    pub(crate) fn earlier_task(&self, kind: &str) -> Option<Upid> {
        let upid: Upid = self.row()?.upid?.parse().ok()?;
        (upid.kind() == kind && !self.was_seen(&upid)).then_some(upid)
    }

    /// A failure of the step named this task, so a person has seen how it ended.
    pub(crate) fn was_seen(&self, upid: &Upid) -> bool {
        let failure = self.row().and_then(|row| row.failure);
        failure.is_some_and(|f| f.message.contains(upid.as_str()))
    }

    /// A task that did not end well, as the end of its step: to be tried again where its guest was not free, for then
    /// nothing was done.
    pub(crate) fn unless_ended_well(doing: &str, outcome: &TaskOutcome) -> Option<StepError> {
        let failure = Self::task_failed(doing, outcome)?;
        Some(if Self::did_nothing(outcome) {
            StepError::Transient(failure)
        } else {
            StepError::Failed(failure)
        })
    }

    /// The guest was not free, which PVE finds out before it does anything.
    pub(crate) fn did_nothing(outcome: &TaskOutcome) -> bool {
        matches!(outcome, TaskOutcome::Failed(text) if says_guest_was_not_free(text))
    }

    /// A task that did not end well, as a failure.
    pub(crate) fn task_failed(doing: &str, outcome: &TaskOutcome) -> Option<Failure> {
        match outcome {
            TaskOutcome::Ok | TaskOutcome::Warnings(_) => None,
            TaskOutcome::Failed(text) | TaskOutcome::Unknown(text) => {
                Some(task_failure(doing, text))
            }
        }
    }

    pub(crate) async fn create_lxc(
        &self,
        place: &ContainerRef,
        create: CreateLxc,
    ) -> StepResult<TaskOutcome> {
        let call = format!("POST /nodes/{}/lxc", place.node);
        let create = if is_off(Guard::Intent) {
            CreateLxc {
                description: String::new(),
                ..create
            }
        } else {
            create
        };
        let details = json!({ "vmid": place.vmid, "hostname": create.hostname, "ostemplate": create.ostemplate });
        self.task(
            "creating the container",
            Some(Change::Create),
            call,
            place,
            details,
            |client| async move { client.create_lxc(&place.node, create).await },
        )
        .await
    }

    pub(crate) async fn start_lxc(&self, place: &ContainerRef) -> StepResult<TaskOutcome> {
        let call = format!("POST /nodes/{}/lxc/{}/status/start", place.node, place.vmid);
        self.task(
            "starting the container",
            None,
            call,
            place,
            json!({}),
            |client| async move { client.start(&place.node, place.vmid).await },
        )
        .await
    }

    /// Sets PVE's `protection`, only if the configuration is still the one that was read. Of a call that lifts it is noted how it
    /// ended: what this operation lifted, and nothing else, it puts back.
    pub(crate) async fn protect_lxc(
        &self,
        place: &ContainerRef,
        on: bool,
        digest: &str,
    ) -> StepResult<()> {
        let call = format!("PUT /nodes/{}/lxc/{}/config", place.node, place.vmid);
        let unread = || {
            StepError::Transient(Failure::new(
                "pve_unreadable",
                "the container's configuration was read without a digest, so a change of it would be unguarded",
                "retry reads it again",
            ))
        };
        let guard: ConfigDigest = digest.parse().map_err(|_| unread())?;
        let details = json!({ "protection": u8::from(on), "digest": digest });
        self.must_have_quorum(place).await?;
        let _sending = self.cuts.call();
        // A lift is waited for from its audit on, as what switches off.
        let soon = (!on).then(|| self.changes_within(PERMIT_VALID_MS));
        let audit = self.audit(call, place, details);
        let (call, target) = (audit.call.clone(), audit.target.clone());
        self.record_mutation(audit, Effects::default()).await?;
        self.crash_point("before_call");
        let changes = soon.unwrap_or_else(|| self.changes());
        let sent = changes.set_protection(&place.node, place.vmid, on, &guard);
        if let Err(e) = sent.await {
            if !on && !e.is_maybe_applied() {
                self.settle(call, target, None).await?;
            }
            return Err(pve_failure("changing the container's protection", &e));
        }
        self.crash_point("after_call");
        if on {
            Ok(())
        } else {
            self.settle_done(call, target).await
        }
    }

    /// Sends the one destroy call there is, by permit, and awaits its task.
    pub(crate) async fn destroy_lxc(&self, permit: DestroyPermit) -> StepResult<TaskOutcome> {
        let place = permit.place().clone();
        let call = delete(&place);
        let details = if permit.purges() {
            json!({ "purge": 1 })
        } else {
            json!({})
        };
        self.task(
            "destroying the container",
            Some(Change::Destroy),
            call,
            &place,
            details,
            |client| async move { client.destroy_lxc(permit).await },
        )
        .await
    }

    /// Notes that a destroy call of this step had this task, and that a person has seen how it ended.
    pub(crate) async fn settle_destroy(&self, place: &ContainerRef, upid: &Upid) -> StepResult<()> {
        let sent = self.audit(delete(place), place, Value::Null);
        self.settle(sent.call, sent.target, Some(upid)).await
    }

    /// Notes that a destroy call of this step had this task, which the step saw end before it did anything.
    pub(crate) async fn settle_void_destroy(
        &self,
        place: &ContainerRef,
        upid: &Upid,
    ) -> StepResult<()> {
        let sent = self.audit(delete(place), place, Value::Null);
        self.settle_void(sent.call, sent.target, upid).await
    }

    /// A task that makes a guest under this VMID now, if there is one: a create of ours, or somebody's create or restore. What
    /// else runs there (a console, a backup) is not waited for.
    pub(crate) async fn running_create(
        &self,
        node: &NodeName,
        vmid: Vmid,
    ) -> StepResult<Option<Upid>> {
        let tasks = self.running(node, vmid).await?;
        Ok(tasks.into_iter().find(|t| MAKERS.contains(&t.kind())))
    }

    /// A task of this kind on this VMID that runs now, if there is one.
    pub(crate) async fn running_task(
        &self,
        node: &NodeName,
        vmid: Vmid,
        kind: &str,
    ) -> StepResult<Option<Upid>> {
        let tasks = self.running(node, vmid).await?;
        Ok(tasks.into_iter().find(|t| t.kind() == kind))
    }

    async fn running(&self, node: &NodeName, vmid: Vmid) -> StepResult<Vec<Upid>> {
        self.cluster
            .running_tasks(node, vmid)
            .await
            .map_err(|e| pve_failure("reading the node's running tasks", &e))
    }
}

fn delete(place: &ContainerRef) -> String {
    format!("DELETE /nodes/{}/lxc/{}", place.node, place.vmid)
}

/// Texts PVE ends a task with, made into failures with a next step.
fn task_failure(doing: &str, text: &str) -> Failure {
    let (code, hint) = if says_lock_timeout(text) && says_guest_was_not_free(text) {
        ("container_locked", LOCK_TIMEOUT_HINT)
    } else if text.contains("can't lock file '") {
        (
            "pve_task_failed",
            "another task of the node held what this one needed; read the task's log in PVE, then retry",
        )
    } else if text.contains("container did not stop") || text.contains("timeout") {
        (
            "shutdown_timed_out",
            "repeat with --force-stop (for stop and restart: --force)",
        )
    } else if text.contains("does not exist") && text.contains("vztmpl") {
        (
            "template_missing",
            "download it in PVE: node, storage, CT Templates, Templates (or pveam download STORAGE NAME)",
        )
    } else if proximity_pve::wording::says_vmid_taken(text) {
        (
            "vmid_taken",
            "another container took the id at the same moment; retry chooses a new one",
        )
    } else if text.contains("CT is locked") {
        ("container_locked", LOCKED_HINT)
    } else {
        (
            "pve_task_failed",
            "read the task's log in PVE; retry when it is mended",
        )
    };
    Failure::new(code, format!("{doing}: {text}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_want_of_files_here_is_not_the_nodes_fault_and_is_tried_again() {
        let of = |why: &str| {
            let (call, why) = ("GET /nodes".to_owned(), why.to_owned());
            match pve_failure("looking", &PveError::NotSent { call, why }) {
                StepError::Transient(failure) => failure.code,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(of(proximity_pve::transport::OUT_OF_FILES), "out_of_files");
        assert_eq!(of("no connection in time"), "pve_unreachable");
    }

    /// PVE waits 10 s for a configuration that somebody else works on, and has done nothing then: no reason to force anything.
    #[test]
    fn a_configuration_that_was_not_free_is_locked_and_no_shutdown_that_took_too_long() {
        let text = "can't lock file '/run/lock/lxc/pve-config-110.lock' - got timeout\n";
        assert_eq!(task_failure("starting", text).code, "container_locked");
        let refused = PveError::Refused {
            call: "PUT /nodes/pve1/lxc/110/config".to_owned(),
            status: 500,
            reason: "Internal Server Error".to_owned(),
            message: text.trim_end().to_owned(),
            errors: std::collections::BTreeMap::new(),
        };
        let StepError::Transient(failure) = pve_failure("changing it", &refused) else {
            panic!("nothing was done, so it is tried again")
        };
        assert_eq!(failure.code, "container_locked");
        // Another lock, and one met on the way: something may have been done, and no force helps.
        for text in [
            "unable to create CT 110 - can't lock file '/var/lock/pve-manager/pve-storage-local' - got timeout",
            "unable to destroy CT 110 - can't lock file '/run/lock/lxc/pve-config-110.lock' - got timeout",
        ] {
            let failure = task_failure("creating", text);
            assert_eq!(failure.code, "pve_task_failed");
            assert!(!failure.hint.contains("force"), "{failure:?}");
        }
        let slow = "command 'lxc-stop -n 110 --timeout 60' failed: got timeout";
        assert_eq!(task_failure("stopping", slow).code, "shutdown_timed_out");
    }
}
