//! HTTPS to PVE: pinned or verified certificates, one request per change, failover for reads.

mod address;
mod certificate;
mod connection;
mod credentials;
mod failover;
mod fetch;
mod fingerprint;
mod idle;
mod login;
mod proof;
mod trust;
mod turns;
mod wire;

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
use self::idle::IdleConnections;
use self::proof::{Proof, Prover};
use self::turns::Turns;
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
/// The certificate is always verified, by pin or by chain.
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
    turns: Turns,
}

struct Endpoint {
    address: Address,
    tls: tokio_rustls::TlsConnector,
    idle: IdleConnections,
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
            endpoints,
            prover: Prover::new(credentials.into())?,
            preferred: AtomicUsize::new(0),
            moves: AtomicU64::new(0),
            turns: Turns::new(),
        })
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
        })
    }

    async fn exchange(
        &self,
        request: &Request,
        proof: &Proof,
        times: &Times,
    ) -> Result<RawResponse, TransportError> {
        let message = connection::message(request, &self.address, proof)?;
        // Only reads use kept connections: PVE closes them at any time, and a change must never be in doubt for that.
        if request.method.is_read()
            && let Some(kept) = self.idle.take(times.end).await
            && let Ok(answer) = self.send_on(kept, message.clone(), request, times).await
        {
            return Ok(answer);
        }
        let fresh = match timeout_at(
            times.share_end(),
            Connection::open(&self.address, &self.tls),
        )
        .await
        {
            Ok(opened) => opened?,
            Err(_) => return Err(TransportError::NotSent("no connection in time".to_owned())),
        };
        self.send_on(fresh, message, request, times).await
    }

    async fn send_on(
        &self,
        mut connection: Connection,
        message: connection::Message,
        request: &Request,
        times: &Times,
    ) -> Result<RawResponse, TransportError> {
        let outcome = connection.exchange(message, times).await;
        match outcome {
            Ok(answer) => {
                if request.method.is_read() {
                    self.idle.keep(connection);
                }
                Ok(answer)
            }
            Err(why) => Err(connection.close_and_judge(why).await),
        }
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
        let _turn = self.turns.take(&request.path, times.begin_before()).await?;
        let times = times.shared_by(self.endpoints.len());
        self.change(&request, &Proof::None, &times).await
    }

    async fn send_with(
        &self,
        target: Target,
        request: &Request,
        proof: &Proof,
        times: Times,
    ) -> Result<RawResponse, TransportError> {
        let _turn = self.turns.take(&request.path, times.begin_before()).await?;
        let exchange = async {
            match target {
                Target::Only(endpoint) => match self.endpoints.get(endpoint) {
                    Some(asked) => asked.exchange(request, proof, &times).await,
                    None => Err(no_endpoint(endpoint)),
                },
                Target::Any => {
                    let times = times.shared_by(self.endpoints.len());
                    if request.method.is_read() {
                        self.read(request, proof, &times).await
                    } else {
                        self.change(request, proof, &times).await
                    }
                }
            }
        };
        let outcome = answered(request.answer_ms, exchange).await;
        self.turns.note(&request.path, &outcome);
        outcome
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

    fn prefer(&self, endpoint: usize) {
        if endpoint < self.endpoints.len() {
            let before = self.preferred.swap(endpoint, Ordering::Relaxed);
            self.moved(before, endpoint);
        }
    }

    fn heard(&self, node: &NodeName) -> Option<Instant> {
        self.turns.heard(node.as_str())
    }
}
