//! The seams of the engine: each has a real implementation and one that a test or the simulator sets.

use std::fmt::Debug;
use std::net::SocketAddr;

use std::sync::Arc;

use async_trait::async_trait;
use proximity_domain::ids::{AppId, InstallationId};
use proximity_domain::ports::PortPair;
use proximity_domain::site::Site;
use proximity_pve::guest::GuestAccess;
use proximity_pve::transport::Transport;
use proximity_pve::transport::https::{
    Fingerprint, ShownCertificate, fetch_certificate, fetch_fingerprint,
};
use proximity_store::records::HostRecord;
use uuid::Uuid;

/// Where random numbers and ids come from.
pub trait IdSource: Send + Sync + Debug {
    /// A UUIDv7.
    fn uuid(&self) -> Uuid;
    /// 128 random bits, for marks.
    fn nonce(&self) -> u128;
}

/// What an app's route should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSpec {
    /// The app.
    pub app: AppId,
    /// Whose it is: others may have routes at the same gateway.
    pub installation: InstallationId,
    /// Its port pair.
    pub ports: PortPair,
    /// Where it leads.
    pub target: SocketAddr,
    /// Under which host name it leads there besides. An ingress that leads under none leaves that alone.
    pub site: Option<Site>,
}

/// A route as the gateway reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteView {
    /// The app.
    pub app: AppId,
    /// Whose it is; none when the gateway was not told.
    pub installation: Option<InstallationId>,
    /// Its port pair; zeros if it has none at the gateway and is led to by a host name alone.
    pub ports: PortPair,
    /// Where it leads, if anywhere.
    pub target: Option<SocketAddr>,
    /// Both listeners accept connections.
    pub listening: bool,
    /// Why not, in the gateway's words (e.g. a foreign program holds the port).
    pub trouble: Option<String>,
    /// Failed dials since the target was set.
    pub dial_failures: u64,
    /// Under which host name it leads there besides.
    pub name: LedName,
}

/// Under which host name an app is led to, as the ingress says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LedName {
    /// Under none.
    #[default]
    Nobody,
    /// Under this one.
    As {
        /// The name, with the files of its certificate.
        site: Site,
        /// Where it leads.
        target: SocketAddr,
    },
    /// Something of ours is there for the app, and somebody changed it.
    Changed,
    /// It was to be, and is not; why, in a sentence. Told of what was just set, never of what is listed.
    Not(String),
}

/// Why the ingress did not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IngressError {
    /// The gateway cannot be reached.
    #[error("the gateway does not answer: {0}")]
    Unreachable(String),
    /// It has no place for another call now, or only a moment was left for this one. Mostly nothing was done.
    #[error("the gateway is busy: {0}")]
    Busy(String),
    /// It refused.
    #[error("the gateway refused: {0}")]
    Refused(String),
    /// Caddy cannot be reached, or said nothing that can be read.
    #[error("Caddy's admin API does not answer: {0}")]
    CaddyUnreachable(String),
    /// Caddy did not do as asked, or is not set up for it.
    #[error("Caddy does not lead as wanted: {0}")]
    CaddyRefused(String),
}

/// What leads traffic to the guests. Setting and withdrawing are idempotent.
#[async_trait]
pub trait Ingress: Send + Sync + Debug {
    /// Makes the route so, and reports it as it is afterwards.
    async fn set_route(&self, route: &RouteSpec) -> Result<RouteView, IngressError>;
    /// Takes the route away; its ports are closed when this returns. No route is fine.
    async fn withdraw(&self, app: AppId) -> Result<(), IngressError>;
    /// All routes.
    async fn routes(&self) -> Result<Vec<RouteView>, IngressError>;

    /// Takes the route of its ports away alone, of an app that is to be led to under no host name; whether something is left that leads under
    /// one is not asked.
    async fn withdraw_ports(&self, app: AppId) -> Result<(), IngressError> {
        self.withdraw(app).await
    }

    /// All routes as far as ports go; under which names they are led to is not asked.
    async fn port_routes(&self) -> Result<Vec<RouteView>, IngressError> {
        self.routes().await
    }

    /// It leads under host names too. Where it does not, sites are on record alone.
    fn leads_names(&self) -> bool {
        false
    }

    /// Leads under no host name any more; the ports stay as they are. No name is fine.
    async fn withdraw_name(&self, app: AppId) -> Result<(), IngressError> {
        let _ = app;
        Ok(())
    }

    /// Fetches the first page of a site through the ingress, as a browser would: at its own address, under the site's name, with a
    /// certificate that is good for it. Gives the URL that was fetched with a success or a redirect.
    ///
    /// # Errors
    /// Why it was not, as a sentence.
    async fn fetch_by_name(&self, site: &Site) -> Result<String, String> {
        Err(format!("nothing here leads under {}", site.name))
    }
}

/// An answer to a health request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Status code.
    pub status: u16,
    /// The first bytes of the body, at most [`PROBE_BODY_BYTES`].
    pub body: String,
}

/// How much of a body a probe reads.
pub const PROBE_BODY_BYTES: usize = 64 * 1024;

/// Looks at an app from outside.
#[async_trait]
pub trait Probe: Send + Sync + Debug {
    /// GET `http://address/path`, no redirects, whole request within `timeout_ms`.
    ///
    /// # Errors
    /// Why there was no answer, as a sentence.
    async fn http_get(
        &self,
        address: SocketAddr,
        path: &str,
        timeout_ms: u64,
    ) -> Result<HttpAnswer, String>;

    /// Whether a TCP connection to the address is taken within `timeout_ms`, and is kept: one that the other side ends at once
    /// without a word leads to nobody. Nothing is sent.
    ///
    /// # Errors
    /// Why it was not taken or not kept, as a sentence.
    async fn tcp_open(&self, address: SocketAddr, timeout_ms: u64) -> Result<(), String>;
}

/// How a cluster is reached. The real one is [`crate::cluster::RealConnect`].
#[async_trait]
pub trait Connect: Send + Sync + Debug {
    /// API and, where it is switched on, the way into guests. Connects lazily.
    ///
    /// # Errors
    /// The record cannot be used; the text says why.
    fn connect(&self, host: &HostRecord) -> Result<Connection, String>;

    /// SHA-256 of the certificate that is shown at this URL. No token is sent.
    ///
    /// # Errors
    /// Nobody answers there, as a sentence.
    async fn fingerprint(&self, url: &str) -> Result<Fingerprint, String> {
        fetch_fingerprint(url).await.map_err(|e| e.to_string())
    }

    /// The same with the end of its validity. No token is sent.
    ///
    /// # Errors
    /// Nobody answers there, as a sentence.
    async fn certificate(&self, url: &str) -> Result<ShownCertificate, String> {
        fetch_certificate(url).await.map_err(|e| e.to_string())
    }
}

/// What leads to a cluster.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The API.
    pub transport: Arc<dyn Transport>,
    /// Into guests.
    pub guest_access: Option<Arc<dyn GuestAccess>>,
}
