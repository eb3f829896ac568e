//! Keeps the gateway's routes true to the apps: level-triggered, no input but the world, idempotent.
//!
//! Flow: read apps, routes and, for apps whose route is missing, whose dials fail or whose container was seen elsewhere, the
//! guest's own addresses; then set or withdraw (of an archived app; of a stopped or failed one without a URL; of a running one
//! that has no address any more). Where the ingress leads under host names, each app's is kept true in the same way, and its URL is
//! fetched by it as long as none was.
//! Guarantees: an app with a live operation is left to that operation, unless that is an update, which never touches its route; an address is used only if it is on the
//! device with our MAC of a container that is ours; an unreadable view changes nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use proximity_domain::app::StatusLabel;
use proximity_domain::guest::Ownership;
use proximity_domain::ids::{AppId, HostId};
use proximity_domain::names::{Mac, NodeName};
use proximity_domain::recorded::RecordedGuest;
use proximity_pve::lxc::Interface;
use proximity_store::records::AppRecord;
use proximity_store::routed::RoutedApp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::sagas::steps::withdraw_route::code_and_hint;
use crate::seams::{IngressError, LedName, RouteSpec, RouteView};

mod names;

pub(crate) use names::wanted_site;
use names::{close_name, fetch, is_led, need_of_name, note_away, note_fetched};

/// How often the sweep looks whether there is anything new.
const EVERY: Duration = Duration::from_secs(10);
/// So often it looks at everything all the same: commits of other processes do not show.
const WHOLE_EVERY: u32 = 6;
/// How many apps are looked at beside each other.
const AT_ONCE: usize = 8;

/// Sweeps until `shutdown`.
pub async fn run(engine: Engine, shutdown: CancellationToken) {
    let mut rest: Option<Rest> = None;
    for round in 0_u32.. {
        let is_whole = tokio::select! {
            biased;
            is_whole = pause(engine.store().commits(), rest.as_ref()) => is_whole,
            () = shutdown.cancelled() => return,
        };
        if is_whole || round.is_multiple_of(WHOLE_EVERY) {
            rest = None;
        }
        match sweep_unless(&engine, rest.take()).await {
            Ok(at_rest) => rest = at_rest,
            Err(e) => tracing::warn!(error = %e, code = e.code(), "routes could not be swept"),
        }
    }
}

/// Until the next sweep; whether that is to look at everything. Where one left nothing to be done and there is no route, none can be
/// lost: until something is written the gateway is not asked.
async fn pause(mut commits: watch::Receiver<u64>, rest: Option<&Rest>) -> bool {
    let Some(rest) = rest.filter(|rest| rest.routes.is_empty()) else {
        sleep(EVERY).await;
        return false;
    };
    let begun = Instant::now();
    let written = commits.wait_for(|commit| *commit != rest.commit);
    if timeout(WHOLE_EVERY * EVERY, written).await.is_err() {
        return true;
    }
    // When it would have looked all the same.
    let rounds = begun.elapsed().as_secs() / EVERY.as_secs() + 1;
    let rounds = u32::try_from(rounds).unwrap_or(WHOLE_EVERY);
    sleep_until(begun + rounds * EVERY).await;
    false
}

/// How the world was when a sweep left nothing to be done.
#[derive(Debug, PartialEq)]
struct Rest {
    commit: u64,
    routes: Vec<RouteView>,
}

/// One sweep, unless everything still is as it was when one left nothing to be done. Gives how it is if it leaves nothing now.
async fn sweep_unless(engine: &Engine, rest: Option<Rest>) -> Result<Option<Rest>, EngineError> {
    let commit = *engine.store().commits().borrow();
    let routes = routes(engine).await?;
    let now = Rest { commit, routes };
    if rest.as_ref() == Some(&now) && !engine.inner.reconciler.has_new_addresses() {
        return Ok(rest);
    }
    let names = engine.inner.parts.ingress.leads_names();
    let swept = sweep_all(engine, &now.routes, names).await?;
    Ok((swept == Swept::default()).then_some(now))
}

/// One sweep. Gives the number of routes changed.
///
/// # Errors
/// The gateway or the store cannot be read, and nothing was changed then; or Caddy is away, and the ports alone were kept true.
pub async fn sweep(engine: &Engine) -> Result<usize, EngineError> {
    let routes = routes(engine).await?;
    let names = engine.inner.parts.ingress.leads_names();
    Ok(sweep_all(engine, &routes, names).await?.changed)
}

/// All routes. While Caddy is away the ports are kept true all the same, and that it is away is told.
async fn routes(engine: &Engine) -> Result<Vec<RouteView>, EngineError> {
    let ingress = &engine.inner.parts.ingress;
    let told = |e: &IngressError| {
        let (code, hint) = code_and_hint(e);
        EngineError::Upstream {
            code,
            message: e.to_string(),
            hint: hint.to_owned(),
        }
    };
    match ingress.routes().await {
        Err(e @ IngressError::CaddyUnreachable(_)) => {
            let routes = ingress.port_routes().await.map_err(|e| told(&e))?;
            Box::pin(sweep_all(engine, &routes, false)).await?;
            note_away(engine, &e.to_string()).await?;
            Err(told(&e))
        }
        read => read.map_err(|e| told(&e)),
    }
}

/// What a sweep came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Swept {
    /// Routes that were changed.
    changed: usize,
    /// Apps that needed something and did not get it.
    left: usize,
}

/// What came of one app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Changed,
    /// Its route was changed, and leads to it now.
    Led,
    /// Its route is as it should be.
    Nothing,
    /// What it should be could not be found out, or done.
    Left,
}

impl Swept {
    fn count(&mut self, done: Done) {
        self.changed += usize::from(matches!(done, Done::Changed | Done::Led));
        self.left += usize::from(done == Done::Left);
    }
}

/// What one sweep goes by.
struct Sweep<'a> {
    engine: &'a Engine,
    /// Addresses as they were read last.
    seen: BTreeMap<AppId, Option<IpAddr>>,
    /// The ingress leads under host names, and said which.
    names: bool,
    /// Nodes that said nothing in this sweep.
    silent: Mutex<HashSet<(HostId, NodeName)>>,
}

/// `names`: under which host names they are led to is known, and kept true.
async fn sweep_all(
    engine: &Engine,
    routes: &[RouteView],
    names: bool,
) -> Result<Swept, EngineError> {
    let sweep = Sweep {
        engine,
        seen: engine.inner.reconciler.last_addresses(),
        names,
        silent: Mutex::default(),
    };
    let apps = engine.store().exposed_apps().await?;
    let known: HashSet<AppId> = apps.iter().map(|a| a.id).collect();
    let route_of: HashMap<AppId, &RouteView> = routes.iter().map(|r| (r.app, r)).collect();
    let mut swept = Swept::default();
    let mut under_way = FuturesUnordered::new();
    for app in &apps {
        let route = route_of.get(&app.id).copied();
        if sweep.need(app, route).is_none() {
            continue;
        }
        under_way.push(sweep.look_again(app, route));
        // What all of them would take at once, behind a gateway that is new, is many times what is known of them.
        if under_way.len() >= AT_ONCE
            && let Some(done) = under_way.next().await
        {
            swept.count(done?);
        }
    }
    while let Some(done) = under_way.next().await {
        swept.count(done?);
    }
    for stray in routes.iter().filter(|r| !known.contains(&r.app)) {
        swept.count(sweep.end(stray).await?);
    }
    Ok(swept)
}

/// What is to be done for an app's route, as far as the record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Find out where it should lead, and set it.
    Mend,
    /// Nothing was fetched from the app since it stopped or failed.
    Close,
    /// End the host name that it is led to under; nobody wants it any more.
    CloseName,
    /// Fetch its first page by its host name.
    Fetch,
}

fn need(app: &RoutedApp, route: Option<&RouteView>, seen: Option<Option<IpAddr>>) -> Option<Need> {
    // An update leaves the app's route alone, and the app goes on running: it is led to as before, also while the update is stuck.
    if app.worked_on && app.status != StatusLabel::Updating {
        return None;
    }
    if !app.exposed {
        // Nobody has asked for it to be led to.
        return route.map(|_| Need::Close);
    }
    match app.status {
        StatusLabel::Running | StatusLabel::Updating => {
            let leads = route.is_some_and(|r| {
                let to_it = |to: SocketAddr| {
                    to.port() == app.guest_port && seen.is_none_or(|seen| seen == Some(to.ip()))
                };
                r.target.is_some_and(to_it) && r.dial_failures == 0
            });
            (!leads).then_some(Need::Mend)
        }
        StatusLabel::Stopped | StatusLabel::Error => {
            (!app.has_url && route.is_some()).then_some(Need::Close)
        }
        StatusLabel::Deploying
        | StatusLabel::Adopting
        | StatusLabel::Cloning
        | StatusLabel::Removing => None,
    }
}

impl Sweep<'_> {
    fn need(&self, app: &RoutedApp, route: Option<&RouteView>) -> Option<Need> {
        let of_name = || need_of_name(app, route).filter(|_| self.names);
        need(app, route, self.seen.get(&app.id).copied()).or_else(of_name)
    }

    /// Takes the route of an app away that is not exposed, or archived.
    async fn end(&self, stray: &RouteView) -> Result<Done, EngineError> {
        let store = self.engine.store();
        if let Some(app) = store.app(stray.app).await? {
            return self.look_again(&RoutedApp::from(&app), Some(stray)).await;
        }
        // One may have been recorded since the listing; one that is nowhere on record may be another server's, or of an app
        // newer than a record that was brought back, which goes on serving.
        match store.archived_app(stray.app).await? {
            Some(_) => Ok(close(self.engine, stray.app).await),
            None => Ok(Done::Nothing),
        }
    }

    /// What it needs is seen under its guard: it may have changed since it was listed. A node that says nothing holds up its
    /// own apps alone, and those for one wait.
    async fn look_again(
        &self,
        app: &RoutedApp,
        route: Option<&RouteView>,
    ) -> Result<Done, EngineError> {
        let engine = self.engine;
        let place = (app.host, app.node.clone());
        let silent = || self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        if silent().contains(&place) {
            return Ok(Done::Left);
        }
        let Some(_at_work) = engine.inner.at_work.try_enter(app.id) else {
            return Ok(Done::Left);
        };
        let Some(app) = engine.store().app(app.id).await? else {
            return Ok(Done::Nothing);
        };
        match self.need(&RoutedApp::from(&app), route) {
            None => Ok(Done::Nothing),
            Some(Need::Close) => Ok(close(engine, app.id).await),
            Some(Need::CloseName) => Ok(close_name(engine, app.id).await),
            Some(Need::Fetch) => fetch(engine, &app).await,
            Some(Need::Mend) => {
                let did = match timeout(engine.node_patience(), mend(engine, &app, route)).await {
                    Ok(did) => did,
                    Err(_) => {
                        tracing::warn!(app = %app.hostname, node = %app.node, "the app's node says nothing");
                        silent().insert(place);
                        Done::Left
                    }
                };
                if self.names && did == Done::Led {
                    fetch(engine, &app).await?;
                }
                Ok(did)
            }
        }
    }
}

/// Takes a route away that should not be there. While Caddy is away its ports go all the same: what is left of a name is seen once it answers.
async fn close(engine: &Engine, app: AppId) -> Done {
    let ingress = &engine.inner.parts.ingress;
    let withdrawn = match ingress.withdraw(app).await {
        Err(IngressError::CaddyUnreachable(_)) => ingress.withdraw_ports(app).await,
        withdrawn => withdrawn,
    };
    match withdrawn {
        Ok(()) => Done::Changed,
        Err(e) => {
            tracing::warn!(%app, error = %e, "a route that should not be there cannot be withdrawn");
            Done::Left
        }
    }
}

/// Sets the route of a running app to where its container is, and takes away one that leads where it no longer is.
async fn mend(engine: &Engine, app: &AppRecord, route: Option<&RouteView>) -> Done {
    let Some(ports) = app.ports else {
        return Done::Nothing;
    };
    let found = match guest_address(engine, app).await {
        Ok(Found::At(address)) => Some(address),
        Ok(Found::Nowhere) => None,
        Ok(Found::Unknown) => return Done::Left,
        Err(e) => {
            tracing::warn!(app = %app.hostname, error = %e, "the app's address cannot be read");
            return Done::Left;
        }
    };
    engine.inner.reconciler.address_found(app.id, found);
    let address = match found {
        Some(address) => address,
        None if route.is_some() => {
            tracing::warn!(app = %app.hostname, "the app's container has no address: its route, which may lead to another machine now, is withdrawn until it has one");
            return close(engine, app.id).await;
        }
        None => return Done::Left,
    };
    let target = SocketAddr::new(address, app.guest_port);
    let ingress = &*engine.inner.parts.ingress;
    let site = wanted_site(ingress, app);
    let is_as_wanted = |r: &RouteView| {
        let named = !ingress.leads_names() || is_led(&r.name, site.as_ref(), target);
        r.target == Some(target) && named
    };
    if route.is_some_and(is_as_wanted) {
        return Done::Nothing;
    }
    tracing::info!(app = %app.hostname, %target, "the app's route is set again");
    let spec = RouteSpec {
        app: app.id,
        installation: engine.store().installation(),
        ports,
        target,
        site,
    };
    match ingress.set_route(&spec).await {
        Ok(RouteView {
            name: LedName::Not(why),
            ..
        }) => {
            if let Err(e) = note_fetched(engine, app, Err(why)).await {
                tracing::warn!(app = %app.hostname, error = %e, "why the app has no host name cannot be written down");
            }
            Done::Left
        }
        Ok(_) => Done::Led,
        Err(e) => {
            tracing::warn!(app = %app.hostname, error = %e, "the app's route cannot be set");
            Done::Left
        }
    }
}

/// Where a container is reached, as read from it.
enum Found {
    At(IpAddr),
    /// It runs, and has no address that may be used.
    Nowhere,
    /// It does not run, is not there, or is another one: that is for others to judge.
    Unknown,
}

async fn guest_address(engine: &Engine, app: &AppRecord) -> Result<Found, EngineError> {
    let Some(mut guest) = engine
        .store()
        .recorded_guests(app.id)
        .await?
        .into_iter()
        .next()
    else {
        return Ok(Found::Unknown);
    };
    let cluster = engine.inner.clusters.get(app.host).await?;
    let upstream = |e| crate::commands::upstream(cluster.label(), &e);
    let Some(seen) = crate::whereabouts::now(&cluster, &guest)
        .await
        .map_err(upstream)?
    else {
        return Ok(Found::Unknown);
    };
    if guest.compare(&seen) != Ownership::Owned {
        return Ok(Found::Unknown);
    }
    if seen.place != *guest.place() {
        let node = &seen.place.node;
        tracing::info!(app = %app.hostname, "{}", crate::whereabouts::moved_text(&guest, node));
        let event = crate::whereabouts::moved_event(&guest, node);
        engine
            .store()
            .guest_moved(app.id, guest.id(), node, event, engine.now())
            .await?;
        *guest.place_mut() = seen.place;
    }
    let place = guest.place();
    let interfaces = cluster
        .read()
        .lxc_interfaces(&place.node, place.vmid)
        .await
        .map_err(upstream)?;
    let Some(interfaces) = interfaces else {
        return Ok(Found::Unknown);
    };
    let on_this_machine = cluster.is_on_this_machine();
    let address = usable_address(&interfaces, our_mac(&guest), on_this_machine);
    Ok(address.map_or(Found::Nowhere, Found::At))
}

/// The MAC by which a container's own device is known: the one that was learned, else the recorded one.
pub(crate) fn our_mac(guest: &RecordedGuest) -> Mac {
    let learned = guest.learned().map(|learned| learned.shown.net0_mac);
    learned.unwrap_or(guest.net0_mac())
}

/// The address to use: on a device with our MAC, IPv4 first. An address of another device is never used. A loopback
/// address leads to this machine and not to a guest, whatever the guest says of itself; only a cluster emulated on this
/// machine gives its guests some, out of 127.64.0.0/10.
pub(crate) fn usable_address(
    interfaces: &[Interface],
    ours: Mac,
    on_this_machine: bool,
) -> Option<IpAddr> {
    // A bridge inside has the MAC of its device.
    let devices = || interfaces.iter().filter(|i| i.mac == Some(ours));
    let global = |a: &IpAddr| match a {
        IpAddr::V4(v4) if v4.is_loopback() => on_this_machine && v4.octets()[1] & 0xc0 == 64,
        IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local() && !v6.is_unspecified(),
    };
    // An IPv4 address in the clothes of an IPv6 one is the IPv4 address.
    let plain = || devices().flat_map(|device| &device.addresses);
    let addresses = || plain().map(IpAddr::to_canonical).filter(global);
    addresses()
        .find(IpAddr::is_ipv4)
        .or_else(|| addresses().next())
}

#[cfg(test)]
#[path = "route_sweep_tests.rs"]
mod tests;
