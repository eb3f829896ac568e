//! HTTPS to PVE: pinned or verified certificates, one request per change, failover for reads.

mod address;
mod connection;
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
use super::{RawResponse, Request, Transport, TransportError};

/// How long one endpoint may take to connect before the next one is tried.
const CONNECT: Duration = Duration::from_secs(5);

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
/// another endpoint only when nothing of it was sent. Reads may be repeated, elsewhere too. Redirects are not followed.
/// The certificate is always verified, by pin or by chain.
pub struct HttpsTransport {
    endpoints: Vec<Endpoint>,
    authorization: HeaderValue,
    /// The endpoint that answered last.
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

    /// The endpoints, the one that answered last first.
    fn in_order(&self) -> impl Iterator<Item = (usize, &Endpoint)> {
        let first = self.preferred.load(Ordering::Relaxed);
        let count = self.endpoints.len();
        (0..count).filter_map(move |i| {
            let index = (first + i) % count;
            self.endpoints.get(index).map(|endpoint| (index, endpoint))
        })
    }

    async fn failover(
        &self,
        request: &Request,
        times: &Times,
    ) -> Result<RawResponse, TransportError> {
        let mut failures = Failures::default();
        for (index, endpoint) in self.in_order() {
            match endpoint.exchange(request, &self.authorization, times).await {
                Ok(answer) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(failure) => {
                    tracing::debug!(endpoint = %endpoint.address, call = %request.path, %failure, "no answer");
                    let goes_on = request.method.is_read() || failure.is_not_sent();
                    failures.add(&endpoint.address, failure);
                    if !goes_on {
                        break;
                    }
                }
            }
            if Instant::now() >= times.end {
                break;
            }
        }
        Err(failures.summary())
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
}

impl Times {
    fn of(request: &Request) -> Self {
        let now = Instant::now();
        Self {
            end: now + Duration::from_millis(request.timeout_ms),
            send_before: request.send_before,
        }
    }

    /// Until when waiting for a turn makes sense.
    fn begin_before(&self) -> Instant {
        self.send_before
            .map_or(self.end, |limit| limit.min(self.end))
    }

    /// Until when connecting makes sense.
    fn connect_before(&self) -> Instant {
        (Instant::now() + CONNECT).min(self.begin_before())
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
            times.connect_before(),
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

/// What went wrong at each endpoint that was tried.
#[derive(Default)]
struct Failures(Vec<(String, TransportError)>);

impl Failures {
    fn add(&mut self, address: &Address, failure: TransportError) {
        self.0.push((address.to_string(), failure));
    }

    /// One failure for all: in doubt if any is, untrusted if any is, else not sent.
    fn summary(self) -> TransportError {
        let texts: Vec<String> = self
            .0
            .iter()
            .map(|(url, f)| format!("{url}: {f}"))
            .collect();
        let text = texts.join("; ");
        let mut sum = TransportError::NotSent(text.clone());
        for (_, failure) in self.0 {
            match failure {
                TransportError::MaybeApplied(_) => return TransportError::MaybeApplied(text),
                TransportError::Untrusted { seen, .. } => {
                    sum = TransportError::Untrusted {
                        why: text.clone(),
                        seen,
                    }
                }
                TransportError::NotSent(_) => {}
            }
        }
        sum
    }
}

#[async_trait]
impl Transport for HttpsTransport {
    async fn send(&self, request: Request) -> Result<RawResponse, TransportError> {
        let times = Times::of(&request);
        let _turn = self.turns.take(&request.path, times.begin_before()).await?;
        self.failover(&request, &times).await
    }
}
