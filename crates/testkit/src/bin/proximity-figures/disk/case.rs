//! One case: an app is asked for, the disk fails at the k-th call, space comes back, and everything has to go on.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use proximity_api::apps::{ActionName, ActionRequest, App, AppQuery, CreateApp};
use proximity_api::client::{Client, ClientError};
use proximity_domain::time::Clock;
use proximity_testkit::sources::RealClock;
use proximity_testkit::world::TestWorld;

use super::plan::{Mode, Plan};
use super::world::Verdict;

/// How long trouble lasts after the first call that failed, when it is not for a single call.
const TROUBLE: Duration = Duration::from_millis(300);
/// How often something is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// A cycle of the worker, and what an operation takes on a busy machine.
const CYCLE_MS: u64 = 5_000;
const OPERATION_MS: u64 = 10_000;
/// Codes an answer may have while the disk is in trouble.
const CODES: [&str; 2] = ["disk_full", "database_unavailable"];

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
    let (hostname, other) = (
        format!("app-{}", verdict.cases),
        format!("other-{}", verdict.cases),
    );
    // Every second case is one call that fails; in the others nothing works until space is back.
    let lasting = mode == Mode::Filled || at.is_multiple_of(2);
    stand
        .plan
        .arm(mode, at, if lasting { u64::MAX } else { 1 })?;
    let refused_before = verdict.refused();
    let asked = ask(stand, &hostname, verdict).await?;
    wait_for_trouble(stand, asked.as_ref()).await?;
    let hit = stand.plan.hits()? > 0;
    if hit && lasting {
        // While nothing works the API still answers, and does not lie.
        ask(stand, &other, verdict).await?;
        tokio::time::sleep(TROUBLE).await;
    }
    // A full file system counts no calls: that one was refused shows that it was full.
    let reached = match mode {
        Mode::Filled => verdict.refused() > refused_before,
        Mode::NoSpace | Mode::WriteError | Mode::SyncError | Mode::Pretend => hit,
    };
    verdict.reached += usize::from(reached);
    stand.plan.disarm()?;
    let app = go_on(stand, &hostname, asked, verdict).await?;
    if stand.client.app(&other).await.is_ok() {
        remove(stand, &other).await?;
    }
    remove(stand, &hostname).await?;
    let wrong = stand.world.store.invariants().await?;
    ensure!(wrong.is_empty(), "rules are broken: {wrong:?}");
    Ok(Some(app))
}

/// Asks for an app. An answer is an app, or a refusal that says what is wrong with the disk.
async fn ask(stand: &Stand<'_>, hostname: &str, verdict: &mut Verdict) -> Result<Option<App>> {
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: hostname.to_owned(),
        config: proximity_api::apps::ResourceConfig::default(),
        environment: serde_json::Map::new(),
        host: None,
        node: None,
    };
    match stand.client.create_app(&request, hostname).await {
        Ok(app) => {
            *verdict.answers.entry(202).or_default() += 1;
            Ok(Some(app))
        }
        Err(ClientError::Refused { status, body }) => {
            *verdict.answers.entry(status).or_default() += 1;
            let known = CODES.contains(&body.code.as_str());
            ensure!(
                matches!(status, 503 | 507) && known && !body.hint.is_empty(),
                "the API answered {status} {}: {} ({})",
                body.code,
                body.message,
                body.hint
            );
            Ok(None)
        }
        Err(other) => bail!("the API did not answer: {other}"),
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

/// Space is back: the same request gives the app, and it runs within a cycle.
async fn go_on(
    stand: &Stand<'_>,
    hostname: &str,
    asked: Option<App>,
    verdict: &mut Verdict,
) -> Result<String> {
    let since = RealClock.monotonic();
    let mut now = BTreeMap::new();
    std::mem::swap(&mut now, &mut verdict.answers);
    let again = ask(stand, hostname, verdict).await;
    std::mem::swap(&mut now, &mut verdict.answers);
    let Some(app) = again? else {
        bail!("space is back and the API still refuses");
    };
    if let Some(first) = asked {
        ensure!(first.id == app.id, "the app that was acknowledged is lost");
    }
    loop {
        let found = stand.client.app(&app.id).await?;
        let waited = RealClock.monotonic().since_ms(since);
        match found.status.as_str() {
            "running" => {
                verdict.slowest_ms = verdict.slowest_ms.max(waited);
                return Ok(app.id);
            }
            "error" => bail!("the deploy failed: {:?}", found.error),
            status => ensure!(
                waited < CYCLE_MS + OPERATION_MS,
                "the app is still {status} after {waited} ms"
            ),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Makes room for the next case.
async fn remove(stand: &Stand<'_>, hostname: &str) -> Result<()> {
    settle(stand, hostname).await?;
    let request = ActionRequest {
        action: ActionName::Delete,
        force: false,
        confirm: Some(hostname.to_owned()),
    };
    stand.client.act(hostname, &request).await?;
    let since = RealClock.monotonic();
    while stand.client.app(hostname).await.is_ok() {
        let waited = RealClock.monotonic().since_ms(since);
        ensure!(
            waited < CYCLE_MS + OPERATION_MS,
            "{hostname} cannot be removed"
        );
        tokio::time::sleep(LOOK).await;
    }
    let left = stand.client.apps(&AppQuery::default()).await?;
    ensure!(left.total < 4, "apps pile up");
    Ok(())
}

/// Until no operation works on it.
async fn settle(stand: &Stand<'_>, hostname: &str) -> Result<()> {
    let since = RealClock.monotonic();
    loop {
        let status = stand.client.app(hostname).await?.status;
        if matches!(status.as_str(), "running" | "stopped" | "error") {
            return Ok(());
        }
        let waited = RealClock.monotonic().since_ms(since);
        ensure!(
            waited < CYCLE_MS + OPERATION_MS,
            "{hostname} stays {status}"
        );
        tokio::time::sleep(LOOK).await;
    }
}
