//! SIGTERM and SIGINT as a cancelled token; the end of the parent as SIGTERM.

use rustix::process::{
    Pid, Signal, getpid, getppid, kill_process, set_parent_process_death_signal,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failed::Failed;

/// What a second SIGTERM or SIGINT means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// Nothing: what is being taken down has to be taken down.
    Waits,
    /// The process ends at once: whoever sends it does not want to wait for work in flight.
    Ends,
}

/// A token that is cancelled at the first SIGTERM, SIGINT or SIGHUP.
///
/// # Errors
/// The system takes no handlers.
pub(crate) fn shutdown_token(again: Again) -> Result<CancellationToken, Failed> {
    let token = CancellationToken::new();
    for kind in [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
    ] {
        let mut arrived = signal(kind).map_err(|e| {
            Failed::error(
                "signals",
                format!("cannot wait for signals: {e}"),
                "report it",
            )
        })?;
        let token = token.clone();
        tokio::spawn(async move {
            while arrived.recv().await.is_some() {
                if token.is_cancelled() && again == Again::Ends && kind != SignalKind::hangup() {
                    end_at_once();
                }
                tracing::info!("asked to end");
                token.cancel();
            }
        });
    }
    Ok(token)
}

/// What is in flight is found by the next start, as after any other kill.
fn end_at_once() {
    tracing::warn!("asked to end again: ending at once");
    if let Err(error) = kill_process(getpid(), Signal::KILL) {
        tracing::error!(%error, "cannot end at once");
    }
}

/// From here on the kernel asks this process to end when its parent ends.
///
/// # Errors
/// The parent has ended already, or the system refuses.
pub(crate) fn die_with_parent(parent: u32) -> Result<(), Failed> {
    let refused = |why: String| {
        let message = format!("cannot follow process {parent} in its end: {why}");
        Failed::error("parent_gone", message, "start it without --die-with-parent")
    };
    set_parent_process_death_signal(Some(Signal::TERM)).map_err(|e| refused(e.to_string()))?;
    // It may have ended before the line above: then nothing would ever be sent.
    let now = getppid().map_or(0, |pid| Pid::as_raw(Some(pid)));
    if u32::try_from(now) == Ok(parent) {
        Ok(())
    } else {
        Err(refused(format!("the parent is {now}")))
    }
}
