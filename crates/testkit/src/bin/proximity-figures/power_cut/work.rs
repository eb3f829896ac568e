//! The work that is cut off: the life of a few apps, then much writing, then several at once.

use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;
use proximity_domain::app::{Status, StatusLabel};
use proximity_domain::failure::Failure;
use proximity_domain::ids::{AppId, HostId};
use proximity_domain::operation::OperationKind;
use proximity_domain::ports::PortRange;
use proximity_store::Store;
use proximity_store::effects::{Effects, GuestChange, MutationAudit, NewLogLine};
use proximity_store::records::{AppRecord, Fence, LogLevel, RequestKey, TlsTrust};
use serde_json::json;

use super::acks::{Ack, AppAck};
use super::old;
use super::state::digest;
use crate::things::{LEASE_MS, Things, options};

/// How often the large record is written: enough pages for the log to be carried over and begun anew while in use.
const LARGE_WRITES: u32 = 30;
/// Its size.
const LARGE_BYTES: usize = 200_000;
/// How many write at once, and how many apps each records.
const WRITERS: u64 = 6;
const APPS_EACH: u64 = 4;

/// A part of the work: one process each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// From an empty directory; ends without closing.
    First,
    /// Opens what the first left behind.
    Second,
    /// Makes a database of version 1 of the schema.
    Old,
    /// Opens it, which migrates it.
    Upgrade,
}

/// The store, and what gives it work.
struct Bench {
    store: Store,
    things: Things,
}

/// Opens the store that the work is about.
pub(crate) async fn open(dir: &Path, things: &mut Things) -> Result<Store> {
    let options = options(dir, PortRange::PUBLIC, PortRange::INTERNAL);
    Store::open(options, things.now())
        .await
        .context("opening the store")
}

/// Does one part.
///
/// # Errors
/// The store refused something; this work gives it no reason to.
pub(crate) fn run(dir: &Path, part: Part) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match part {
            Part::First => first(dir).await,
            Part::Second => second(dir).await,
            Part::Old => old::make(dir),
            Part::Upgrade => upgrade(dir).await,
        }
    })
}

async fn first(dir: &Path) -> Result<()> {
    let mut bench = Bench::open(dir, Things::from(1)).await?;
    let host = bench.things.host("lab")?;
    let (id, at) = (host.id, bench.things.now());
    bench.store.add_host(host, &bench.things.actor, at).await?;
    bench.committed().await?;
    let app = bench.create("one", id).await?;
    bench.deploy(&app, id, 101).await?;
    let other = bench.create("two", id).await?;
    bench.unwind(&other).await?;
    let third = bench.create("three", id).await?;
    let queued = third.operation.context("a new app has an operation")?;
    let at = bench.things.now();
    bench
        .store
        .request_cancel(queued, &bench.things.actor, at)
        .await?;
    bench.committed().await?;
    bench.store.close().await;
    let mut bench = Bench::open(dir, bench.things).await?;
    bench.remove(app.id).await?;
    bench.much(id).await?;
    Ack::Apart.print()?;
    several(&bench.store, id).await?;
    // No farewell: what is in the log has to be enough.
    std::mem::forget(bench.store);
    Ok(())
}

async fn second(dir: &Path) -> Result<()> {
    let mut bench = Bench::open(dir, Things::from(2)).await?;
    let hosts = bench.store.hosts().await?;
    let host = hosts.first().context("the host is gone")?.id;
    for n in 0..4 {
        bench.create(&format!("later-{n}"), host).await?;
    }
    bench.store.close().await;
    Ok(())
}

async fn upgrade(dir: &Path) -> Result<()> {
    let mut bench = Bench::open(dir, Things::from(3)).await?;
    let host = bench.things.host("lab")?;
    let at = bench.things.now();
    bench.store.add_host(host, &bench.things.actor, at).await?;
    bench.committed().await?;
    bench.store.close().await;
    Ok(())
}

impl Bench {
    async fn open(dir: &Path, mut things: Things) -> Result<Self> {
        let store = open(dir, &mut things).await?;
        let (installation, state) = (store.installation().to_string(), digest(&store).await?);
        Ack::Opened {
            installation,
            state,
        }
        .print()?;
        Ok(Self { store, things })
    }

    /// Says that the last call was acknowledged, and what is recorded since.
    async fn committed(&self) -> Result<()> {
        let state = digest(&self.store).await?;
        Ack::Committed { state }.print()
    }

    async fn create(&mut self, hostname: &str, host: HostId) -> Result<AppRecord> {
        let (app, operation) = self.things.app(hostname, host)?;
        let at = self.things.now();
        let key = Some(RequestKey {
            key: format!("key-{hostname}"),
            fingerprint: hostname.to_owned(),
        });
        let made = self
            .store
            .create_app(app, operation, &self.things.actor, key, at);
        let made = made.await?;
        self.committed().await?;
        Ok(made)
    }

    async fn claim(&mut self) -> Result<Fence> {
        let at = self.things.now();
        let claimed = self.store.claim(self.things.holder, LEASE_MS, false, at);
        let (_, fence) = claimed.await?.context("nothing to claim")?;
        self.committed().await?;
        Ok(fence)
    }

    async fn begin(&mut self, fence: &Fence, index: u32, effects: Effects) -> Result<()> {
        let (intent, at) = (json!({"index": index}), self.things.now());
        self.store
            .begin_step(fence, index, "step", intent, effects, at)
            .await?;
        self.committed().await
    }

    async fn finish(&mut self, fence: &Fence, index: u32, effects: Effects) -> Result<()> {
        let at = self.things.now();
        self.store
            .finish_step(fence, index, json!({"done": index}), effects, at)
            .await?;
        self.committed().await
    }

    async fn deploy(&mut self, app: &AppRecord, host: HostId, vmid: u32) -> Result<()> {
        let fence = self.claim().await?;
        let origin = (app.id, fence.operation);
        let guest = self.things.guest(&self.store, host, origin, vmid)?;
        self.begin(&fence, 0, guests(GuestChange::Insert(guest.clone())))
            .await?;
        let audit = MutationAudit {
            call: "POST /nodes/pve1/lxc".to_owned(),
            target: format!("lab/pve1/{vmid}"),
            details: json!({"hostname": app.hostname}),
        };
        let at = self.things.now();
        self.store
            .record_mutation(&fence, 0, audit, Effects::default(), at)
            .await?;
        self.committed().await?;
        let at = self.things.now();
        self.store
            .record_upid(&fence, 0, "UPID:pve1:1:2:3:vzcreate:101:root@pam:", at)
            .await?;
        self.committed().await?;
        let at = self.things.now();
        self.store.renew(&fence, LEASE_MS, at).await?;
        self.committed().await?;
        let confirmed = GuestChange::Confirm {
            guest: guest.id,
            rootfs_volid: format!("local:{vmid}/vm-{vmid}-disk-0.raw").parse()?,
        };
        self.finish(&fence, 0, guests(confirmed)).await?;
        self.begin(&fence, 1, line("installing")).await?;
        self.finish(&fence, 1, line("installed")).await?;
        let at = self.things.now();
        let effects = Effects {
            url: Some(Some("http://192.0.2.1:8100/".to_owned())),
            ..status(Status::Running)
        };
        self.store.complete(&fence, effects, at).await?;
        self.committed().await
    }

    /// A deploy that fails in its second step and is undone.
    async fn unwind(&mut self, app: &AppRecord) -> Result<()> {
        let fence = self.claim().await?;
        self.begin(&fence, 0, Effects::default()).await?;
        self.finish(&fence, 0, Effects::default()).await?;
        self.begin(&fence, 1, line("trying")).await?;
        let at = self.things.now();
        let why = Failure::new("broken", "it broke", "Mend it.");
        self.store
            .fail_step(&fence, Some(1), why.clone(), line("broke"), at)
            .await?;
        self.committed().await?;
        for index in [1, 0] {
            let at = self.things.now();
            self.store.begin_undo(&fence, index, at).await?;
            self.committed().await?;
            let at = self.things.now();
            self.store
                .finish_undo(&fence, index, Effects::default(), at)
                .await?;
            self.committed().await?;
        }
        let since = self.things.now();
        let error = Status::Error {
            was: StatusLabel::Deploying,
            why,
            since,
        };
        self.store.end_unwound(&fence, status(error), since).await?;
        self.committed().await?;
        anyhow::ensure!(self.store.app(app.id).await?.is_some(), "the app is gone");
        Ok(())
    }

    async fn remove(&mut self, app: AppId) -> Result<()> {
        let operation = self.things.operation(OperationKind::Remove, app);
        let at = self.things.now();
        let removing = Some(Status::Removing);
        self.store
            .enqueue(operation, removing, &self.things.actor, at)
            .await?;
        self.committed().await?;
        let fence = self.claim().await?;
        self.begin(&fence, 0, Effects::default()).await?;
        let gone = self.store.native_guests(app).await?;
        let gone = gone.iter().map(|g| GuestChange::Gone { guest: g.id });
        self.finish(
            &fence,
            0,
            Effects {
                guests: gone.collect(),
                ..Effects::default()
            },
        )
        .await?;
        let at = self.things.now();
        let effects = Effects {
            archive: true,
            ..line("removed")
        };
        self.store.complete(&fence, effects, at).await?;
        self.committed().await
    }

    /// Large records in place of each other, with a small one between.
    async fn much(&mut self, host: HostId) -> Result<()> {
        let found = self.store.host(host).await?.context("the host is gone")?;
        for n in 0..LARGE_WRITES {
            let mut host = found.clone();
            let letter = char::from(b'a' + u8::try_from(n % 26)?);
            let pem = letter.to_string().repeat(LARGE_BYTES);
            for endpoint in &mut host.endpoints {
                endpoint.trust = TlsTrust::Ca { pem: pem.clone() };
            }
            let at = self.things.now();
            self.store.update_host(host, &self.things.actor, at).await?;
            self.committed().await?;
            if n % 5 == 0 {
                self.create(&format!("between-{n}"), found.id).await?;
            }
        }
        let at = self.things.now();
        self.store
            .update_host(found, &self.things.actor, at)
            .await?;
        self.committed().await
    }
}

/// Several record apps side by side; each says so as soon as it knows.
async fn several(store: &Store, host: HostId) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        tasks.spawn(async move {
            let mut things = Things::from(100 + writer);
            for n in 0..APPS_EACH {
                let (app, operation) = things.app(&format!("apart-{writer}-{n}"), host)?;
                let at = things.now();
                let (id, asked) = (app.id.to_string(), operation.id.to_string());
                let made = store
                    .create_app(app, operation, &things.actor, None, at)
                    .await?;
                let pair = made.ports.context("a new app has ports")?;
                let (public, internal) = (pair.public, pair.internal);
                let operation = asked;
                Ack::App(AppAck {
                    id,
                    operation,
                    public,
                    internal,
                })
                .print()?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

fn guests(change: GuestChange) -> Effects {
    Effects {
        guests: vec![change],
        ..Effects::default()
    }
}

fn status(status: Status) -> Effects {
    Effects {
        status: Some(status),
        ..Effects::default()
    }
}

fn line(message: &str) -> Effects {
    Effects {
        log: vec![NewLogLine {
            level: LogLevel::Info,
            step: None,
            message: message.to_owned(),
            percent: Some(50),
        }],
        ..Effects::default()
    }
}
