//! A server in this process, and one case after the other on it.

use std::panic::PanicHookInfo;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use proximity_api::client::{Client, ClientOptions};
use proximity_domain::ids::TokenId;
use proximity_domain::ports::PortRange;
use proximity_domain::time::Clock;
use proximity_engine::notify::Rules;
use proximity_pve_emulator::core::Access;
use proximity_server::{EventLimits, Limits, Metrics, ServerParts, router, serve, token_hash};
use proximity_store::records::TokenRecord;
use proximity_testkit::pve::Pve;
use proximity_testkit::sources::{CountedIds, RealClock};
use proximity_testkit::world::{Place, TestWorld, WorldParts};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::case::{Stand, run_case};
use super::plan::Plan;
use super::{World, loss};
use crate::say;

const TOKEN: &str = "token-of-the-figure";
/// Faults that are told in full.
const TOLD: usize = 20;

/// The result, as the last line.
#[derive(Debug, Default, Serialize)]
pub(super) struct Verdict {
    /// Cases.
    pub(super) cases: usize,
    /// Cases in which a call did fail.
    pub(super) reached: usize,
    /// Answers by HTTP status, while the disk was in trouble.
    pub(super) answers: std::collections::BTreeMap<u16, usize>,
    /// Longest time from the end of the trouble to the end of the operation, milliseconds.
    pub(super) slowest_ms: u64,
    pub(super) faults: usize,
    pub(super) told: Vec<String>,
}

impl Verdict {
    /// Answers that were refusals.
    pub(super) fn refused(&self) -> usize {
        let refusals = self.answers.iter().filter(|(status, _)| **status >= 400);
        refusals.map(|(_, count)| count).sum()
    }

    pub(super) fn fault(&mut self, why: String) {
        self.faults += 1;
        if self.told.len() < TOLD {
            self.told.push(why);
        }
    }
}

pub(super) async fn run(order: &World) -> Result<()> {
    let panics = count_panics();
    let plan = Plan::open(&order.plan, &order.dir)?;
    let parts = WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        place: Place::Folder(order.dir.clone()),
        ..WorldParts::default()
    };
    let world = TestWorld::start_of(parts).await.map_err(|e| anyhow!(e))?;
    let stop = CancellationToken::new();
    let client = serve_api(&world, stop.clone()).await?;
    let stand = Stand {
        world: &world,
        client,
        plan: &plan,
    };
    let mut verdict = Verdict::default();
    let mut acknowledged = Vec::new();
    for at in &order.at {
        let case = run_case(&stand, order.mode, *at, &mut verdict);
        match case.await {
            Ok(app) => acknowledged.extend(app),
            Err(why) => verdict.fault(format!("{:?} at {at}: {why:#}", order.mode)),
        }
        plan.disarm()?;
        verdict.cases += 1;
    }
    stop.cancel();
    let ports = (PortRange::PUBLIC, PortRange::INTERNAL);
    loss::look(&order.dir, ports, &acknowledged, &mut verdict).await?;
    drop(world);
    for panic in panics.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        verdict.fault(format!("panic: {panic}"));
    }
    Ok(say::line(&serde_json::to_string(&verdict)?)?)
}

fn count_panics() -> Arc<Mutex<Vec<String>>> {
    let panics: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&panics);
    std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(info.to_string());
    }));
    panics
}

/// Serves the API of `world`; gives a client with a token.
async fn serve_api(world: &TestWorld, stop: CancellationToken) -> Result<Client> {
    let token = TokenRecord {
        id: TokenId(Uuid::from_u128(99)),
        account: "admin".to_owned(),
        scopes: vec!["*".to_owned()],
        secret_sha256: token_hash(TOKEN),
        created_at: RealClock.now(),
    };
    world
        .store
        .add_token(token, &world.actor, RealClock.now())
        .await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let parts = ServerParts {
        notices: world.engine.notices(Vec::new(), Rules::default()),
        engine: world.engine.clone(),
        clock: Arc::new(RealClock),
        ids: Arc::new(CountedIds::seeded(7_000_000)),
        metrics: Metrics::new("test"),
        events: EventLimits::default(),
        closing: stop.clone(),
        traces: None,
    };
    tokio::spawn(serve(
        listener,
        router(parts),
        None,
        Limits::default(),
        stop,
    ));
    // Another provider that is there already is as good.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let options = ClientOptions {
        base_url: format!("http://{address}"),
        token: Some(TOKEN.to_owned().into()),
        ca_pem: None,
        timeout: Duration::from_secs(40),
    };
    Client::new(options).context("making a client")
}
