//! Keeps the gateway's routes true to the apps: level-triggered, no input but the world, idempotent.
//!
//! Flow: read apps, routes and, for apps whose route is missing, whose dials fail or whose container was seen elsewhere, the
//! guest's own addresses; then set or withdraw (of an archived app; of a stopped or failed one without a URL; of a running one
//! that has no address any more).
//! Guarantees: an app with a live operation is left to that operation; an address is used only if it is on the
//! device with our MAC of a container that is ours; an unreadable view changes nothing.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use proximity_domain::app::StatusLabel;
use proximity_domain::guest::Ownership;
use proximity_domain::ids::{AppId, HostId};
use proximity_domain::names::{Mac, NodeName};
use proximity_domain::recorded::RecordedGuest;
use proximity_pve::lxc::Interface;
use proximity_store::records::AppRecord;
use proximity_store::views::AppFilter;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::sagas::steps::withdraw_route::code_and_hint;
use crate::seams::{RouteSpec, RouteView};

/// How often the sweep runs.
const EVERY: Duration = Duration::from_secs(10);
const PAGE: u32 = 200;
/// How many apps are looked at beside each other.
const AT_ONCE: usize = 8;

/// Sweeps until `shutdown`.
pub async fn run(engine: Engine, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.cancelled() => return,
        }
        if let Err(e) = sweep(&engine).await {
            tracing::warn!(error = %e, code = e.code(), "routes could not be swept");
        }
    }
}

/// One sweep. Gives the number of routes changed.
///
/// # Errors
/// The gateway or the store cannot be read; nothing was changed then.
pub async fn sweep(engine: &Engine) -> Result<usize, EngineError> {
    let ingress = &engine.inner.parts.ingress;
    let routes = ingress.routes().await.map_err(|e| {
        let (code, hint) = code_and_hint(&e);
        EngineError::Upstream {
            code,
            message: e.to_string(),
            hint: hint.to_owned(),
        }
    })?;
    let apps = all_apps(engine).await?;
    let known: HashSet<AppId> = apps.iter().map(|a| a.id).collect();
    let route_of: HashMap<AppId, &RouteView> = routes.iter().map(|r| (r.app, r)).collect();
    let silent = Mutex::default();
    let mut looks = Vec::new();
    for app in &apps {
        let route = route_of.get(&app.id).copied();
        let seen = engine.inner.reconciler.address_read(app.id);
        if need(app, route, seen).is_some() {
            looks.push(look_again(engine, app, route, &silent));
        }
    }
    let changed: Vec<bool> = stream::iter(looks)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let mut changed = changed.into_iter().filter(|did| *did).count();
    for stray in routes.iter().filter(|r| !known.contains(&r.app)) {
        // Only routes of apps that are archived. One may have been recorded since the listing; one that is nowhere on record
        // may be another server's, or of an app newer than a record that was brought back, which goes on serving.
        if engine.store().archived_app(stray.app).await?.is_some() {
            changed += usize::from(close(engine, stray.app).await);
        }
    }
    Ok(changed)
}

/// What is to be done for an app's route, as far as the record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Find out where it should lead, and set it.
    Mend,
    /// Nothing was fetched from the app since it stopped or failed.
    Close,
}

/// `seen` is the address that the slow sweep read since the route was seen to.
fn need(app: &AppRecord, route: Option<&RouteView>, seen: Option<Option<IpAddr>>) -> Option<Need> {
    if app.operation.is_some() {
        return None;
    }
    if !app.exposed {
        // Nobody has asked for it to be led to.
        return route.map(|_| Need::Close);
    }
    match app.status.label() {
        StatusLabel::Running => {
            let leads = route.is_some_and(|r| {
                let to_it = |to: SocketAddr| {
                    to.port() == app.guest_port && seen.is_none_or(|seen| seen == Some(to.ip()))
                };
                r.target.is_some_and(to_it) && r.dial_failures == 0
            });
            (!leads).then_some(Need::Mend)
        }
        StatusLabel::Stopped | StatusLabel::Error => {
            (app.url.is_none() && route.is_some()).then_some(Need::Close)
        }
        StatusLabel::Deploying
        | StatusLabel::Adopting
        | StatusLabel::Cloning
        | StatusLabel::Updating
        | StatusLabel::Removing => None,
    }
}

/// Nodes that said nothing in this sweep.
type Silent = Mutex<HashSet<(HostId, NodeName)>>;

/// Does what an app needs, seen under its guard: it may have changed since it was listed. A node that says nothing holds
/// up its own apps alone, and those for one wait.
async fn look_again(
    engine: &Engine,
    app: &AppRecord,
    route: Option<&RouteView>,
    silent: &Silent,
) -> Result<bool, EngineError> {
    let place = (app.host, app.node.clone());
    let is_silent = || {
        let silent = silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.contains(&place)
    };
    if is_silent() {
        return Ok(false);
    }
    let Some(_at_work) = engine.inner.at_work.try_enter(app.id) else {
        return Ok(false);
    };
    let Some(app) = engine.store().app(app.id).await? else {
        return Ok(false);
    };
    let seen = engine.inner.reconciler.address_read(app.id);
    match need(&app, route, seen) {
        None => Ok(false),
        Some(Need::Close) => Ok(close(engine, app.id).await),
        Some(Need::Mend) => {
            match timeout(engine.node_patience(), mend(engine, &app, route)).await {
                Ok(did) => Ok(did),
                Err(_) => {
                    tracing::warn!(app = %app.hostname, node = %app.node, "the app's node says nothing");
                    let mut silent = silent.lock().unwrap_or_else(PoisonError::into_inner);
                    silent.insert(place);
                    Ok(false)
                }
            }
        }
    }
}

/// Takes a route away that should not be there. True if it went.
async fn close(engine: &Engine, app: AppId) -> bool {
    match engine.inner.parts.ingress.withdraw(app).await {
        Ok(()) => true,
        Err(e) => {
            tracing::warn!(%app, error = %e, "a route that should not be there cannot be withdrawn");
            false
        }
    }
}

async fn all_apps(engine: &Engine) -> Result<Vec<AppRecord>, EngineError> {
    let mut all = Vec::new();
    for page in 1.. {
        let filter = AppFilter {
            page,
            per_page: PAGE,
            ..AppFilter::default()
        };
        let (rows, total) = engine.store().apps(filter).await?;
        let got = rows.len();
        all.extend(rows);
        if got == 0 || u64::try_from(all.len()).unwrap_or(u64::MAX) >= total {
            break;
        }
    }
    Ok(all)
}

/// Sets the route of a running app to where its container is, and takes away one that leads where it no longer is. True if
/// something was changed.
async fn mend(engine: &Engine, app: &AppRecord, route: Option<&RouteView>) -> bool {
    let Some(ports) = app.ports else { return false };
    let found = match guest_address(engine, app).await {
        Ok(found) => found,
        Err(e) => {
            tracing::warn!(app = %app.hostname, error = %e, "the app's address cannot be read");
            return false;
        }
    };
    let address = match found {
        Found::Unknown => return false,
        Found::Nowhere => {
            engine.inner.reconciler.address_used(app.id);
            if route.is_none() {
                return false;
            }
            tracing::warn!(app = %app.hostname, "the app's container has no address: its route, which may lead to another machine now, is withdrawn until it has one");
            return close(engine, app.id).await;
        }
        Found::At(address) => address,
    };
    engine.inner.reconciler.address_used(app.id);
    let target = SocketAddr::new(address, app.guest_port);
    if route.and_then(|r| r.target) == Some(target) {
        return false;
    }
    tracing::info!(app = %app.hostname, %target, "the app's route is set again");
    match engine
        .inner
        .parts
        .ingress
        .set_route(&RouteSpec {
            app: app.id,
            installation: engine.store().installation(),
            ports,
            target,
        })
        .await
    {
        Ok(_) => true,
        Err(e) => {
            tracing::warn!(app = %app.hostname, error = %e, "the app's route cannot be set");
            false
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

/// The address to use: on the device with our MAC, IPv4 first. An address of another device is never used. A loopback
/// address leads to this machine and not to a guest, whatever the guest says of itself; only a cluster emulated on this
/// machine gives its guests some, out of 127.64.0.0/10.
pub(crate) fn usable_address(
    interfaces: &[Interface],
    ours: Mac,
    on_this_machine: bool,
) -> Option<IpAddr> {
    let device = interfaces.iter().find(|i| i.mac == Some(ours))?;
    let global = |a: &IpAddr| match a {
        IpAddr::V4(v4) if v4.is_loopback() => on_this_machine && v4.octets()[1] & 0xc0 == 64,
        IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local() && !v6.is_unspecified(),
    };
    // An IPv4 address in the clothes of an IPv6 one is the IPv4 address.
    let plain = device.addresses.iter().map(IpAddr::to_canonical);
    let addresses = || plain.clone().filter(global);
    addresses()
        .find(IpAddr::is_ipv4)
        .or_else(|| addresses().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Mac {
        "BC:24:11:00:00:01".parse().unwrap()
    }

    /// What is used of a device of ours with these addresses.
    fn used(addresses: &[&str], on_this_machine: bool) -> Option<String> {
        let device = Interface {
            name: "eth0".to_owned(),
            mac: Some(ours()),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        };
        let address = usable_address(&[device], ours(), on_this_machine);
        address.map(|a| a.to_string())
    }

    #[test]
    fn no_loopback_address_is_used_whatever_it_is_written_as() {
        for address in [
            "127.0.0.1",
            "127.64.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:127.64.0.1",
            "0.0.0.0",
            "::ffff:0.0.0.0",
            "::",
            "169.254.1.1",
            "::ffff:169.254.1.1",
            "fe80::1",
        ] {
            assert_eq!(used(&[address], false), None, "{address}");
        }
    }

    #[test]
    fn a_cluster_on_this_machine_gives_its_guests_a_part_of_the_loopback_network() {
        for (address, usable) in [
            ("127.64.0.1", true),
            ("127.127.255.254", true),
            ("::ffff:127.64.0.1", true),
            ("127.63.255.255", false),
            ("127.128.0.1", false),
            ("127.0.0.1", false),
            ("::ffff:127.0.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(used(&[address], true).is_some(), usable, "{address}");
        }
    }

    #[test]
    fn the_address_is_ipv4_first_and_of_our_device() {
        let both = ["fd00::5", "fe80::1", "10.1.0.5"];
        assert_eq!(used(&both, false).as_deref(), Some("10.1.0.5"));
        assert_eq!(used(&both[..2], false).as_deref(), Some("fd00::5"));
        let mapped = used(&["::ffff:10.1.0.6"], false);
        assert_eq!(mapped.as_deref(), Some("10.1.0.6"));
        let other = Interface {
            name: "eth1".to_owned(),
            mac: Some("BC:24:11:00:00:02".parse().unwrap()),
            addresses: vec!["10.1.0.7".parse().unwrap()],
        };
        assert_eq!(usable_address(&[other], ours(), false), None);
    }
}
