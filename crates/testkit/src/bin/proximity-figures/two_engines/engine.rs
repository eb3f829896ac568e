//! One engine: the product's engine and worker over the product's HTTPS client, on a database that it does not own alone.
//!
//! Only what lies behind the gateway is left out: guests in which all is done, and pages nobody fetches.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use proximity_domain::ports::PortRange;
use proximity_domain::time::{Clock, Monotonic, Timestamp};
use proximity_engine::catalog::Catalog;
use proximity_engine::cluster::RealConnect;
use proximity_engine::engine::{Engine, EngineLimits, EngineParts};
use proximity_engine::saga::{ignore_send_deadlines, set_crash_point, stop_at_crash_point};
use proximity_engine::seams::{Connect, Connection};
use proximity_engine::worker::Worker;
use proximity_pve::guest::{
    Exec, ExecOutput, GuestAccess, GuestError, GuestTarget, Listener, Pull, Push,
};
use proximity_store::records::HostRecord;
use proximity_store::{Store, StoreOptions};
use proximity_testkit::sources::{CountedIds, RealClock};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::args::Args;
use crate::no_gateway::NoGateway;
use crate::say;

/// The catalog entry of the rounds: nothing to install.
pub(super) const ENTRY: &str = r#"
format: 1
id: bare
name: Bare
version: 1.0.0
summary: A container and nothing in it
description: For a figure.
category: test
os_template: debian-12-standard
resources:
  memory_mib: { min: 32, default: 64 }
  cores: { default: 1 }
  disk_gib: { default: 1 }
port: 8080
protocol: http
install:
  - run: { argv: [/bin/true], creates: /done }
health:
  http:
    path: /
    body_contains: proximity-app-bare
  timeout_s: 2
  interval_s: 1
  attempts: 3
"#;

/// Where a lane keeps what its engines share.
pub(super) fn store_options(dir: &Path) -> StoreOptions {
    StoreOptions {
        path: dir.join("proximity.db"),
        key_file: dir.join("key"),
        public: PortRange {
            first: 20_000,
            last: 29_999,
        },
        internal: PortRange {
            first: 30_000,
            last: 39_999,
        },
        rest_ms: 0,
    }
}

/// The engine over a store.
pub(super) fn build(
    dir: &Path,
    store: Store,
    lease_ms: i64,
    clock: Arc<dyn Clock>,
) -> Result<Engine, String> {
    let catalog = Catalog::load(&[dir.join("catalog")]).map_err(|e| e.to_string())?;
    let seed = u64::from(std::process::id()) << 32 | u64::from(clock.now().0.unsigned_abs() as u32);
    let nothing = Arc::new(NoGateway::default());
    Ok(Engine::new(EngineParts {
        store,
        clock,
        ids: Arc::new(CountedIds::seeded(seed)),
        connect: Arc::new(WithGuests),
        ingress: nothing.clone(),
        probe: nothing,
        catalog,
        helper: None,
        limits: EngineLimits {
            lease_ms,
            ..EngineLimits::default()
        },
    }))
}

/// `dir=PATH lease_ms=N`, and `stop_at=PLACE`, `crash_at=PLACE`, `late=1` as wanted. Works from the line `begin` on stdin
/// until SIGTERM.
pub(crate) async fn run(words: &[String]) -> Result<(), String> {
    let args = Args::parse(words)?;
    let dir = Path::new(args.text("dir")?);
    if let Some(place) = args.get("stop_at") {
        stop_at_crash_point(place.to_owned());
    }
    if let Some(place) = args.get("crash_at") {
        set_crash_point(place.to_owned());
    }
    if args.get("late").is_some() {
        ignore_send_deadlines();
    }
    let mut asked = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    let clock: Arc<dyn Clock> = Arc::new(BootClock::default());
    let store = Store::open(store_options(dir), clock.now())
        .await
        .map_err(|e| e.to_string())?;
    let engine = build(dir, store.clone(), args.number("lease_ms")?, clock)?;
    say::line("ready").map_err(|e| e.to_string())?;
    let mut line = String::new();
    BufReader::new(tokio::io::stdin())
        .read_line(&mut line)
        .await
        .map_err(|e| e.to_string())?;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(engine, false).run(stop.clone()));
    asked.recv().await;
    stop.cancel();
    worker.await.map_err(|e| e.to_string())?;
    store.close().await;
    Ok(())
}

/// The machine's wall clock, and the runtime's clock for what must not jump.
#[derive(Debug)]
struct BootClock {
    start: tokio::time::Instant,
}

impl Default for BootClock {
    fn default() -> Self {
        Self {
            start: tokio::time::Instant::now(),
        }
    }
}

impl Clock for BootClock {
    fn now(&self) -> Timestamp {
        RealClock.now()
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

/// The product's way to a cluster, and guests in which everything is done already: the rounds are about calls to PVE.
#[derive(Debug)]
struct WithGuests;

impl Connect for WithGuests {
    fn connect(&self, host: &HostRecord) -> Result<Connection, String> {
        Ok(Connection {
            guest_access: Some(Arc::new(DoneGuests)),
            ..RealConnect.connect(host)?
        })
    }
}

#[derive(Debug)]
struct DoneGuests;

#[async_trait]
impl GuestAccess for DoneGuests {
    async fn exec_heard(
        &self,
        _: &GuestTarget,
        _: Exec,
        _: &dyn Listener,
    ) -> Result<ExecOutput, GuestError> {
        Ok(ExecOutput {
            exit_code: 0,
            stdout: Bytes::from_static(b"running\n"),
            stderr: Bytes::new(),
            truncated: false,
        })
    }

    async fn push(&self, _: &GuestTarget, _: Push) -> Result<(), GuestError> {
        Ok(())
    }

    async fn pull(&self, _: &GuestTarget, _: Pull) -> Result<Bytes, GuestError> {
        Ok(Bytes::new())
    }
}
