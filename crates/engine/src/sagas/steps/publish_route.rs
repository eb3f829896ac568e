//! Opens the app's ports and fetches its page through the public one: a URL is one that was fetched.

use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_domain::guest::NativeGuest;
use proximity_domain::ports::PortPair;
use proximity_domain::saga::StepRecord;
use proximity_store::effects::Effects;
use proximity_store::records::LogLevel;
use serde_json::{Value, json};

use super::health_check::{Verdict, answers, recipe, taken, verdict};
use super::wait_network::address_of;
use super::withdraw_route::{ingress_failure, withdraw};
use crate::catalog::{Check, Protocol};
use crate::route_sweep::wanted_site;
use crate::saga::{Cx, Done, StepAction, StepError, StepResult};
use crate::seams::{IngressError, LedName, RouteSpec};

/// How long a foreign program on a port is waited for, milliseconds.
const LISTEN_MS: u64 = 5_000;
const POLL_MS: u64 = 200;

pub(crate) struct PublishRoute;

#[async_trait]
impl StepAction for PublishRoute {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        let guest = cx.must_have_guest().await?;
        let (ours, address) = tokio::join!(cx.must_be_ours(&guest), address_of(cx, &guest));
        ours?;
        let url = publish_at(cx, &guest, address?).await?;
        Ok(Done {
            output: json!({ "url": url }).into(),
            effects: Effects {
                url: Some(Some(url)),
                ..Effects::default()
            },
        })
    }

    async fn undo(&self, cx: &Cx, _row: &StepRecord) -> StepResult<Effects> {
        withdraw(cx).await?;
        Ok(Effects {
            url: Some(None),
            ..Effects::default()
        })
    }
}

/// Sets the route to the guest's address, waits until it listens, fetches through the public port. Gives the URL.
pub(crate) async fn publish(cx: &Cx, guest: &NativeGuest) -> StepResult<String> {
    publish_at(cx, guest, address_of(cx, guest).await?).await
}

async fn publish_at(cx: &Cx, guest: &NativeGuest, address: Option<IpAddr>) -> StepResult<String> {
    let ports = cx.app.ports.ok_or_else(|| {
        StepError::Failed(Failure::new(
            "no_ports",
            format!("{} holds no port pair", cx.app.hostname),
            "remove the app and deploy it again",
        ))
    })?;
    let address = address.ok_or_else(|| {
        StepError::Transient(Failure::new(
            "no_address",
            format!("container {} shows no address", guest.place.vmid),
            "check bridge and DHCP of the node's network",
        ))
    })?;
    let target = SocketAddr::new(address, cx.app.guest_port);
    let route = RouteSpec {
        app: cx.app.id,
        installation: cx.engine.store().installation(),
        ports,
        target,
        site: wanted_site(&*cx.engine.inner.parts.ingress, &cx.app),
    };
    let ingress = &cx.engine.inner.parts.ingress;
    let mut view = match ingress.set_route(&route).await {
        Err(IngressError::Refused(_)) if clear_the_way(cx, ports).await? => {
            ingress.set_route(&route).await
        }
        first => first,
    }
    .map_err(|e| ingress_failure(&e))?;
    if let LedName::Not(why) = &view.name {
        let line = format!("Its host name does not lead to it yet: {why}");
        cx.say(LogLevel::Warning, line).await?;
    }
    let clock = &cx.engine.inner.parts.clock;
    let deadline = clock.monotonic().plus_ms(LISTEN_MS);
    while !view.listening {
        if clock.monotonic() >= deadline {
            return Err(StepError::Failed(Failure::new(
                "port_taken",
                format!(
                    "the gateway cannot listen on port {} or {}: {}",
                    ports.public,
                    ports.internal,
                    view.trouble.as_deref().unwrap_or("no reason given")
                ),
                "find the other program with: ss -ltnp; end it or change the port ranges, then retry",
            )));
        }
        cx.pause_ms(POLL_MS).await;
        let routes = ingress.port_routes().await;
        let routes = routes.map_err(|e| ingress_failure(&e))?;
        if let Some(found) = routes.into_iter().find(|r| r.app == cx.app.id) {
            view = found;
        }
    }
    let gateway = SocketAddr::new(cx.limits().gateway_address, ports.public);
    let entry = cx.engine.entry_of(&cx.app).await?;
    let spoken = entry.map_or(Protocol::Http, |entry| entry.protocol);
    fetch_through(cx, spoken, target, gateway).await?;
    let place = format!("{}:{}", cx.limits().public_host, ports.public);
    Ok(match spoken {
        Protocol::Http => format!("http://{place}/"),
        Protocol::Tcp => format!("tcp://{place}"),
    })
}

/// Closes what we once opened on these ports for apps that are on no record: they are newer than a record that was brought
/// back, and that gave their ports to this app. True if there was such a route; one of another server is left alone.
async fn clear_the_way(cx: &Cx, ports: PortPair) -> StepResult<bool> {
    let (ingress, store) = (&cx.engine.inner.parts.ingress, cx.engine.store());
    let routes = ingress.port_routes().await;
    let routes = routes.map_err(|e| ingress_failure(&e))?;
    let in_the_way = routes.iter().filter(|route| {
        let theirs = [route.ports.public, route.ports.internal];
        let ours = theirs.contains(&ports.public) || theirs.contains(&ports.internal);
        ours && route.app != cx.app.id && route.installation == Some(store.installation())
    });
    let mut cleared = false;
    for route in in_the_way {
        if store.app(route.app).await?.is_some() {
            continue;
        }
        tracing::warn!(app = %route.app, "a route of an app on no record is closed: its ports are another app's");
        ingress
            .withdraw(route.app)
            .await
            .map_err(|e| ingress_failure(&e))?;
        cleared = true;
    }
    Ok(cleared)
}

/// Through the app's public port: the page of its check, where that is of this port; else any page, or a connection where no pages are
/// spoken. That is looked for at the app itself first: the gateway takes one before it knows whether it leads anywhere.
async fn fetch_through(
    cx: &Cx,
    spoken: Protocol,
    target: SocketAddr,
    gateway: SocketAddr,
) -> StepResult<()> {
    let recipe = recipe(cx).await?;
    let timeout_ms = recipe.health.timeout_ms;
    let told = match (&recipe.health.check, spoken) {
        (Check::Http(http), _) if http.port == recipe.port => {
            verdict(cx, gateway, &recipe.health).await
        }
        (_, Protocol::Http) => answers(cx, gateway, timeout_ms).await,
        (_, Protocol::Tcp) => taken(cx, &[target, gateway], timeout_ms).await,
    };
    match told {
        Verdict::Healthy { .. } => Ok(()),
        Verdict::Not(why) => Err(StepError::Transient(Failure::new(
            "public_port_dead",
            format!("the app answers inside, but not through its public port: {why}"),
            "check that this machine can reach the containers' network",
        ))),
    }
}
