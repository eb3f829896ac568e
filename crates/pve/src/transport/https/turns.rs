//! Turns: how many calls may be under way, in all and at one node.
//!
//! What the turns of a node protect is the workers of the node that carries a call out, whichever endpoint it was sent to:
//! each of its daemons has three, and one that works on a call does nothing else. The endpoint that passes a call on needs no
//! turns of its own for that: its worker goes on with other calls until the answer comes (`proxy_request` in
//! pve-http-server's `AnyEvent.pm`). So a turn is one of the node, and not of an endpoint and a node: a second endpoint leads
//! to the same workers. What an endpoint carries out itself is short and told from memory; it is bounded in all alone.
//!
//! Nothing ends when somebody hangs up: the same `proxy_request` finds only at the end that its caller has gone. So whoever
//! gives a call up leaves the turn with it, until the connection says that the call is over, or PVE's proxies have given it up
//! as well ([`KEPT`]; [`super::under_way`]). That holds up neither
//!
//! - calls for other nodes: a call that was given up counts at its node alone, and no longer in all;
//! - who waits for this node: as long as all of its turns are with calls that were given up it is a node that does not answer,
//!   and whoever has patience with an answer has as much with that;
//! - what another endpoint can answer: where an endpoint says nothing at all, also of what it answers itself, the silence is
//!   its own. The calls that went by way of it count at no node any longer, and go on to the next endpoint; only the node that
//!   is itself at that endpoint keeps them. By one way never more than [`CALLS_PER_NODE`] are under way to a node. So there are
//!   more than that at a node only when it hangs as well as the endpoint that had passed them on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use proximity_domain::names::NodeName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::hearing::Hearing;
use crate::transport::{RawResponse, TransportError, not_within, says_out_of_files};

#[cfg(test)]
mod tests;

/// Calls under way at the same time to one cluster.
pub const CALLS_PER_CLUSTER: usize = 16;
/// Calls under way at the same time to one node: each of PVE's daemons has three workers, and one is left to others.
pub const CALLS_PER_NODE: usize = 2;

/// So long after it was sent a call that was given up keeps its turn at most: PVE's proxies give it up after 30 s, and say so;
/// five more for the way.
pub(super) const KEPT: Duration = Duration::from_secs(35);
/// An endpoint that leaves unanswered for so long what it answers itself, and says nothing else meanwhile, says nothing at all.
pub(super) const SILENT: Duration = Duration::from_secs(5);

/// Who may send now. First come, first served, at each node by itself: a node that hangs holds up none of the others.
#[derive(Debug)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    /// As many as the cluster has nodes.
    nodes: Mutex<HashMap<String, Arc<AtNode>>>,
    /// How many endpoints there are.
    endpoints: usize,
    /// When each endpoint said something last.
    spoke: Mutex<HashMap<usize, Instant>>,
    /// When it was last found of an endpoint that it says nothing at all.
    silent: watch::Sender<HashMap<usize, Instant>>,
}

/// One node.
#[derive(Debug)]
struct AtNode {
    name: String,
    turns: Arc<Semaphore>,
    /// When it last answered.
    heard: Mutex<Option<Instant>>,
    /// How many of its turns are with calls that were given up.
    kept: watch::Sender<usize>,
    /// Those that may be under way, also those that count no longer.
    calls: Mutex<Vec<Weak<Call>>>,
}

/// One copy of a call to a node.
#[derive(Debug)]
struct Call {
    node: Arc<AtNode>,
    stand: Mutex<Stand>,
}

/// How it stands with a call.
#[derive(Debug)]
struct Stand {
    /// None: it does not count at the node.
    permit: Option<OwnedSemaphorePermit>,
    /// The endpoint that it was sent to, as long as it may be under way there.
    by: Option<usize>,
    given_up: bool,
}

/// The turn of one copy of a call at its node; a call that the endpoint carries out itself needs none. Given back when dropped.
#[derive(Debug, Default)]
pub(super) struct Turn(Option<Arc<Call>>);

/// One endpoint, as a way to the nodes for one copy of a call.
#[derive(Debug, Clone)]
pub(super) struct Way {
    turns: Arc<Turns>,
    endpoint: usize,
    /// The node that answers there, once that is known.
    node: Option<NodeName>,
    /// What comes this way of the answer.
    hearing: Hearing,
}

impl Turns {
    pub(super) fn new(endpoints: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(CALLS_PER_CLUSTER)),
            nodes: Mutex::default(),
            endpoints,
            spoke: Mutex::default(),
            silent: watch::Sender::new(HashMap::new()),
        }
    }

    /// Waits for a turn at the node of this path, until `limit` at most. If all of its turns are with calls that were given up,
    /// it is waited for with the patience that there is with an answer.
    ///
    /// # Errors
    /// [`TransportError::NotSent`] when there was none in time.
    pub(super) async fn at_node(
        &self,
        path: &str,
        limit: Instant,
        patience: Option<Duration>,
    ) -> Result<Turn, TransportError> {
        let Some(name) = node_of(path) else {
            return Ok(Turn::default());
        };
        let node = self.at(name);
        let granting = timeout_at(limit, Arc::clone(&node.turns).acquire_owned());
        tokio::select! {
            biased;
            granted = granting => match granted {
                Ok(Ok(permit)) => Ok(node.call(permit)),
                Ok(Err(_)) | Err(_) => Err(node.none_free()),
            },
            waited = node.silent_for(patience) => {
                Err(TransportError::NotSent(not_within(waited)))
            }
        }
    }

    /// Waits for one of the turns that there are in all, until `limit` at most.
    ///
    /// # Errors
    /// [`TransportError::NotSent`] when there was none in time.
    pub(super) async fn in_all(
        &self,
        limit: Instant,
    ) -> Result<OwnedSemaphorePermit, TransportError> {
        match timeout_at(limit, Arc::clone(&self.all).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(too_many()),
        }
    }

    /// Turns for one more copy of a read, of which others are under way by these endpoints since these moments. They are to be
    /// had at once, or else only when one of those endpoints says nothing at all: what a node is slow with it does not need a
    /// second time before all that waits for it.
    ///
    /// Past an endpoint that says nothing the read goes on with the turn in all that it has: when all of these are with reads
    /// that wait there, none of them would ever get a second one.
    ///
    /// # Errors
    /// [`TransportError::NotSent`] when there were none until `limit`.
    pub(super) async fn further(
        &self,
        path: &str,
        under_way: &[(usize, Instant)],
        limit: Instant,
    ) -> Result<(Turn, Option<OwnedSemaphorePermit>), TransportError> {
        if let Ok((turn, in_all)) = self.both(path, Instant::now()).await {
            return Ok((turn, Some(in_all)));
        }
        let mut silent = self.silent.subscribe();
        let found = silent
            .wait_for(|found| {
                let since = |(endpoint, asked): &(usize, Instant)| {
                    found.get(endpoint).is_some_and(|at| at >= asked)
                };
                under_way.is_empty() || under_way.iter().any(since)
            })
            .await
            .is_ok();
        if found {
            Ok((self.at_node(path, limit, None).await?, None))
        } else {
            Err(too_many())
        }
    }

    async fn both(
        &self,
        path: &str,
        limit: Instant,
    ) -> Result<(Turn, OwnedSemaphorePermit), TransportError> {
        let turn = self.at_node(path, limit, None).await?;
        Ok((turn, self.in_all(limit).await?))
    }

    /// When this node last answered.
    pub(super) fn heard(&self, node: &str) -> Option<Instant> {
        let node = lock(&self.nodes).get(node).cloned()?;
        *lock(&node.heard)
    }

    fn at(&self, name: &str) -> Arc<AtNode> {
        let mut nodes = lock(&self.nodes);
        match nodes.get(name) {
            Some(known) => Arc::clone(known),
            None => {
                let node = Arc::new(AtNode::new(name));
                nodes.insert(name.to_owned(), Arc::clone(&node));
                node
            }
        }
    }
}

impl AtNode {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            turns: Arc::new(Semaphore::new(CALLS_PER_NODE)),
            heard: Mutex::default(),
            kept: watch::Sender::new(0),
            calls: Mutex::default(),
        }
    }

    fn call(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Turn {
        let stand = Stand {
            permit: Some(permit),
            by: None,
            given_up: false,
        };
        let call = Arc::new(Call {
            node: Arc::clone(self),
            stand: Mutex::new(stand),
        });
        let mut calls = lock(&self.calls);
        calls.retain(|known| known.strong_count() > 0);
        calls.push(Arc::downgrade(&call));
        Turn(Some(call))
    }

    fn calls(&self) -> Vec<Arc<Call>> {
        let calls = lock(&self.calls);
        calls.iter().filter_map(Weak::upgrade).collect()
    }

    /// Ends when all of its turns have been with calls that were given up for as long as this patience, without a break.
    async fn silent_for(&self, patience: Option<Duration>) -> Duration {
        let Some(patience) = patience else {
            return std::future::pending().await;
        };
        let mut kept = self.kept.subscribe();
        loop {
            let hangs = kept.wait_for(|kept| *kept >= CALLS_PER_NODE).await.is_ok();
            if !hangs {
                return std::future::pending().await;
            }
            let ended = kept.wait_for(|kept| *kept < CALLS_PER_NODE);
            if timeout(patience, ended).await.is_err() {
                return patience;
            }
        }
    }

    fn none_free(&self) -> TransportError {
        let kept = *self.kept.borrow();
        if kept < CALLS_PER_NODE {
            return too_many();
        }
        TransportError::NotSent(format!(
            "node {} has not answered the calls before this one",
            self.name
        ))
    }
}

impl Call {
    /// It counts no longer.
    fn free(&self) {
        self.let_go(&mut lock(&self.stand));
    }

    /// It counts no longer, if it is under way by this endpoint.
    fn free_by(&self, endpoint: usize) {
        let mut stand = lock(&self.stand);
        if stand.by == Some(endpoint) {
            self.let_go(&mut stand);
        }
    }

    fn let_go(&self, stand: &mut Stand) {
        let permit = stand.permit.take();
        if permit.is_some() && stand.given_up {
            self.node.kept.send_modify(|kept| *kept -= 1);
        }
    }

    fn went_by(&self, endpoint: usize) -> bool {
        lock(&self.stand).by == Some(endpoint)
    }
}

impl Turn {
    /// Whether it is one of a node.
    pub(super) fn is_of_a_node(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a call may be sent with it: it may have been given to another one when its endpoint was found silent.
    pub(super) fn is_good(&self) -> bool {
        let call = self.0.as_ref();
        call.is_none_or(|call| lock(&call.stand).permit.is_some())
    }

    /// The call is sent to this endpoint now. False if it must not: its turn was given to another one, or as many as a node gets
    /// may still be under way that way.
    pub(super) fn goes_by(&self, endpoint: usize) -> bool {
        let Some(call) = &self.0 else {
            return true;
        };
        // Held until it is entered: two that look at the same time would not see each other.
        let calls = lock(&call.node.calls);
        let known = calls.iter().filter_map(Weak::upgrade);
        let others = known.filter(|it| !Arc::ptr_eq(it, call) && it.went_by(endpoint));
        if others.count() >= CALLS_PER_NODE {
            return false;
        }
        let mut stand = lock(&call.stand);
        if stand.permit.is_none() {
            return false;
        }
        stand.by = Some(endpoint);
        true
    }

    /// The call is over at the endpoint it was sent to, or never got there: what is found of that one says nothing about it.
    pub(super) fn is_back(&self) {
        if let Some(call) = &self.0 {
            lock(&call.stand).by = None;
        }
    }

    /// Nobody waits for the answer any longer, and the call may still be at work.
    pub(super) fn give_up(&self) {
        let Some(call) = &self.0 else {
            return;
        };
        let mut stand = lock(&call.stand);
        if stand.permit.is_some() && !stand.given_up {
            stand.given_up = true;
            call.node.kept.send_modify(|kept| *kept += 1);
        }
    }

    /// Takes note of an answer: whoever gives one does not hang. PVE's word that it cannot reach a node is none of that node.
    pub(super) fn note(&self, answer: &RawResponse) {
        if let Some(call) = &self.0
            && !(595..=599).contains(&answer.status)
        {
            *lock(&call.node.heard) = Some(Instant::now());
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(call) = &self.0 {
            call.free();
        }
    }
}

impl Way {
    pub(super) fn new(turns: Arc<Turns>, endpoint: usize, node: Option<NodeName>) -> Self {
        Self {
            turns,
            endpoint,
            node,
            hearing: Hearing::default(),
        }
    }

    /// Tells when something of the answer came last.
    pub(super) fn hearing(&self) -> Hearing {
        self.hearing.clone()
    }

    pub(super) fn endpoint(&self) -> usize {
        self.endpoint
    }

    /// An answer came from there, whoever gave it.
    pub(super) fn spoke(&self) {
        lock(&self.turns.spoke).insert(self.endpoint, Instant::now());
    }

    /// It was asked at that moment for something that it gives itself, and has not given it.
    pub(super) fn left_unanswered(&self, asked: Instant) {
        if asked.elapsed() >= SILENT {
            self.says_nothing_since(asked);
        }
    }

    /// No connection could be made, which was begun at that moment.
    pub(super) fn was_not_reached(&self, begun: Instant, why: &TransportError) {
        if let TransportError::NotSent(why) = why
            && !says_out_of_files(why)
        {
            self.says_nothing_since(begun);
        }
    }

    /// The calls that went by this way count at no node any longer, unless something else came from there since, or there is no
    /// other way.
    fn says_nothing_since(&self, asked: Instant) {
        let turns = &self.turns;
        let spoke = lock(&turns.spoke).get(&self.endpoint).copied();
        if turns.endpoints < 2 || spoke.is_some_and(|at| at >= asked) {
            return;
        }
        let own = self.node.as_ref().map(NodeName::as_str);
        let nodes: Vec<Arc<AtNode>> = lock(&turns.nodes).values().cloned().collect();
        for node in nodes.iter().filter(|it| Some(it.name.as_str()) != own) {
            for call in node.calls() {
                call.free_by(self.endpoint);
            }
        }
        tracing::debug!(endpoint = self.endpoint, "an endpoint says nothing at all");
        turns.silent.send_modify(|found| {
            found.insert(self.endpoint, Instant::now());
        });
    }
}

fn too_many() -> TransportError {
    TransportError::NotSent("too many requests are under way".to_owned())
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The node that carries the call out, whoever is asked.
pub(super) fn node_of(path: &str) -> Option<&str> {
    path.strip_prefix("/nodes/")?
        .split('/')
        .next()
        .filter(|node| !node.is_empty())
}
