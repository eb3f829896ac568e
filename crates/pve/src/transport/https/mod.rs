//! HTTPS to PVE: pinned or verified certificates, one request per change, failover for reads.

mod address;
mod connection;
mod failover;
mod fetch;
mod fingerprint;
mod idle;
mod trust;
mod turns;
mod wire;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use proximity_domain::names::NodeName;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};

pub use fetch::fetch_fingerprint;
pub use fingerprint::{Fingerprint, NotAFingerprint};
pub use trust::Trust;
pub use turns::{CALLS_PER_CLUSTER, CALLS_PER_NODE};

use self::address::Address;
use self::connection::Connection;
use self::idle::IdleConnections;
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

/// An API token of PVE.
#[derive(Debug, Clone)]
pub struct ApiToken {
    /// `USER@REALM!NAME`.
    pub id: String,
    /// The secret PVE showed once.
    pub secret: SecretString,
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
}

/// HTTPS to the nodes of one cluster.
///
/// Guarantees: a request that changes something goes out at most once, on a connection of its own, and is passed on to
/// another endpoint only when nothing of it was sent. Reads may be repeated, elsewhere too. An endpoint that fails or keeps
/// silent for its share of a call's time is asked last by the calls that follow. Redirects are not followed.
/// The certificate is always verified, by pin or by chain.
pub struct HttpsTransport {
    endpoints: Vec<Endpoint>,
    authorization: HeaderValue,
    /// The endpoint that is asked first.
    preferred: AtomicUsize,
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
    pub fn new(endpoints: Vec<EndpointConfig>, token: ApiToken) -> Result<Self, ConfigError> {
        let built: Result<Vec<Endpoint>, ConfigError> =
            endpoints.into_iter().map(Endpoint::new).collect();
        let endpoints = built?;
        if endpoints.is_empty() {
            return Err(ConfigError::NoEndpoint);
        }
        Ok(Self {
            endpoints,
            authorization: authorization(&token)?,
            preferred: AtomicUsize::new(0),
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

fn authorization(token: &ApiToken) -> Result<HeaderValue, ConfigError> {
    let (user, name) = token.id.split_once('!').ok_or(ConfigError::BadToken)?;
    let plain =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && c != '=');
    if !plain(user) || !plain(name) || !plain(token.secret.expose_secret()) {
        return Err(ConfigError::BadToken);
    }
    let text = format!("PVEAPIToken={}={}", token.id, token.secret.expose_secret());
    let mut value = HeaderValue::from_str(&text).map_err(|_| ConfigError::BadToken)?;
    value.set_sensitive(true);
    Ok(value)
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
        authorization: &HeaderValue,
        times: &Times,
    ) -> Result<RawResponse, TransportError> {
        let message = connection::message(request, &self.address, authorization)?;
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

#[async_trait]
impl Transport for HttpsTransport {
    async fn send(&self, request: Request) -> Result<RawResponse, TransportError> {
        let times = Times::of(&request);
        let _turn = self.turns.take(&request.path, times.begin_before()).await?;
        let times = times.shared_by(self.endpoints.len());
        let exchange = async {
            if request.method.is_read() {
                self.read(&request, &times).await
            } else {
                self.change(&request, &times).await
            }
        };
        let outcome = answered(request.answer_ms, exchange).await;
        self.turns.note(&request.path, &outcome);
        outcome
    }

    fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    async fn read_from(
        &self,
        endpoint: usize,
        request: Request,
    ) -> Result<RawResponse, TransportError> {
        let Some(asked) = self.endpoints.get(endpoint) else {
            return Err(no_endpoint(endpoint));
        };
        let times = Times::of(&request);
        let _turn = self.turns.take(&request.path, times.begin_before()).await?;
        let exchange = asked.exchange(&request, &self.authorization, &times);
        let outcome = answered(request.answer_ms, exchange).await;
        self.turns.note(&request.path, &outcome);
        outcome
    }

    fn prefer(&self, endpoint: usize) {
        if endpoint < self.endpoints.len() {
            self.preferred.store(endpoint, Ordering::Relaxed);
        }
    }

    fn heard(&self, node: &NodeName) -> Option<Instant> {
        self.turns.heard(node.as_str())
    }
}
