//! Asks the app itself, at its own address, before any traffic is led to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_store::effects::Effects;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::wait_network::address_of;
use crate::catalog::{HealthCheck, ResolvedRecipe};
use crate::saga::{Cx, Done, StepAction, StepError, StepResult};

pub(crate) struct CheckHealth;

#[async_trait]
impl StepAction for CheckHealth {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        let recipe = recipe(cx).await?;
        let guest = cx.must_have_guest().await?;
        let mut last = "it was never asked".to_owned();
        for attempt in 1..=recipe.health.attempts {
            // The address is read each time: it may come late or change while the guest settles.
            if let Some(address) = address_of(cx, &guest).await? {
                let target = SocketAddr::new(address, recipe.health.http.port);
                match verdict(cx, target, &recipe.health).await {
                    Verdict::Healthy { status } => {
                        return Ok(Done {
                            output: json!({ "http_status": status, "attempts": attempt }).into(),
                            effects: Effects::default(),
                        });
                    }
                    Verdict::Not(why) => last = why,
                }
            }
            cx.pause_ms(recipe.health.interval_ms).await;
        }
        Err(StepError::Failed(Failure::new(
            "health_failed",
            format!("{} did not become healthy: {last}", cx.app.hostname),
            "look at the app's log in its container; retry deploys it anew",
        )))
    }
}

/// The same after a change in place: one that does not run has no page to ask for, and one that nothing was sent to is as well as
/// it was.
pub(crate) struct CheckIfRunning;

#[async_trait]
impl StepAction for CheckIfRunning {
    async fn act(&self, cx: &Cx, intent: &Value) -> StepResult<Done> {
        let guest = cx.must_have_guest().await?;
        if !has_sent(cx).await? {
            return Ok(Done::nothing());
        }
        // What another container under this number is like says nothing.
        cx.must_be_ours(&guest).await?;
        if !cx.is_running(&guest).await? {
            return Ok(Done::nothing());
        }
        match CheckHealth.act(cx, intent).await {
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

/// What one request showed.
pub(crate) enum Verdict {
    Healthy { status: u16 },
    Not(String),
}

/// One request, judged by status and by the marker in the body.
pub(crate) async fn verdict(cx: &Cx, target: SocketAddr, check: &HealthCheck) -> Verdict {
    let probe = &cx.engine.inner.parts.probe;
    match probe
        .http_get(target, &check.http.path, check.timeout_ms)
        .await
    {
        Err(why) => Verdict::Not(why),
        Ok(answer) if answer.status != check.http.expect_status => Verdict::Not(format!(
            "status {} instead of {}",
            answer.status, check.http.expect_status
        )),
        Ok(answer) if !answer.body.contains(&check.http.body_contains) => {
            Verdict::Not("the page is another one: its marker is missing".to_owned())
        }
        Ok(answer) => Verdict::Healthy {
            status: answer.status,
        },
    }
}

/// The app's recipe with its settings filled in.
pub(crate) async fn recipe(cx: &Cx) -> StepResult<ResolvedRecipe> {
    recipe_with(cx, &settings_on_record(cx).await?)
}

/// The app's settings as they are on record, secrets too, by their `env`.
pub(crate) async fn settings_on_record(cx: &Cx) -> StepResult<BTreeMap<String, Value>> {
    let sealed = cx.store().app_environment(cx.app.id).await?;
    serde_json::from_str(sealed.expose_secret())
        .map_err(|_| unusable("the app's settings cannot be read".to_owned()))
}

/// The app's recipe with these settings.
pub(crate) fn recipe_with(
    cx: &Cx,
    settings: &BTreeMap<String, Value>,
) -> StepResult<ResolvedRecipe> {
    let entry = cx.engine.catalog().get(&cx.app.catalog_id);
    let gone = || unusable(format!("the catalog has no {} any more", cx.app.catalog_id));
    let entry = entry.ok_or_else(gone)?;
    entry.resolve(settings).map_err(|e| unusable(e.to_string()))
}

fn unusable(message: String) -> StepError {
    StepError::Failed(Failure::new(
        "recipe_unusable",
        message,
        "the catalog entry or the app's settings changed; remove the app and deploy it again",
    ))
}
