//! HTTPS to PVE: pinned or verified certificates, one request per change, failover for reads.

mod address;
mod certificate;
mod connection;
mod credentials;
mod distance;
mod failover;
mod fetch;
mod fingerprint;
mod head;
mod hearing;
mod idle;
mod login;
mod proof;
mod trust;
mod turns;
mod under_way;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use proximity_domain::names::NodeName;
use tokio::time::{Instant, timeout_at};

pub use certificate::ShownCertificate;
pub use credentials::{ApiToken, Credentials, Login};
pub use fetch::{fetch_certificate, fetch_fingerprint};
pub use fingerprint::{Fingerprint, NotAFingerprint};
pub use trust::Trust;
pub use turns::{CALLS_PER_CLUSTER, CALLS_PER_NODE};

use self::address::Address;
use self::connection::Connection;
use self::distance::Distance;
use self::idle::IdleConnections;
use self::proof::{Proof, Prover};
use self::turns::{Turn, Turns, Way};
use self::under_way::{Ended, UnderWay};
use super::{RawResponse, Request, Transport, TransportError, answered, no_endpoint};

/// The most one endpoint may take to connect, and a read be without an answer, before the next one is asked.
const SHARE: Duration = Duration::from_secs(5);

/// One node's API and how its certificate is trusted.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// `https://HOST[:PORT]`; the port is 8006 if none is given.
    pub url: String,
    /// How its certificate is trusted.
    pub trust: Trust,
}

/// The transport cannot be built from this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// There must be one.
    #[error("no endpoint is given")]
    NoEndpoint,
    /// The address is not usable.
    #[error("{url:?} is no address of a PVE API: {why}")]
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The certificates to trust are not usable.
    #[error("the certificates to trust cannot be used: {0}")]
    BadTrust(String),
    /// Id or secret cannot be sent.
    #[error("the API token is not of the form USER@REALM!NAME with a printable secret")]
    BadToken,
    /// User, password or code cannot be sent.
    #[error("the login needs a user of the form USER@REALM, a password, and as code digits only")]
    BadLogin,
}

/// HTTPS to the nodes of one cluster.
///
/// Guarantees: a request that changes something goes out at most once, on a connection of its own, and is passed on to
/// another endpoint only when nothing of it was sent. Reads may be repeated, elsewhere too. An endpoint that fails or keeps
/// silent for its share of a call's time is asked last by the calls that follow. Redirects are not followed.
/// The certificate is always verified, by pin or by chain. At most [`CALLS_PER_NODE`] calls about one node are under way, those
/// included that nobody waits for any longer.
///
/// With API tokens each request goes with the one that the table of calls names ([`crate::privileges`]); one that is not in the
/// table is not sent. With a [`Login`] the user logs in when the first call is made, and the ticket is renewed while it is good. A call whose
/// ticket PVE did not accept is made again with a new one, once; a change too, for PVE has not looked at it then (see
/// [`HttpsTransport::send`](Transport::send)).
pub struct HttpsTransport {
    endpoints: Vec<Endpoint>,
    prover: Prover,
    /// The endpoint that is asked first.
    preferred: AtomicUsize,
    /// How often that became another one.
    moves: AtomicU64,
    turns: Arc<Turns>,
}

struct Endpoint {
    address: Address,
    tls: tokio_rustls::TlsConnector,
    idle: IdleConnections,
    distance: Distance,
    /// The node that answers there, once that is known.
    node: Option<NodeName>,
}

impl HttpsTransport {
    /// A transport over these endpoints, tried in this order. Connects when first used.
    ///
    /// # Errors
    /// [`ConfigError`] if something in the configuration cannot be used.
    pub fn new(
        endpoints: Vec<EndpointConfig>,
        credentials: impl Into<Credentials>,
    ) -> Result<Self, ConfigError> {
        let built: Result<Vec<Endpoint>, ConfigError> =
            endpoints.into_iter().map(Endpoint::new).collect();
        let endpoints = built?;
        if endpoints.is_empty() {
            return Err(ConfigError::NoEndpoint);
        }
        Ok(Self {
            turns: Arc::new(Turns::new(endpoints.len())),
            endpoints,
            prover: Prover::new(credentials.into())?,
            preferred: AtomicUsize::new(0),
            moves: AtomicU64::new(0),
        })
    }

    /// Which node answers at which endpoint, in their order, as far as that is known: when an endpoint says nothing at all, what
    /// was sent there to its own node is still taken to be under way at it.
    #[must_use]
    pub fn at_nodes(mut self, nodes: impl IntoIterator<Item = Option<NodeName>>) -> Self {
        for (endpoint, node) in self.endpoints.iter_mut().zip(nodes) {
            endpoint.node = node;
        }
        self
    }

    fn way(&self, index: usize) -> Way {
        let node = self.endpoints.get(index).and_then(|it| it.node.clone());
        Way::new(Arc::clone(&self.turns), index, node)
    }
}

impl std::fmt::Debug for HttpsTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let urls: Vec<String> = self
            .endpoints
            .iter()
            .map(|e| e.address.to_string())
            .collect();
        f.debug_tuple("HttpsTransport").field(&urls).finish()
    }
}

/// When a request has to be over, and when its last byte has to be sent.
#[derive(Debug, Clone, Copy)]
struct Times {
    end: Instant,
    send_before: Option<Instant>,
    /// What one endpoint gets of it before the next one is asked.
    share: Duration,
}

impl Times {
    fn of(request: &Request) -> Self {
        let now = Instant::now();
        Self {
            end: now + Duration::from_millis(request.timeout_ms),
            send_before: request.send_before,
            share: SHARE,
        }
    }

    /// What is left is for so many endpoints.
    fn shared_by(self, endpoints: usize) -> Self {
        let left = self
            .begin_before()
            .saturating_duration_since(Instant::now());
        let endpoints = u32::try_from(endpoints.max(1)).unwrap_or(u32::MAX);
        Self {
            share: SHARE.min(left / endpoints),
            ..self
        }
    }

    /// Until when waiting for a turn makes sense.
    fn begin_before(&self) -> Instant {
        self.send_before
            .map_or(self.end, |limit| limit.min(self.end))
    }

    /// When the share of an endpoint ends that is asked now.
    fn share_end(&self) -> Instant {
        (Instant::now() + self.share).min(self.begin_before())
    }
}

impl Endpoint {
    fn new(config: EndpointConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            address: Address::parse(&config.url)?,
            tls: config.trust.connector()?,
            idle: IdleConnections::default(),
            distance: Distance::default(),
            node: None,
        })
    }

    /// Sends one copy of a request to this endpoint.
    async fn exchange(
        &self,
        request: &Request,
        proof: &Proof,
        times: &Times,
        mut turn: Turn,
        way: Way,
    ) -> Ended {
        let message = match connection::message(request, &self.address, proof) {
            Ok(message) => message,
            Err(failure) => return Ended::over(Err(failure), turn),
        };
        // Only reads use kept connections: PVE closes them at any time, and a change must never be in doubt for that.
        if request.method.is_read()
            && let Some(kept) = self.idle.take(times.end).await
        {
            let message = message.clone();
            let begun = Instant::now();
            let ended = self.send_on(kept, message, request, times, turn, &way);
            match ended.await {
                Ended {
                    outcome: Err(_),
                    turn: Some(back),
                } if back.is_good() => turn = back,
                ended => {
                    if ended.outcome.is_ok() {
                        self.distance.note(begun.elapsed());
                    }
                    return ended;
                }
            }
        }
        let begun = Instant::now();
        let opening = Connection::open(&self.address, &self.tls);
        match timeout_at(times.share_end(), opening).await {
            Ok(Ok(fresh)) => {
                let ended = self.send_on(fresh, message, request, times, turn, &way);
                ended.await
            }
            Ok(Err(failure)) => {
                way.was_not_reached(begun, &failure);
                Ended::over(Err(failure), turn)
            }
            Err(_) => {
                way.left_unanswered(begun);
                let why = "no connection in time".to_owned();
                Ended::over(Err(TransportError::NotSent(why)), turn)
            }
        }
    }

    async fn send_on(
        &self,
        connection: Connection,
        message: connection::Message,
        request: &Request,
        times: &Times,
        turn: Turn,
        way: &Way,
    ) -> Ended {
        if !turn.goes_by(way.endpoint()) {
            let why = "its turn is gone, or earlier calls by way of this endpoint have not ended";
            return Ended::over(Err(TransportError::NotSent(why.to_owned())), turn);
        }
        let call = UnderWay::begin(connection, message, times.send_before, turn, way.clone());
        let (ended, connection) = call.end(times.end).await;
        if request.method.is_read()
            && let Some(connection) = connection
        {
            self.idle.keep(connection);
        }
        ended
    }
}

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// The endpoint that is asked first, and others when it fails.
    Any,
    /// This one alone.
    Only(usize),
}

impl HttpsTransport {
    /// Sends a request with a proof of who asks; with a new one, once, if PVE did not accept the ticket.
    ///
    /// That is no second sending of a change: `authenticate_and_handle_request` in pve-http-server's `AnyEvent.pm` asks
    /// `auth_handler` before it reads the body, and answers a refusal itself, without one. Each daemon and node the request is
    /// passed to does the same. A 401 of a method that PVE did run has a body (only logins give one), and is not such a refusal.
    async fn send_to(
        &self,
        target: Target,
        request: &Request,
    ) -> Result<RawResponse, TransportError> {
        let times = Times::of(request);
        let proof = self.proof(request, &times).await?;
        let outcome = self.send_with(target, request, &proof, times).await;
        let refused =
            matches!(&outcome, Ok(answer) if answer.status == 401 && answer.body.is_empty());
        if !refused || !self.prover.forget(&proof) {
            return outcome;
        }
        let proof = self.proof(request, &times).await?;
        self.send_with(target, request, &proof, times).await
    }

    /// What shows who asks. A login has a turn of its own, and is over before its call waits for one.
    async fn proof(&self, request: &Request, times: &Times) -> Result<Proof, TransportError> {
        let log_in = |login| self.log_in(login);
        let limit = times.begin_before();
        self.prover.proof(request, limit, log_in).await
    }

    /// Sends a login, to the next endpoint only if nothing of it was sent: a password that is wrong counts at each, and a code is
    /// good once.
    async fn log_in(&self, request: Request) -> Result<RawResponse, TransportError> {
        let times = Times::of(&request);
        let limit = times.begin_before();
        let turn = self.turns.at_node(&request.path, limit, None).await?;
        let _in_all = self.turns.in_all(limit).await?;
        let times = times.shared_by(self.endpoints.len());
        self.change(&request, &Proof::None, &times, turn).await
    }

    async fn send_with(
        &self,
        target: Target,
        request: &Request,
        proof: &Proof,
        times: Times,
    ) -> Result<RawResponse, TransportError> {
        let limit = times.begin_before();
        let patience = request.answer_ms.map(Duration::from_millis);
        let turn = self.turns.at_node(&request.path, limit, patience).await?;
        let _in_all = self.turns.in_all(limit).await?;
        let exchange = async {
            match target {
                Target::Only(index) => match self.endpoints.get(index) {
                    Some(asked) => {
                        let way = self.way(index);
                        let asking = asked.exchange(request, proof, &times, turn, way);
                        asking.await.outcome
                    }
                    None => Err(no_endpoint(index)),
                },
                Target::Any => {
                    let times = times.shared_by(self.endpoints.len());
                    if request.method.is_read() {
                        self.read(request, proof, &times, turn).await
                    } else {
                        self.change(request, proof, &times, turn).await
                    }
                }
            }
        };
        answered(request.answer_ms, exchange).await
    }
}

#[async_trait]
impl Transport for HttpsTransport {
    async fn send(&self, request: Request) -> Result<RawResponse, TransportError> {
        self.send_to(Target::Any, &request).await
    }

    fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    async fn read_from(
        &self,
        endpoint: usize,
        request: Request,
    ) -> Result<RawResponse, TransportError> {
        if endpoint >= self.endpoints.len() {
            return Err(no_endpoint(endpoint));
        }
        self.send_to(Target::Only(endpoint), &request).await
    }

    fn moves(&self) -> u64 {
        self.moves.load(Ordering::Relaxed)
    }

    fn first(&self) -> usize {
        self.preferred.load(Ordering::Relaxed)
    }

    fn prefer(&self, endpoint: usize) {
        if endpoint < self.endpoints.len() {
            let before = self.preferred.swap(endpoint, Ordering::Relaxed);
            self.moved(before, endpoint);
        }
    }

    fn heard(&self, node: &NodeName) -> Option<Instant> {
        self.turns.heard(node.as_str())
    }

    fn rest(&self) {
        for endpoint in &self.endpoints {
            endpoint.idle.clear();
            endpoint.distance.judge();
        }
    }

    fn is_near(&self) -> bool {
        let first = self.endpoints.get(self.first());
        first.is_some_and(|endpoint| endpoint.distance.is_near())
    }
}
