//! Acting inside a guest of ours: identity before every command, one lock in the guest named after the operation.

use std::sync::Arc;

use bytes::Bytes;
use proximity_domain::failure::Failure;
use proximity_domain::guest::NativeGuest;
use proximity_pve::guest::{Exec, ExecOutput, GuestAccess, GuestError, GuestTarget, Push};
use proximity_store::effects::MutationAudit;
use serde_json::json;

use crate::saga::{Cx, StepError, StepResult};

/// How much of a command's output is kept.
const MAX_OUTPUT_BYTES: usize = 256 * 1024;
/// How long a command may take unless said otherwise.
const LOOK_MS: u64 = 60_000;
/// How long a command that installs may take.
const WORK_MS: u64 = 1_200_000;
/// How long a command of a worker that died is awaited.
const LOCK_WAIT_S: u64 = 900;

/// A way into one guest, for one operation.
pub(crate) struct GuestSession<'a> {
    cx: &'a Cx,
    guest: NativeGuest,
    access: Arc<dyn GuestAccess>,
}

impl<'a> GuestSession<'a> {
    pub(crate) fn open(cx: &'a Cx, guest: NativeGuest) -> StepResult<Self> {
        let access = cx.cluster.guest_access().cloned().ok_or_else(|| {
            StepError::Failed(Failure::new(
                "no_guest_access",
                format!("host {} has no way into its containers", cx.cluster.label()),
                "remove the host and add it again with --ssh (root on the node)",
            ))
        })?;
        Ok(Self { cx, guest, access })
    }

    fn target(&self) -> GuestTarget {
        GuestTarget {
            node: self.guest.place.node.clone(),
            vmid: self.guest.place.vmid,
        }
    }

    /// Runs a command that changes nothing.
    pub(crate) async fn look(&self, argv: &[&str]) -> StepResult<ExecOutput> {
        self.cx.must_be_ours(&self.guest).await?;
        let exec = Exec {
            argv: argv.iter().map(|a| (*a).to_owned()).collect(),
            stdin: None,
            timeout_ms: LOOK_MS,
            max_output_bytes: MAX_OUTPUT_BYTES,
        };
        self.access
            .exec(&self.target(), exec)
            .await
            .map_err(|e| guest_failure(&e))
    }

    /// Runs a command that changes something, under the operation's lock in the guest: a run that an earlier worker left
    /// behind is awaited, so that two never work at the same time.
    pub(crate) async fn change(&self, argv: &[&str]) -> StepResult<ExecOutput> {
        let audited = MutationAudit {
            call: "exec".to_owned(),
            target: self.audit_target(),
            details: json!({ "argv": argv }),
        };
        self.cx.must_be_ours(&self.guest).await?;
        self.cx.record_mutation(audited).await?;
        self.cx.crash_point("before_call");
        let lock = format!("/run/lock/proximity-{}", self.cx.op.id);
        let wait = LOCK_WAIT_S.to_string();
        let mut locked: Vec<String> = ["flock", "--wait", &wait, &lock]
            .into_iter()
            .map(str::to_owned)
            .collect();
        locked.extend(argv.iter().map(|a| (*a).to_owned()));
        let exec = Exec {
            argv: locked,
            stdin: None,
            timeout_ms: WORK_MS,
            max_output_bytes: MAX_OUTPUT_BYTES,
        };
        let output = self
            .access
            .exec(&self.target(), exec)
            .await
            .map_err(|e| guest_failure(&e))?;
        self.cx.crash_point("after_call");
        Ok(output)
    }

    /// As [`Self::change`]; a command that fails is a failure with the end of its output.
    pub(crate) async fn must(&self, doing: &str, argv: &[&str]) -> StepResult<ExecOutput> {
        let output = self.change(argv).await?;
        if output.exit_code == 0 {
            Ok(output)
        } else {
            Err(command_failed(doing, &output))
        }
    }

    /// Puts a file there.
    pub(crate) async fn push(&self, push: Push) -> StepResult<()> {
        self.cx.must_be_ours(&self.guest).await?;
        self.cx
            .record_mutation(MutationAudit {
                call: "push".to_owned(),
                target: self.audit_target(),
                details: json!({ "path": push.path, "mode": format!("{:o}", push.mode), "bytes": push.content.len() }),
            })
            .await?;
        self.access
            .push(&self.target(), push)
            .await
            .map_err(|e| guest_failure(&e))
    }

    fn audit_target(&self) -> String {
        let place = &self.guest.place;
        format!("{}/{}/{}", self.cx.cluster.label(), place.node, place.vmid)
    }
}

/// The end of a command's output, as a failure. Looking again rarely helps, but an archive's mirror may come back.
pub(crate) fn command_failed(doing: &str, output: &ExecOutput) -> StepError {
    StepError::Transient(Failure::new(
        "command_failed",
        format!(
            "{doing}: exit code {}: {}",
            output.exit_code,
            last_lines(output)
        ),
        "look at the message; retry when it is mended",
    ))
}

/// The end of what it complained and of what it printed: tools put the cause into either.
fn last_lines(output: &ExecOutput) -> String {
    let tail = |bytes: &Bytes, count: usize| {
        let text = String::from_utf8_lossy(bytes);
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty())
            .collect();
        let from = lines.len().saturating_sub(count);
        lines.get(from..).unwrap_or_default().join(" / ")
    };
    let said = [tail(&output.stderr, 3), tail(&output.stdout, 6)];
    let said: Vec<&str> = said
        .iter()
        .map(String::as_str)
        .filter(|s| !s.is_empty())
        .collect();
    said.join(" | ").chars().take(1_000).collect()
}

/// What goes wrong on the way into a guest. Steps inside look first, so all but the impossible may be tried again.
fn guest_failure(error: &GuestError) -> StepError {
    let failure = |code: &str, hint: &str| Failure::new(code, error.to_string(), hint);
    match error {
        GuestError::Impossible(_) | GuestError::TooLarge { .. } => StepError::Failed(failure(
            "guest_request_refused",
            "report this as a bug in the catalog entry",
        )),
        GuestError::UnknownNode(_) => StepError::Failed(failure(
            "ssh_node_unknown",
            "remove the host and add it again, so that this node's SSH is known",
        )),
        GuestError::Untrusted { .. } => StepError::Failed(failure(
            "ssh_host_key_changed",
            "check the node; if its key was changed on purpose, add the host again",
        )),
        GuestError::NotSent { .. } => StepError::Transient(failure(
            "ssh_unreachable",
            "check the node's SSH and that our public key is in its authorized_keys",
        )),
        GuestError::MaybeApplied { .. } => StepError::Transient(failure(
            "guest_outcome_unknown",
            "it is looked at again before it is repeated",
        )),
        GuestError::NotRunning { .. } => {
            StepError::Failed(failure("container_stopped", "somebody stopped it; retry"))
        }
        GuestError::NotThere { .. } => StepError::Failed(failure(
            "container_elsewhere",
            "it may have been migrated; move it back, then retry",
        )),
        GuestError::Failed { .. } => {
            StepError::Transient(failure("guest_access_failed", "look at the node's log"))
        }
    }
}
