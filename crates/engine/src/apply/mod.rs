//! Plans that are carried out: claims an apply as the worker claims an operation, begins the changes that are ripe by the
//! commands that there are, and writes down what comes of them.
//!
//! Nothing here does more than a person could ask for by hand. Each command is asked for under a request key of its own, which
//! is kept with what it made: one that was begun, and of which a crash kept the record away, is found and not begun again.

mod doing;
mod held;
mod places;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use proximity_domain::apply::ChangeState;
use proximity_domain::ids::{ApplyId, HolderId, HostId, OperationId};
use proximity_store::applies::ClaimableApply;
use proximity_store::error::StoreError;
use proximity_store::records::Claimable;
use tokio_util::sync::CancellationToken;

use crate::claims::{Lookout, Moment};
use crate::engine::Engine;

use held::{Held, Standing};
use places::Place;

pub(crate) use places::crash_points;

/// How many changes of an apply are made at the same time at most, whoever asks.
pub const MOST_AT_ONCE: u32 = 16;

/// How often what is under way is looked at when nothing is committed here: others may share the database.
const POLL: Duration = Duration::from_secs(1);
/// How often it is looked for applies while there is none: others may take up by themselves what they are asked for.
const POLL_AT_REST: Duration = Duration::from_secs(2);
/// The same where nobody else can share the database: whoever asks rings. This is the net.
const POLL_ALONE: Duration = Duration::from_secs(30);
/// After a commit it is waited so long for more of them: operations write one step after the other.
const GATHER: Duration = Duration::from_millis(20);
/// How long giving claims back may take at the end.
const LET_GO: Duration = Duration::from_secs(5);

/// Carries applies out until it is told to stop.
#[derive(Debug)]
pub struct Applier {
    engine: Engine,
    holder: HolderId,
    lookout: Lookout,
    exclusive: bool,
    /// Those that are claimed here.
    held: BTreeMap<ApplyId, Held>,
}

impl Applier {
    /// One that holds nothing yet. `exclusive` may be true only where every other holder is proven dead, as for
    /// [`crate::worker::Worker::new`].
    #[must_use]
    pub fn new(engine: Engine, exclusive: bool) -> Self {
        let holder = HolderId(engine.inner.parts.ids.uuid());
        Self {
            holder,
            // No apply waits for a moment.
            lookout: Lookout::new(holder, exclusive, 0),
            exclusive,
            held: BTreeMap::new(),
            engine,
        }
    }

    /// Carries out what there is, and what is asked for later, until `shutdown`. Then nothing more is begun, and its claims are
    /// given back; the operations that it began are the worker's.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut commits = self.engine.reader().commits();
        loop {
            commits.mark_unchanged();
            // Cut off in the middle it leaves what a crash would leave: each command is found by its key.
            let passed = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                passed = self.pass() => passed,
            };
            let (is_busy, pause) = match passed {
                Ok(true) => (true, POLL),
                Ok(false) if self.exclusive => (false, POLL_ALONE),
                Ok(false) => (false, POLL_AT_REST),
                Err(e) => {
                    tracing::error!(error = %e, "cannot carry applies out");
                    (false, POLL_AT_REST)
                }
            };
            let committed = async {
                match is_busy {
                    true => {
                        // The store is as old as this process: its commits do not end before it.
                        let _ = commits.changed().await;
                        tokio::time::sleep(GATHER).await;
                    }
                    false => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = self.engine.inner.applies.notified() => {}
                () = committed => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.let_go().await;
    }

    /// Claims what is free, and brings everything that is held as far as it comes without waiting for an operation. Gives whether
    /// any apply is under way, whosever it is. What is waited for is looked at by the next one.
    ///
    /// # Errors
    /// The store's, of the last apply that could not be brought forward; all others were.
    pub async fn pass(&mut self) -> Result<bool, StoreError> {
        let is_any = self.claim().await?;
        let engine = &self.engine;
        let mut going: Vec<BoxFuture<'_, (ApplyId, Result<Standing, StoreError>)>> = Vec::new();
        for (id, held) in &mut self.held {
            let id = *id;
            going.push(Box::pin(async move { (id, held.advance(engine).await) }));
        }
        let mut trouble = Ok(());
        for (id, advanced) in join_all(going).await {
            match advanced {
                Ok(Standing::Goes) => {}
                Ok(Standing::Over(state)) => {
                    tracing::info!(apply = %id, state = state.label(), "an apply has ended");
                    self.held.remove(&id);
                }
                Err(StoreError::ApplyLost { .. }) => {
                    tracing::warn!(apply = %id, "the claim of an apply is lost");
                    self.held.remove(&id);
                }
                Err(e) => {
                    tracing::warn!(apply = %id, error = %e, "an apply waits");
                    trouble = Err(e);
                }
            }
        }
        trouble.map(|()| is_any)
    }

    /// Claims all that are free; there are few. Gives whether there is any that is not over.
    async fn claim(&mut self) -> Result<bool, StoreError> {
        let parts = &self.engine.inner.parts;
        let before = parts.clock.monotonic();
        let rows = self.engine.store().claimable_applies().await?;
        let now = Moment {
            before,
            after: parts.clock.monotonic(),
            wall: parts.clock.now(),
        };
        let there: HashSet<ApplyId> = rows.iter().map(|row| row.id).collect();
        self.held.retain(|id, _| there.contains(id));
        let held = self.held.keys().map(|id| (as_operation(*id), HostId(id.0)));
        let held: HashMap<OperationId, HostId> = held.collect();
        let seen = rows.iter().map(claimable).collect();
        let free = self.lookout.free(seen, &held, now);
        let free: HashSet<OperationId> = free.into_iter().map(|row| row.id).collect();
        let mut chosen: Vec<&ClaimableApply> = rows.iter().collect();
        chosen.retain(|row| free.contains(&as_operation(row.id)));
        for row in chosen {
            let lease_ms = self.engine.inner.parts.limits.lease_ms;
            let (store, wall) = (self.engine.store(), self.engine.now());
            let claimed = store.claim_apply_as_seen(row, self.holder, lease_ms, wall);
            if let Some((apply, fence)) = claimed.await? {
                Place::Claimed.pass();
                tracing::info!(apply = %apply.id, epoch = fence.epoch.0, "apply claimed");
                let now = self.engine.inner.parts.clock.monotonic();
                self.held.insert(apply.id, Held::new(apply, fence, now));
                // Whoever had it before may have been cut off between putting an operation into the queue and telling of it; a worker
                // that lived on would look by itself half a minute later.
                self.engine.inner.bell.notify_one();
            }
        }
        Ok(!rows.is_empty())
    }

    /// The next one takes over at once.
    async fn let_go(&self) {
        let giving = async {
            for held in self.held.values() {
                if let Err(e) = self.engine.store().release_apply(held.fence()).await {
                    tracing::warn!(error = %e, "cannot give an apply back");
                }
            }
        };
        if tokio::time::timeout(LET_GO, giving).await.is_err() {
            tracing::warn!("applies could not be given back");
        }
    }
}

impl Engine {
    /// From now on `told` is told how each change of an apply ended that is carried out in this process, once that is committed. What was
    /// never to be done is none. The first one that is set stays.
    pub fn observe_changes(&self, told: impl Fn(ChangeState) + Send + Sync + 'static) {
        self.inner.changes_told.set(told);
    }
}

/// Whether a claim has run out is judged as that of an operation is, under a name of its own.
fn as_operation(id: ApplyId) -> OperationId {
    OperationId(id.0)
}

fn claimable(row: &ClaimableApply) -> Claimable {
    Claimable {
        id: as_operation(row.id),
        host: HostId(row.id.0),
        epoch: row.epoch,
        lease: row.lease,
        due_at: None,
    }
}
