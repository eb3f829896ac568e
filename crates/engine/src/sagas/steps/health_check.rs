//! Asks the app itself, at its own address or inside its container, before any traffic is led to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_domain::guest::NativeGuest;
use proximity_store::effects::Effects;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::apply_settings::wanted_recipe;
use super::guest_session::{GuestSession, last_lines};
use super::wait_network::address_of;
use crate::catalog::{Check, ExecCheck, HealthCheck, HttpCheck, ResolvedRecipe};
use crate::commands::UpdateInput;
use crate::mask::Masker;
use crate::saga::{Cx, Done, StepAction, StepError, StepResult};

pub(crate) struct CheckHealth;

#[async_trait]
impl StepAction for CheckHealth {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        becomes_healthy(cx, &recipe(cx).await?).await
    }
}

/// Asks until the app works as this recipe says, or has failed too often.
async fn becomes_healthy(cx: &Cx, recipe: &ResolvedRecipe) -> StepResult<Done> {
    let guest = cx.must_have_guest().await?;
    let health = &recipe.health;
    let clock = &cx.engine.inner.parts.clock;
    let counts_from = clock.monotonic().plus_ms(health.start_period_ms);
    let mut last = "it was never asked".to_owned();
    let (mut tries, mut failed) = (0_u32, 0_u32);
    while failed < health.attempts {
        tries += 1;
        match try_once(cx, &guest, recipe).await? {
            Some(Verdict::Healthy { status }) => {
                let mut output = json!({ "attempts": tries });
                if let Some(status) = status {
                    output["http_status"] = json!(status);
                }
                return Ok(Done {
                    output: output.into(),
                    effects: Effects::default(),
                });
            }
            Some(Verdict::Not(why)) => last = why,
            None => {}
        }
        if clock.monotonic() >= counts_from {
            failed += 1;
        }
        cx.pause_ms(health.interval_ms).await;
    }
    Err(StepError::Failed(Failure::new(
        "health_failed",
        format!("{} did not become healthy: {last}", cx.app.hostname),
        "look at the app's log in its container; retry deploys it anew",
    )))
}

/// One try; `None` where there is nobody to ask yet.
async fn try_once(
    cx: &Cx,
    guest: &NativeGuest,
    recipe: &ResolvedRecipe,
) -> StepResult<Option<Verdict>> {
    let health = &recipe.health;
    let port = match &health.check {
        Check::Http(http) => http.port,
        Check::Tcp(port) => *port,
        Check::Exec(exec) => return inside(cx, guest, recipe, exec).await.map(Some),
    };
    // The address is read each time: it may come late or change while the guest settles.
    let Some(address) = address_of(cx, guest).await? else {
        return Ok(None);
    };
    Ok(Some(
        verdict(cx, SocketAddr::new(address, port), health).await,
    ))
}

/// Runs the program of the check in the guest.
async fn inside(
    cx: &Cx,
    guest: &NativeGuest,
    recipe: &ResolvedRecipe,
    exec: &ExecCheck,
) -> StepResult<Verdict> {
    let session = GuestSession::open(cx, guest.clone(), Masker::new(recipe.secrets()))?;
    let argv: Vec<&str> = exec.argv.iter().map(String::as_str).collect();
    match session.look_within(&argv, recipe.health.timeout_ms).await {
        Ok(output) if output.exit_code == 0 => Ok(Verdict::Healthy { status: None }),
        Ok(output) => Ok(Verdict::Not(format!(
            "its check ended with exit code {}: {}",
            output.exit_code,
            last_lines(&output, session.masker())
        ))),
        // It took too long, or the node was away for a moment.
        Err(StepError::Transient(failure)) => Ok(Verdict::Not(failure.message)),
        Err(other) => Err(other),
    }
}

/// The same after a change in place: one that does not run has no page to ask for, and one that nothing was sent to is as well as
/// it was.
pub(crate) struct CheckIfRunning;

#[async_trait]
impl StepAction for CheckIfRunning {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        let guest = cx.must_have_guest().await?;
        if !has_sent(cx).await? {
            return Ok(Done::nothing());
        }
        // What another container under this number is like says nothing.
        cx.must_be_ours(&guest).await?;
        if !cx.is_running(&guest).await? {
            return Ok(Done::nothing());
        }
        // What it is moved to says by itself how it is known to work.
        let recipe = match UpdateInput::of(cx)?.entry {
            Some(_) => wanted_recipe(cx).await?,
            None => recipe(cx).await?,
        };
        match becomes_healthy(cx, &recipe).await {
            Err(StepError::Failed(failure)) if failure.code == "health_failed" => {
                Err(StepError::Failed(Failure {
                    hint: "what was changed is put back, but for a disk that has grown; look at the app's log in its container, then ask for something else"
                        .to_owned(),
                    ..failure
                }))
            }
            other => other,
        }
    }
}

/// Something of this operation has left, for PVE or into the container.
async fn has_sent(cx: &Cx) -> StepResult<bool> {
    for row in cx.steps() {
        let sent = cx.store().mutations(cx.op.id, row.index).await?;
        if !sent.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What one try showed.
pub(crate) enum Verdict {
    Healthy {
        /// Of a page.
        status: Option<u16>,
    },
    Not(String),
}

/// One try from outside: a page is judged by status and by the marker in its body; what has none by whether a connection is taken.
pub(crate) async fn verdict(cx: &Cx, target: SocketAddr, health: &HealthCheck) -> Verdict {
    match &health.check {
        Check::Http(http) => page(cx, target, http, health.timeout_ms).await,
        Check::Tcp(_) | Check::Exec(_) => taken(cx, &[target], health.timeout_ms).await,
    }
}

/// Whether each of these addresses takes a connection and keeps it.
pub(crate) async fn taken(cx: &Cx, addresses: &[SocketAddr], timeout_ms: u64) -> Verdict {
    let probe = &cx.engine.inner.parts.probe;
    for address in addresses {
        if let Err(why) = probe.tcp_open(*address, timeout_ms).await {
            return Verdict::Not(why);
        }
    }
    Verdict::Healthy { status: None }
}

/// Whether there is a page at all: what it has to be, the check does not say.
pub(crate) async fn answers(cx: &Cx, target: SocketAddr, timeout_ms: u64) -> Verdict {
    let probe = &cx.engine.inner.parts.probe;
    match probe.http_get(target, "/", timeout_ms).await {
        Err(why) => Verdict::Not(why),
        Ok(answer) if answer.status >= 500 => {
            Verdict::Not(format!("its page has status {}", answer.status))
        }
        Ok(answer) => Verdict::Healthy {
            status: Some(answer.status),
        },
    }
}

async fn page(cx: &Cx, target: SocketAddr, check: &HttpCheck, timeout_ms: u64) -> Verdict {
    let probe = &cx.engine.inner.parts.probe;
    match probe.http_get(target, &check.path, timeout_ms).await {
        Err(why) => Verdict::Not(why),
        Ok(answer) if answer.status != check.expect_status => Verdict::Not(format!(
            "status {} instead of {}",
            answer.status, check.expect_status
        )),
        Ok(answer) if !answer.body.contains(&check.body_contains) => {
            Verdict::Not("the page is another one: its marker is missing".to_owned())
        }
        Ok(answer) => Verdict::Healthy {
            status: Some(answer.status),
        },
    }
}

/// The app's recipe with its settings filled in.
pub(crate) async fn recipe(cx: &Cx) -> StepResult<ResolvedRecipe> {
    let settings = settings_on_record(cx).await?;
    recipe_of(cx, cx.app.entry_hash.as_deref(), &settings).await
}

/// The app's settings as they are on record, secrets too, by their `env`.
pub(crate) async fn settings_on_record(cx: &Cx) -> StepResult<BTreeMap<String, Value>> {
    let sealed = cx.store().app_environment(cx.app.id).await?;
    serde_json::from_str(sealed.expose_secret())
        .map_err(|_| unusable("the app's settings cannot be read".to_owned()))
}

/// The recipe that this text of the app's entry comes to with these settings.
pub(crate) async fn recipe_of(
    cx: &Cx,
    entry: Option<&str>,
    settings: &BTreeMap<String, Value>,
) -> StepResult<ResolvedRecipe> {
    let is_own = entry == cx.app.entry_hash.as_deref();
    let entry = cx.engine.entry_by(&cx.app.catalog_id, entry).await?;
    let gone = || unusable(format!("the catalog has no {} any more", cx.app.catalog_id));
    let entry = entry.ok_or_else(gone)?;
    let mut settings = settings.clone();
    // What it is moved to need not have all the settings of before.
    if !is_own {
        entry.forget_unknown(&mut settings);
    }
    let recipe = entry.resolve(&settings);
    recipe.map_err(|e| unusable(e.to_string()))
}

fn unusable(message: String) -> StepError {
    StepError::Failed(Failure::new(
        "recipe_unusable",
        message,
        "the catalog entry or the app's settings changed; remove the app and deploy it again",
    ))
}
