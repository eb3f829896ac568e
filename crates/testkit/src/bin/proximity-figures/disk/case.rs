//! One case: an app is asked for, the disk fails at the k-th call, space comes back, and everything has to go on.

use std::time::Duration;

use anyhow::{Result, ensure};
use proximity_api::apps::{App, CreateApp};
use proximity_api::client::Client;
use proximity_domain::time::Clock;
use proximity_testkit::sources::RealClock;
use proximity_testkit::world::TestWorld;

use super::app::{CYCLE_MS, LOOK, OF_THE_DISK, OPERATION_MS, ask, go_on, remove};
use super::plan::{Mode, Plan};
use super::world::Verdict;

/// How long trouble lasts after the first call that failed, when it is not for a single call.
const TROUBLE: Duration = Duration::from_millis(300);

/// What cases work on.
pub(super) struct Stand<'a> {
    pub(super) world: &'a TestWorld,
    pub(super) client: Client,
    pub(super) plan: &'a Plan,
}

/// Runs one case. Gives the app that was acknowledged.
pub(super) async fn run_case(
    stand: &Stand<'_>,
    mode: Mode,
    at: u64,
    verdict: &mut Verdict,
) -> Result<Option<String>> {
    // The same write may be drawn twice: names are given once.
    let first = beacon(format!("app-{}", verdict.cases));
    let other = beacon(format!("other-{}", verdict.cases));
    // Every second case is one call that fails; in the others nothing works until space is back.
    let lasting = mode == Mode::Filled || at.is_multiple_of(2);
    stand
        .plan
        .arm(mode, at, if lasting { u64::MAX } else { 1 })?;
    let refused_before = verdict.refused();
    let asked = ask(&stand.client, &first, OF_THE_DISK, verdict).await?;
    wait_for_trouble(stand, asked.as_ref()).await?;
    let hit = stand.plan.hits()? > 0;
    if hit && lasting {
        // While nothing works the API still answers, and does not lie.
        ask(&stand.client, &other, OF_THE_DISK, verdict).await?;
        tokio::time::sleep(TROUBLE).await;
    }
    // A full file system counts no calls: that one was refused shows that it was full.
    let reached = match mode {
        Mode::Filled => verdict.refused() > refused_before,
        Mode::NoSpace | Mode::WriteError | Mode::SyncError | Mode::Pretend => hit,
    };
    verdict.reached += usize::from(reached);
    stand.plan.disarm()?;
    let app = go_on(&stand.client, &first, asked, verdict).await?;
    if stand.client.app(&other.hostname).await.is_ok() {
        remove(&stand.client, &other.hostname).await?;
    }
    remove(&stand.client, &first.hostname).await?;
    let wrong = stand.world.store.invariants().await?;
    ensure!(wrong.is_empty(), "rules are broken: {wrong:?}");
    Ok(Some(app))
}

fn beacon(hostname: String) -> CreateApp {
    CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname,
        config: proximity_api::apps::ResourceConfig::default(),
        environment: serde_json::Map::new(),
        allow_unpinned: false,
        host: None,
        node: None,
        network: None,
        apart_from: Vec::new(),
        root_keys: Vec::new(),
        root_password: false,
        host_name: None,
        certificate: None,
    }
}

/// Until a call has failed, or the app is there without one.
async fn wait_for_trouble(stand: &Stand<'_>, asked: Option<&App>) -> Result<()> {
    let Some(app) = asked else { return Ok(()) };
    let since = RealClock.monotonic();
    while stand.plan.hits()? == 0 {
        let waited = RealClock.monotonic().since_ms(since);
        ensure!(
            waited < CYCLE_MS + OPERATION_MS,
            "nothing fails and nothing goes on"
        );
        let status = stand.client.app(&app.id).await.map(|app| app.status);
        if matches!(status.as_deref(), Ok("running" | "error")) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
