//! Ports: who holds which, which rest, and ending the rest.

use std::collections::BTreeMap;

use proximity_domain::ids::AppId;
use proximity_domain::ports::{PortPair, PortRange};
use proximity_domain::time::Timestamp;
use proximity_store::records::{Actor, AppRecord};
use proximity_store::views::{FreedPort, PortSide, PortsView};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::seams::RouteView;

/// All ports, as recorded, with what the gateway says of those in use.
#[derive(Debug, Clone)]
pub struct PortsReport {
    /// Public side.
    pub public: RangeView,
    /// Internal side.
    pub internal: RangeView,
    /// Pairs in use, by public port.
    pub used: Vec<UsedPorts>,
    /// Ports that are not given out yet, soonest first.
    pub resting: Vec<FreedPort>,
    /// The answer about one port, if one was asked about.
    pub asked: Option<PortVerdict>,
    /// Why the gateway could not be asked.
    pub gateway: Option<String>,
}

/// One range with its counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeView {
    /// From, to.
    pub range: PortRange,
    /// Held by apps.
    pub used: usize,
    /// Of orphans, not given out yet.
    pub resting: usize,
    /// To give out.
    pub free: usize,
}

/// The pair of one app.
#[derive(Debug, Clone)]
pub struct UsedPorts {
    /// The app.
    pub app: AppId,
    /// Its host name.
    pub hostname: String,
    /// Its owner.
    pub owner: String,
    /// The pair.
    pub ports: PortPair,
    /// What keeps the gateway from listening on it, e.g. another program on the port.
    pub trouble: Option<String>,
}

/// Whether one port could be given out now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortVerdict {
    /// The port.
    pub port: u16,
    /// It could be the next one.
    pub available: bool,
    /// Why not.
    pub reason: Option<PortReason>,
}

/// Why a port is not available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortReason {
    /// It lies in neither range.
    OutsideRanges,
    /// An app holds it.
    Held {
        /// The app.
        app: AppId,
        /// Which of its two.
        side: PortSide,
    },
    /// It was an orphan's, and rests.
    Resting {
        /// Until then.
        until: Timestamp,
    },
}

impl Engine {
    /// The ports now. `asked`: also whether that one could be given out.
    ///
    /// What other programs hold is not known beforehand: the gateway may run elsewhere, and a look is old when it is used. A
    /// port that the gateway cannot listen on is the `trouble` of the app that holds it.
    ///
    /// # Errors
    /// The store cannot be read. A gateway that does not answer is said in the report.
    pub async fn ports(&self, asked: Option<u16>) -> Result<PortsReport, EngineError> {
        let view = self.store().ports().await?;
        let now = self.now();
        let (routes, gateway) = match self.inner.parts.ingress.routes().await {
            Ok(routes) => (routes, None),
            Err(e) => (Vec::new(), Some(e.to_string())),
        };
        let troubles: BTreeMap<AppId, String> = routes.into_iter().filter_map(trouble).collect();
        let used = self.used_ports(&troubles).await?;
        let mut resting: Vec<FreedPort> = view
            .freed
            .iter()
            .filter(|f| rests(f, now))
            .copied()
            .collect();
        resting.sort_unstable_by_key(|f| (f.rests_until, f.port));
        Ok(PortsReport {
            public: range_view(view.public, &view, &resting),
            internal: range_view(view.internal, &view, &resting),
            asked: asked.map(|port| verdict(port, &view, &resting)),
            used,
            resting,
            gateway,
        })
    }

    /// Ends the rest of all ports of orphans, or of one port: from then on they may be given out.
    ///
    /// # Errors
    /// The port that is named does not rest.
    pub async fn end_port_rest(
        &self,
        actor: &Actor,
        port: Option<u16>,
    ) -> Result<Vec<u16>, EngineError> {
        let freed = self.store().end_port_rest(port, actor, self.now()).await?;
        match port {
            Some(port) if freed.is_empty() => Err(EngineError::NotFound {
                what: "resting port",
                name: port.to_string(),
            }),
            Some(_) | None => Ok(freed),
        }
    }

    /// How many ports are to give out now, of the public range and of the internal one. Only the store is asked.
    pub(super) async fn free_ports(&self) -> Result<[RangeView; 2], EngineError> {
        let view = self.store().ports().await?;
        let now = self.now();
        let resting: Vec<FreedPort> = view
            .freed
            .iter()
            .filter(|f| rests(f, now))
            .copied()
            .collect();
        Ok([view.public, view.internal].map(|range| range_view(range, &view, &resting)))
    }

    async fn used_ports(
        &self,
        troubles: &BTreeMap<AppId, String>,
    ) -> Result<Vec<UsedPorts>, EngineError> {
        let apps = self.live_apps().await?.into_iter();
        let used = apps.filter_map(|app| used_by(app, troubles));
        let mut used: Vec<UsedPorts> = used.collect();
        used.sort_unstable_by_key(|u| u.ports.public);
        Ok(used)
    }
}

fn used_by(app: AppRecord, troubles: &BTreeMap<AppId, String>) -> Option<UsedPorts> {
    Some(UsedPorts {
        app: app.id,
        ports: app.ports?,
        hostname: app.hostname.to_string(),
        owner: app.owner,
        trouble: troubles.get(&app.id).cloned(),
    })
}

fn trouble(route: RouteView) -> Option<(AppId, String)> {
    if route.listening {
        return None;
    }
    let why = route.trouble;
    Some((
        route.app,
        why.unwrap_or_else(|| "the gateway does not listen on it".to_owned()),
    ))
}

fn rests(freed: &FreedPort, now: Timestamp) -> bool {
    freed.rests_until.is_some_and(|until| until > now)
}

fn range_view(range: PortRange, view: &PortsView, resting: &[FreedPort]) -> RangeView {
    let inside = |port: u16| usize::from(range.contains(port));
    let used = view
        .held
        .iter()
        .map(|(_, p)| inside(p.public) + inside(p.internal))
        .sum();
    let resting = resting.iter().map(|f| inside(f.port)).sum();
    RangeView {
        range,
        used,
        resting,
        free: range.len().saturating_sub(used + resting),
    }
}

fn verdict(port: u16, view: &PortsView, resting: &[FreedPort]) -> PortVerdict {
    let held = view.held.iter().find_map(|(app, pair)| {
        let side = match (pair.public == port, pair.internal == port) {
            (true, _) => PortSide::Public,
            (false, true) => PortSide::Internal,
            (false, false) => return None,
        };
        Some(PortReason::Held { app: *app, side })
    });
    let rest = || {
        let found = resting.iter().find(|f| f.port == port)?;
        Some(PortReason::Resting {
            until: found.rests_until?,
        })
    };
    let outside = !view.public.contains(port) && !view.internal.contains(port);
    let reason = held
        .or_else(rest)
        .or(outside.then_some(PortReason::OutsideRanges));
    PortVerdict {
        port,
        available: reason.is_none(),
        reason,
    }
}
