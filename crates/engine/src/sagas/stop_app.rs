//! Stop: close the ports, shut the container down, read back that it is stopped.
//!
//! Guarantees: `stopped` is what PVE said afterwards. When the container does not shut down in time the ports are opened again.

use async_trait::async_trait;
use proximity_domain::app::StatusEvent;
use proximity_domain::event::EventKind;
use proximity_store::effects::Effects;
use proximity_store::records::LogLevel;

use super::steps::shutdown::ShutDown;
use super::steps::status::{event, observed_status, status_after};
use super::steps::withdraw_route::WithdrawRoute;
use crate::saga::{Calls, Cx, Ending, Row, Saga, StepResult};

const STEPS: &[Row] = &[
    Row {
        name: "withdraw_route",
        percent: 10,
        log: "Closing the public port",
        cancellable: true,
        calls: Calls::Nothing,
        action: &WithdrawRoute,
    },
    Row {
        name: "shutdown",
        percent: 30,
        log: "Shutting down container",
        cancellable: true,
        calls: Calls::Task,
        action: &ShutDown,
    },
];

pub(super) static SAGA: Saga = Saga {
    steps: STEPS,
    ending: &StopEnding,
};

pub(super) struct StopEnding;

#[async_trait]
impl Ending for StopEnding {
    async fn succeeded(&self, cx: &Cx) -> StepResult<Effects> {
        Ok(Effects {
            status: Some(status_after(cx, StatusEvent::BecameStopped).await?),
            url: Some(None),
            log: vec![cx.line(LogLevel::Info, "Stopped")],
            events: vec![event(cx, EventKind::AppStopped)],
            ..Effects::default()
        })
    }

    async fn unwound(&self, cx: &Cx) -> StepResult<Effects> {
        Ok(Effects {
            status: Some(observed_status(cx).await?),
            events: vec![event(cx, EventKind::AppStopFailed)],
            ..Effects::default()
        })
    }
}
