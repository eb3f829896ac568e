//! Acting inside a guest of ours: identity before every command, one lock in the guest named after the operation.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use proximity_domain::failure::Failure;
use proximity_domain::guest::NativeGuest;
use proximity_pve::guest::{Exec, ExecOutput, GuestAccess, GuestError, GuestOwner, GuestTarget};
use proximity_store::effects::{Effects, MutationAudit, NewLogLine};
use proximity_store::records::LogLevel;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::guest_output::{GuestOutput, Telling, Told, shown};
use crate::mask::Masker;
use crate::saga::{Cx, StepError, StepResult};

/// How much of a command's output is kept.
const MAX_OUTPUT_BYTES: usize = 256 * 1024;
/// How long a command may take unless said otherwise.
const LOOK_MS: u64 = 60_000;
/// How long a command that installs may take.
const WORK_MS: u64 = 1_200_000;
/// How long a command of a worker that died is awaited.
const LOCK_WAIT_S: u64 = 900;

/// How often what a command prints is told.
const TELL_MS: u64 = 1_000;
/// How long ending a cancelled command may take.
const END_MS: u64 = 20_000;

/// Ends every process that has the file `$1` open: a command, its children, and `flock` itself. First by TERM; what is
/// still there after five seconds by KILL. Looks only into `/proc`, for a small guest has no `fuser`.
const END_HOLDERS: &str = r#"
holders() {
  for fd in /proc/[0-9]*/fd/*; do
    [ "$(readlink "$fd")" = "$1" ] || continue
    pid=${fd#/proc/}; pid=${pid%%/*}
    [ "$pid" = "$$" ] || echo "$pid"
  done | sort -u
}
for try in 1 2 3 4 5 6 7 8 9 10; do
  left=$(holders "$1")
  [ -n "$left" ] || exit 0
  if [ "$try" -lt 6 ]; then kill -TERM $left; else kill -KILL $left; fi
  sleep 1
done
[ -z "$(holders "$1")" ]
"#;

/// What changes something in a guest. It does not print: its input may be secret.
pub(crate) struct Command {
    /// In words, e.g. `installing packages`.
    pub(crate) doing: &'static str,
    pub(crate) argv: Vec<String>,
    /// What it reads. Unlike its arguments it is on no record.
    pub(crate) stdin: Option<Bytes>,
    /// What of its output is told.
    pub(crate) told: Told,
}

impl Command {
    /// Without input, and its answer is for us.
    pub(crate) fn new(doing: &'static str, argv: &[&str]) -> Self {
        Self {
            doing,
            argv: argv.iter().map(|a| (*a).to_owned()).collect(),
            stdin: None,
            told: Told::Complaints,
        }
    }

    fn details(&self) -> Value {
        let mut details = json!({ "argv": self.argv });
        if let Some(stdin) = &self.stdin {
            details["stdin_bytes"] = json!(stdin.len());
        }
        details
    }
}

/// A way into one guest, for one operation.
pub(crate) struct GuestSession<'a> {
    cx: &'a Cx,
    guest: NativeGuest,
    access: Arc<dyn GuestAccess>,
    masker: Masker,
    /// What commands printed at their end: it is committed with what is committed next.
    unsaid: Mutex<Vec<NewLogLine>>,
}

impl<'a> GuestSession<'a> {
    /// What commands print goes into the app's log without what the masker takes out.
    pub(crate) fn open(cx: &'a Cx, guest: NativeGuest, masker: Masker) -> StepResult<Self> {
        let access = cx.cluster.guest_access().cloned().ok_or_else(|| {
            StepError::Failed(Failure::new(
                "no_guest_access",
                format!("host {} has no way into its containers", cx.cluster.label()),
                "let Proximity in: proximity hosts install-helper HOST --ssh-key FILE",
            ))
        })?;
        Ok(Self {
            cx,
            guest,
            access,
            masker,
            unsaid: Mutex::default(),
        })
    }

    fn target(&self) -> GuestTarget {
        GuestTarget {
            node: self.guest.place.node.clone(),
            vmid: self.guest.place.vmid,
            owner: GuestOwner::Made(self.guest.identity.clone()),
        }
    }

    /// Runs a command that changes nothing.
    pub(crate) async fn look(&self, argv: &[&str]) -> StepResult<ExecOutput> {
        self.look_within(argv, LOOK_MS).await
    }

    /// The same, with another limit of time.
    pub(crate) async fn look_within(
        &self,
        argv: &[&str],
        timeout_ms: u64,
    ) -> StepResult<ExecOutput> {
        self.cx.must_be_ours(&self.guest).await?;
        let exec = Exec {
            argv: argv.iter().map(|a| (*a).to_owned()).collect(),
            stdin: None,
            timeout_ms,
            max_output_bytes: MAX_OUTPUT_BYTES,
            send_before: None,
        };
        self.access
            .exec(&self.target(), exec)
            .await
            .map_err(|e| guest_failure(&e))
    }

    /// Runs a command that changes something, under the operation's lock in the guest: a run that an earlier worker left
    /// behind is awaited, so that two never work at the same time. `line` goes into the app's log before.
    pub(crate) async fn change(
        &self,
        command: &Command,
        line: Option<NewLogLine>,
    ) -> StepResult<ExecOutput> {
        let audited = MutationAudit {
            call: "exec".to_owned(),
            target: self.audit_target(),
            details: command.details(),
        };
        let mut said = Effects {
            log: self.unsaid(),
            ..Effects::default()
        };
        said.log.extend(line);
        self.cx.must_be_ours(&self.guest).await?;
        let _calling = self.cx.cuts.call();
        self.cx.record_mutation(audited, said).await?;
        self.cx.crash_point("before_call");
        let lock = self.lock();
        let wait = LOCK_WAIT_S.to_string();
        let mut locked: Vec<String> = ["flock", "--wait", &wait, &lock]
            .into_iter()
            .map(str::to_owned)
            .collect();
        locked.extend(command.argv.iter().cloned());
        let exec = Exec {
            argv: locked,
            stdin: command.stdin.clone(),
            timeout_ms: WORK_MS,
            max_output_bytes: MAX_OUTPUT_BYTES,
            send_before: Some(self.send_before()?),
        };
        let target = self.target();
        let heard = GuestOutput::new(&self.masker, command.told);
        let output = tokio::select! {
            biased;
            output = self.access.exec_heard(&target, exec, &heard) => output,
            () = self.cx.cuts.cancelled(&self.cx.reins) => {
                self.keep(heard.rest());
                return Err(self.end_command().await);
            }
            never = self.tell(&heard) => match never {},
        };
        self.keep(heard.rest());
        self.cx.crash_point("after_call");
        output.map_err(|e| guest_failure(&e))
    }

    /// Puts what is heard into the app's log from time to time, for those who look on. Never ends.
    async fn tell(&self, heard: &GuestOutput<'_>) -> Infallible {
        loop {
            self.cx.pause_ms(TELL_MS).await;
            let telling = Telling::of(heard);
            if telling.lines.is_empty() {
                continue;
            }
            let lines = telling.lines.iter();
            let log = lines.map(|line| self.printed(line)).collect();
            let effects = Effects {
                log,
                ..Effects::default()
            };
            let cx = self.cx;
            match cx.store().note(&cx.fence, effects, cx.now()).await {
                Ok(_) => telling.done(),
                // Tried again with the next ones; the command itself matters more.
                Err(error) => {
                    tracing::debug!(operation = %cx.op.id, %error, "what a command prints could not be told");
                }
            }
        }
    }

    /// A line of a command, told apart from our own words.
    fn printed(&self, line: &str) -> NewLogLine {
        self.cx.line(LogLevel::Info, format!("| {line}"))
    }

    fn keep(&self, lines: Vec<String>) {
        let mut unsaid = self.unsaid.lock().unwrap_or_else(PoisonError::into_inner);
        unsaid.extend(lines.iter().map(|line| self.printed(line)));
    }

    /// What commands printed and nobody was told: to be committed by the caller.
    pub(crate) fn unsaid(&self) -> Vec<NewLogLine> {
        let mut unsaid = self.unsaid.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut unsaid)
    }

    /// The same, committed now: the step does not end well.
    pub(crate) async fn say_unsaid(&self) -> StepResult<()> {
        let log = self.unsaid();
        if log.is_empty() {
            return Ok(());
        }
        let effects = Effects {
            log,
            ..Effects::default()
        };
        let cx = self.cx;
        cx.store().note(&cx.fence, effects, cx.now()).await?;
        Ok(())
    }

    /// What takes secrets out of what is shown.
    pub(crate) fn masker(&self) -> &Masker {
        &self.masker
    }

    /// The operation's lock in the guest. Every process of a command holds it open.
    fn lock(&self) -> String {
        format!("/run/lock/proximity-{}", self.cx.op.id)
    }

    /// From when on nothing that changes the guest is sent any more.
    fn send_before(&self) -> StepResult<Instant> {
        let clock = &self.cx.engine.inner.parts.clock;
        let warrant = self.cx.warrant();
        warrant.send_before(clock.as_ref()).ok_or_else(|| {
            StepError::Transient(Failure::new(
                "lease_ending",
                "the time in which the command might be sent was over",
                "it is looked at again before it is repeated",
            ))
        })
    }

    /// Ends what runs in the guest under the operation's lock: a person cancelled it. Gives what the step ends with.
    async fn end_command(&self) -> StepError {
        let audited = MutationAudit {
            call: "exec".to_owned(),
            target: self.audit_target(),
            details: json!({ "argv": ["end what holds", self.lock()] }),
        };
        if let Err(e) = self.cx.record_mutation(audited, Effects::default()).await {
            return e;
        }
        let send_before = match self.send_before() {
            Ok(limit) => Some(limit),
            Err(e) => return e,
        };
        let argv = ["/bin/sh", "-c", END_HOLDERS, "end", &self.lock()];
        let exec = Exec {
            argv: argv.map(str::to_owned).to_vec(),
            stdin: None,
            timeout_ms: END_MS,
            max_output_bytes: MAX_OUTPUT_BYTES,
            send_before,
        };
        // If it cannot be ended, the lock keeps a later run waiting, and unwinding stops the container.
        match self.access.exec(&self.target(), exec).await {
            Ok(ended) if ended.exit_code == 0 => {}
            Ok(ended) => {
                tracing::warn!(operation = %self.cx.op.id, code = ended.exit_code, "a cancelled command was not ended");
            }
            Err(error) => {
                tracing::warn!(operation = %self.cx.op.id, %error, "a cancelled command was not ended");
            }
        }
        StepError::Cancelled
    }

    fn audit_target(&self) -> String {
        let place = &self.guest.place;
        format!("{}/{}/{}", self.cx.cluster.label(), place.node, place.vmid)
    }
}

/// The end of a command's output, as a failure. Looking again rarely helps, but an archive's mirror may come back.
pub(crate) fn command_failed(doing: &str, output: &ExecOutput, masker: &Masker) -> StepError {
    StepError::Transient(Failure::new(
        "command_failed",
        format!(
            "{doing}: exit code {}: {}",
            output.exit_code,
            last_lines(output, masker)
        ),
        "look at the message; retry when it is mended",
    ))
}

/// The end of what it complained and of what it printed: tools put the cause into either.
pub(super) fn last_lines(output: &ExecOutput, masker: &Masker) -> String {
    let tail = |bytes: &Bytes, count: usize| {
        let text = String::from_utf8_lossy(bytes);
        let mut lines: Vec<&str> = text.lines().collect();
        if output.truncated {
            // What is cut off there may be the beginning of a secret.
            lines.pop();
        }
        let lines: Vec<String> = lines
            .into_iter()
            .map(|line| shown(line, masker).trim().to_owned())
            .filter(|line| !line.is_empty())
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
pub(crate) fn guest_failure(error: &GuestError) -> StepError {
    let failure = |code: &str, hint: &str| Failure::new(code, error.to_string(), hint);
    match error {
        GuestError::Impossible(_) | GuestError::TooLarge { .. } => StepError::Failed(failure(
            "guest_request_refused",
            "report this as a bug in the catalog entry",
        )),
        GuestError::UnknownNode(_) => StepError::Failed(failure(
            "ssh_node_unknown",
            "let Proximity into the node with: proximity hosts ssh HOST NODE; then retry",
        )),
        GuestError::Untrusted { .. } => StepError::Failed(failure(
            "ssh_host_key_changed",
            "check the node; if its key was changed on purpose, take the new one with: proximity hosts ssh HOST NODE; then retry",
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
            "it may have been migrated; retry looks for it and goes on where it is",
        )),
        GuestError::Refused { .. } => StepError::Failed(failure(
            "identity_conflict",
            "compare the container's mark, address and volume with the app's record; nothing was done to it",
        )),
        GuestError::NotAllowed { .. } => StepError::Failed(failure(
            "helper_not_allowed",
            "if Proximity may enter it, run as root on that node what the message says; then retry",
        )),
        GuestError::NoHelper { .. } => StepError::Failed(failure(
            "helper_missing",
            "put this version's helper there with: proximity hosts install-helper HOST --node NODE --ssh-key FILE; then retry",
        )),
        GuestError::Declined { .. } => StepError::Transient(failure(
            "helper_declined",
            "make room on that node, or wait until fewer commands run there, as the message says; it is tried again",
        )),
        GuestError::Failed { .. } => {
            StepError::Transient(failure("guest_access_failed", "look at the node's log"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the step ends with, and whether it is tried again.
    fn told(error: &GuestError) -> (bool, Failure) {
        match guest_failure(error) {
            StepError::Transient(failure) => (true, failure),
            StepError::Failed(failure) => (false, failure),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_the_helper_refuses_comes_with_the_step_that_mends_it() {
        let (node, message) = ("pve1".to_owned(), "its own words".to_owned());
        let both = || (node.clone(), message.clone());
        let of = |make: fn((String, String)) -> GuestError| told(&make(both()));
        for ((again, failure), expected, code, hint) in [
            (
                of(|(node, message)| GuestError::NoHelper { node, message }),
                false,
                "helper_missing",
                "install-helper HOST --node NODE",
            ),
            (
                of(|(node, message)| GuestError::Declined { node, message }),
                true,
                "helper_declined",
                "room on that node",
            ),
            (
                of(|(node, message)| GuestError::NotAllowed { node, message }),
                false,
                "helper_not_allowed",
                "as root on that node",
            ),
            (
                of(|(node, message)| GuestError::Refused { node, message }),
                false,
                "identity_conflict",
                "mark",
            ),
            (
                of(|(node, why)| GuestError::NotSent { node, why }),
                true,
                "ssh_unreachable",
                "SSH",
            ),
        ] {
            assert_eq!((again, failure.code.as_str()), (expected, code));
            assert!(failure.message.contains("its own words"), "{failure:?}");
            assert!(failure.hint.contains(hint), "{failure:?}");
        }
    }
}
