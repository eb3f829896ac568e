//! Forget (adopted): close the ports, release them, archive the record. The container is left as it is.
//!
//! Guarantees: doctrine 1, soft delete. There is no call to PVE in here, not even one that reads: an app is given back also
//! while its cluster is away. Errors: only the gateway can be in the way; then nothing has changed.

use async_trait::async_trait;
use proximity_domain::adoption::SOFT_DELETE;
use proximity_domain::app::StatusEvent;
use proximity_domain::event::EventKind;
use proximity_domain::saga::StepRecord;
use proximity_store::effects::{Effects, GuestChange, NewEvent};
use proximity_store::records::LogLevel;
use serde_json::{Value, json};

use super::steps::status::{event, failed_status, status_after};
use super::steps::withdraw_route::{ingress_failure, withdraw};
use crate::saga::{Calls, Cx, Done, Ending, Row, Saga, StepAction, StepResult};
use crate::seams::IngressError;

const STEPS: &[Row] = &[Row {
    name: "give_back",
    percent: 10,
    log: SOFT_DELETE,
    cancellable: true,
    calls: Calls::Nothing,
    action: &GiveBack,
}];

pub(super) static SAGA: Saga = Saga {
    steps: STEPS,
    ending: &ForgetEnding,
};

/// Takes the route away, if the gateway was told of one, and says what the removal keeps.
struct GiveBack;

#[async_trait]
impl StepAction for GiveBack {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        // One may also be left from an exposure that ended while the gateway was away.
        let ingress = &cx.engine.inner.parts.ingress;
        let routes = match ingress.routes().await {
            Err(IngressError::CaddyUnreachable(_)) if cx.app.site.is_none() => {
                ingress.port_routes().await
            }
            read => read,
        };
        match routes {
            Ok(routes) if routes.iter().any(|route| route.app == cx.app.id) => withdraw(cx).await?,
            Ok(_) => {}
            Err(e) if cx.app.exposed => return Err(ingress_failure(&e)),
            Err(_) => {}
        }
        let guest = cx.recorded().await?;
        #[cfg(feature = "bug-switches")]
        if let Some(guest) = guest.as_ref()
            && crate::saga::is_off(crate::saga::Guard::Adopted)
        {
            let before = cx.tasks_before(guest.place()).await?;
            cx.must_be_ours(guest.clone()).await?;
            cx.stop_lxc(guest.place(), &before).await?;
        }
        let vmid = guest.map(|guest| guest.place().vmid);
        Ok(Done {
            output: json!({ "deletion_type": "soft", "vmid_preserved": vmid }).into(),
            effects: Effects {
                url: Some(None),
                ..Effects::default()
            },
        })
    }

    // The sweep sets the route of an exposed app again.
    async fn undo(&self, _cx: &Cx, _row: &StepRecord) -> StepResult<Effects> {
        Ok(Effects::default())
    }
}

struct ForgetEnding;

#[async_trait]
impl Ending for ForgetEnding {
    async fn succeeded(&self, cx: &Cx) -> StepResult<Effects> {
        let guests = cx.store().recorded_guests(cx.app.id).await?;
        let vmid = guests.first().map(|guest| guest.place().vmid);
        let adopted = guests.iter().filter_map(|guest| guest.adopted());
        let released = adopted.map(|guest| GuestChange::Released { guest: guest.id });
        let line = match vmid {
            Some(vmid) => format!("Removed; container {vmid} was left as it is"),
            None => "Removed".to_owned(),
        };
        Ok(Effects {
            guests: released.collect(),
            archive: true,
            url: Some(None),
            log: vec![cx.line(LogLevel::Info, line)],
            events: vec![NewEvent {
                kind: EventKind::AppForgotten,
                body: json!({
                    "app": cx.app.id,
                    "hostname": cx.app.hostname,
                    "operation": cx.op.id,
                    "deletion_type": "soft",
                    "vmid_preserved": vmid,
                }),
            }],
            percent: Some(100),
            ..Effects::default()
        })
    }

    async fn unwound(&self, cx: &Cx) -> StepResult<Effects> {
        // Nothing was done to the container, so the app is what it was when it was asked for.
        let status = match cx.op.input.get("was").and_then(Value::as_str) {
            Some("running") => status_after(cx, StatusEvent::BecameRunning).await?,
            Some("stopped") => status_after(cx, StatusEvent::BecameStopped).await?,
            Some(_) | None => failed_status(cx).await?,
        };
        Ok(Effects {
            status: Some(status),
            events: vec![event(cx, EventKind::AppForgetFailed)],
            ..Effects::default()
        })
    }
}
