//! A second installation of the product on the lab's cluster: the same engine, store, client, worker and notifier in this
//! process, whose clock a test can move. Only its gateway is none.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use proximity_domain::event::EventKind;
use proximity_domain::notify::{Routes as Rules, Severity};
use proximity_domain::time::Clock;
use proximity_engine::commands::{AddHost, AddSsh, CreateApp};
use proximity_engine::notify::{Channel, Notices, Sentry};
use proximity_engine::probe::HttpProbe;
use proximity_engine::reconcile::{Pass, ReconcileReport};
use proximity_engine::seams::{HttpAnswer, Ingress, Probe};
use proximity_pve_emulator::core::Access;
use proximity_store::effects::NewEvent;
use proximity_store::records::{AppRecord, PurposeTokens};
use proximity_testkit::ingress::Routes;
use proximity_testkit::pve::Pve;
use proximity_testkit::sources::MovedClock;
use proximity_testkit::world::{TestWorld, WorldParts};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::receiver::Receiver;
use crate::standing::Standing;

/// The label of the lab's host entry.
pub(crate) const HOST: &str = "beside";

pub(crate) struct Second {
    pub(crate) w: TestWorld,
    pub(crate) clock: Arc<MovedClock>,
    pub(crate) receiver: Receiver,
}

/// Asks where a route leads, as the gateway would.
#[derive(Debug)]
struct ThroughRoutes {
    routes: Arc<OnceLock<Routes>>,
    http: HttpProbe,
}

impl ThroughRoutes {
    async fn behind(&self, address: SocketAddr) -> Result<SocketAddr, String> {
        let routes = self.routes.get().ok_or("there are no routes")?;
        let routes = routes.routes().await.map_err(|e| e.to_string())?;
        let behind = routes.iter().find(|r| r.ports.public == address.port());
        let behind = behind.and_then(|route| route.target);
        Ok(behind.unwrap_or(address))
    }
}

#[async_trait]
impl Probe for ThroughRoutes {
    async fn http_get(
        &self,
        address: SocketAddr,
        path: &str,
        timeout_ms: u64,
    ) -> Result<HttpAnswer, String> {
        let address = self.behind(address).await?;
        self.http.http_get(address, path, timeout_ms).await
    }

    async fn tcp_open(&self, address: SocketAddr, timeout_ms: u64) -> Result<(), String> {
        let address = self.behind(address).await?;
        self.http.tcp_open(address, timeout_ms).await
    }
}

impl Second {
    /// With so many pairs of ports, and the lab as a host.
    pub(crate) async fn on(lab: &Standing, pairs: u16) -> Self {
        // Another test of this process may have been first.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let clock = Arc::new(MovedClock::default());
        let routes = Arc::new(OnceLock::new());
        let w = TestWorld::start_of(WorldParts {
            clusters: vec![Pve::start(Access::Full)],
            clock: Some(clock.clone()),
            probe: Some(Arc::new(ThroughRoutes {
                routes: Arc::clone(&routes),
                http: HttpProbe::new().unwrap(),
            })),
            seed: 77,
            pairs,
            ..WorldParts::default()
        })
        .await
        .unwrap();
        routes.set(w.routes.clone()).unwrap();
        let added = w.engine.add_host(&w.actor, as_host(lab)).await.unwrap();
        lab.let_in(&added.ssh.unwrap().public_key);
        let receiver = Receiver::start().await;
        let notices = alerts(&w, &receiver);
        tokio::spawn(notices.run(CancellationToken::new()));
        Self { w, clock, receiver }
    }

    /// An app that is to be deployed.
    pub(crate) async fn wish(&self, hostname: &str) -> AppRecord {
        let request = CreateApp {
            catalog_id: "beacon".to_owned(),
            hostname: hostname.to_owned(),
            host: Some(HOST.to_owned()),
            ..CreateApp::default()
        };
        let asked = self.w.engine.create_app(&self.w.actor, request).await;
        asked.unwrap()
    }

    /// The record, if the app is live.
    pub(crate) async fn live(&self, app: &AppRecord) -> Option<AppRecord> {
        self.w.store.app(app.id).await.unwrap()
    }

    /// Its container's number.
    pub(crate) async fn vmid(&self, app: &AppRecord) -> u32 {
        let mut guests = self.w.store.native_guests(app.id).await.unwrap();
        guests.pop().unwrap().identity.vmid.get()
    }

    pub(crate) async fn log(&self, app: &AppRecord) -> Vec<String> {
        let lines = self.w.store.log(app.id, 0, 1_000).await.unwrap();
        lines.into_iter().map(|line| line.message).collect()
    }

    /// So many looks of the reconciler, each as long after the one before as proof wants.
    pub(crate) async fn looks(&self, count: u32) -> ReconcileReport {
        let mut last = ReconcileReport::default();
        for _ in 0..count {
            last = self.w.engine.reconciler().pass(&Pass::Work).await.unwrap();
            self.clock.pass(30_000);
        }
        last
    }

    pub(crate) async fn events(&self, kind: EventKind) -> usize {
        let events = self.w.store.events(0, 1_000).await.unwrap();
        let of_kind = events
            .iter()
            .filter(|(_, _, event, _, _)| event.kind == kind);
        of_kind.count()
    }

    /// Every alert so far: one more is caused, and waited for, as they are told in order.
    pub(crate) async fn alerts(&self, app: &AppRecord) -> Vec<String> {
        let mark = format!("mark {}", self.receiver.came().len());
        let now = self.clock.now();
        let last = NewEvent {
            kind: EventKind::GuestConflicted,
            body: json!({
                "app": app.id, "hostname": app.hostname, "host": HOST, "vmid": 100, "why": mark, "since": now,
            }),
        };
        self.w.store.tell(&last, app.id, now).await.unwrap();
        self.alerted_of(&mark).await
    }

    /// The alerts, once there is one with this text.
    pub(crate) async fn alerted_of(&self, text: &str) -> Vec<String> {
        let told = async || self.receiver.came().iter().any(|body| body.contains(text));
        self.w.until(told).await.unwrap();
        self.receiver.came()
    }
}

/// What is critical goes to the receiver, by Sentry's own protocol.
fn alerts(w: &TestWorld, receiver: &Receiver) -> Notices {
    let name: proximity_domain::notify::ChannelName = "sentry".parse().unwrap();
    let dsn = format!("http://thekey@{}/42", receiver.address).into();
    let installation = w.store.installation();
    let sentry = Sentry::new(&dsn, None, true, installation, "test".to_owned()).unwrap();
    let channel = Channel {
        name: name.clone(),
        notifier: Arc::new(sentry),
        keeps_quiet: false,
        per_minute: 600,
    };
    let rules = proximity_engine::notify::Rules {
        routes: Rules([(Severity::Critical, [name].into())].into()),
        ..proximity_engine::notify::Rules::default()
    };
    w.engine.notices(vec![channel], rules)
}

/// The lab as this installation is told of it.
fn as_host(lab: &Standing) -> AddHost {
    let seen = lab.lab();
    let by_node = |value: fn(&proximity_pve_emulator::lab::NodeAddress) -> String| {
        let nodes = seen.ssh.iter();
        nodes.map(|ssh| (ssh.node.clone(), value(ssh))).collect()
    };
    AddHost {
        label: HOST.to_owned(),
        url: seen.api[0].url.clone(),
        fingerprint: Some(seen.fingerprint_sha256.clone()),
        ca_pem: None,
        token_id: seen.tokens.full.id.clone(),
        token_secret: seen.tokens.full.secret.clone().into(),
        purpose_tokens: PurposeTokens::default(),
        pool: None,
        storage: Some(seen.storage.clone()),
        template_storage: Some(seen.template_storage.clone()),
        bridge: Some(seen.bridge.clone()),
        ssh: Some(AddSsh {
            user: "root".to_owned(),
            private_key: None,
            addresses: by_node(|ssh| ssh.address.clone()),
            host_keys: by_node(|ssh| ssh.host_key.clone()),
        }),
    }
}
