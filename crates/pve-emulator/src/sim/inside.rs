//! What `pct` does inside a simulated guest.

use std::time::Duration;

use super::driver::{SimDriver, now_s};
use super::guest::{self, Ended, Exec, Outcome, Wish};
use super::room::Change;
use crate::core::guest::GuestKey;

/// What a process ends with whose guest is gone.
const KILLED: u8 = 137;

/// A command with its input; see [`Exec`].
pub(crate) type InsideExec = Exec;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InsideOutcome {
    Ended(Ended),
    /// Nothing was done: it is to be given again with its input.
    NeedsInput,
    /// The guest does not run.
    NotRunning,
}

impl SimDriver {
    /// Runs a command to its end, however long that takes. Dropping this leaves what it started in the guest.
    ///
    /// # Errors
    /// The guest's state cannot be kept.
    pub(crate) async fn exec(&self, key: &GuestKey, exec: &Exec) -> Result<InsideOutcome, String> {
        let room = self.room(key);
        let mut changes = room.changes();
        let mut deadline = None;
        loop {
            if !room.look(|guest| guest.running).await.unwrap_or(false) {
                return Ok(InsideOutcome::NotRunning);
            }
            changes.mark_unchanged();
            let outcome = room.change(now_s(), |guest, world| {
                let outcome = guest::exec(guest, world, exec);
                match outcome {
                    Outcome::NeedsInput | Outcome::Blocked { .. } => Change::Drop(outcome),
                    Outcome::Ended(_) | Outcome::Later { .. } | Outcome::Hangs { .. } => {
                        Change::Keep(outcome)
                    }
                }
            });
            let (pid, after, ended) = match outcome.await? {
                Outcome::Ended(ended) => return Ok(InsideOutcome::Ended(ended)),
                Outcome::NeedsInput => return Ok(InsideOutcome::NeedsInput),
                Outcome::Later {
                    pid,
                    after_ms,
                    ended,
                } => (pid, Some(Duration::from_millis(after_ms)), Some(ended)),
                Outcome::Hangs { pid } => (pid, None, None),
                Outcome::Blocked { wait_ms } => {
                    let limit = wait_ms.map(Duration::from_millis).unwrap_or(FOREVER);
                    let until =
                        *deadline.get_or_insert_with(|| tokio::time::Instant::now() + limit);
                    let changed = tokio::time::timeout_at(until, changes.changed()).await;
                    if changed.is_err() {
                        let ended = Ended {
                            exit: 1,
                            ..Ended::default()
                        };
                        return Ok(InsideOutcome::Ended(ended));
                    }
                    continue;
                }
            };
            let killed = async {
                while room.look(|guest| guest.processes.contains_key(&pid)).await == Some(true) {
                    // The room is held, so its sender lives.
                    let _ = changes.changed().await;
                }
            };
            if tokio::time::timeout(after.unwrap_or(FOREVER), killed)
                .await
                .is_ok()
            {
                let ended = Ended {
                    exit: KILLED,
                    ..Ended::default()
                };
                return Ok(InsideOutcome::Ended(ended));
            }
            room.change(now_s(), |guest, _| {
                guest.end_process(pid);
                Change::Keep(())
            })
            .await?;
            return Ok(InsideOutcome::Ended(ended.unwrap_or_default()));
        }
    }

    /// Writes a file; the inner error is the tool's text.
    ///
    /// # Errors
    /// There is no guest, or its state cannot be kept.
    pub(crate) async fn push(
        &self,
        key: &GuestKey,
        path: &str,
        content: &[u8],
        wish: &Wish,
    ) -> Result<Result<(), String>, String> {
        let now = now_s();
        let room = self.room(key);
        let pushed = room.change(now, |guest, _| {
            match guest::push(guest, path, content.to_vec(), wish, now) {
                Ok(()) => Change::Keep(Ok(())),
                // As the real tool: what was begun may be there.
                Err(text) => Change::Keep(Err(text)),
            }
        });
        pushed.await
    }

    /// Reads a file; the inner error is the tool's text.
    ///
    /// # Errors
    /// There is no guest.
    pub(crate) async fn pull(
        &self,
        key: &GuestKey,
        path: &str,
    ) -> Result<Result<Vec<u8>, String>, String> {
        let pulled = self.room(key).look(|guest| guest::pull(guest, path)).await;
        pulled.ok_or_else(|| format!("there is no guest {}", key.vmid))
    }
}

/// Longer than any lab runs.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 86_400);
