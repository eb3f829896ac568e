//! The load: requests through the API that queue, retry and cancel operations which the worker then works on, and
//! commits from another process.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use proximity_domain::create::Resources;
use proximity_domain::ids::{AppId, HostId, OperationId};
use proximity_domain::operation::OperationKind;
use proximity_domain::ports::PortRange;
use proximity_domain::time::Timestamp;
use proximity_store::records::{
    Actor, Endpoint, HostPlacement, HostRecord, NewApp, NewOperation, PurposeTokens, TlsTrust,
};
use proximity_store::{Store, StoreOptions};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::server::Server;

/// Apps whose operations come and go.
const APPS: u128 = 24;
/// Pause between two requests of a task.
const PAUSE: Duration = Duration::from_millis(4);
const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// Presses until it is ended. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Load {
    store: Store,
    http: reqwest::Client,
    base: String,
    token: String,
    host: HostRecord,
    ended: Arc<AtomicBool>,
    taken: Arc<AtomicU64>,
}

impl Load {
    /// Records a host that nobody can reach and some apps on it.
    pub(super) async fn prepare(server: &Server, dir: &Path) -> Result<Self> {
        let folder = dir.join("data");
        let options = StoreOptions {
            path: folder.join("proximity.db"),
            key_file: folder.join("secret.key"),
            public: PortRange::PUBLIC,
            internal: PortRange::INTERNAL,
            rest_ms: 0,
        };
        let store = Store::open(options, NOW).await?;
        let host = host()?;
        store.add_host(host.clone(), &actor(), NOW).await?;
        for number in 0..APPS {
            let (app, operation) = app(number, &host)?;
            store
                .create_app(app, operation, &actor(), None, NOW)
                .await?;
        }
        Ok(Self {
            store,
            http: reqwest::Client::new(),
            base: server.url(""),
            token: server.token().to_owned(),
            host,
            ended: Arc::default(),
            taken: Arc::default(),
        })
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Number of the newest event in the log.
    pub(super) async fn newest(&self) -> Result<i64> {
        Ok(self.store.newest_event().await?)
    }

    /// Presses; gives how many requests were taken.
    pub(super) async fn press(self, stop: CancellationToken) -> Result<u64> {
        let through_api = async {
            while !self.over(&stop) {
                // A server that is down refuses; that is part of it.
                let _ = self.round(&stop).await;
                sleep(PAUSE).await;
            }
        };
        let beside = async {
            while !self.over(&stop) {
                self.store
                    .update_host(self.host.clone(), &actor(), NOW)
                    .await?;
                sleep(PAUSE * 4).await;
            }
            anyhow::Ok(())
        };
        let ((), beside) = tokio::join!(through_api, beside);
        beside?;
        Ok(self.taken.load(Ordering::Relaxed))
    }

    fn over(&self, stop: &CancellationToken) -> bool {
        stop.is_cancelled() || self.ended.load(Ordering::Relaxed)
    }

    /// Looks at the newest operations, and asks of each what its state allows.
    async fn round(&self, stop: &CancellationToken) -> Result<()> {
        let url = format!("{}/api/operations?limit={APPS}", self.base);
        let list: Value = self
            .http
            .get(url)
            .bearer_auth(&self.token)
            .send()
            .await?
            .json()
            .await?;
        for operation in list["operations"].as_array().into_iter().flatten() {
            let verb = match operation["state"].as_str() {
                Some("queued" | "running") => "cancel",
                Some("failed" | "cancelled" | "stuck") => "retry",
                _ => continue,
            };
            let id = operation["id"].as_str().unwrap_or_default();
            let url = format!("{}/api/operations/{id}/{verb}", self.base);
            let answer = self.http.post(url).bearer_auth(&self.token).send().await?;
            if answer.status().is_success() {
                self.taken.fetch_add(1, Ordering::Relaxed);
            }
            sleep(PAUSE).await;
            if self.over(stop) {
                break;
            }
        }
        Ok(())
    }
}

fn actor() -> Actor {
    Actor {
        account: "admin".to_owned(),
        token: None,
        request: None,
    }
}

fn host() -> Result<HostRecord> {
    Ok(HostRecord {
        id: HostId(Uuid::from_u128(1)),
        label: "nowhere".parse()?,
        cluster_key: "nowhere".to_owned(),
        endpoints: vec![Endpoint {
            url: "https://127.0.0.1:1".to_owned(),
            node: Some("pve1".parse()?),
            trust: TlsTrust::System,
        }],
        token_id: "root@pam!proximity".to_owned(),
        token_secret: SecretString::from("none"),
        purpose_tokens: PurposeTokens::default(),
        ssh: None,
        pool: None,
        storage: "local".parse()?,
        template_storage: "local".parse()?,
        bridge: "vmbr0".parse()?,
        placement: HostPlacement::default(),
        known_nodes: Vec::new(),
        pve_version: "9.2.11".to_owned(),
        created_at: NOW,
    })
}

fn app(number: u128, host: &HostRecord) -> Result<(NewApp, NewOperation)> {
    let app = NewApp {
        id: AppId(Uuid::from_u128(1000 + number)),
        owner: "admin".to_owned(),
        hostname: format!("app{number}").parse()?,
        catalog_id: "nginx".parse()?,
        catalog_version: "1".to_owned(),
        entry: None,
        host: host.id,
        node: "pve1".parse()?,
        resources: Resources {
            memory_mib: 512,
            cores: 1,
            disk_gib: 4,
        },
        environment: json!({}),
        environment_sealed: SecretString::from("{}"),
        guest_port: 8080,
        site: None,
        made_with: Default::default(),
        root_password: None,
    };
    let operation = NewOperation {
        id: OperationId(Uuid::from_u128(2000 + number)),
        kind: OperationKind::Deploy,
        app: app.id,
        input: json!({}),
        retry_of: None,
        key: None,
    };
    Ok((app, operation))
}
