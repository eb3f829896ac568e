//! A store in memory on virtual time, and things that happen in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proximity_domain::event::EventKind;
use proximity_domain::failure::Failure;
use proximity_domain::ids::{HolderId, HostId, InstallationId};
use proximity_domain::notify::{ChannelName, Routes, Severity};
use proximity_domain::operation::OperationKind;
use proximity_domain::ports::PortRange;
use proximity_domain::time::{Clock, Monotonic, Timestamp};
use proximity_engine::notify::{Channel, Notices, NoticesParts, Notifier, Rules, WallClock};
use proximity_store::effects::Effects;
use proximity_store::records::{
    Actor, Endpoint, HostPlacement, HostRecord, NewApp, NewOperation, PurposeTokens, TlsTrust,
};
use proximity_store::{MemoryOptions, Store};
use proximity_testkit::sources::CountedIds;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// 2026-01-10, noon in UTC.
pub const NOON: i64 = 1_768_046_400_000;

/// Goes as tokio's clock goes, from a moment on.
#[derive(Debug)]
pub struct TokioClock {
    begun: Instant,
    from: i64,
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        let passed = self.begun.elapsed().as_millis();
        Timestamp(self.from + i64::try_from(passed).unwrap())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(u64::try_from(self.begun.elapsed().as_millis()).unwrap())
    }
}

pub struct Site {
    pub store: Store,
    pub clock: Arc<TokioClock>,
    actor: Actor,
    ids: u128,
    runs: Vec<(CancellationToken, JoinHandle<()>)>,
}

impl Site {
    /// With a host, at this moment.
    pub async fn at(from: i64) -> Self {
        let store = Store::in_memory(&MemoryOptions {
            installation: InstallationId(Uuid::from_u128(1)),
            public: PortRange::PUBLIC,
            internal: PortRange::INTERNAL,
            rest_ms: 0,
        });
        let clock = Arc::new(TokioClock {
            begun: Instant::now(),
            from,
        });
        let site = Self {
            store,
            clock,
            actor: Actor {
                account: "admin".to_owned(),
                token: None,
                request: None,
            },
            ids: 1_000,
            runs: Vec::new(),
        };
        let added = site.store.add_host(host(), &site.actor, site.clock.now());
        added.await.unwrap();
        site
    }

    /// Something to know.
    pub async fn change(&self) {
        self.host_event(EventKind::HostUpdated).await;
    }

    /// Something that did not work.
    pub async fn warn(&self) {
        self.host_event(EventKind::HostNodeForgotten).await;
    }

    async fn host_event(&self, kind: EventKind) {
        let changed =
            self.store
                .change_host(host(), kind, "host.change", &self.actor, self.clock.now());
        changed.await.unwrap();
    }

    /// Something that needs a person: the deploy of a new app gets stuck.
    pub async fn stick(&mut self, hostname: &str) {
        self.ids += 2;
        let (app, operation) = new_app(hostname, self.ids);
        let now = self.clock.now();
        let made = self
            .store
            .create_app(app, operation, &self.actor, None, now);
        made.await.unwrap();
        let claimed = self
            .store
            .claim(HolderId(Uuid::from_u128(2)), 10_000, false, now);
        let (_, fence) = claimed.await.unwrap().unwrap();
        let (none, input) = (Effects::default(), json!({}));
        let begun = self.store.begin_step(&fence, 0, "create", input, none, now);
        begun.await.unwrap();
        let failure = Failure::new("odd", "it is odd", "look at it");
        let none = Effects::default();
        let stuck = self.store.stick(&fence, Some(0), failure, none, now);
        stuck.await.unwrap();
    }

    /// A notifier over these, with all of info to the first only.
    pub fn notices(&self, channels: &[(&str, Arc<dyn Notifier>)], quiet: Option<&str>) -> Notices {
        let name = |text: &str| text.parse::<ChannelName>().unwrap();
        let all: BTreeSet<ChannelName> = channels.iter().map(|(n, _)| name(n)).collect();
        let first = channels.first().map(|(n, _)| name(n));
        let routes = BTreeMap::from([
            (Severity::Info, first.into_iter().collect()),
            (Severity::Warning, all.clone()),
            (Severity::Critical, all),
        ]);
        let channel = |(n, notifier): &(&str, Arc<dyn Notifier>)| Channel {
            name: name(n),
            notifier: Arc::clone(notifier),
            keeps_quiet: true,
            per_minute: 600,
        };
        Notices::new(NoticesParts {
            store: self.store.clone(),
            clock: self.clock.clone(),
            ids: Arc::new(CountedIds::seeded(7)),
            channels: channels.iter().map(channel).collect(),
            rules: Rules {
                routes: Routes(routes),
                quiet: quiet.map(|hours| hours.parse().unwrap()),
                wall_clock: WallClock::utc(),
                time_zone: "UTC".to_owned(),
            },
        })
    }

    /// Runs it, and waits until it follows.
    pub async fn run(&mut self, notices: &Notices) {
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(notices.clone().run(shutdown.clone()));
        self.runs.push((shutdown, running));
        loop {
            let report = notices.report().await.unwrap();
            if report.channels.iter().all(|c| c.stands.is_some()) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Ends what runs, as told.
    pub async fn end(&mut self) {
        for (shutdown, running) in self.runs.drain(..) {
            shutdown.cancel();
            running.await.unwrap();
        }
    }

    /// Ends what runs, as a crash does.
    pub async fn crash(&mut self) {
        for (_, running) in self.runs.drain(..) {
            running.abort();
            assert!(running.await.unwrap_err().is_cancelled());
        }
    }
}

fn host() -> HostRecord {
    HostRecord {
        id: HostId(Uuid::from_u128(9)),
        label: "home".parse().unwrap(),
        cluster_key: "cluster:home".to_owned(),
        endpoints: vec![Endpoint {
            url: "https://192.0.2.10:8006".to_owned(),
            node: None,
            trust: TlsTrust::System,
        }],
        token_id: "root@pam!proximity".to_owned(),
        token_secret: "a-secret-of-the-host".into(),
        purpose_tokens: PurposeTokens::default(),
        ssh: None,
        pool: None,
        storage: "local".parse().unwrap(),
        template_storage: "local".parse().unwrap(),
        bridge: "vmbr0".parse().unwrap(),
        placement: HostPlacement::default(),
        known_nodes: Vec::new(),
        pve_version: "9.2.11".to_owned(),
        created_at: Timestamp(0),
    }
}

fn new_app(hostname: &str, id: u128) -> (NewApp, NewOperation) {
    let app = NewApp {
        id: Uuid::from_u128(id).into(),
        owner: "admin".to_owned(),
        hostname: hostname.parse().unwrap(),
        catalog_id: "nginx".parse().unwrap(),
        catalog_version: "1".to_owned(),
        entry: None,
        host: HostId(Uuid::from_u128(9)),
        node: "pve1".parse().unwrap(),
        resources: proximity_domain::create::Resources {
            memory_mib: 512,
            cores: 1,
            disk_gib: 4,
        },
        environment: json!({}),
        environment_sealed: "{}".into(),
        guest_port: 80,
        site: None,
        made_with: Default::default(),
        root_password: None,
    };
    let operation = NewOperation {
        id: Uuid::from_u128(id + 1).into(),
        kind: OperationKind::Deploy,
        app: app.id,
        input: json!({}),
        retry_of: None,
        key: None,
    };
    (app, operation)
}
