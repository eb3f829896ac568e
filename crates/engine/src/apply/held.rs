//! One apply that is carried out here: what is on record of it, kept beside its claim, under which nobody else writes.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use proximity_domain::apply::{ApplyState, ChangeState, Next, Order};
use proximity_domain::failure::Failure;
use proximity_domain::names::Hostname;
use proximity_domain::plan::{Change, Task, Wanted, asked, tasks};
use proximity_domain::time::{Monotonic, Timestamp};
use proximity_store::applies::{ApplyChange, ApplyFence, ApplyRecord, ChangeEnd};
use proximity_store::error::StoreError;

use super::doing::{Doer, Done};
use super::places::Place;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::saga::rest_if_dead;

/// A claim is renewed when so much of it has passed: a third.
const RENEWALS: u64 = 3;

/// Where an apply stands after it was brought forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It waits for operations.
    Goes,
    /// It has ended so.
    Over(ApplyState),
}

/// An apply under a claim of this process.
#[derive(Debug)]
pub(super) struct Held {
    apply: ApplyRecord,
    fence: ApplyFence,
    renewed: Monotonic,
    /// `None`: it has to be read, for the first time or because a write failed.
    read: Option<Read>,
}

/// What is on record of it.
#[derive(Debug)]
struct Read {
    /// By position.
    changes: Vec<ApplyChange>,
    order: Order,
    /// What they are made of; or why that is not known any more.
    planned: Result<Planned, Failure>,
}

/// A plan, and what is wanted of each app of its documents.
#[derive(Debug)]
pub(super) struct Planned {
    changes: Vec<Change>,
    wanted: BTreeMap<Hostname, Wanted>,
    /// The documents want something else by now, for what they leave out is the catalog's.
    pub(super) is_other: bool,
}

impl Planned {
    /// The change at this position, what is wanted of its app, and what is done for it.
    pub(super) fn change(
        &self,
        position: u32,
    ) -> Result<(&Change, Option<&Wanted>, Vec<Task>), Failure> {
        let place = usize::try_from(position).unwrap_or(usize::MAX);
        let change = self.changes.get(place).ok_or_else(|| outdated("change"))?;
        let wanted = self.wanted.get(&change.name);
        let made_of = tasks(change, wanted);
        let made_of = made_of.map_err(|why| Failure::new(&why.code, why.message, why.hint))?;
        Ok((change, wanted, made_of))
    }
}

fn outdated(what: &str) -> Failure {
    Failure::new(
        "plan_outdated",
        format!("the {what} is not on record any more, so that nothing more is begun"),
        "plan again",
    )
}

impl Held {
    /// Just claimed.
    pub(super) fn new(apply: ApplyRecord, fence: ApplyFence, now: Monotonic) -> Self {
        Self {
            apply,
            fence,
            renewed: now,
            read: None,
        }
    }

    pub(super) fn fence(&self) -> &ApplyFence {
        &self.fence
    }

    /// Looks at what is under way, writes down what has ended, begins what is ripe, and so on until there is nothing to do but wait.
    ///
    /// # Errors
    /// The store's. What is kept here is read anew then.
    pub(super) async fn advance(&mut self, engine: &Engine) -> Result<Standing, StoreError> {
        let advanced = self.forward(engine).await;
        if advanced.is_err() {
            self.read = None;
        }
        advanced
    }

    async fn forward(&mut self, engine: &Engine) -> Result<Standing, StoreError> {
        self.renew(engine).await?;
        let found = engine.store().apply(self.apply.id).await?;
        if let Some(found) = found {
            self.apply = found;
        }
        if self.apply.state.is_over() {
            return Ok(Standing::Over(self.apply.state));
        }
        let mut read = match self.read.take() {
            Some(read) => read,
            None => read_of(engine, &self.apply).await?,
        };
        let standing = self.walk(engine, &mut read).await;
        self.read = Some(read);
        standing
    }

    async fn walk(&self, engine: &Engine, read: &mut Read) -> Result<Standing, StoreError> {
        let (store, fence) = (engine.store(), &self.fence);
        let is_stopping = self.apply.state == ApplyState::Stopping;
        loop {
            self.look(engine, read).await?;
            let states: Vec<ChangeState> = read.changes.iter().map(|one| one.state).collect();
            let next = read.order.next(&states, self.apply.parallel, is_stopping);
            let waits = next.start.is_empty() && next.held_up.is_empty();
            if !waits || !next.not_started.is_empty() {
                let now = engine.now();
                store.turn_changes(fence, &next, now).await?;
                Place::Turned.pass();
                turn(&mut read.changes, &next, now);
                tell_of_unstarted(engine, &next);
            }
            if next.end.is_some() {
                let ended = store.end_apply(fence, engine.now()).await?;
                Place::Over.pass();
                return Ok(Standing::Over(ended.state));
            }
            if next.start.is_empty() {
                return Ok(Standing::Goes);
            }
        }
    }

    /// Brings every change that was begun as far as it comes, all of them beside each other, and writes down those that have
    /// ended. Commands may take a while: the claim is renewed meanwhile.
    async fn look(&self, engine: &Engine, read: &mut Read) -> Result<(), StoreError> {
        let Read {
            changes, planned, ..
        } = read;
        let planned: Result<&Planned, &Failure> = planned.as_ref();
        let mut going: Vec<BoxFuture<'_, (usize, Result<Done, StoreError>)>> = Vec::new();
        for (at, change) in changes.iter().enumerate() {
            if change.state == ChangeState::Started {
                let doer = Doer::new(engine, &self.apply, &self.fence, change);
                going.push(Box::pin(async move {
                    // What a panic leaves is what a crash may leave at any point.
                    let done = AssertUnwindSafe(doer.forward(planned)).catch_unwind();
                    let done = match done.await {
                        Ok(done) => done,
                        Err(_) => Ok(panicked(change).await),
                    };
                    (at, done)
                }));
            }
        }
        if going.is_empty() {
            return Ok(());
        }
        let done = tokio::select! {
            biased;
            done = join_all(going) => done,
            lost = self.beat(engine) => return Err(lost),
        };
        let mut trouble = Ok(());
        for (at, done) in done {
            match (done, changes.get_mut(at)) {
                (Ok(done), Some(change)) => self.end(engine, change, done).await?,
                (Err(e), _) => trouble = Err(e),
                (Ok(_), None) => {}
            }
        }
        trouble
    }

    /// Takes in what became of a change, and writes down its end.
    async fn end(
        &self,
        engine: &Engine,
        change: &mut ApplyChange,
        done: Done,
    ) -> Result<(), StoreError> {
        (change.app, change.operation) = (done.app, done.operation);
        let Some(end) = done.end else { return Ok(()) };
        let now = engine.now();
        let (state, why) = match &end {
            ChangeEnd::Done => (ChangeState::Done, None),
            ChangeEnd::Failed(why) => (ChangeState::Failed, Some(why.clone())),
        };
        if let Some(why) = &why {
            tracing::warn!(apply = %self.apply.id, app = %change.name, code = %why.code, "a change failed: {}", why.message);
        }
        Place::Ending.pass();
        let store = engine.store();
        store
            .end_change(&self.fence, change.position, end, now)
            .await?;
        Place::Ended.pass();
        (change.state, change.why, change.ended_at) = (state, why, Some(now));
        engine.inner.changes_told.tell(state);
        Ok(())
    }

    async fn renew(&mut self, engine: &Engine) -> Result<(), StoreError> {
        let parts = &engine.inner.parts;
        let now = parts.clock.monotonic();
        if now.since_ms(self.renewed) < third(parts.limits.lease_ms) {
            return Ok(());
        }
        let lease_ms = parts.limits.lease_ms;
        let store = engine.store();
        store
            .renew_apply(&self.fence, lease_ms, engine.now())
            .await?;
        self.renewed = now;
        Ok(())
    }

    /// Renews the claim until that fails for good; gives why it did.
    async fn beat(&self, engine: &Engine) -> StoreError {
        let lease_ms = engine.inner.parts.limits.lease_ms;
        loop {
            tokio::time::sleep(Duration::from_millis(third(lease_ms))).await;
            let now = engine.now();
            match engine.store().renew_apply(&self.fence, lease_ms, now).await {
                Ok(_) => {}
                Err(e) if e.may_pass() => {
                    tracing::warn!(apply = %self.apply.id, error = %e, "the claim of an apply was not renewed");
                }
                Err(e) => return e,
            }
        }
    }
}

/// A fault of the program ends the change, and nothing else: tried again, it would be the same.
async fn panicked(change: &ApplyChange) -> Done {
    rest_if_dead().await;
    tracing::error!(app = %change.name, "the work on a change panicked");
    let why = Failure::new(
        "internal",
        "the program made a mistake on this change; what it began goes on",
        "look at the app and in the server's log, and report it; then plan again",
    );
    Done {
        app: change.app,
        operation: change.operation,
        end: Some(ChangeEnd::Failed(why)),
    }
}

fn third(lease_ms: i64) -> u64 {
    u64::try_from(lease_ms).unwrap_or(0) / RENEWALS
}

/// What was written down of what comes next.
fn turn(changes: &mut [ApplyChange], next: &Next, now: Timestamp) {
    for at in &next.start {
        if let Some(change) = changes.get_mut(*at) {
            (change.state, change.started_at) = (ChangeState::Started, Some(now));
        }
    }
    for (at, _) in &next.held_up {
        if let Some(change) = changes.get_mut(*at) {
            change.state = ChangeState::HeldUp;
        }
    }
    for at in &next.not_started {
        if let Some(change) = changes.get_mut(*at) {
            change.state = ChangeState::NotStarted;
        }
    }
}

/// Tells of those that ended without having been started.
fn tell_of_unstarted(engine: &Engine, next: &Next) {
    let held_up = next.held_up.iter().map(|_| ChangeState::HeldUp);
    let not_started = next.not_started.iter().map(|_| ChangeState::NotStarted);
    for state in held_up.chain(not_started) {
        engine.inner.changes_told.tell(state);
    }
}

/// Reads an apply, its plan and what that was made from.
async fn read_of(engine: &Engine, apply: &ApplyRecord) -> Result<Read, StoreError> {
    let changes = engine.store().apply_changes(apply.id).await?;
    let named = changes.iter();
    let order = Order::of(named.map(|one| (&one.name, one.depends_on.as_slice())));
    let planned = match planned(engine, apply).await {
        Ok(planned) => Ok(planned),
        Err(EngineError::Store(e)) => return Err(e),
        Err(e) => Err(e.failure()),
    };
    Ok(Read {
        changes,
        order,
        planned,
    })
}

/// The plan, and what its documents want by the catalog and the host entries that there are now.
async fn planned(engine: &Engine, apply: &ApplyRecord) -> Result<Planned, EngineError> {
    let gone = |what| EngineError::NotFound {
        what,
        name: apply.plan.to_string(),
    };
    let store = engine.store();
    let kept = store.plan(apply.plan).await?;
    let kept = kept.ok_or_else(|| gone("plan"))?;
    let documents = store.plan_documents(apply.plan).await?;
    let documents = documents.ok_or_else(|| gone("plan with documents"))?;
    let wanted = engine.wanted_of(&documents).await?;
    let is_other = asked(&wanted, kept.plan.prune) != kept.plan.digest;
    let by_name = wanted.into_iter().map(|one| (one.name.clone(), one));
    Ok(Planned {
        changes: kept.plan.changes,
        wanted: by_name.collect(),
        is_other,
    })
}
