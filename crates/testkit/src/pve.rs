//! The emulator's core behind an in-process transport.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use proximity_domain::time::Clock;
use proximity_pve::transport::https::ApiToken;
use proximity_pve::transport::tokens::Tokens;
use proximity_pve::transport::{Method, RawResponse, Request, Transport, TransportError, answered};
use proximity_pve_emulator::core::{
    self, Access, Effects, Input, Node, Reach, RequestId, Response, TokenSeed, World, WorldSeed,
};
use secrecy::ExposeSecret;
use tokio::sync::{oneshot, watch};

use crate::guests::Guests;
use crate::sources::RealClock;

mod requests;
mod seed;
mod sending;
#[cfg(test)]
mod tests;
mod troubles;

use requests::stranger;
pub use requests::with_token;
pub(crate) use requests::{api_request, authorization, request};
pub use seed::{NodeRoom, seed};
pub(crate) use seed::{TEMPLATE, seed_of};

/// A cluster in this process.
#[derive(Debug, Clone)]
pub struct Pve {
    inner: Arc<Mutex<Inner>>,
    /// Its guests.
    pub guests: Guests,
    /// Headers that say who asks.
    tokens: Tokens<String>,
    calls: Arc<watch::Sender<u64>>,
}

/// The token by which the cluster is reached.
const TOKEN: &str = "root@pam!proximity";
/// Its secret.
const SECRET: &str = "in-process";

#[derive(Debug)]
struct Inner {
    world: World,
    next: u64,
    waiting: HashMap<RequestId, oneshot::Sender<Response>>,
    /// Calls that change something: method and path, in order.
    changes: Vec<String>,
    /// Cut the connection after this call took effect (method and part of the path), once.
    cut_after: Option<(Method, String)>,
    /// Calls that are not sent any more: method, end of the path, how many times.
    unreachable: Option<(Method, String, u32)>,
    /// How many of the next attempts to connect panic.
    faults: u32,
    /// Calls that are refused: method, end of the path, PVE's message, how many times.
    refused: Option<(Method, String, String, u32)>,
    /// Calls that are not answered before this is told to go on: method and end of the path.
    held: Option<(Held, watch::Receiver<bool>)>,
    /// The node at which calls get no turn before this is told to go on.
    busy: Option<(String, watch::Receiver<bool>)>,
    /// Somebody else's calls that take effect right before one of ours (method and part of the path), each once.
    before: Vec<(Method, String, Request)>,
    /// Nodes at whose address somebody else answers.
    impersonated: Vec<String>,
    /// The next call of this method whose path ends so gets no answer and arrives later.
    delayed: Option<(Method, String, Arrival)>,
    /// Calls of ours that have not arrived yet.
    under_way: Vec<(Arrival, Request)>,
    /// Lists of tasks call each create a restore.
    restores: bool,
    /// The cluster's list calls each container a virtual machine.
    machines: bool,
    /// The list that this node gives lacks this number.
    old_list: Option<(String, u32)>,
    /// The node that is asked first, if it answers.
    preferred: usize,
    /// How often that became another one.
    moves: u64,
    /// How often somebody said that nothing is about to be asked.
    rests: u64,
    /// It is near.
    near: bool,
    /// Somebody keeps a console of this number open, on this node.
    console: Option<(String, u32)>,
    /// What arrives in the place of an answer.
    distortion: Option<Distortion>,
}

/// What arrives in the place of the answer to a call.
pub type Distort = dyn Fn(&Request, Result<RawResponse, TransportError>) -> Result<RawResponse, TransportError>
    + Send
    + Sync;

#[derive(Clone)]
struct Distortion(Arc<Distort>);

impl std::fmt::Debug for Distortion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Distortion")
    }
}

/// Right before which later call a delayed one arrives.
struct Arrival(Box<dyn FnMut(&Request) -> bool + Send>);

impl std::fmt::Debug for Arrival {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Arrival")
    }
}

/// Which calls hang.
#[derive(Debug, Clone)]
enum Held {
    /// Of this method, whose path ends so.
    Calls(Method, String),
    /// Whose path begins so.
    Node(String),
}

impl Held {
    fn is(&self, request: &Request) -> bool {
        match self {
            Self::Calls(method, end) => {
                *method == request.method && request.path.ends_with(end.as_str())
            }
            Self::Node(begin) => request.path.starts_with(begin.as_str()),
        }
    }
}

impl Pve {
    /// A standalone node, `pve1`, with a token that may do everything, or nothing.
    #[must_use]
    pub fn start(access: Access) -> Self {
        Self::start_in(access, NodeRoom::default())
    }

    /// As [`Pve::start`], with a node of this size.
    #[must_use]
    pub fn start_in(access: Access, room: NodeRoom) -> Self {
        Self::cluster_in(0, &["pve1"], access, room)
    }

    /// A cluster of these nodes; `number` tells the clusters of one world apart. One node is a standalone one.
    #[must_use]
    pub fn cluster(number: u8, nodes: &[&str], access: Access) -> Self {
        Self::cluster_in(number, nodes, access, NodeRoom::default())
    }

    /// A standalone node with more in it than it has by default.
    #[must_use]
    pub fn start_with(access: Access, more: impl FnOnce(&mut WorldSeed)) -> Self {
        let nodes = ["pve1"];
        let mut seed = seed_of(TOKEN, SECRET, access, 0, &nodes, NodeRoom::default());
        more(&mut seed);
        Self::of_seed(0, &nodes, seed)
    }

    fn cluster_in(number: u8, nodes: &[&str], access: Access, room: NodeRoom) -> Self {
        let seed = seed_of(TOKEN, SECRET, access, number, nodes, room);
        Self::of_seed(number, nodes, seed)
    }

    fn of_seed(number: u8, nodes: &[&str], seed: WorldSeed) -> Self {
        let mut world = World::new(seed, now());
        for (name, i) in nodes.iter().zip(1_u8..) {
            if let Some(node) = world.node_mut(name) {
                node.fingerprint = fingerprint(i);
            }
        }
        let inner = Inner {
            world,
            next: 0,
            waiting: HashMap::new(),
            changes: Vec::new(),
            cut_after: None,
            unreachable: None,
            faults: 0,
            refused: None,
            held: None,
            busy: None,
            before: Vec::new(),
            impersonated: Vec::new(),
            delayed: None,
            under_way: Vec::new(),
            restores: false,
            machines: false,
            old_list: None,
            preferred: 0,
            moves: 0,
            rests: 0,
            near: false,
            console: None,
            distortion: None,
        };
        let pve = Self {
            inner: Arc::new(Mutex::new(inner)),
            guests: Guests::of_cluster(number),
            tokens: Tokens::one(authorization(TOKEN, SECRET)),
            calls: Arc::new(watch::Sender::new(0)),
        };
        tokio::spawn(tick(pve.clone()));
        pve
    }

    /// The same cluster, reached with other tokens.
    #[must_use]
    pub fn reached_with(&self, tokens: &Tokens) -> Self {
        let header = |token: &ApiToken| Ok(authorization(&token.id, token.secret.expose_secret()));
        let Ok::<_, Infallible>(tokens) = tokens.try_map(header);
        Self {
            tokens,
            ..self.clone()
        }
    }

    /// A call as root makes it, whether the client has it or not; not counted among [`Pve::changes`].
    pub async fn as_root(
        &self,
        method: Method,
        path: &str,
        params: &[(&str, &str)],
    ) -> RawResponse {
        let before = self.changes();
        let request = request(method, path, params);
        let via = self.first_that_serves();
        let root = authorization(TOKEN, SECRET);
        let answer = self.send_by(via, request, &root).await;
        self.with(|inner| inner.changes = before);
        answer.unwrap_or_else(|e| RawResponse {
            status: 0,
            reason: e.to_string(),
            body: Vec::new().into(),
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at or changes the world behind the API's back.
    pub fn meddle<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        self.with(|inner| act(&mut inner.world))
    }

    /// From now on the token may do everything, or nothing.
    pub fn allow(&self, access: Access) {
        let id = TOKEN.to_owned();
        let secret_sha256 = core::hash_secret(SECRET);
        self.meddle(|world| {
            world.put_token(TokenSeed {
                id,
                secret_sha256,
                access,
            });
        });
    }

    /// From now on somebody else answers at the node's address, with a certificate of their own.
    pub fn impersonate(&self, node: &str) {
        self.with(|inner| inner.impersonated.push(node.to_owned()));
    }

    /// The certificate's fingerprint at this URL, if a node that is up has the address.
    #[must_use]
    pub fn fingerprint_at(&self, url: &str) -> Option<String> {
        self.with(|inner| {
            let has =
                |n: &&Node| n.reach == Reach::Up && url == format!("https://{}:8006", n.address);
            let node = inner.world.nodes().iter().find(has)?;
            if inner.impersonated.contains(&node.name) {
                return Some(fingerprint(0xEE));
            }
            Some(node.fingerprint.clone())
        })
    }

    /// Calls that changed something, in order.
    #[must_use]
    pub fn changes(&self) -> Vec<String> {
        self.with(|inner| inner.changes.clone())
    }

    /// Changes a configuration as somebody else would: not counted among [`Pve::changes`].
    pub async fn put(&self, path: &str, params: &[(&str, &str)]) {
        let _ = self.as_root(Method::Put, path, params).await;
    }

    /// Somebody else creates a container right before our next call of this method whose path ends so takes effect.
    pub fn taken_before(&self, method: Method, path_end: &str, node: &str, vmid: u32) {
        let request = stranger(node, vmid);
        self.with(|inner| inner.before.push((method, path_end.to_owned(), request)));
    }

    /// Somebody else creates a container; returns when its task has ended.
    pub async fn stranger_creates(&self, node: &str, vmid: u32) -> RawResponse {
        let before = self.changes();
        let made = self.send_as_it_is(stranger(node, vmid)).await;
        self.with(|inner| inner.changes = before);
        let made = made.unwrap_or_else(|e| RawResponse {
            status: 0,
            reason: e.to_string(),
            body: Vec::new().into(),
        });
        self.unlocked(|id| id == vmid).await;
        made
    }

    /// Returns when no guest is being created or changed any more.
    pub async fn quiet(&self) {
        self.unlocked(|_| true).await;
    }

    async fn unlocked(&self, of: impl Fn(u32) -> bool) {
        while self.meddle(|world| {
            let lock = |g: &core::Guest| g.config.get("lock").is_some();
            world.guests().any(|(id, g)| of(id) && lock(g))
        }) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The next call of this method whose path ends so takes effect, and its answer is lost.
    pub fn cut_after(&self, method: Method, path_end: &str) {
        self.with(|inner| inner.cut_after = Some((method, path_end.to_owned())));
    }

    /// The next call of this method whose path ends so gets no answer, and takes effect right before the first later call
    /// that `before` says.
    pub fn delay(
        &self,
        method: Method,
        path_end: &str,
        before: impl FnMut(&Request) -> bool + Send + 'static,
    ) {
        let arrival = Arrival(Box::new(before));
        self.with(|inner| inner.delayed = Some((method, path_end.to_owned(), arrival)));
    }

    /// From now on lists of tasks call each create a restore, as somebody's restore of a backup is.
    pub fn show_creates_as_restores(&self) {
        self.with(|inner| inner.restores = true);
    }

    /// From now on the lists of what runs on this number show a console that somebody keeps open.
    pub fn open_console(&self, node: &str, vmid: u32) {
        self.with(|inner| inner.console = Some((node.to_owned(), vmid)));
    }

    /// From now on the cluster's list calls each container a virtual machine.
    pub fn show_guests_as_machines(&self) {
        self.with(|inner| inner.machines = true);
    }

    /// From now on the list that this node gives lacks this number: its copy of the cluster's files has stood still since before
    /// that came to be, and it still has quorum.
    pub fn stand_still(&self, node: &str, vmid: u32) {
        self.with(|inner| inner.old_list = Some((node.to_owned(), vmid)));
    }

    /// How many delayed calls have not arrived yet.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.with(|inner| inner.under_way.len())
    }

    /// Whether this call gets no answer now, and arrives later.
    fn is_delayed(&self, request: &Request) -> bool {
        self.with(|inner| {
            let delayed = inner.delayed.take_if(|(method, end, _)| {
                *method == request.method && request.path.ends_with(end.as_str())
            });
            let Some((method, _, arrival)) = delayed else {
                return false;
            };
            let name = format!("{} {}", method.as_str(), request.path);
            inner.changes.push(name);
            inner.under_way.push((arrival, request.clone()));
            true
        })
    }

    /// What was delayed until right before this call arrives.
    async fn let_arrive(&self, next: &Request) {
        loop {
            let arrived = self.with(|inner| {
                let calls = &mut inner.under_way;
                let at = calls.iter_mut().position(|(arrival, _)| arrival.0(next))?;
                Some(calls.remove(at).1)
            });
            let Some(request) = arrived else {
                return;
            };
            let before = self.changes();
            let _ = self.send_as_it_is(request).await;
            self.with(|inner| inner.changes = before);
        }
    }

    /// How many calls have arrived since the start.
    #[must_use]
    pub fn calls(&self) -> u64 {
        *self.calls.borrow()
    }

    /// How often somebody said that nothing is about to be asked.
    #[must_use]
    pub fn rests(&self) -> u64 {
        self.with(|inner| inner.rests)
    }

    /// From now on it is near: it answers so soon that one thing is asked after the other.
    pub fn come_near(&self) {
        self.with(|inner| inner.near = true);
    }

    /// Returns when this many calls have arrived since the start.
    pub async fn calls_arrived(&self, count: u64) {
        // The sender lives as long as this cluster, so waiting cannot fail.
        let _ = self.calls.subscribe().wait_for(|seen| *seen >= count).await;
    }

    /// Feeds an input and everything that follows from it.
    fn feed(&self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let effects = self.with(|inner| core::handle(&mut inner.world, input, now()));
            self.deliver(effects, &mut inputs);
        }
    }

    fn deliver(&self, effects: Effects, inputs: &mut Vec<Input>) {
        for response in effects.responses {
            if let Some(waiting) = self.with(|inner| inner.waiting.remove(&response.request)) {
                // The asker may have gone away in the meantime.
                let _ = waiting.send(response);
            }
        }
        for command in effects.commands {
            inputs.push(Input::GuestDone(self.guests.carry_out(&command)));
        }
    }
}

#[async_trait]
impl Transport for Pve {
    async fn send(&self, request: Request) -> Result<RawResponse, TransportError> {
        self.wait_for_turn(&request).await;
        let asked = request.clone();
        let answer = answered(request.answer_ms, self.send_in_turn(request)).await;
        self.distorted(&asked, answer)
    }

    fn endpoints(&self) -> usize {
        self.meddle(|world| world.nodes().len())
    }

    async fn read_from(
        &self,
        endpoint: usize,
        request: Request,
    ) -> Result<RawResponse, TransportError> {
        let via = self.meddle(|world| {
            let node = world.nodes().get(endpoint)?;
            world.serves(&node.name).then(|| node.name.clone())
        });
        let asked = request.clone();
        let answer = self.send_via(via, request).await;
        self.distorted(&asked, answer)
    }

    fn moves(&self) -> u64 {
        self.with(|inner| inner.moves)
    }

    fn first(&self) -> usize {
        let first = self.first_that_serves();
        self.with(|inner| {
            let mut nodes = inner.world.nodes().iter();
            nodes
                .position(|node| Some(&node.name) == first.as_ref())
                .unwrap_or(inner.preferred)
        })
    }

    fn prefer(&self, endpoint: usize) {
        self.with(|inner| {
            inner.moves += u64::from(inner.preferred != endpoint);
            inner.preferred = endpoint;
        });
    }

    fn rest(&self) {
        self.with(|inner| inner.rests += 1);
    }

    fn is_near(&self) -> bool {
        self.with(|inner| inner.near)
    }
}

/// Lets time pass for the world as long as somebody else holds it.
async fn tick(pve: Pve) {
    while Arc::strong_count(&pve.inner) > 1 {
        let due = pve
            .with(|inner| core::next_wakeup(&inner.world))
            .unwrap_or(u64::MAX);
        let wait = due.saturating_sub(now()).clamp(1, 10);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        pve.feed(Input::Tick);
    }
}

fn now() -> u64 {
    u64::try_from(RealClock.now().0).unwrap_or(0)
}

/// As PVE prints it.
fn fingerprint(byte: u8) -> String {
    vec![format!("{byte:02X}"); 32].join(":")
}
