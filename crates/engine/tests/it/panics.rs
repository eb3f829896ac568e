//! A fault of the program in a step: it ends the work on that operation, and on nothing else.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use proximity_domain::ids::OperationId;
use proximity_domain::operation::OperationState;
use proximity_domain::retry::RetryPolicy;
use proximity_engine::commands::{Action, ChangeHost, CreateApp};
use proximity_engine::engine::EngineLimits;
use proximity_engine::seams::{HttpAnswer, Probe};
use proximity_pve_emulator::core::Access;
use proximity_testkit::ingress::Routes;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{TestWorld, WorldParts};

/// Looks at apps as the world's own does, but panics so many times first.
#[derive(Debug, Default)]
struct Faulty {
    panics: AtomicU32,
    asked: AtomicU32,
    sound: OnceLock<Routes>,
}

#[async_trait]
impl Probe for Faulty {
    async fn http_get(&self, at: SocketAddr, path: &str, ms: u64) -> Result<HttpAnswer, String> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let less = |left: u32| left.checked_sub(1);
        let left = self
            .panics
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        assert!(left.is_err(), "a fault of the test");
        self.sound.get().unwrap().http_get(at, path, ms).await
    }

    async fn tcp_open(&self, at: SocketAddr, ms: u64) -> Result<(), String> {
        self.sound.get().unwrap().tcp_open(at, ms).await
    }
}

/// What was written to the log.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let mut all = self.0.lock().unwrap();
        all.push_str(&String::from_utf8_lossy(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn world() -> (TestWorld, Arc<Faulty>) {
    let probe = Arc::new(Faulty::default());
    let w = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        limits: EngineLimits {
            retry: RetryPolicy {
                first_ms: 20,
                ..RetryPolicy::DEFAULT
            },
            ..EngineLimits::default()
        },
        probe: Some(probe.clone()),
        ..WorldParts::default()
    })
    .await
    .unwrap();
    probe.sound.set(w.routes.clone()).unwrap();
    (w, probe)
}

async fn deploy(w: &TestWorld, hostname: &str) -> OperationId {
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: hostname.to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    app.operation.unwrap()
}

async fn settled(w: &TestWorld, op: OperationId, expected: &str) -> OperationState {
    let state = w.settled(op).await.unwrap().state;
    assert_eq!(state.label(), expected, "{state:?}");
    state
}

#[tokio::test]
async fn a_step_that_panics_once_is_tried_again() {
    let (w, probe) = world().await;
    probe.panics.store(1, Ordering::Relaxed);
    let op = deploy(&w, "web").await;
    settled(&w, op, "succeeded").await;
    assert_eq!(w.pve.guests.vmids().len(), 1);
}

#[tokio::test]
async fn a_step_that_always_panics_gets_stuck_and_holds_up_nobody_else() {
    let log = Log::default();
    let written = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || written.clone());
    let _log = tracing::subscriber::set_default(subscriber.finish());
    let (mut w, probe) = world().await;
    let other = deploy(&w, "other").await;
    settled(&w, other, "succeeded").await;
    probe.panics.store(u32::MAX, Ordering::Relaxed);
    probe.asked.store(0, Ordering::Relaxed);
    let op = deploy(&w, "web").await;
    let stop = Action::Stop { force: false };
    let stop = w.engine.act(&w.actor, "other", stop).await.unwrap().id;
    settled(&w, stop, "succeeded").await;
    let OperationState::Stuck { failure, .. } = settled(&w, op, "stuck").await else {
        panic!("it is stuck")
    };
    let told = (failure.code.as_str(), failure.step.as_deref());
    assert_eq!(told, ("internal", Some("health_check")));
    let said = log.0.lock().unwrap().matches("a fault of the test").count();
    assert_eq!(said, 3, "each in the log");
    assert_eq!(probe.asked.load(Ordering::Relaxed), 3);

    // A restart tries nothing that a person has not asked for.
    w.stop_worker().await.unwrap();
    w.start_worker();
    let start = w.engine.act(&w.actor, "web", Action::Start).await;
    assert!(start.is_err(), "it is stuck");
    assert_eq!(probe.asked.load(Ordering::Relaxed), 3);
    probe.panics.store(0, Ordering::Relaxed);
    w.engine.retry_operation(&w.actor, op).await.unwrap();
    settled(&w, op, "succeeded").await;
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}

/// The worker that dies between two panics hands on how many there were.
#[tokio::test]
async fn panics_are_counted_across_a_restart() {
    let (mut w, probe) = world().await;
    probe.panics.store(u32::MAX, Ordering::Relaxed);
    let op = deploy(&w, "web").await;
    w.until(async || probe.asked.load(Ordering::Relaxed) > 0)
        .await
        .unwrap();
    w.crash_worker().await;
    w.start_worker();
    settled(&w, op, "stuck").await;
    // One at most was cut off before it was counted.
    assert!(probe.asked.load(Ordering::Relaxed) <= 4);
}

/// The fault is in what an operation needs before its first step: it is tried as often as a step, and then a person is asked.
#[tokio::test]
async fn an_operation_that_panics_before_its_first_step_gets_stuck() {
    let log = Log::default();
    let written = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || written.clone());
    let _log = tracing::subscriber::set_default(subscriber.finish());
    let (mut w, _) = world().await;
    w.crash_worker().await;
    let op = deploy(&w, "web").await;
    w.pve.fault_at_connect(u32::MAX);
    // The next use of the host connects anew.
    let change = ChangeHost {
        excluded_nodes: Some(Vec::new()),
        ..ChangeHost::default()
    };
    w.engine.change_host(&w.actor, "lab", change).await.unwrap();
    w.start_worker();
    let OperationState::Stuck { failure, .. } = settled(&w, op, "stuck").await else {
        panic!("it is stuck")
    };
    let told = (failure.code.as_str(), failure.step.as_deref());
    assert_eq!(told, ("internal", None));
    let said = log
        .0
        .lock()
        .unwrap()
        .matches("before its first step")
        .count();
    assert_eq!(said, 3, "each in the log");
    w.pve.fault_at_connect(0);
    w.engine.retry_operation(&w.actor, op).await.unwrap();
    settled(&w, op, "succeeded").await;
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}
