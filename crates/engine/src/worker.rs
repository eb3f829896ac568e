//! The worker: claims operations under a lease and drives them, several at once.

use std::any::Any;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::RwLock;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use futures::FutureExt;
use proximity_domain::failure::Failure;
use proximity_domain::ids::{HolderId, OperationId};
use proximity_store::effects::Effects;
use proximity_store::error::StoreError;
use proximity_store::records::{Claimable, Fence, OperationRecord};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::at_work::{AtWorkGuard, InFlightGuard};
use crate::claims::{Lookout, Moment, Slots, next};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::saga::{
    Cuts, Cx, Halt, LeaseTime, Reins, along, cuts_off_lost_work, drive, panicked, with_bare,
};
use crate::sagas::saga;

/// How often the queue is looked at when nobody rings, while there is anything in it: claims of others run out.
const POLL: Duration = Duration::from_millis(250);
/// How often while it is empty: others may share the database, and take up by themselves what they are asked for.
const POLL_AT_REST: Duration = Duration::from_secs(2);
/// The same where nobody else can share it: whoever asks rings. This is the net.
const POLL_ALONE: Duration = Duration::from_secs(30);
/// How often it is looked at while the store cannot be used.
const POLL_IN_TROUBLE: Duration = Duration::from_secs(2);
/// How many are claimed in one commit: after a restart many wait, and the first of them should not wait for the last.
const CLAIMS: usize = 64;
/// How long work may take to be dropped and its claim to be given back, once it must let go.
const LET_GO: Duration = Duration::from_secs(5);

/// Works on operations until it is told to stop.
#[derive(Debug)]
pub struct Worker {
    engine: Engine,
    holder: HolderId,
    lookout: Lookout,
    exclusive: bool,
}

impl Worker {
    /// A worker. `exclusive` may be true only while this process holds the lock of the data directory: every other holder
    /// is proven dead. On PostgreSQL that is never so.
    #[must_use]
    pub fn new(engine: Engine, exclusive: bool) -> Self {
        let parts = &engine.inner.parts;
        let holder = HolderId(parts.ids.uuid());
        let longest = parts.limits.retry.bound_ms();
        Self {
            holder,
            lookout: Lookout::new(holder, exclusive, longest),
            exclusive,
            engine,
        }
    }

    /// By which its claims are on record.
    #[must_use]
    pub fn holder(&self) -> HolderId {
        self.holder
    }

    /// Claims and drives until `shutdown`.
    ///
    /// Guarantees: at most `limits.operations` at once and `limits.operations_per_host` of one host, in turn, and always
    /// one of each host. At shutdown nothing more is claimed; what is in flight has `limits.drain_ms` to come to a safe
    /// point and is then dropped; either way its claim is given back, so that the next worker takes over at once.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let let_go = CancellationToken::new();
        let mut running = JoinSet::new();
        while !shutdown.is_cancelled() {
            while running.try_join_next().is_some() {}
            let pause = match self.claim_all(&mut running, &let_go, &shutdown).await {
                Ok(true) => POLL,
                Ok(false) if self.exclusive => POLL_ALONE,
                Ok(false) => POLL_AT_REST,
                Err(e) => {
                    tracing::error!(error = %e, "cannot claim operations");
                    // Whoever rang meanwhile waits for the pause, which is short: it is there so that nothing is tried at once.
                    let _rung = self.engine.inner.bell.notified().now_or_never();
                    POLL_IN_TROUBLE
                }
            };
            tokio::select! {
                biased;
                () = self.engine.inner.bell.notified() => {}
                () = self.engine.inner.in_flight.landed() => {}
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
        let drain = Duration::from_millis(self.engine.inner.parts.limits.drain_ms);
        if !all_done(&mut running, drain).await {
            tracing::warn!(left = running.len(), "operations are cut off in their step");
            let_go.cancel();
            if !all_done(&mut running, LET_GO).await {
                tracing::warn!(left = running.len(), "operations could not be given back");
            }
        }
    }

    /// Claims as much as there are slots for, and puts it to work. Gives whether anything was in the queue, whosever it is.
    async fn claim_all(
        &mut self,
        running: &mut JoinSet<()>,
        let_go: &CancellationToken,
        shutdown: &CancellationToken,
    ) -> Result<bool, StoreError> {
        let inner = self.engine.inner.clone();
        let before = inner.parts.clock.monotonic();
        let rows = self.engine.store().claimable().await?;
        let now = Moment {
            before,
            after: inner.parts.clock.monotonic(),
            wall: inner.parts.clock.now(),
        };
        let is_any = !rows.is_empty();
        let mut free = self.lookout.free(rows, &inner.in_flight.hosts(), now);
        let limits = &inner.parts.limits;
        let slots = Slots {
            total: limits.operations,
            per_host: limits.operations_per_host,
        };
        let mut refused = Ok(());
        loop {
            let (chosen, mut flights) = self.choose(&mut free, slots);
            if chosen.is_empty() || shutdown.is_cancelled() {
                return refused.map(|()| is_any);
            }
            let asked = inner.parts.clock.monotonic();
            let claimed = match self.claim(&chosen).await {
                Ok(claimed) => claimed,
                Err(e) if e.may_pass() => return Err(e),
                Err(_) => self.claim_one_by_one(&chosen, &mut refused).await,
            };
            for (op, fence) in claimed {
                let Some(flight) = flights.remove(&op.id).map(InFlightGuard::claimed) else {
                    continue;
                };
                let reins = Reins::new(
                    let_go.child_token(),
                    shutdown.clone(),
                    flight.cancel.clone(),
                    LeaseTime::new(asked, limits.lease_ms),
                );
                let span = span_of(&op);
                let work = work(self.engine.clone(), op, fence, reins, flight);
                running.spawn(along(work.instrument(span)));
            }
        }
    }

    async fn claim(
        &self,
        chosen: &[Claimable],
    ) -> Result<Vec<(OperationRecord, Fence)>, StoreError> {
        let lease_ms = self.engine.inner.parts.limits.lease_ms;
        self.engine
            .store()
            .claim_all_as_seen(chosen, self.holder, lease_ms, self.engine.now())
            .await
    }

    /// One whose record is damaged holds up nobody else; what was said of it goes into `refused`.
    async fn claim_one_by_one(
        &self,
        chosen: &[Claimable],
        refused: &mut Result<(), StoreError>,
    ) -> Vec<(OperationRecord, Fence)> {
        let mut claimed = Vec::with_capacity(chosen.len());
        for one in chosen {
            match self.claim(std::slice::from_ref(one)).await {
                Ok(found) => claimed.extend(found),
                Err(e) => {
                    tracing::error!(operation = %one.id, error = %e, "an operation cannot be claimed");
                    *refused = Err(e);
                }
            }
        }
        claimed
    }

    /// Takes the next ones out of `free`, as many as there are slots for and as one commit claims. They count as in flight
    /// before they are claimed: no later look takes one for a claim that was given up.
    fn choose(
        &self,
        free: &mut Vec<Claimable>,
        slots: Slots,
    ) -> (Vec<Claimable>, HashMap<OperationId, InFlightGuard>) {
        let in_flight = &self.engine.inner.in_flight;
        let (mut chosen, mut flights) = (Vec::new(), HashMap::new());
        while chosen.len() < CLAIMS
            && let Some(row) = next(free, &in_flight.hosts(), slots).cloned()
        {
            free.retain(|other| other.id != row.id);
            flights.insert(row.id, in_flight.enter(row.id, row.host));
            chosen.push(row);
        }
        (chosen, flights)
    }
}

/// What every log line of the work says beside its own.
fn span_of(op: &OperationRecord) -> tracing::Span {
    tracing::info_span!(
        "operation",
        operation = %op.id,
        app = %op.app,
        kind = op.kind.label(),
        request_id = op.request_id.as_deref(),
    )
}

/// Whether all ended in time.
async fn all_done(running: &mut JoinSet<()>, time: Duration) -> bool {
    let done = async { while running.join_next().await.is_some() {} };
    tokio::time::timeout(time, done).await.is_ok()
}

/// Drives one claimed operation beside its heartbeat.
async fn work(
    engine: Engine,
    op: OperationRecord,
    fence: Fence,
    reins: Reins,
    _flight: InFlightGuard,
) {
    if op.cancel_requested {
        reins.cancel.cancel();
    }
    let id = op.id;
    let kind = op.kind.label();
    // Aborted with this work, also when the work is dropped: a claim nobody works on must run out.
    let beat = along(heartbeat(engine.clone(), fence, reins.clone()));
    let beat = AbortOnDropHandle::new(tokio::spawn(beat));
    tracing::info!(operation = %id, kind, epoch = fence.epoch.0, attempt = op.attempt, "operation claimed");
    let ended = carry_out(&engine, op, fence, &reins).await;
    drop(beat);
    match ended {
        Ok(()) => tracing::info!(operation = %id, kind, "operation let go"),
        Err(Halt::Waits) => tracing::info!(operation = %id, kind, "operation waits"),
        Err(Halt::ShuttingDown) => {
            tracing::info!(operation = %id, kind, "operation left for the next start");
            give_back(&engine, &fence).await;
        }
        Err(Halt::LeaseLost) => tracing::warn!(operation = %id, kind, "lease lost"),
        Err(Halt::Store(e)) => {
            tracing::warn!(operation = %id, kind, error = %e, "operation let go");
        }
    }
}

/// Its claim ends now, so nobody has to wait until it has run out.
async fn give_back(engine: &Engine, fence: &Fence) {
    if let Err(e) = engine.store().release(fence).await {
        tracing::warn!(operation = %fence.operation, error = %e, "cannot give the operation back");
    }
}

async fn carry_out(
    engine: &Engine,
    op: OperationRecord,
    fence: Fence,
    reins: &Reins,
) -> Result<(), Halt> {
    let Some(_at_work) = enter(engine, &op, reins).await else {
        return Err(reins.halt().unwrap_or(Halt::ShuttingDown));
    };
    // What a panic leaves is records and guards, which hold at any point at which a crash may come.
    let read = context(engine.clone(), op, fence, reins.clone());
    let cx = match AssertUnwindSafe(read).catch_unwind().await {
        Ok(cx) => cx?,
        Err(panic) => {
            let text = text_of(panic.as_ref());
            tracing::error!(operation = %fence.operation, panic = text, "the work on an operation panicked before its first step");
            return panicked(engine, &fence, None).await;
        }
    };
    let driven = AssertUnwindSafe(drive(&cx, saga(cx.op.kind, cx.app.class))).catch_unwind();
    let ended = match driven.await {
        Ok(ended) => ended,
        Err(panic) => {
            let (step, text) = (cx.step_name(), text_of(panic.as_ref()));
            tracing::error!(operation = %cx.op.id, step, panic = text, "the work on an operation panicked");
            panicked(engine, &fence, Some(step)).await
        }
    };
    match ended {
        Err(Halt::Store(e)) if is_refusal(&e) => {
            stick_refused(&cx, &e).await;
            Ok(())
        }
        ended => ended,
    }
}

/// What was said with a panic.
fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
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
    let stuck = async {
        let failure = with_bare(cx.store(), cx.op.id, failure).await?;
        cx.store()
            .stick(&cx.fence, None, failure, Effects::default(), cx.now())
            .await
    };
    if let Err(e) = stuck.await {
        tracing::warn!(operation = %cx.op.id, error = %e, "operation let go");
    }
}

/// Waits until no sweep is at work on the app; a sweep takes a moment at most.
async fn enter(engine: &Engine, op: &OperationRecord, reins: &Reins) -> Option<AtWorkGuard> {
    loop {
        if let Some(guard) = engine.inner.at_work.try_enter(op.app) {
            return Some(guard);
        }
        tokio::select! {
            biased;
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
            () = reins.stop.cancelled() => return None,
            () = reins.let_go.cancelled() => return None,
        }
    }
}

async fn context(
    engine: Engine,
    op: OperationRecord,
    fence: Fence,
    reins: Reins,
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
            let failure: Failure = with_bare(engine.store(), fence.operation, e.failure()).await?;
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
        reins,
        cuts: Cuts::default(),
        log: RwLock::default(),
        index: AtomicU32::new(0),
        step_name: RwLock::new(""),
    })
}

/// Renews the lease at a third of its time; when it is lost, or cannot be renewed before it ends, the work is cut off.
async fn heartbeat(engine: Engine, fence: Fence, reins: Reins) {
    let lease_ms = engine.inner.parts.limits.lease_ms;
    let clock = engine.inner.parts.clock.clone();
    let beat = Duration::from_millis(u64::try_from(lease_ms / 3).unwrap_or(1_000).max(50));
    loop {
        tokio::time::sleep(beat).await;
        let asked = clock.monotonic();
        match engine.store().renew(&fence, lease_ms, engine.now()).await {
            Ok(cancel) => {
                reins.lease.renewed(asked);
                if cancel {
                    reins.cancel.cancel();
                }
            }
            Err(StoreError::LeaseLost { .. }) => break,
            Err(e) => {
                tracing::warn!(operation = %fence.operation, error = %e, "cannot renew the lease");
                if clock.monotonic() >= reins.lease.good_until() {
                    break;
                }
            }
        }
    }
    if cuts_off_lost_work() {
        reins.lose();
    }
}
