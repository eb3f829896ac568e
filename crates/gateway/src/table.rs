//! The routes and the rules of changing them. Pure: no file, no socket.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::refusal::{Refusal, RefusalCode};
use crate::route::{AppId, Generation, Route};

/// How many removed routes are remembered as fences; the oldest go first.
const MAX_REMOVED: usize = 4096;

/// The addresses listened on when an endpoint names none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DefaultBinds {
    pub(crate) public: IpAddr,
    pub(crate) internal: IpAddr,
}

impl DefaultBinds {
    /// Where the route listens: public, then internal.
    pub(crate) fn addresses(self, route: &Route) -> [SocketAddr; 2] {
        [
            route.public.address(self.public),
            route.internal.address(self.internal),
        ]
    }
}

/// A route that was removed: requests that are not newer stay refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Removed {
    pub(crate) app_id: AppId,
    pub(crate) generation: Generation,
}

/// All routes, one per app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RouteTable {
    routes: BTreeMap<AppId, Route>,
    /// Oldest first, at most one per app, none of an app that has a route.
    removed: Vec<Removed>,
}

impl RouteTable {
    /// Puts a table together from its parts; `Err` names what contradicts itself.
    pub(crate) fn from_parts(routes: Vec<Route>, removed: Vec<Removed>) -> Result<Self, String> {
        let mut table = Self::default();
        for route in routes {
            let app_id = route.app_id.clone();
            if table.routes.insert(app_id.clone(), route).is_some() {
                return Err(format!("app {app_id} has two routes"));
            }
        }
        for removed in removed {
            if table.routes.contains_key(&removed.app_id) {
                return Err(format!("app {} has a route and is removed", removed.app_id));
            }
            table.remember_removed(removed);
        }
        Ok(table)
    }

    pub(crate) fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.values()
    }

    pub(crate) fn removed(&self) -> &[Removed] {
        &self.removed
    }

    pub(crate) fn get(&self, app_id: &AppId) -> Option<&Route> {
        self.routes.get(app_id)
    }

    /// The table with `route` in it; `None` if exactly this route is there already.
    pub(crate) fn with(
        &self,
        route: Route,
        binds: DefaultBinds,
        max_routes: usize,
    ) -> Result<Option<Self>, Refusal> {
        if self.get(&route.app_id) == Some(&route) {
            return Ok(None);
        }
        self.check_generation(&route)?;
        if !self.routes.contains_key(&route.app_id) && self.routes.len() >= max_routes {
            let message = format!("the gateway already has {max_routes} routes, its limit");
            return Err(Refusal::new(RefusalCode::TooManyRoutes, message));
        }
        self.check_ports(&route, binds)?;
        self.check_targets(&route, binds)?;
        let mut next = self.clone();
        next.removed
            .retain(|removed| removed.app_id != route.app_id);
        next.routes.insert(route.app_id.clone(), route);
        Ok(Some(next))
    }

    /// The table without the app's route, and whether there was one. The generation is remembered
    /// even if there was none: a delayed older request must not bring the route back.
    pub(crate) fn without(
        &self,
        app_id: &AppId,
        generation: Generation,
    ) -> Result<(Self, bool), Refusal> {
        if let Some(known) = self.known_generation(app_id)
            && generation < known
        {
            return Err(stale(app_id, generation, known));
        }
        let mut next = self.clone();
        let had_route = next.routes.remove(app_id).is_some();
        next.remember_removed(Removed {
            app_id: app_id.clone(),
            generation,
        });
        Ok((next, had_route))
    }

    fn remember_removed(&mut self, removed: Removed) {
        self.removed.retain(|other| other.app_id != removed.app_id);
        self.removed.push(removed);
        let excess = self.removed.len().saturating_sub(MAX_REMOVED);
        self.removed.drain(..excess);
    }

    /// The newest generation seen of an app, also after its route was removed.
    pub(crate) fn known_generation(&self, app_id: &AppId) -> Option<Generation> {
        let live = self.get(app_id).map(|route| route.generation);
        let removed = || {
            let found = self
                .removed
                .iter()
                .find(|removed| removed.app_id == *app_id);
            found.map(|removed| removed.generation)
        };
        live.or_else(removed)
    }

    fn check_generation(&self, route: &Route) -> Result<(), Refusal> {
        match self.known_generation(&route.app_id) {
            Some(known) if route.generation <= known => {
                Err(stale(&route.app_id, route.generation, known))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_ports(&self, route: &Route, binds: DefaultBinds) -> Result<(), Refusal> {
        let [public, internal] = binds.addresses(route);
        if overlap(public, internal) {
            let message = format!("public {public} and internal {internal} are the same port");
            return Err(Refusal::new(RefusalCode::PortConflict, message));
        }
        for other in self.routes().filter(|other| other.app_id != route.app_id) {
            for theirs in binds.addresses(other) {
                if let Some(ours) = [public, internal]
                    .into_iter()
                    .find(|ours| overlap(*ours, theirs))
                {
                    let message = format!("{ours} belongs to app {} ({theirs})", other.app_id);
                    return Err(Refusal::new(RefusalCode::PortConflict, message));
                }
            }
        }
        Ok(())
    }

    /// No route may lead into the gateway again: one connection would breed others without end.
    fn check_targets(&self, route: &Route, binds: DefaultBinds) -> Result<(), Refusal> {
        let others = self.routes().filter(|other| other.app_id != route.app_id);
        let all: Vec<&Route> = others.chain([route]).collect();
        let listened: Vec<SocketAddr> = all
            .iter()
            .flat_map(|route| binds.addresses(route))
            .collect();
        let ours = binds.addresses(route);
        for other in all {
            let Some(target) = other.target else { continue };
            let suspects: &[SocketAddr] = if other.app_id == route.app_id {
                &listened
            } else {
                &ours
            };
            if let Some(own) = suspects.iter().find(|own| reaches(**own, target)) {
                let message = format!(
                    "app {}'s target {target} is the gateway's own {own}",
                    other.app_id
                );
                return Err(Refusal::new(RefusalCode::TargetIsGateway, message));
            }
        }
        Ok(())
    }
}

fn stale(app_id: &AppId, given: Generation, known: Generation) -> Refusal {
    let message = format!("app {app_id}: generation {given} is not newer than the known {known}");
    Refusal::new(RefusalCode::StaleGeneration, message)
}

/// Whether two listeners would want the same port.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

/// Whether dialling `target` surely reaches the listener `own`.
fn reaches(own: SocketAddr, target: SocketAddr) -> bool {
    let wildcard =
        own.ip().is_unspecified() && (target.ip().is_loopback() || target.ip().is_unspecified());
    own.port() == target.port() && (own.ip() == target.ip() || wildcard)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
