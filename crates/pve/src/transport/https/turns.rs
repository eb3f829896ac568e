//! Turns: how many calls may be under way, in all and at one node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::transport::TransportError;

/// Calls under way at the same time to one cluster.
pub const CALLS_PER_CLUSTER: usize = 16;
/// Calls under way at the same time to one node: each of PVE's daemons has three workers, and one is left to others.
pub const CALLS_PER_NODE: usize = 2;

/// Who may send now. First come, first served, at each node by itself: a node that hangs holds up none of the others.
#[derive(Debug)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    /// As many as the cluster has nodes.
    nodes: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// Given back when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _at_node: Option<OwnedSemaphorePermit>,
    _in_all: OwnedSemaphorePermit,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(CALLS_PER_CLUSTER)),
            nodes: Mutex::default(),
        }
    }

    /// Waits for a turn for this path, until `limit` at most.
    ///
    /// # Errors
    /// [`TransportError::NotSent`] when there was none in time.
    pub(super) async fn take(&self, path: &str, limit: Instant) -> Result<Turn, TransportError> {
        let at_node = match node_of(path) {
            Some(node) => Some(turn(self.at(node), limit).await?),
            None => None,
        };
        Ok(Turn {
            _at_node: at_node,
            _in_all: turn(self.all.clone(), limit).await?,
        })
    }

    fn at(&self, node: &str) -> Arc<Semaphore> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = nodes.get(node) {
            return known.clone();
        }
        let new = Arc::new(Semaphore::new(CALLS_PER_NODE));
        nodes.insert(node.to_owned(), new.clone());
        new
    }
}

async fn turn(of: Arc<Semaphore>, limit: Instant) -> Result<OwnedSemaphorePermit, TransportError> {
    match timeout_at(limit, of.acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => Err(TransportError::NotSent(
            "too many requests are under way".to_owned(),
        )),
    }
}

/// The node that carries the call out, whoever is asked.
pub(super) fn node_of(path: &str) -> Option<&str> {
    path.strip_prefix("/nodes/")?
        .split('/')
        .next()
        .filter(|node| !node.is_empty())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(1)
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_hangs_holds_up_itself_alone() {
        let turns = Turns::new();
        let mut held = Vec::new();
        for _ in 0..CALLS_PER_NODE {
            held.push(turns.take("/nodes/a/lxc", soon()).await.unwrap());
        }
        assert!(turns.take("/nodes/a/tasks", soon()).await.is_err());
        assert!(turns.take("/nodes/b/lxc", soon()).await.is_ok());
        assert!(turns.take("/cluster/tasks", soon()).await.is_ok());
        held.pop();
        assert!(turns.take("/nodes/a/tasks", soon()).await.is_ok());
    }
}
