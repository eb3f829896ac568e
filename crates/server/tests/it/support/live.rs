//! A server over a whole world: emulated PVE, worker, routes.

use std::sync::Arc;

use axum::Router;
use proximity_domain::ids::{HostId, TokenId};
use proximity_domain::time::Clock;
use proximity_engine::notify::{Channel, Place, Rules, Slack};
use proximity_pve_emulator::core::Access;
use proximity_server::{EventLimits, Metrics, ServerParts, openapi_document, router, token_hash};
use proximity_store::records::{HostRecord, TokenRecord};
use proximity_testkit::contract::Contract;
use proximity_testkit::sources::{CountedIds, RealClock};
use proximity_testkit::world::TestWorld;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Answer, exchange};

/// Tokens: `all` may everything, `reader` may look, `keeper` may change hosts, `ender` may destroy, `undertaker` may do both (all of
/// the account admin), `operator` may operate, `stranger` is somebody else's.
pub(crate) struct Live {
    pub(crate) world: TestWorld,
    pub(crate) contract: Contract,
    pub(crate) router: Router,
}

pub(crate) async fn live() -> Live {
    live_in(TestWorld::start(Access::Full).await.unwrap()).await
}

/// The same over this world.
pub(crate) async fn live_in(world: TestWorld) -> Live {
    live_with(world, EventLimits::default()).await
}

/// The same with these bounds of its streams.
pub(crate) async fn live_with(world: TestWorld, events: EventLimits) -> Live {
    let tokens = [
        ("all", "admin", "*"),
        ("reader", "admin", "read"),
        ("keeper", "admin", "hosts"),
        ("ender", "admin", "destroy"),
        ("undertaker", "admin", "hosts destroy"),
        ("stranger", "somebody", "read"),
        ("operator", "admin", "read operate"),
    ];
    for (number, (text, account, scopes)) in tokens.into_iter().enumerate() {
        let token = TokenRecord {
            id: TokenId(Uuid::from_u128(900 + number as u128)),
            account: account.to_owned(),
            scopes: scopes.split(' ').map(str::to_owned).collect(),
            secret_sha256: token_hash(text),
            created_at: RealClock.now(),
        };
        world
            .store
            .add_token(token, &world.actor, RealClock.now())
            .await
            .unwrap();
    }
    let router = router(ServerParts {
        notices: world.engine.notices(vec![nobody()], Rules::default()),
        engine: world.engine.clone(),
        clock: Arc::new(RealClock),
        ids: Arc::new(CountedIds::seeded(1_000_000)),
        metrics: Metrics::new("test"),
        events,
        closing: CancellationToken::new(),
        traces: None,
    });
    Live {
        world,
        contract: Contract::new(openapi_document()).unwrap(),
        router,
    }
}

/// A channel at whose other end nobody is.
fn nobody() -> Channel {
    // Another test of this process may have been first.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let url = "http://127.0.0.1:9/".to_owned().into();
    Channel {
        name: "chat".parse().unwrap(),
        notifier: Arc::new(Slack {
            place: Place::new(&url, None, false).unwrap(),
        }),
        keeps_quiet: true,
        per_minute: 20,
    }
}

impl Live {
    pub(crate) async fn send_as(
        &self,
        token: Option<&str>,
        method: &str,
        path: &str,
        body: &str,
    ) -> Answer {
        let value = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<(&str, &str)> = value
            .iter()
            .map(|value| ("authorization", value.as_str()))
            .collect();
        exchange(&self.router, &self.contract, method, path, body, &headers).await
    }

    /// A POST under an `Idempotency-Key`.
    pub(crate) async fn send_keyed(&self, key: &str, path: &str, body: &str) -> Answer {
        let headers = [("authorization", "Bearer all"), ("idempotency-key", key)];
        exchange(&self.router, &self.contract, "POST", path, body, &headers).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send_as(Some("all"), method, path, body).await
    }

    /// Asks for a change, and waits for its operation to come to rest.
    pub(crate) async fn settled(&self, method: &str, path: &str, body: &str) -> Answer {
        let answer = self.send(method, path, body).await;
        assert_eq!(answer.status, 202, "{method} {path}: {}", answer.body);
        let location = answer.headers["location"].to_str().unwrap().to_owned();
        let id = location.rsplit('/').next().unwrap().parse().unwrap();
        self.world.settled(id).await.unwrap();
        self.send("GET", &location, "").await
    }

    /// The lab is remembered to have had this node as well.
    pub(crate) async fn know_node(&self, node: &str) {
        let mut lab = self.world.store.hosts().await.unwrap().remove(0);
        lab.known_nodes.push(node.parse().unwrap());
        let actor = &self.world.actor;
        let now = RealClock.now();
        self.world.store.update_host(lab, actor, now).await.unwrap();
    }

    /// Another entry, without apps.
    pub(crate) async fn add_spare_host(&self) {
        let lab = self.world.store.hosts().await.unwrap().remove(0);
        let spare = HostRecord {
            id: HostId(Uuid::from_u128(77)),
            label: "spare".parse().unwrap(),
            cluster_key: "node:elsewhere".to_owned(),
            ..lab
        };
        self.world
            .store
            .add_host(spare, &self.world.actor, RealClock.now())
            .await
            .unwrap();
    }
}
