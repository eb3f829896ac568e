//! The ingress with host names: the gateway leads the ports, and Caddy leads under names, by routes of ours in a server of its.
//!
//! Guarantees: what is changed are single objects that have our `@id`, each only if the whole configuration is still the one it was
//! decided from, so that what others configured stays as it is; nothing is ever loaded as a whole. What is told was read back.

mod admin;
mod objects;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use proximity_domain::ids::{AppId, InstallationId};
use proximity_domain::ports::PortPair;
use proximity_domain::site::Site;
use reqwest::header::LOCATION;
use tokio::sync::Mutex;

pub use self::admin::AdminAddress;
use self::admin::{Admin, Changed, reason};
use self::objects::{Seen, Wanted, names, next};
use crate::seams::{Ingress, IngressError, LedName, RouteSpec, RouteView};

/// How many changes one request leads to at most, those counted that came too late.
const MOST_CHANGES: u32 = 12;
/// How long the first page of a site may take.
const PAGE: Duration = Duration::from_secs(3);
/// What an app has at the gateway that has nothing there.
const NO_PORTS: PortPair = PortPair {
    public: 0,
    internal: 0,
};

/// How Caddy is used.
#[derive(Debug, Clone)]
pub struct CaddyOptions {
    /// Its admin API.
    pub admin: AdminAddress,
    /// The server in its configuration that gets our routes.
    pub server: String,
    /// Where that server takes the requests of people, as this machine reaches it.
    pub address: SocketAddr,
    /// They come over TLS.
    pub https: bool,
    /// Authorities that may have made its certificates, PEM; the system's if `None`.
    pub ca_pem: Option<Vec<u8>>,
}

/// Why Caddy cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum CaddyError {
    /// The authorities cannot be read.
    #[error("the authorities for Caddy's certificates: {0}")]
    Authorities(String),
    /// There is no HTTP client (no TLS provider, or no authorities on this machine).
    #[error("there is no HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// An [`Ingress`] whose ports are another one's, and whose host names are Caddy's.
#[derive(Debug)]
pub struct CaddyIngress {
    ports: Arc<dyn Ingress>,
    installation: InstallationId,
    admin: Admin,
    server: String,
    door: Door,
    /// One request after the other: each is decided from what the one before it left.
    turn: Mutex<()>,
}

/// Where people's requests go in.
#[derive(Debug)]
struct Door {
    address: SocketAddr,
    https: bool,
    authorities: Option<Vec<reqwest::Certificate>>,
}

impl CaddyIngress {
    /// Host names at Caddy, ports at `ports`. Connects when something is asked.
    ///
    /// # Errors
    /// The authorities cannot be read, or there is no HTTP client.
    pub fn new(
        ports: Arc<dyn Ingress>,
        installation: InstallationId,
        options: CaddyOptions,
    ) -> Result<Self, CaddyError> {
        let authorities = options.ca_pem.as_deref().map(authorities).transpose()?;
        Ok(Self {
            ports,
            installation,
            admin: Admin::new(options.admin)?,
            server: options.server,
            door: Door {
                address: options.address,
                https: options.https,
                authorities,
            },
            turn: Mutex::default(),
        })
    }

    /// Makes an app's objects so, change by change, until they are read to be.
    async fn bring(
        &self,
        app: AppId,
        site: Option<(&Site, SocketAddr)>,
    ) -> Result<(), IngressError> {
        let _turn = self.turn.lock().await;
        let wanted = Wanted {
            installation: self.installation,
            app,
            server: &self.server,
            site,
        };
        for _ in 0..MOST_CHANGES {
            let read = self.admin.read().await?;
            let seen = Seen(read.value);
            let Some(change) = next(&seen, &wanted).map_err(IngressError::CaddyRefused)? else {
                return Ok(());
            };
            match self.admin.change(&change, &read.mark).await? {
                Changed::Done => {
                    tracing::info!(%app, verb = ?change.verb, path = %change.path, "Caddy's configuration was changed");
                }
                Changed::Outdated => {
                    tracing::info!(%app, "Caddy's configuration was changed by somebody else meanwhile; it is read again");
                }
            }
        }
        let why = "it is changed by somebody else again and again, or does not keep what it took";
        Err(IngressError::CaddyRefused(why.to_owned()))
    }

    async fn names(&self) -> Result<BTreeMap<AppId, LedName>, IngressError> {
        let seen = Seen(self.admin.read().await?.value);
        Ok(names(&seen, self.installation, &self.server))
    }
}

#[async_trait]
impl Ingress for CaddyIngress {
    /// Ports first. A host name that cannot be had keeps no app from its ports, nor does a Caddy that is away: the sweep goes on with the name.
    async fn set_route(&self, route: &RouteSpec) -> Result<RouteView, IngressError> {
        let mut view = self.ports.set_route(route).await?;
        let site = route.site.as_ref().map(|site| (site, route.target));
        view.name = match self.bring(route.app, site).await {
            Ok(()) => site.map_or(LedName::Nobody, |(site, target)| LedName::As {
                site: site.clone(),
                target,
            }),
            Err(IngressError::CaddyRefused(why)) => LedName::Not(why),
            Err(e @ IngressError::CaddyUnreachable(_)) => match site {
                Some((site, _)) => {
                    LedName::Not(format!("{e}; the route of {} waits for it", site.name))
                }
                None => LedName::Nobody,
            },
            Err(e) => return Err(e),
        };
        Ok(view)
    }

    async fn withdraw(&self, app: AppId) -> Result<(), IngressError> {
        self.bring(app, None).await?;
        self.ports.withdraw(app).await
    }

    async fn routes(&self) -> Result<Vec<RouteView>, IngressError> {
        let mut views = self.ports.routes().await?;
        let mut names = self.names().await?;
        for view in &mut views {
            if let Some(name) = names.remove(&view.app) {
                view.name = name;
            }
        }
        views.extend(names.into_iter().map(|(app, name)| RouteView {
            app,
            installation: Some(self.installation),
            ports: NO_PORTS,
            target: None,
            listening: false,
            trouble: Some("the gateway has no route of it".to_owned()),
            dial_failures: 0,
            name,
        }));
        Ok(views)
    }

    async fn withdraw_ports(&self, app: AppId) -> Result<(), IngressError> {
        self.ports.withdraw(app).await
    }

    async fn port_routes(&self) -> Result<Vec<RouteView>, IngressError> {
        self.ports.routes().await
    }

    fn leads_names(&self) -> bool {
        true
    }

    async fn withdraw_name(&self, app: AppId) -> Result<(), IngressError> {
        self.bring(app, None).await
    }

    async fn fetch_by_name(&self, site: &Site) -> Result<String, String> {
        let url = self.door.url(site);
        let client = self.door.client(site).map_err(|e| reason(&e))?;
        let answer = client.get(&url).send().await;
        let answer = answer.map_err(|e| match e.is_timeout() {
            true => format!(
                "no answer within {} s at {}",
                PAGE.as_secs(),
                self.door.address
            ),
            false => format!(
                "{} does not answer for it: {}",
                self.door.address,
                steady(&reason(&e))
            ),
        })?;
        let status = answer.status();
        if !status.is_success() && !status.is_redirection() {
            return Err(format!("{url} answers with HTTP {}", status.as_u16()));
        }
        let location = answer.headers().get(LOCATION);
        let location = location.and_then(|to| to.to_str().ok());
        if !self.door.https && is_to_https(site, location) {
            return Err(format!(
                "{url} only leads on to https: set ingress.caddy.https and ingress.caddy.address to where that is answered"
            ));
        }
        // Without our route another one may have answered, or Caddy itself, which says 200 to what no route is for.
        let names = self.names().await.map_err(|e| e.to_string())?;
        let leads = |name: &LedName| matches!(name, LedName::As { site: led, .. } if led == site);
        match names.values().any(leads) {
            true => Ok(url),
            false => Err(format!(
                "its route was taken out of Caddy while {url} was fetched"
            )),
        }
    }
}

impl Door {
    /// The URL people type: without a port where that is the usual one.
    fn url(&self, site: &Site) -> String {
        let (scheme, usual) = match self.https {
            true => ("https", 443),
            false => ("http", 80),
        };
        match self.address.port() {
            port if port == usual => format!("{scheme}://{}/", site.name),
            port => format!("{scheme}://{}:{port}/", site.name),
        }
    }

    /// A client for which the site's name has this address.
    fn client(&self, site: &Site) -> Result<reqwest::Client, reqwest::Error> {
        let mut client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .no_proxy()
            .timeout(PAGE)
            .resolve(site.name.as_str(), self.address)
            .user_agent(concat!("proximity/", env!("CARGO_PKG_VERSION")));
        if let Some(authorities) = &self.authorities {
            client = client.tls_certs_only(authorities.clone());
        }
        client.build()
    }
}

/// Why a certificate was not taken, without the time of day that rustls says with it: what is the same is written down once.
fn steady(why: &str) -> &str {
    why.split_once(": verification time")
        .map_or(why, |(what, _)| what)
}

/// Whether a redirect leads to the same site over TLS. Caddy itself answers so wherever it takes requests without TLS for a name that
/// it has a certificate for, and the app was not asked.
fn is_to_https(site: &Site, location: Option<&str>) -> bool {
    let place = location.and_then(|to| to.strip_prefix("https://"));
    let rest = place.and_then(|place| place.strip_prefix(site.name.as_str()));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':', '?']))
}

fn authorities(pem: &[u8]) -> Result<Vec<reqwest::Certificate>, CaddyError> {
    let read = reqwest::Certificate::from_pem_bundle(pem);
    let read = read.map_err(|e| CaddyError::Authorities(e.to_string()))?;
    match read.is_empty() {
        true => Err(CaddyError::Authorities("there is none".to_owned())),
        false => Ok(read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_the_same_from_one_try_to_the_next() {
        let expired = "invalid peer certificate: certificate expired: verification time 1764410000 (UNIX), but certificate is not \
                       valid after 1764400000 (10000 seconds ago)";
        assert_eq!(
            steady(expired),
            "invalid peer certificate: certificate expired"
        );
        assert_eq!(steady("Connection refused"), "Connection refused");
    }

    #[test]
    fn a_redirect_to_tls_is_no_answer_of_the_app() {
        let blog = Site {
            name: "blog.example.org".parse().unwrap(),
            certificate: None,
        };
        for to in [
            "https://blog.example.org",
            "https://blog.example.org/",
            "https://blog.example.org:8443/x",
        ] {
            assert!(is_to_https(&blog, Some(to)), "{to}");
        }
        for other in [
            "/login",
            "http://blog.example.org/login",
            "https://login.example.org/",
            "https://blog.example.org.example.net/",
        ] {
            assert!(!is_to_https(&blog, Some(other)), "{other}");
        }
        assert!(!is_to_https(&blog, None));
    }

    #[test]
    fn a_url_names_a_port_where_it_is_not_the_usual_one() {
        let url = |address: &str, https| {
            let door = Door {
                address: address.parse().unwrap(),
                https,
                authorities: None,
            };
            door.url(&Site {
                name: "blog.example.org".parse().unwrap(),
                certificate: None,
            })
        };
        assert_eq!(url("127.0.0.1:443", true), "https://blog.example.org/");
        assert_eq!(
            url("127.0.0.1:8443", true),
            "https://blog.example.org:8443/"
        );
        assert_eq!(url("127.0.0.1:80", false), "http://blog.example.org/");
        assert_eq!(url("127.0.0.1:443", false), "http://blog.example.org:443/");
    }
}
