//! A lane: an emulated PVE, a database, and an engine that only asks for operations.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use proximity_domain::ids::HostId;
use proximity_domain::time::Clock;
use proximity_engine::engine::Engine;
use proximity_pve_emulator::core::guest::{GuestCommand, GuestDone};
use proximity_pve_emulator::core::{Access, TaskTimes};
use proximity_pve_emulator::shell::{
    GuestDriver, NodeListen, RunningShell, Shell, ShellOptions, TokenWish,
};
use proximity_store::Store;
use proximity_store::records::{
    Actor, AppRecord, Endpoint, HostPlacement, HostRecord, PurposeTokens, TlsTrust,
};
use proximity_testkit::guests::Guests;
use proximity_testkit::pve::{NodeRoom, seed};
use proximity_testkit::sources::RealClock;
use uuid::Uuid;

use super::args::Args;
use super::engine::{ENTRY, build, store_options};

const TOKEN: &str = "root@pam!proximity";

/// How long a claim lasts here without a sign of life.
pub(super) const LEASE_MS: i64 = 1_000;

pub(super) struct Lane {
    pub(super) dir: PathBuf,
    pub(super) pve: RunningShell,
    pub(super) guests: Guests,
    pub(super) store: Store,
    /// Never works: it has no worker.
    pub(super) engine: Engine,
    pub(super) actor: Actor,
    /// The app the next round removes.
    pub(super) app: Option<AppRecord>,
}

struct InMemory(Guests);

#[async_trait]
impl GuestDriver for InMemory {
    async fn run(&self, command: GuestCommand) -> GuestDone {
        self.0.carry_out(&command)
    }
}

impl Lane {
    pub(super) async fn start(args: &Args, number: usize) -> Result<Self, String> {
        let dir = PathBuf::from(args.text("dir")?).join(number.to_string());
        let entry = dir.join("catalog").join("bare");
        std::fs::create_dir_all(&entry).map_err(|e| e.to_string())?;
        std::fs::write(entry.join("app.yaml"), ENTRY).map_err(|e| e.to_string())?;
        let guests = Guests::default();
        let pve = emulated(&dir, guests.clone()).await?;
        let clock = Arc::new(RealClock);
        let store = Store::open(store_options(&dir), clock.now())
            .await
            .map_err(|e| e.to_string())?;
        let actor = Actor {
            account: "admin".to_owned(),
            token: None,
            request: None,
        };
        store
            .add_host(host(&pve)?, &actor, clock.now())
            .await
            .map_err(|e| e.to_string())?;
        Ok(Self {
            engine: build(&dir, store.clone(), LEASE_MS, clock)?,
            dir,
            pve,
            guests,
            store,
            actor,
            app: None,
        })
    }

    pub(super) async fn end(self) -> Result<(), String> {
        self.store.close().await;
        self.pve.stop().await.map_err(|e| e.to_string())
    }
}

async fn emulated(dir: &std::path::Path, guests: Guests) -> Result<RunningShell, String> {
    let mut seed = seed(TOKEN, "", Access::Full, NodeRoom::default());
    // Its secret is made by the shell.
    seed.tokens.clear();
    // Room for all rounds.
    for node in &mut seed.nodes {
        node.memory_bytes = 1 << 40;
    }
    seed.times = TaskTimes {
        create_ms: 60,
        start_ms: 40,
        stop_ms: 20,
        shutdown_ms: 40,
        destroy_ms: 40,
        ..TaskTimes::default()
    };
    let options = ShellOptions {
        state_dir: dir.join("pve"),
        listen: vec![NodeListen {
            node: "pve1".to_owned(),
            address: ([127, 0, 0, 1], 0).into(),
        }],
        certificate_names: Vec::new(),
        seed,
        tokens: vec![TokenWish {
            id: TOKEN.to_owned(),
            access: Access::Full,
        }],
        templates: None,
        task_times: None,
    };
    Shell::start(options, Arc::new(InMemory(guests)))
        .await
        .map_err(|e| e.to_string())
}

fn host(pve: &RunningShell) -> Result<HostRecord, String> {
    let (_, address) = pve.addresses().first().ok_or("no listener")?;
    let name = |text: &str| format!("{text}: no name");
    Ok(HostRecord {
        id: HostId(Uuid::from_u128(5)),
        label: "lab".parse().map_err(|_| name("label"))?,
        cluster_key: "node:pve1".to_owned(),
        endpoints: vec![Endpoint {
            url: format!("https://{address}"),
            node: None,
            trust: TlsTrust::Fingerprint {
                sha256: pve.fingerprint_sha256().to_owned(),
            },
        }],
        token_id: TOKEN.to_owned(),
        token_secret: pve.token_secret(TOKEN).ok_or("no token")?.to_owned().into(),
        purpose_tokens: PurposeTokens::default(),
        ssh: None,
        pool: None,
        storage: "local".parse().map_err(|_| name("storage"))?,
        template_storage: "local".parse().map_err(|_| name("storage"))?,
        bridge: "vmbr0".parse().map_err(|_| name("bridge"))?,
        pve_version: "9.2.11".to_owned(),
        known_nodes: vec!["pve1".parse().map_err(|_| name("node"))?],
        placement: HostPlacement::default(),
        created_at: RealClock.now(),
    })
}
