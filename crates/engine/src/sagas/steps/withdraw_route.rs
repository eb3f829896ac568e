//! Closes the app's ports; the undo opens them again if the guest still runs.

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_domain::saga::StepRecord;
use proximity_store::effects::Effects;
use serde_json::Value;

use super::publish_route::publish;
use crate::saga::{Cx, Done, Look, StepAction, StepError, StepResult};
use crate::seams::IngressError;

pub(crate) struct WithdrawRoute;

#[async_trait]
impl StepAction for WithdrawRoute {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        withdraw(cx).await?;
        let mut done = Done::nothing();
        done.effects.url = Some(None);
        Ok(done)
    }

    async fn undo(&self, cx: &Cx, _row: &StepRecord) -> StepResult<Effects> {
        let Some(guest) = cx.guest().await? else {
            return Ok(Effects::default());
        };
        let ours = matches!(cx.look(&guest).await?, Look::Ours { .. });
        if ours && cx.is_running(&guest).await? {
            let url = publish(cx, &guest).await?;
            return Ok(Effects {
                url: Some(Some(url)),
                ..Effects::default()
            });
        }
        Ok(Effects::default())
    }
}

/// Takes the route away and checks that it is.
pub(crate) async fn withdraw(cx: &Cx) -> StepResult<()> {
    let ingress = &cx.engine.inner.parts.ingress;
    ingress
        .withdraw(cx.app.id)
        .await
        .map_err(|e| ingress_failure(&e))?;
    let left = ingress.routes().await.map_err(|e| ingress_failure(&e))?;
    if left.iter().any(|r| r.app == cx.app.id) {
        return Err(StepError::Transient(Failure::new(
            "route_still_there",
            "the gateway still lists the app's route",
            "look at the gateway's log, then retry",
        )));
    }
    Ok(())
}

pub(crate) fn ingress_failure(error: &IngressError) -> StepError {
    match error {
        IngressError::Unreachable(_) => StepError::Transient(Failure::new(
            "gateway_unreachable",
            error.to_string(),
            "start it with: proximity gateway",
        )),
        IngressError::Refused(_) => StepError::Failed(Failure::new(
            "gateway_refused",
            error.to_string(),
            "look at the gateway's log",
        )),
    }
}
