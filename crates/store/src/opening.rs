//! What is told before the first event of some work, in the commit of that event.
//!
//! Whoever looks at much and mostly finds nothing new does not know beforehand whether there will be anything to tell, and must not
//! write that it begins each time. So what it would say first waits in the task that does the work, and whichever write of that task
//! tells something first takes it along. As long as that has not happened the task's writes wait for each other: two of them at once
//! could not both be the first.

use std::sync::{Arc, Mutex, PoisonError};

use proximity_domain::time::Timestamp;
use tokio::sync::{Mutex as Gate, MutexGuard};

use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::add_event;
use crate::store::Store;

tokio::task_local! {
    static OPENING: Arc<Opening>;
}

#[derive(Debug)]
struct Opening {
    event: NewEvent,
    stage: Mutex<Stage>,
    gate: Gate<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waits,
    /// In a transaction that is not known to be committed.
    Written,
    Told,
}

impl Opening {
    fn stage(&self) -> Stage {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn go_over(&self, from: Stage, to: Stage) -> bool {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = *stage == from;
        if is_there {
            *stage = to;
        }
        is_there
    }
}

/// Does the work, and tells `event` in the commit of the first event that the work writes in this task, with the time of that one and
/// before it. Gives what came of the work, and whether the event was told: nothing is where the work told nothing.
///
/// **Guarantees.** It is never told without another event behind it in the same commit, and once; only where nobody can say whether a
/// commit has come about, which is an error of that write, it may be told again.
pub async fn opened_by<T>(event: NewEvent, work: impl Future<Output = T>) -> (T, bool) {
    let opening = Arc::new(Opening {
        event,
        stage: Mutex::new(Stage::Waits),
        gate: Gate::new(()),
    });
    let done = OPENING.scope(Arc::clone(&opening), work).await;
    let is_told = opening.stage() == Stage::Told;
    (done, is_told)
}

/// A write of a task, which may be the first one that tells something.
#[derive(Debug)]
pub(crate) struct Write(Option<Arc<Opening>>);

impl Write {
    /// One of this task.
    pub(crate) fn of_this_task() -> Self {
        let waits = OPENING.try_with(Arc::clone).ok();
        Self(waits.filter(|opening| opening.stage() != Stage::Told))
    }

    /// Waits until no other write may become the first one.
    pub(crate) async fn alone(&self) -> Option<MutexGuard<'_, ()>> {
        match &self.0 {
            Some(opening) => Some(opening.gate.lock().await),
            None => None,
        }
    }

    /// It is committed, or never will be.
    pub(crate) fn ended(&self, is_committed: bool) {
        let to = if is_committed {
            Stage::Told
        } else {
            Stage::Waits
        };
        if let Some(opening) = &self.0 {
            opening.go_over(Stage::Written, to);
        }
    }
}

/// A transaction of this task begins, maybe in place of one that came to nothing.
pub(crate) fn begins() {
    // Outside of such work there is nothing to be told first.
    let _ = OPENING.try_with(|opening| opening.go_over(Stage::Written, Stage::Waits));
}

/// What the transaction tells before its next event; its caller writes it.
pub(crate) fn to_tell() -> Option<NewEvent> {
    let waits = OPENING.try_with(|opening| {
        let is_first = opening.go_over(Stage::Waits, Stage::Written);
        is_first.then(|| opening.event.clone())
    });
    waits.ok().flatten()
}

impl Store {
    /// Writes an event that is about no app, and nothing else.
    ///
    /// # Errors
    /// The database's.
    pub async fn announce(&self, event: &NewEvent, now: Timestamp) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| {
                state.add_event(event, None, None, now);
                Ok(())
            });
        }
        self.write(async |tx| add_event(tx, event, None, None, now).await)
            .await
    }
}
