//! Asks the app itself, at its own address, before any traffic is led to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_store::effects::Effects;
use secrecy::{ExposeSecret, SecretString};
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

/// The same after a change in place: one that does not run has no page to ask for.
pub(crate) struct CheckIfRunning;

#[async_trait]
impl StepAction for CheckIfRunning {
    async fn act(&self, cx: &Cx, intent: &Value) -> StepResult<Done> {
        let guest = cx.must_have_guest().await?;
        if !cx.is_running(&guest).await? {
            return Ok(Done::nothing());
        }
        match CheckHealth.act(cx, intent).await {
            Err(StepError::Failed(failure)) if failure.code == "health_failed" => {
                Err(StepError::Failed(Failure {
                    hint: "what was changed is put back; look at the app's log in its container, then ask for something else"
                        .to_owned(),
                    ..failure
                }))
            }
            other => other,
        }
    }
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
    let sealed = cx.store().app_environment(cx.app.id).await?;
    recipe_with(cx, &sealed)
}

/// The app's recipe with these settings, the text of a JSON object.
pub(crate) fn recipe_with(cx: &Cx, sealed: &SecretString) -> StepResult<ResolvedRecipe> {
    let fail = |message: String| {
        StepError::Failed(Failure::new(
            "recipe_unusable",
            message,
            "the catalog entry or the app's settings changed; remove the app and deploy it again",
        ))
    };
    let entry = cx
        .engine
        .catalog()
        .get(&cx.app.catalog_id)
        .ok_or_else(|| fail(format!("the catalog has no {} any more", cx.app.catalog_id)))?;
    let settings: BTreeMap<String, Value> = serde_json::from_str(sealed.expose_secret())
        .map_err(|_| fail("the app's settings cannot be read".to_owned()))?;
    entry.resolve(&settings).map_err(|e| fail(e.to_string()))
}
