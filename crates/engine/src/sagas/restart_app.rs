//! Restart: shut down, then start; never PVE's reboot, which ignores lock and quorum.
//!
//! Guarantees: as for start, once the container was shut down. When it was not, nothing but its ports was touched: they are
//! opened again, and the app shows what it is.

use async_trait::async_trait;
use proximity_domain::event::EventKind;
use proximity_store::effects::Effects;

use super::start_app::StartEnding;
use super::steps::health_check::CheckHealth;
use super::steps::power::ConfirmRunning;
use super::steps::publish_route::PublishRoute;
use super::steps::shutdown::{ShutDown, was_shut_down};
use super::steps::start::StartContainer;
use super::steps::status::{event, observed_status};
use super::steps::wait_network::WaitNetwork;
use super::steps::withdraw_route::WithdrawRoute;
use crate::saga::{Calls, Cx, Ending, Row, Saga, StepResult};

const STEPS: &[Row] = &[
    Row {
        name: "withdraw_route",
        percent: 5,
        log: "Closing the public port",
        cancellable: true,
        calls: Calls::Nothing,
        action: &WithdrawRoute,
    },
    Row {
        name: "shutdown",
        percent: 10,
        log: "Shutting down container",
        cancellable: true,
        calls: Calls::Task,
        action: &ShutDown,
    },
    Row {
        name: "start",
        percent: 40,
        log: "Starting container",
        cancellable: false,
        calls: Calls::Task,
        action: &StartContainer,
    },
    Row {
        name: "wait_network",
        percent: 60,
        log: "Waiting for the network",
        cancellable: false,
        calls: Calls::Nothing,
        action: &WaitNetwork,
    },
    Row {
        name: "health_check",
        percent: 70,
        log: "Checking health",
        cancellable: false,
        calls: Calls::Nothing,
        action: &CheckHealth,
    },
    Row {
        name: "publish_route",
        percent: 85,
        log: "Opening the public port",
        cancellable: false,
        calls: Calls::Nothing,
        action: &PublishRoute,
    },
    Row {
        name: "mark_running",
        percent: 95,
        log: "Reading back the result",
        cancellable: false,
        calls: Calls::Nothing,
        action: &ConfirmRunning,
    },
];

pub(super) static SAGA: Saga = Saga {
    steps: STEPS,
    ending: &RestartEnding,
};

pub(super) struct RestartEnding;

#[async_trait]
impl Ending for RestartEnding {
    async fn succeeded(&self, cx: &Cx) -> StepResult<Effects> {
        StartEnding.succeeded(cx).await
    }

    async fn unwound(&self, cx: &Cx) -> StepResult<Effects> {
        if was_shut_down(cx) {
            return StartEnding.unwound(cx).await;
        }
        Ok(Effects {
            status: Some(observed_status(cx).await?),
            events: vec![event(cx, EventKind::AppRestartFailed)],
            ..Effects::default()
        })
    }
}
