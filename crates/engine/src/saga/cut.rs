//! Where work may be cut off: everywhere but between a call and its record, and inside what has to be waited for.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::sync::Notify;

use super::reins::Reins;
use super::step::{Halt, StepError};

/// Whether the work may be cut off where it stands.
///
/// | where | shutdown | cancel |
/// |---|---|---|
/// | reading, pausing, waiting for an address, a page, a download or a create task | at once | at once |
/// | waiting for a start, shutdown, stop or destroy task | at once | after the task |
/// | waiting for a shutdown or stop whose answer was lost | at once | at once; the step's undo goes on waiting |
/// | destroying, from its first read on | at once | before a call is prepared, or after the task |
/// | from the audit entry of a call to the record of its answer | after it | after it |
/// | a command in the guest | after it | it is ended in the guest |
///
/// A lost lease, and the end of the time to drain, cut everywhere: what was sent is found by looking.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    /// The step that is at work may be turned back.
    cancellable: AtomicBool,
    /// A call is under way.
    calls: AtomicU32,
    /// Something is waited for that a cancel does not cut.
    settling: AtomicU32,
    left: Notify,
}

/// Until dropped, the work is not cut off.
#[derive(Debug)]
pub(crate) struct Safe<'a> {
    count: &'a AtomicU32,
    left: &'a Notify,
}

impl Drop for Safe<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.left.notify_waiters();
    }
}

impl Cuts {
    /// Whether a cancel turns the work back that begins now.
    pub(crate) fn begin(&self, cancellable: bool) {
        self.cancellable.store(cancellable, Ordering::Relaxed);
    }

    /// A call begins.
    pub(crate) fn call(&self) -> Safe<'_> {
        self.guard(&self.calls)
    }

    /// What a cancel must not cut begins.
    pub(crate) fn settle(&self) -> Safe<'_> {
        self.guard(&self.settling)
    }

    fn guard<'a>(&'a self, count: &'a AtomicU32) -> Safe<'a> {
        count.fetch_add(1, Ordering::Relaxed);
        Safe {
            count,
            left: &self.left,
        }
    }

    /// Returns when a cancel would turn back the step that is at work.
    pub(crate) async fn cancelled(&self, reins: &Reins) {
        reins.cancel.cancelled().await;
        if !self.cancellable.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// Returns when the work is to be cut off and stands where it may be.
    pub(crate) async fn cut(&self, reins: &Reins) -> StepError {
        tokio::select! {
            biased;
            () = reins.let_go.cancelled() => {
                StepError::Halt(reins.halt().unwrap_or(Halt::ShuttingDown))
            }
            () = async {
                reins.stop.cancelled().await;
                self.none(&[&self.calls]).await;
            } => StepError::Halt(reins.halt().unwrap_or(Halt::ShuttingDown)),
            () = async {
                self.cancelled(reins).await;
                self.none(&[&self.calls, &self.settling]).await;
            } => StepError::Cancelled,
        }
    }

    async fn none(&self, counts: &[&AtomicU32]) {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            // From here on no end is missed.
            left.as_mut().enable();
            if counts.iter().all(|c| c.load(Ordering::Relaxed) == 0) {
                return;
            }
            left.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use proximity_domain::time::Monotonic;
    use tokio_util::sync::CancellationToken;

    use super::super::reins::LeaseTime;
    use super::*;

    fn reins() -> Reins {
        let token = CancellationToken::new;
        Reins::new(
            token(),
            token(),
            token(),
            LeaseTime::new(Monotonic(0), 1_000),
        )
    }

    #[tokio::test]
    async fn a_cancel_waits_for_calls_and_for_what_settles() {
        let (cuts, reins) = (Cuts::default(), reins());
        cuts.begin(true);
        let (call, settle) = (cuts.call(), cuts.settle());
        let cut = cuts.cut(&reins);
        tokio::pin!(cut);
        reins.cancel.cancel();
        assert!(cut.as_mut().now_or_never().is_none());
        drop(call);
        assert!(cut.as_mut().now_or_never().is_none());
        drop(settle);
        assert!(matches!(
            cut.as_mut().now_or_never(),
            Some(StepError::Cancelled)
        ));
    }

    #[tokio::test]
    async fn a_shutdown_waits_for_calls_alone_and_a_lost_lease_for_nothing() {
        let (cuts, reins) = (Cuts::default(), reins());
        let call = cuts.call();
        let _settle = cuts.settle();
        let cut = cuts.cut(&reins);
        tokio::pin!(cut);
        reins.stop.cancel();
        assert!(cut.as_mut().now_or_never().is_none());
        drop(call);
        let stopped = cut.as_mut().now_or_never();
        assert!(matches!(stopped, Some(StepError::Halt(Halt::ShuttingDown))));
        let _call = cuts.call();
        reins.lose();
        let lost = cuts.cut(&reins).now_or_never();
        assert!(matches!(lost, Some(StepError::Halt(Halt::LeaseLost))));
    }

    #[tokio::test]
    async fn what_cannot_be_turned_back_is_not_cut_by_a_cancel() {
        let (cuts, reins) = (Cuts::default(), reins());
        cuts.begin(false);
        reins.cancel.cancel();
        assert!(cuts.cut(&reins).now_or_never().is_none());
    }
}
