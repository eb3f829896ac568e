//! Routes in memory, and requests answered by the guests they lead to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use proximity_domain::ids::AppId;
use proximity_domain::site::Site;
use proximity_engine::seams::{
    HttpAnswer, Ingress, IngressError, LedName, Probe, RouteSpec, RouteView,
};

use crate::guests::Guests;

/// Ingress and probe of a world.
#[derive(Debug, Clone)]
pub struct Routes {
    set: Arc<Mutex<BTreeMap<AppId, RouteSpec>>>,
    guests: Vec<Guests>,
    names: bool,
}

impl Routes {
    /// No routes, to the guests of these clusters.
    #[must_use]
    pub fn to(guests: Vec<Guests>) -> Self {
        Self {
            set: Arc::default(),
            guests,
            names: false,
        }
    }

    /// The same, under host names too.
    #[must_use]
    pub fn leading_names(self) -> Self {
        Self {
            names: true,
            ..self
        }
    }

    /// Where who asks at this address gets to.
    async fn asked(&self, address: SocketAddr, timeout_ms: u64) -> Result<SocketAddr, String> {
        for guests in &self.guests {
            guests.snags.ask(timeout_ms).await?;
        }
        if !address.ip().is_loopback() {
            return Ok(address);
        }
        self.with(|set| {
            set.values()
                .find(|r| r.ports.public == address.port())
                .map(|r| r.target)
        })
        .ok_or_else(|| "Connection refused".to_owned())
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<AppId, RouteSpec>) -> T) -> T {
        act(&mut self.set.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn view(route: &RouteSpec, names: bool) -> RouteView {
    let site = route.site.clone().filter(|_| names);
    RouteView {
        app: route.app,
        installation: Some(route.installation),
        ports: route.ports,
        target: Some(route.target),
        listening: true,
        trouble: None,
        dial_failures: 0,
        name: site.map_or(LedName::Nobody, |site| LedName::As {
            site,
            target: route.target,
        }),
    }
}

#[async_trait]
impl Ingress for Routes {
    async fn set_route(&self, route: &RouteSpec) -> Result<RouteView, IngressError> {
        let ours = [route.ports.public, route.ports.internal];
        self.with(|set| {
            let taken = set.values().find(|other| {
                let theirs = [other.ports.public, other.ports.internal];
                other.app != route.app && ours.iter().any(|port| theirs.contains(port))
            });
            if let Some(other) = taken {
                let text = format!("a port belongs to app {} (port_conflict)", other.app);
                return Err(IngressError::Refused(text));
            }
            set.insert(route.app, route.clone());
            Ok(view(route, self.names))
        })
    }

    async fn withdraw(&self, app: AppId) -> Result<(), IngressError> {
        self.with(|set| set.remove(&app));
        Ok(())
    }

    async fn routes(&self) -> Result<Vec<RouteView>, IngressError> {
        Ok(self.with(|set| set.values().map(|route| view(route, self.names)).collect()))
    }

    fn leads_names(&self) -> bool {
        self.names
    }

    async fn withdraw_name(&self, app: AppId) -> Result<(), IngressError> {
        self.with(|set| {
            if let Some(route) = set.get_mut(&app) {
                route.site = None;
            }
        });
        Ok(())
    }

    async fn fetch_by_name(&self, site: &Site) -> Result<String, String> {
        let target = self.with(|set| {
            let mut named = set
                .values()
                .filter(|route| route.site.as_ref() == Some(site));
            named.next().map(|route| route.target)
        });
        let target = target.ok_or_else(|| format!("nothing leads under {}", site.name))?;
        let page = self
            .guests
            .iter()
            .find_map(|guests| guests.fetch(target, "/"));
        match page {
            Some((200..=399, _)) => Ok(format!("https://{}/", site.name)),
            Some((status, _)) => Err(format!("it answers with HTTP {status}")),
            None => Err("Connection refused".to_owned()),
        }
    }
}

#[async_trait]
impl Probe for Routes {
    async fn http_get(
        &self,
        address: SocketAddr,
        path: &str,
        timeout_ms: u64,
    ) -> Result<HttpAnswer, String> {
        let target = self.asked(address, timeout_ms).await?;
        let (status, body) = self
            .guests
            .iter()
            .find_map(|guests| guests.fetch(target, path))
            .ok_or_else(|| "Connection refused".to_owned())?;
        Ok(HttpAnswer { status, body })
    }

    async fn tcp_open(&self, address: SocketAddr, timeout_ms: u64) -> Result<(), String> {
        let target = self.asked(address, timeout_ms).await?;
        if self.guests.iter().any(|guests| guests.listens(target)) {
            Ok(())
        } else {
            Err("Connection refused".to_owned())
        }
    }
}
