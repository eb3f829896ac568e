//! Asking for an app while there is trouble, seeing it run when there is none, and removing it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use proximity_api::apps::{ActionName, ActionRequest, App, AppQuery, CreateApp};
use proximity_api::client::{Client, ClientError};
use proximity_domain::time::Clock;
use proximity_testkit::sources::RealClock;

use super::world::Verdict;

/// How often something is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(20);
/// A cycle of the worker, and what an operation takes on a busy machine.
pub(super) const CYCLE_MS: u64 = 5_000;
pub(super) const OPERATION_MS: u64 = 10_000;
/// Refusals that a caller may get while there is trouble.
pub(super) type Allowed = &'static [(u16, &'static str)];
/// What may be said of a disk.
pub(super) const OF_THE_DISK: Allowed = &[(507, "disk_full"), (503, "database_unavailable")];

/// Asks for an app. An answer is an app, or a refusal that says what is wrong.
pub(super) async fn ask(
    client: &Client,
    request: &CreateApp,
    allowed: Allowed,
    verdict: &mut Verdict,
) -> Result<Option<App>> {
    match client.create_app(request, &request.hostname).await {
        Ok(app) => {
            *verdict.answers.entry(202).or_default() += 1;
            Ok(Some(app))
        }
        Err(ClientError::Refused { status, body }) => {
            *verdict.answers.entry(status).or_default() += 1;
            let known = allowed.contains(&(status, body.code.as_str()));
            ensure!(
                known && !body.hint.is_empty(),
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

/// The trouble is over: the same request gives the app, and it runs within a cycle.
pub(super) async fn go_on(
    client: &Client,
    request: &CreateApp,
    asked: Option<App>,
    verdict: &mut Verdict,
) -> Result<String> {
    let since = RealClock.monotonic();
    let mut now = BTreeMap::new();
    std::mem::swap(&mut now, &mut verdict.answers);
    let again = ask(client, request, &[], verdict).await;
    std::mem::swap(&mut now, &mut verdict.answers);
    let again = again.context("after the trouble")?;
    let Some(app) = again else {
        bail!("the trouble is over and the API still refuses");
    };
    if let Some(first) = asked {
        ensure!(first.id == app.id, "the app that was acknowledged is lost");
    }
    loop {
        let found = client.app(&app.id).await?;
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
pub(super) async fn remove(client: &Client, hostname: &str) -> Result<()> {
    settle(client, hostname).await?;
    let request = ActionRequest {
        action: ActionName::Delete,
        force: false,
        confirm: Some(hostname.to_owned()),
        purge: false,
    };
    client.act(hostname, &request).await?;
    let since = RealClock.monotonic();
    while client.app(hostname).await.is_ok() {
        let waited = RealClock.monotonic().since_ms(since);
        ensure!(
            waited < CYCLE_MS + OPERATION_MS,
            "{hostname} cannot be removed"
        );
        tokio::time::sleep(LOOK).await;
    }
    let left = client.apps(&AppQuery::default()).await?;
    ensure!(left.total < 4, "apps pile up");
    Ok(())
}

/// Until no operation works on it.
async fn settle(client: &Client, hostname: &str) -> Result<()> {
    let since = RealClock.monotonic();
    loop {
        let status = client.app(hostname).await?.status;
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
