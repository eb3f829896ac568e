//! The lab with its many guests, and the engine with some of them on record.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use proximity_domain::adopted::{AdoptedGuest, AdoptedIdentity};
use proximity_domain::app::Status;
use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::{AppId, GuestId, HostId, Vmid};
use proximity_domain::names::Mac;
use proximity_domain::operation::OperationKind;
use proximity_domain::ports::PortRange;
use proximity_engine::catalog::Catalog;
use proximity_engine::cluster::RealConnect;
use proximity_engine::engine::{Engine, EngineLimits, EngineParts};
use proximity_store::effects::Effects;
use proximity_store::records::{Endpoint, HostRecord, TlsTrust};
use proximity_store::{Store, StoreOptions};
use proximity_testkit::sources::{CountedIds, MovedClock};
use serde_json::json;
use tokio::task::JoinSet;

use super::Args;
use crate::no_gateway::NoGateway;
use crate::stack::{Lab, Plan};
use crate::things::{LEASE_MS, Things};

/// The cluster is as large as one with so many guests.
const NODES: u32 = 20;
/// The first guest's number.
pub(super) const FIRST_VMID: u32 = 10_000;
/// So many of a hundred run: those whose number ends in less.
const RUNNING_PERCENT: u32 = 80;
/// Writers at the same time, so that they share commits.
const WRITERS: usize = 64;
const PUBLIC: PortRange = PortRange {
    first: 10_000,
    last: 20_999,
};
const INTERNAL: PortRange = PortRange {
    // Below those that the system gives out by itself.
    first: 21_000,
    last: 31_999,
};

/// What is measured in.
pub(super) struct World {
    pub(super) lab: Lab,
    pub(super) engine: Engine,
    pub(super) store: Store,
    clock: Arc<MovedClock>,
    /// The control of [`World::at_work`]: it keeps nothing from one pass to the next.
    pub(super) forgets: bool,
    /// The apps, in the order of their guests' numbers.
    pub(super) apps: Vec<AppId>,
}

/// Where a server of this name keeps its record.
pub(super) fn data_dir(dir: &Path) -> PathBuf {
    dir.join("site").join("data")
}

/// A server on that record, with so many operations at work.
pub(super) fn site_plan(operations: usize) -> Plan {
    Plan {
        name: "site".to_owned(),
        public: PUBLIC,
        internal: INTERNAL,
        bind: "127.0.0.1",
        operations,
    }
}

fn options(data: &Path) -> StoreOptions {
    StoreOptions {
        path: data.join("proximity.db"),
        key_file: data.join("secret.key"),
        public: PUBLIC,
        internal: INTERNAL,
        rest_ms: 0,
    }
}

/// Whether the guest of this number runs.
pub(super) fn runs(vmid: u32) -> bool {
    vmid % 100 < RUNNING_PERCENT
}

impl World {
    pub(super) async fn make(args: &Args) -> Result<Self> {
        if args.apps > args.guests {
            bail!("more apps than guests");
        }
        let nodes: Vec<String> = (1..=NODES).map(|n| format!("pve{n}")).collect();
        let lab = Lab::with_nodes(&args.program, &args.dir, &nodes.join(","), 0).await?;
        lab.order(
            "/world/scenery",
            &json!({ "guests": args.guests, "first_vmid": FIRST_VMID, "running_percent": RUNNING_PERCENT }),
        )
        .await?;
        let data = data_dir(&args.dir);
        std::fs::create_dir_all(&data)?;
        let mut things = Things::from(0);
        let store = Store::open(options(&data), things.now()).await?;
        let host = host(&lab, &mut things)?;
        let (id, at) = (host.id, things.now());
        store.add_host(host, &things.actor, at).await?;
        let placed = lab.placed().await?;
        let mut shares = vec![Vec::new(); WRITERS];
        for (number, (vmid, (node, volume))) in placed.into_iter().enumerate() {
            if vmid < FIRST_VMID + args.apps {
                shares[number % WRITERS].push((vmid, node, volume));
            }
        }
        let mut writers = JoinSet::new();
        for (writer, share) in shares.into_iter().enumerate() {
            writers.spawn(record(store.clone(), id, u64::try_from(writer)?, share));
        }
        let mut apps = Vec::new();
        while let Some(written) = writers.join_next().await {
            apps.extend(written??);
        }
        apps.sort_unstable();
        let clock = Arc::new(MovedClock::default());
        Ok(Self {
            engine: engine(store.clone(), Arc::clone(&clock))?,
            clock,
            forgets: false,
            apps: apps.into_iter().map(|(_, app)| app).collect(),
            lab,
            store,
        })
    }

    /// So much time passes for the engine, at once. Nothing here goes by the lab's clock.
    pub(super) fn pass_time(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.clock.pass(ms);
    }

    /// Who makes the next pass.
    pub(super) fn at_work(&self) -> Result<Engine> {
        if self.forgets {
            return engine(self.store.clone(), Arc::clone(&self.clock));
        }
        Ok(self.engine.clone())
    }

    /// What this process, in which the database is and nothing else that writes, has written to its disk so far, bytes: whole
    /// pages, as the kernel counts them. (The size of the files says little: the log is used again from its beginning.)
    pub(super) fn written(&self) -> Result<u64> {
        let text = std::fs::read_to_string("/proc/self/io")?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("write_bytes: "));
        Ok(line
            .context("the kernel does not count what is written")?
            .parse()?)
    }

    pub(super) async fn end(self) -> Result<()> {
        self.store.close().await;
        self.lab.end().await
    }
}

/// The lab as a server records it.
fn host(lab: &Lab, things: &mut Things) -> Result<HostRecord> {
    let file = lab.file();
    let mut host = things.host("lab")?;
    let trust = TlsTrust::Fingerprint {
        sha256: file.fingerprint_sha256.clone(),
    };
    let mut endpoints = Vec::new();
    for node in &file.api {
        endpoints.push(Endpoint {
            url: node.url.clone(),
            node: Some(node.node.parse()?),
            trust: trust.clone(),
        });
        host.known_nodes.push(node.node.parse()?);
    }
    host.endpoints = endpoints;
    host.token_id = file.tokens.full.id.clone();
    host.token_secret = file.tokens.full.secret.clone().into();
    host.ssh = None;
    Ok(host)
}

fn engine(store: Store, clock: Arc<MovedClock>) -> Result<Engine> {
    let nothing = Arc::new(NoGateway::default());
    Ok(Engine::new(EngineParts {
        store,
        clock,
        ids: Arc::new(CountedIds::seeded(1)),
        connect: Arc::new(RealConnect),
        ingress: nothing.clone(),
        probe: nothing,
        catalog: Catalog::load(&[])?,
        helper: None,
        limits: EngineLimits::default(),
    }))
}

/// Records these guests as adopted ones, as the lab made them.
async fn record(
    store: Store,
    host: HostId,
    writer: u64,
    share: Vec<(u32, String, String)>,
) -> Result<Vec<(u32, AppId)>> {
    let mut things = Things::from(writer + 1);
    let mut done = Vec::new();
    for (vmid, node, volume) in share {
        let (app, mut operation) = things.app(&format!("app{vmid}"), host)?;
        operation.kind = OperationKind::Adopt;
        let guest = AdoptedGuest {
            id: GuestId(things.id()),
            app: app.id,
            created_by: operation.id,
            place: ContainerRef {
                host,
                node: node.parse()?,
                vmid: Vmid::try_from(vmid)?,
            },
            identity: identity(vmid, &volume)?,
            learned: None,
        };
        let (id, operation_id, at) = (app.id, operation.id, things.now());
        store
            .adopt_app(app, guest, operation, &things.actor, None, at)
            .await?;
        let all = store.claimable().await?;
        let seen = all.iter().find(|row| row.id == operation_id);
        let seen = seen.context("a new app's operation cannot be claimed")?;
        let at = things.now();
        let claimed = store
            .claim_as_seen(seen, things.holder, LEASE_MS, at)
            .await?;
        let (_, fence) = claimed.context("somebody else claimed it")?;
        let effects = Effects {
            status: Some(if runs(vmid) {
                Status::Running
            } else {
                Status::Stopped
            }),
            ..Effects::default()
        };
        let at = things.now();
        store.complete(&fence, effects, at).await?;
        done.push((vmid, id));
    }
    Ok(done)
}

/// The address is as the lab gives it to what it only tells of.
fn identity(vmid: u32, volume: &str) -> Result<AdoptedIdentity> {
    let [_, a, b, c] = vmid.to_be_bytes();
    Ok(AdoptedIdentity {
        vmid: Vmid::try_from(vmid)?,
        net0_mac: Mac::with_pve_prefix([a, b, c]),
        rootfs_volid: volume.parse()?,
    })
}
