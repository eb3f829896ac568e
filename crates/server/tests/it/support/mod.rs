//! A server over a real store and a real engine, without a cluster; [`live`] has one.

pub(crate) mod live;

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use proximity_domain::create::Resources;
use proximity_domain::ids::{AppId, HostId, OperationId, TokenId};
use proximity_domain::operation::OperationKind;
use proximity_domain::ports::PortRange;
use proximity_domain::time::{Clock, Monotonic, Timestamp};
use proximity_engine::catalog::Catalog;
use proximity_engine::engine::{Engine, EngineLimits, EngineParts};
use proximity_engine::notify::Rules;
use proximity_engine::seams::{
    Connect, Connection, HttpAnswer, IdSource, Ingress, IngressError, Probe, RouteSpec, RouteView,
};
use proximity_server::{
    EventLimits, Metrics, Passwords, ServerParts, openapi_document, router_with, token_hash,
};
use proximity_store::records::{
    Actor, HostPlacement, HostRecord, NewApp, NewOperation, PurposeTokens, TokenRecord,
};
use proximity_store::{Store, StoreOptions};
use proximity_testkit::contract::{Contract, Exchange};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

#[derive(Debug)]
struct SetClock;

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_000)
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(0)
    }
}

#[derive(Debug)]
struct Ids;

impl IdSource for Ids {
    #[allow(clippy::disallowed_methods)] // a seam of the tests
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn nonce(&self) -> u128 {
        self.uuid().as_u128()
    }
}

/// No cluster, no gateway, no guest.
#[derive(Debug)]
struct Nothing;

impl Connect for Nothing {
    fn connect(&self, _: &HostRecord) -> Result<Connection, String> {
        Err("there is no cluster here".to_owned())
    }
}

#[async_trait]
impl Ingress for Nothing {
    async fn set_route(&self, _: &RouteSpec) -> Result<RouteView, IngressError> {
        Err(IngressError::Unreachable(
            "socket /run/gateway.sock".to_owned(),
        ))
    }

    async fn withdraw(&self, _: AppId) -> Result<(), IngressError> {
        Err(IngressError::Unreachable(
            "socket /run/gateway.sock".to_owned(),
        ))
    }

    async fn routes(&self) -> Result<Vec<RouteView>, IngressError> {
        Err(IngressError::Unreachable(
            "socket /run/gateway.sock".to_owned(),
        ))
    }
}

#[async_trait]
impl Probe for Nothing {
    async fn http_get(&self, _: SocketAddr, _: &str, _: u64) -> Result<HttpAnswer, String> {
        Err("there is no guest here".to_owned())
    }

    async fn tcp_open(&self, _: SocketAddr, _: u64) -> Result<(), String> {
        Err("there is no guest here".to_owned())
    }
}

#[allow(dead_code)] // not every test needs all of it
pub(crate) struct World {
    dir: tempfile::TempDir,
    pub(crate) router: Router,
    contract: Contract,
    pub(crate) store: Store,
    pub(crate) closing: CancellationToken,
    /// Counts what it hashes.
    pub(crate) passwords: Passwords,
    pub(crate) engine: Engine,
}

#[allow(dead_code)] // not every test needs all of it
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or("no code")
    }
}

pub(crate) async fn world() -> World {
    world_with(EventLimits::default()).await
}

pub(crate) async fn world_with(events: EventLimits) -> World {
    world_at(events, Arc::new(SetClock)).await
}

/// The same by this clock.
pub(crate) async fn world_at(events: EventLimits, clock: Arc<dyn Clock>) -> World {
    let closing = CancellationToken::new();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(&dir), SetClock.now()).await.unwrap();
    let engine = Engine::new(EngineParts {
        store: store.clone(),
        clock: Arc::clone(&clock),
        ids: Arc::new(Ids),
        connect: Arc::new(Nothing),
        ingress: Arc::new(Nothing),
        probe: Arc::new(Nothing),
        catalog: Catalog::load(&[]).unwrap(),
        helper: None,
        limits: EngineLimits::default(),
    });
    let passwords = Passwords::default();
    let parts = ServerParts {
        notices: engine.notices(Vec::new(), Rules::default()),
        engine: engine.clone(),
        clock,
        ids: Arc::new(Ids),
        metrics: Metrics::new("test"),
        events,
        closing: closing.clone(),
        traces: None,
    };
    let world = World {
        dir,
        router: router_with(parts, passwords.clone()),
        contract: Contract::new(openapi_document()).unwrap(),
        store,
        closing,
        passwords,
        engine,
    };
    world.add_token("all", &["*"]).await;
    world
}

fn options(dir: &tempfile::TempDir) -> StoreOptions {
    StoreOptions {
        path: dir.path().join("proximity.db"),
        key_file: dir.path().join("secret.key"),
        public: PortRange::PUBLIC,
        internal: PortRange::INTERNAL,
        rest_ms: 0,
    }
}

/// A host entry that nobody can reach.
#[allow(dead_code)] // not every test needs it
pub(crate) async fn add_host_to(store: &Store, number: u16) -> HostId {
    let host = HostRecord {
        id: HostId(Ids.uuid()),
        label: format!("host{number}").parse().unwrap(),
        cluster_key: format!("key{number}"),
        endpoints: Vec::new(),
        token_id: "proximity@pve!test".to_owned(),
        token_secret: "secret".into(),
        purpose_tokens: PurposeTokens::default(),
        ssh: None,
        pool: None,
        storage: "local".parse().unwrap(),
        template_storage: "local".parse().unwrap(),
        bridge: "vmbr0".parse().unwrap(),
        placement: HostPlacement::default(),
        known_nodes: Vec::new(),
        pve_version: "9.2".to_owned(),
        created_at: SetClock.now(),
    };
    let id = host.id;
    store
        .add_host(host, &system(), SetClock.now())
        .await
        .unwrap();
    id
}

fn system() -> Actor {
    Actor {
        account: "system".to_owned(),
        token: None,
        request: None,
    }
}

#[allow(dead_code)] // not every test needs all of it
impl World {
    pub(crate) async fn add_host(&self, number: u16) -> HostId {
        add_host_to(&self.store, number).await
    }

    /// Records an app of this account, with its queued deploy. There must be a host.
    pub(crate) async fn add_app(&self, hostname: &str, owner: &str) -> (AppId, OperationId) {
        let host = self.store.hosts().await.unwrap().remove(0).id;
        let app = NewApp {
            id: AppId(Ids.uuid()),
            owner: owner.to_owned(),
            hostname: hostname.parse().unwrap(),
            catalog_id: "nginx".parse().unwrap(),
            catalog_version: "1".to_owned(),
            entry: None,
            host,
            node: "pve1".parse().unwrap(),
            resources: Resources {
                memory_mib: 512,
                cores: 1,
                disk_gib: 4,
            },
            environment: Value::Null,
            environment_sealed: "{}".into(),
            guest_port: 8080,
            site: None,
            made_with: Default::default(),
            root_password: None,
        };
        let operation = NewOperation {
            id: OperationId(Ids.uuid()),
            kind: OperationKind::Deploy,
            app: app.id,
            input: Value::Null,
            retry_of: None,
            key: None,
        };
        let ids = (app.id, operation.id);
        let system = system();
        let made = self
            .store
            .create_app(app, operation, &system, None, SetClock.now());
        made.await.unwrap();
        ids
    }

    /// Bytes of the database's file, without its log.
    pub(crate) fn database_bytes(&self) -> f64 {
        let found = std::fs::metadata(self.dir.path().join("proximity.db")).unwrap();
        found.len() as f64
    }

    /// The same database, as another process has it.
    pub(crate) async fn open_again(&self) -> Store {
        Store::open(options(&self.dir), SetClock.now())
            .await
            .unwrap()
    }

    /// Adds a token with this text and these scopes.
    pub(crate) async fn add_token(&self, text: &str, scopes: &[&str]) {
        let token = TokenRecord {
            id: TokenId(Ids.uuid()),
            account: if scopes == ["*"] { "admin" } else { "robot" }.to_owned(),
            scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
            secret_sha256: token_hash(text),
            created_at: SetClock.now(),
        };
        let actor = Actor {
            account: "system".to_owned(),
            token: None,
            request: None,
        };
        self.store
            .add_token(token, &actor, SetClock.now())
            .await
            .unwrap();
    }

    /// Sends a request with the token `all`.
    pub(crate) async fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send_with(method, path, body, &[("authorization", "Bearer all")])
            .await
    }

    pub(crate) async fn send_with(
        &self,
        method: &str,
        path: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        exchange(&self.router, &self.contract, method, path, body, headers).await
    }
}

/// Sends, and holds the answer against the document.
pub(crate) async fn exchange(
    router: &Router,
    contract: &Contract,
    method: &str,
    path: &str,
    body: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if !body.is_empty() {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let complaints = contract.complaints(&Exchange {
        method,
        target: path,
        status: parts.status.as_u16(),
        headers: &parts.headers,
        body: &bytes,
    });
    assert_eq!(complaints, Vec::<String>::new());
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    }
}
