//! What the outside wants of work in flight: let go, come to a safe point, turn back; and until when it may act.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use proximity_domain::time::Monotonic;
use tokio_util::sync::CancellationToken;

use super::step::Halt;

/// Shared by the work, its heartbeat and the worker. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Reins {
    /// Drop everything, wherever it stands: the lease is lost, or the time to drain is over.
    pub(crate) let_go: CancellationToken,
    /// The process shuts down: stop at the next safe point.
    pub(crate) stop: CancellationToken,
    /// A person cancels: turn back at the next safe point.
    pub(crate) cancel: CancellationToken,
    /// Until when the claim certainly stands.
    pub(crate) lease: LeaseTime,
    lost: Arc<AtomicBool>,
}

impl Reins {
    pub(crate) fn new(
        let_go: CancellationToken,
        stop: CancellationToken,
        cancel: CancellationToken,
        lease: LeaseTime,
    ) -> Self {
        Self {
            let_go,
            stop,
            cancel,
            lease,
            lost: Arc::default(),
        }
    }

    /// The lease is lost.
    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
        self.let_go.cancel();
    }

    /// Why nothing more may be begun, if that is so.
    pub(crate) fn halt(&self) -> Option<Halt> {
        if self.lost.load(Ordering::Relaxed) {
            return Some(Halt::LeaseLost);
        }
        let ends = self.let_go.is_cancelled() || self.stop.is_cancelled();
        ends.then_some(Halt::ShuttingDown)
    }
}

/// Until when a claim certainly stands, by the clock that does not jump.
///
/// Counted from before the write that made or renewed it. Others wait for the whole lease from when they saw that write, so
/// this moment is always earlier than theirs.
#[derive(Debug, Clone)]
pub(crate) struct LeaseTime {
    good_until_ms: Arc<AtomicU64>,
    lease_ms: u64,
}

impl LeaseTime {
    /// A claim that was asked for at `asked`.
    pub(crate) fn new(asked: Monotonic, lease_ms: i64) -> Self {
        let time = Self {
            good_until_ms: Arc::default(),
            lease_ms: u64::try_from(lease_ms).unwrap_or(0),
        };
        time.renewed(asked);
        time
    }

    /// It was renewed by a write that was asked for at `asked`.
    pub(crate) fn renewed(&self, asked: Monotonic) {
        // A tenth is kept back for what lies between the last look at the clock and the wire.
        let good = asked.plus_ms(self.lease_ms - self.lease_ms / 10);
        self.good_until_ms.fetch_max(good.0, Ordering::Relaxed);
    }

    /// Nothing may be sent from this moment on.
    pub(crate) fn good_until(&self) -> Monotonic {
        Monotonic(self.good_until_ms.load(Ordering::Relaxed))
    }
}
