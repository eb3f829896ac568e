//! Clears the journals of what is more than is kept, part by part, so that nobody waits long for a turn to write.

use proximity_domain::retention::{Keep, events_to_clear, operations_to_clear, snapshots_to_clear};
use proximity_domain::time::Timestamp;
use proximity_store::clearing::{Journal, OperationsCleared};
use proximity_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::EngineError;

/// Events that one commit takes at most.
const EVENTS_AT_ONCE: u32 = 500;
/// Operations of one look.
const OPERATIONS_AT_ONCE: u32 = 200;
/// Snapshots, or resources with too many of them, of one look.
const SNAPSHOTS_AT_ONCE: u32 = 200;
/// Resources that one commit takes whole: each may have some hundred snapshots.
const RESOURCES_AT_ONCE: u32 = 20;
/// So many tasks of Proxmox VE are kept at most: they happen, and are not there.
const TASKS: u64 = 20_000;

/// Clears all that may go by now; after `shutdown` no further part is begun. Says what went.
pub(crate) async fn run(
    engine: &Engine,
    now: Timestamp,
    shutdown: &CancellationToken,
) -> Result<(), EngineError> {
    let (store, retention) = (engine.store(), &engine.inner.parts.limits.retention);
    let events = clear_events(store, &retention.events, now, shutdown).await?;
    let gone = clear_operations(store, &retention.operations, now, shutdown).await?;
    let keep = &retention.snapshots;
    let snapshots = Observed::Snapshots.clear(store, keep, now, shutdown);
    let snapshots = snapshots.await?;
    let tasks = Observed::Tasks.clear(store, keep, now, shutdown).await?;
    let resources = Observed::Resources.clear(store, keep, now, shutdown);
    let resources = resources.await?;
    if snapshots + tasks + resources > 0 {
        tracing::info!(
            snapshots,
            tasks,
            resources,
            "cleared away what is older, or more, than is kept of what resources were, of tasks of Proxmox VE, and of resources that are \
             gone, or were observed at host entries that were removed"
        );
    }
    if events + gone.operations > 0 {
        tracing::info!(
            events,
            operations = gone.operations,
            steps = gone.steps,
            log_lines = gone.log_lines,
            "cleared away what is older, or more, than is kept of events and of operations that have ended"
        );
    }
    Ok(())
}

async fn clear_events(
    store: &Store,
    keep: &Keep,
    now: Timestamp,
    shutdown: &CancellationToken,
) -> Result<u64, StoreError> {
    let mut gone = 0;
    loop {
        let old = store.old_events(EVENTS_AT_ONCE).await?;
        let found = events_to_clear(&old, keep, now);
        if found.is_held {
            tracing::warn!(
                untold = old.untold,
                "events that would be cleared away are kept: a channel of notices has not been told of them yet \
                 (proximity notify channels)"
            );
        }
        let Some(to) = found.to else { break };
        let cleared = store.clear_events(to).await?;
        gone += cleared;
        if cleared == 0 || found.is_held || shutdown.is_cancelled() {
            break;
        }
    }
    Ok(gone)
}

async fn clear_operations(
    store: &Store,
    keep: &Keep,
    now: Timestamp,
    shutdown: &CancellationToken,
) -> Result<OperationsCleared, StoreError> {
    let mut gone = OperationsCleared::default();
    let counts = store.journal_counts().await?;
    let ended = counts.iter().find(|of| of.journal == Journal::Operations);
    let mut from_here = ended.map_or(0, |count| count.kept);
    let mut after = None;
    loop {
        let found = store.ended_operations(after, OPERATIONS_AT_ONCE).await?;
        let decided = operations_to_clear(&found, from_here, keep, now);
        if !decided.go.is_empty() {
            // What they said was committed before they ended; only what is numbered can go.
            store.journal_numbered().await?;
        }
        let mut rest = decided.go.as_slice();
        while !rest.is_empty() {
            let part = store.clear_operations(rest, now).await?;
            gone.operations += part.operations;
            gone.steps += part.steps;
            gone.log_lines += part.log_lines;
            rest = rest.get(part.dealt_with.max(1)..).unwrap_or_default();
            if shutdown.is_cancelled() {
                return Ok(gone);
            }
        }
        if decided.is_end {
            return Ok(gone);
        }
        after = found.last().map(|last| (last.finished_at, last.id));
        from_here = from_here.saturating_sub(found.len() as u64);
    }
}

/// What is cleared of what was observed of clusters.
#[derive(Debug, Clone, Copy)]
enum Observed {
    /// Of each resource what is too much of it, then what ended too long ago. The newest one of each stays.
    Snapshots,
    /// Tasks happen: they go whole.
    Tasks,
    /// What is gone for longer than is kept goes whole, and so does what was observed at host entries that were removed.
    Resources,
}

impl Observed {
    /// Clears all of it that may go, part by part; after `shutdown` no further one is begun. Says how much went.
    async fn clear(
        self,
        store: &Store,
        keep: &Keep,
        now: Timestamp,
        shutdown: &CancellationToken,
    ) -> Result<u64, StoreError> {
        let mut gone = 0;
        loop {
            let cleared = self.clear_part(store, keep, now).await?;
            gone += cleared;
            if cleared == 0 || shutdown.is_cancelled() {
                return Ok(gone);
            }
        }
    }

    /// Clears what one commit takes. Says how much went; none where nothing more may go.
    async fn clear_part(
        self,
        store: &Store,
        keep: &Keep,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let age = keep.age_ms;
        let before = age.map(|age_ms| Timestamp(now.0.saturating_sub(age_ms)));
        let whole = match self {
            Self::Snapshots => return clear_some_snapshots(store, keep, now).await,
            Self::Tasks => store.old_tasks(before, TASKS, SNAPSHOTS_AT_ONCE).await?,
            Self::Resources => store.past_resources(before, RESOURCES_AT_ONCE).await?,
        };
        if whole.is_empty() {
            return Ok(0);
        }
        store.remove_resources(&whole).await
    }
}

async fn clear_some_snapshots(
    store: &Store,
    keep: &Keep,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut old = match keep.most {
        Some(most) => store.crowded_resources(most, SNAPSHOTS_AT_ONCE).await?,
        None => Vec::new(),
    };
    if old.is_empty() {
        let past = store.past_snapshots(SNAPSHOTS_AT_ONCE).await?;
        old = snapshots_to_clear(&past, keep, now);
    }
    if old.is_empty() {
        return Ok(0);
    }
    store.clear_snapshots(&old).await
}
