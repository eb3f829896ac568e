//! The worker: claims operations under a lease and drives them, several at once.

use std::sync::Arc;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use proximity_domain::failure::Failure;
use proximity_domain::ids::HolderId;
use proximity_store::effects::Effects;
use proximity_store::error::StoreError;
use proximity_store::records::{Fence, OperationRecord};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::at_work::AtWorkGuard;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::saga::{Cx, Halt, drive};
use crate::sagas::saga;

/// How often the queue is looked at when nobody rings.
const POLL: Duration = Duration::from_millis(250);
/// How often it is looked at while the store cannot be used.
const POLL_IN_TROUBLE: Duration = Duration::from_secs(5);
/// How long operations in flight may finish their current step at shutdown.
const DRAIN: Duration = Duration::from_secs(10);

/// Works on operations until it is told to stop.
#[derive(Debug)]
pub struct Worker {
    engine: Engine,
    holder: HolderId,
    /// This process holds the data directory's lock: every other holder is proven dead.
    exclusive: bool,
}

impl Worker {
    /// A worker. `exclusive` may be true only while this process holds the lock of the data directory.
    #[must_use]
    pub fn new(engine: Engine, exclusive: bool) -> Self {
        let holder = HolderId(engine.inner.parts.ids.uuid());
        Self {
            engine,
            holder,
            exclusive,
        }
    }

    /// Claims and drives until `shutdown`.
    ///
    /// Guarantees: at most `limits.operations` at once; an operation left at shutdown is taken over by the next worker.
    pub async fn run(self, shutdown: CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.engine.inner.parts.limits.operations));
        let mut running = JoinSet::new();
        while !shutdown.is_cancelled() {
            while running.try_join_next().is_some() {}
            let Ok(slot) = slots.clone().acquire_owned().await else {
                break;
            };
            let mut pause = POLL;
            match self.claim().await {
                Ok(Some((op, fence))) => {
                    let engine = self.engine.clone();
                    let stop = shutdown.child_token();
                    let span = tracing::info_span!("operation", operation = %op.id, app = %op.app, kind = op.kind.label());
                    let work = async move {
                        work(engine, op, fence, stop).await;
                        drop(slot);
                    };
                    running.spawn(work.instrument(span));
                    continue;
                }
                Ok(None) => {}
                Err(e) => {
                    tracing::error!(error = %e, "cannot claim operations");
                    pause = POLL_IN_TROUBLE;
                }
            }
            drop(slot);
            tokio::select! {
                () = self.engine.inner.bell.notified() => {}
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
        let drained = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!(
                "operations were still at work at shutdown; the next start takes them over"
            );
        }
    }

    async fn claim(&self) -> Result<Option<(OperationRecord, Fence)>, StoreError> {
        let lease_ms = self.engine.inner.parts.limits.lease_ms;
        self.engine
            .store()
            .claim(self.holder, lease_ms, self.exclusive, self.engine.now())
            .await
    }
}

/// Drives one claimed operation beside its heartbeat.
async fn work(engine: Engine, op: OperationRecord, fence: Fence, stop: CancellationToken) {
    let _at_work = enter(&engine, &op, &stop).await;
    let id = op.id;
    let kind = op.kind.label();
    let lease_lost = Arc::new(AtomicBool::new(false));
    let cancel_requested = Arc::new(AtomicBool::new(op.cancel_requested));
    // Aborted with this work, also when the work is dropped: a claim nobody works on must run out.
    let _beat = AbortOnDropHandle::new(tokio::spawn(heartbeat(
        engine.clone(),
        fence,
        stop.clone(),
        lease_lost.clone(),
        cancel_requested.clone(),
    )));
    tracing::info!(operation = %id, kind, epoch = fence.epoch.0, "operation claimed");
    match context(engine, op, fence, stop, lease_lost, cancel_requested).await {
        Ok(cx) => match drive(&cx, saga(cx.op.kind)).await {
            Ok(()) => tracing::info!(operation = %id, kind, "operation let go"),
            Err(Halt::ShuttingDown) => {
                tracing::info!(operation = %id, kind, "operation left for the next start");
            }
            Err(Halt::Store(e)) if is_refusal(&e) => stick_refused(&cx, &e).await,
            Err(e) => tracing::warn!(operation = %id, kind, error = %e, "operation let go"),
        },
        Err(e) => {
            tracing::error!(operation = %id, kind, error = %e, "operation cannot be worked on")
        }
    }
}

/// Refused by a rule of the store, not by its disk: every take-over would be refused the same way.
fn is_refusal(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::IllegalTransition { .. }
            | StoreError::Exists { .. }
            | StoreError::NotFound { .. }
    )
}

/// A commit was refused by rule: a person is needed, or the operation would be taken over and refused for ever.
async fn stick_refused(cx: &Cx, error: &StoreError) {
    let failure = Failure::new(
        "record_refused",
        format!("what was done cannot be recorded: {error}"),
        "look at the app's containers and its log, then retry; if it happens again, report it as a bug",
    )
    .at(cx.step_name());
    let stuck = cx
        .store()
        .stick(&cx.fence, None, failure, Effects::default(), cx.now())
        .await;
    if let Err(e) = stuck {
        tracing::warn!(operation = %cx.op.id, error = %e, "operation let go");
    }
}

/// Waits until no sweep is at work on the app; a sweep takes a moment at most.
async fn enter(
    engine: &Engine,
    op: &OperationRecord,
    stop: &CancellationToken,
) -> Option<AtWorkGuard> {
    loop {
        if let Some(guard) = engine.inner.at_work.try_enter(op.app) {
            return Some(guard);
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
            () = stop.cancelled() => return None,
        }
    }
}

async fn context(
    engine: Engine,
    op: OperationRecord,
    fence: Fence,
    let_go: CancellationToken,
    lease_lost: Arc<AtomicBool>,
    cancel_requested: Arc<AtomicBool>,
) -> Result<Cx, Halt> {
    let gone = |what: &str| StoreError::NotFound {
        what: "app",
        id: what.to_owned(),
    };
    let app = engine
        .store()
        .app(op.app)
        .await?
        .ok_or_else(|| gone(&op.app.to_string()))?;
    let cluster = match engine.inner.clusters.get(app.host).await {
        Ok(cluster) => cluster,
        Err(EngineError::Store(e)) if !matches!(e, StoreError::NotFound { .. }) => {
            return Err(e.into());
        }
        Err(e) => {
            // Without its host nothing can be looked at: a person must mend the entry, then retry.
            let failure: Failure = e.failure();
            engine
                .store()
                .stick(&fence, None, failure, Effects::default(), engine.now())
                .await?;
            return Err(Halt::LeaseLost);
        }
    };
    Ok(Cx {
        engine,
        op,
        app,
        cluster,
        fence,
        let_go,
        lease_lost,
        cancel_requested,
        log: RwLock::default(),
        index: AtomicU32::new(0),
        step_name: RwLock::new(""),
    })
}

/// Renews the lease at a third of its time; when it is lost, or cannot be renewed before it ends, the work is cut off.
async fn heartbeat(
    engine: Engine,
    fence: Fence,
    stop: CancellationToken,
    lease_lost: Arc<AtomicBool>,
    cancel_requested: Arc<AtomicBool>,
) {
    let lease_ms = engine.inner.parts.limits.lease_ms;
    let clock = engine.inner.parts.clock.clone();
    let beat = Duration::from_millis(u64::try_from(lease_ms / 3).unwrap_or(1_000).max(50));
    let mut good_until = clock
        .monotonic()
        .plus_ms(u64::try_from(lease_ms).unwrap_or(0));
    loop {
        tokio::time::sleep(beat).await;
        let asked = clock.monotonic();
        match engine.store().renew(&fence, lease_ms, engine.now()).await {
            Ok(cancel) => {
                good_until = asked.plus_ms(u64::try_from(lease_ms).unwrap_or(0));
                if cancel {
                    cancel_requested.store(true, Ordering::Relaxed);
                }
            }
            Err(StoreError::LeaseLost { .. }) => break,
            Err(e) => {
                tracing::warn!(operation = %fence.operation, error = %e, "cannot renew the lease");
                if clock.monotonic() >= good_until {
                    break;
                }
            }
        }
    }
    lease_lost.store(true, Ordering::Relaxed);
    stop.cancel();
}
