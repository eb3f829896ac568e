//! Against a real gateway.

use std::net::TcpListener;
use std::sync::atomic::AtomicI64;

use proximity_domain::time::{Monotonic, Timestamp};
use proximity_gateway::{Gateway, GatewayOptions};
use tokio_util::sync::CancellationToken;

use super::*;

#[derive(Debug)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Acquire))
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(0)
    }
}

fn app() -> AppId {
    "018f0000-0000-7000-8000-000000000001".parse().unwrap()
}

fn installation() -> InstallationId {
    "018f0000-0000-7000-8000-000000000009".parse().unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn spec(target: &str) -> RouteSpec {
    RouteSpec {
        app: app(),
        installation: installation(),
        ports: PortPair {
            public: free_port(),
            internal: free_port(),
        },
        target: target.parse().unwrap(),
        site: None,
    }
}

struct World {
    _dir: tempfile::TempDir,
    ingress: GatewayIngress,
    clock: Arc<SetClock>,
    shutdown: CancellationToken,
    gateway: tokio::task::JoinHandle<()>,
}

async fn world() -> World {
    world_with(|_| ()).await
}

async fn world_with(change: impl FnOnce(&mut GatewayOptions)) -> World {
    let dir = tempfile::tempdir().unwrap();
    let shutdown = CancellationToken::new();
    let socket = dir.path().join("control.sock");
    let mut options =
        GatewayOptions::new(dir.path().join("routes.json"), &socket, shutdown.clone());
    options.public_bind = "127.0.0.1".parse().unwrap();
    change(&mut options);
    let gateway = tokio::spawn(Gateway::start(options).await.unwrap().serve());
    let clock = Arc::new(SetClock(AtomicI64::new(1_000)));
    let ingress = GatewayIngress::new(GatewayClient::new(socket), clock.clone());
    World {
        _dir: dir,
        ingress,
        clock,
        shutdown,
        gateway,
    }
}

impl World {
    async fn end(self) {
        self.shutdown.cancel();
        self.gateway.await.unwrap();
    }
}

#[tokio::test]
async fn a_route_is_set_changed_and_withdrawn() {
    let world = world().await;
    let mut route = spec("127.0.0.1:9");
    let seen = world.ingress.set_route(&route).await.unwrap();
    assert!(seen.listening, "{:?}", seen.trouble);
    assert_eq!(
        (seen.app, seen.ports, seen.target),
        (app(), route.ports, Some(route.target))
    );
    route.target = "127.0.0.1:10".parse().unwrap();
    world.ingress.set_route(&route).await.unwrap();
    let routes = world.ingress.routes().await.unwrap();
    assert_eq!(routes.len(), 1);
    assert_eq!(routes[0].target, Some(route.target));
    world.ingress.withdraw(app()).await.unwrap();
    world.ingress.withdraw(app()).await.unwrap();
    assert!(world.ingress.routes().await.unwrap().is_empty());
    assert!(TcpListener::bind(("127.0.0.1", route.ports.public)).is_ok());
    world.end().await;
}

#[tokio::test]
async fn a_clock_that_jumps_back_does_not_make_changes_stale() {
    let world = world().await;
    let route = spec("127.0.0.1:9");
    world.ingress.set_route(&route).await.unwrap();
    world.clock.0.store(1, Ordering::Release);
    world.ingress.withdraw(app()).await.unwrap();
    world.ingress.set_route(&route).await.unwrap();
    assert_eq!(world.ingress.routes().await.unwrap().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_port_somebody_else_has_is_reported_as_trouble() {
    let world = world().await;
    let mut route = spec("127.0.0.1:9");
    let foreign = TcpListener::bind("127.0.0.1:0").unwrap();
    route.ports.public = foreign.local_addr().unwrap().port();
    let seen = world.ingress.set_route(&route).await.unwrap();
    assert!(!seen.listening);
    assert!(seen.trouble.unwrap().contains("another program has"));
    world.end().await;
}

#[tokio::test]
async fn without_a_gateway_it_is_unreachable() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SetClock(AtomicI64::new(1)));
    let ingress = GatewayIngress::new(GatewayClient::new(dir.path().join("none")), clock);
    let error = ingress.routes().await.unwrap_err();
    assert!(matches!(error, IngressError::Unreachable(_)), "{error}");
}

/// A gateway whose places are taken says so; that passes, so it is no refusal of the route.
#[tokio::test]
async fn a_gateway_without_a_free_place_may_be_asked_again() {
    let world = world_with(|options| options.limits.control_clients = 0).await;
    let told = world
        .ingress
        .set_route(&spec("127.0.0.1:9"))
        .await
        .unwrap_err();
    assert!(matches!(told, IngressError::Busy(_)), "{told}");
    world.end().await;
}

/// The calls before this one take all its time here: the gateway is there.
#[test]
fn what_waited_for_its_turn_in_vain_says_that_the_gateway_is_busy() {
    let patience = std::time::Duration::from_secs(10);
    for late in [
        ClientError::NoTurn { patience },
        ClientError::LateTurn { patience },
    ] {
        let told = refused(late);
        assert!(matches!(told, IngressError::Busy(_)), "{told}");
    }
}

/// What was removed is remembered: a wall clock that was set back does not keep the app from being led to again.
#[tokio::test]
async fn a_route_is_set_again_after_its_removal_though_the_clock_went_back() {
    let world = world().await;
    let route = spec("127.0.0.1:9");
    world.ingress.set_route(&route).await.unwrap();
    world.ingress.withdraw(app()).await.unwrap();
    world.clock.0.store(10, Ordering::Release);
    let restarted = GatewayIngress::new(world.ingress.client.clone(), world.clock.clone());
    let seen = restarted.set_route(&route).await.unwrap();
    assert!(seen.listening, "{seen:?}");
    world.end().await;
}
