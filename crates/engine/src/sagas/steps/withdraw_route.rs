//! Closes the app's ports; the undo opens them again if the guest still runs and was not restarted.

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_domain::guest::NativeGuest;
use proximity_domain::operation::OperationKind;
use proximity_domain::saga::StepRecord;
use proximity_domain::site::Site;
use proximity_store::effects::Effects;
use proximity_store::records::LogLevel;
use serde_json::Value;

use super::publish_route::publish;
use super::shutdown::was_shut_down;
use crate::saga::{Cx, Done, Look, StepAction, StepError, StepResult};
use crate::seams::IngressError;

/// Between two tries to open the ports again, milliseconds.
const REOPEN_PAUSE_MS: u64 = 500;

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
        if cx.op.kind == OperationKind::Restart && was_shut_down(cx) {
            // It came up again, if at all, without proof of health: its ports stay closed.
            return Ok(Effects::default());
        }
        let Some(guest) = cx.guest().await? else {
            return Ok(Effects::default());
        };
        let ours = matches!(cx.look(&guest).await?, Look::Ours { .. });
        if ours && cx.is_running(&guest).await? {
            return reopen(cx, &guest).await;
        }
        Ok(Effects::default())
    }
}

/// Opens the ports again, as well as it goes: an app that does not answer, or a gateway that is away, is no reason to leave
/// the operation open. The log says so, and the sweep sets the route of a running app again.
async fn reopen(cx: &Cx, guest: &NativeGuest) -> StepResult<Effects> {
    let mut attempt = 1;
    loop {
        let failure = match publish(cx, guest).await {
            Ok(url) => {
                return Ok(Effects {
                    url: Some(Some(url)),
                    ..Effects::default()
                });
            }
            Err(e @ (StepError::Halt(_) | StepError::Cancelled)) => return Err(e),
            Err(
                StepError::Failed(f)
                | StepError::Transient(f)
                | StepError::Uncertain(f)
                | StepError::Stuck(f),
            ) => f,
        };
        if attempt >= cx.limits().retry.attempts {
            let line = format!("its port could not be opened again: {}", failure.message);
            return Ok(Effects {
                log: vec![cx.line(LogLevel::Warning, line)],
                ..Effects::default()
            });
        }
        attempt += 1;
        cx.pause_ms(REOPEN_PAUSE_MS).await;
    }
}

/// Takes the route away and checks that it is. While Caddy is away an app without a host name loses its ports all the same: what of a name
/// of before is left is the sweep's. One with a host name waits.
pub(crate) async fn withdraw(cx: &Cx) -> StepResult<()> {
    let ingress = &cx.engine.inner.parts.ingress;
    let left = match ingress.withdraw(cx.app.id).await {
        Ok(()) => ingress.routes().await,
        Err(e @ IngressError::CaddyUnreachable(_)) => match &cx.app.site {
            Some(of) => return Err(waits(&e, &of.site)),
            None => match ingress.withdraw_ports(cx.app.id).await {
                Ok(()) => ingress.port_routes().await,
                Err(e) => Err(e),
            },
        },
        Err(e) => Err(e),
    };
    let left = left.map_err(|e| ingress_failure(&e))?;
    if left.iter().any(|r| r.app == cx.app.id) {
        return Err(StepError::Transient(Failure::new(
            "route_still_there",
            "the gateway still lists the app's route",
            "look at the gateway's log, then retry",
        )));
    }
    Ok(())
}

/// Caddy may go on leading under the name, and what has the container's address later would be led to.
fn waits(error: &IngressError, site: &Site) -> StepError {
    let (code, hint) = code_and_hint(error);
    let message = format!(
        "{error}; under {} it may go on leading to the address of the container, which may become another machine's: that waits for it",
        site.name
    );
    StepError::Transient(Failure::new(code, message, hint))
}

pub(crate) fn ingress_failure(error: &IngressError) -> StepError {
    let (code, hint) = code_and_hint(error);
    let failure = Failure::new(code, error.to_string(), hint);
    match error {
        IngressError::Unreachable(_)
        | IngressError::Busy(_)
        | IngressError::CaddyUnreachable(_) => StepError::Transient(failure),
        IngressError::Refused(_) | IngressError::CaddyRefused(_) => StepError::Failed(failure),
    }
}

/// How the trouble of gateway and Caddy is told.
pub(crate) fn code_and_hint(error: &IngressError) -> (&'static str, &'static str) {
    match error {
        IngressError::Unreachable(_) => ("gateway_unreachable", "start it with: proximity gateway"),
        IngressError::Busy(_) => (
            "gateway_busy",
            "it runs and has much to do; try again in a moment",
        ),
        IngressError::Refused(_) => ("gateway_refused", "look at the gateway's log"),
        IngressError::CaddyUnreachable(_) => (
            "caddy_unreachable",
            "see that Caddy runs (systemctl status caddy) and that ingress.caddy.admin is the address of its admin API",
        ),
        IngressError::CaddyRefused(_) => (
            "caddy_refused",
            "look at Caddy's log, and whether ingress.caddy.server names one of its servers",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_gateway_is_asked_again_and_not_said_to_be_away() {
        let busy = IngressError::Busy("8 calls were under way".to_owned());
        let StepError::Transient(failure) = ingress_failure(&busy) else {
            panic!("{busy}")
        };
        assert_eq!(failure.code, "gateway_busy");
        let away = IngressError::Unreachable("no socket".to_owned());
        let StepError::Transient(failure) = ingress_failure(&away) else {
            panic!("{away}")
        };
        assert_eq!(failure.code, "gateway_unreachable");
        let no = IngressError::Refused("no".to_owned());
        let StepError::Failed(failure) = ingress_failure(&no) else {
            panic!("{no}")
        };
        assert_eq!(failure.code, "gateway_refused");
        let away = IngressError::CaddyUnreachable("no socket".to_owned());
        let StepError::Transient(failure) = ingress_failure(&away) else {
            panic!("{away}")
        };
        assert_eq!(failure.code, "caddy_unreachable");
        let no = IngressError::CaddyRefused("no".to_owned());
        let StepError::Failed(failure) = ingress_failure(&no) else {
            panic!("{no}")
        };
        assert_eq!(failure.code, "caddy_refused");
    }
}
