//! Turns: how many calls may be under way, in all and at one node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::transport::{RawResponse, TransportError};

/// Calls under way at the same time to one cluster.
pub const CALLS_PER_CLUSTER: usize = 16;
/// Calls under way at the same time to one node: each of PVE's daemons has three workers, and one is left to others.
pub const CALLS_PER_NODE: usize = 2;

/// Who may send now. First come, first served, at each node by itself: a node that hangs holds up none of the others.
#[derive(Debug)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    /// As many as the cluster has nodes.
    nodes: Mutex<HashMap<String, AtNode>>,
}

/// One node.
#[derive(Debug)]
struct AtNode {
    turns: Arc<Semaphore>,
    /// When it last answered.
    heard: Option<Instant>,
}

impl Default for AtNode {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(CALLS_PER_NODE)),
            heard: None,
        }
    }
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
            Some(node) => Some(turn(self.at(node, |it| it.turns.clone()), limit).await?),
            None => None,
        };
        Ok(Turn {
            _at_node: at_node,
            _in_all: turn(self.all.clone(), limit).await?,
        })
    }

    /// Takes note of an answer: whoever gives one does not hang. PVE's word that it cannot reach a node is none of that node.
    pub(super) fn note(&self, path: &str, outcome: &Result<RawResponse, TransportError>) {
        if let (Some(node), Ok(answer)) = (node_of(path), outcome)
            && !(595..=599).contains(&answer.status)
        {
            self.at(node, |it| it.heard = Some(Instant::now()));
        }
    }

    /// When this node last answered.
    pub(super) fn heard(&self, node: &str) -> Option<Instant> {
        self.at(node, |it| it.heard)
    }

    fn at<T>(&self, node: &str, look: impl FnOnce(&mut AtNode) -> T) -> T {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        match nodes.get_mut(node) {
            Some(known) => look(known),
            None => look(nodes.entry(node.to_owned()).or_default()),
        }
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
