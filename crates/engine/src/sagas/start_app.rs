//! Start: from a stopped container to an app that answers through its public port.
//!
//! Guarantees: `running` means that a real request was answered. On failure the container is left as it is, for a look; its port
//! stays closed and the app is in `error` with the reason.

use async_trait::async_trait;
use proximity_domain::app::StatusEvent;
use proximity_domain::event::EventKind;
use proximity_store::effects::Effects;
use proximity_store::records::LogLevel;

use super::steps::health_check::CheckHealth;
use super::steps::power::ConfirmRunning;
use super::steps::publish_route::PublishRoute;
use super::steps::start::StartContainer;
use super::steps::status::{event, failed_status, status_after};
use super::steps::wait_network::WaitNetwork;
use crate::saga::{Calls, Cx, Ending, Row, Saga, StepResult};

const STEPS: &[Row] = &[
    Row {
        name: "start",
        percent: 10,
        log: "Starting container",
        cancellable: true,
        calls: Calls::Task,
        action: &StartContainer,
    },
    Row {
        name: "wait_network",
        percent: 40,
        log: "Waiting for the network",
        cancellable: true,
        calls: Calls::Nothing,
        action: &WaitNetwork,
    },
    Row {
        name: "health_check",
        percent: 60,
        log: "Checking health",
        cancellable: true,
        calls: Calls::Nothing,
        action: &CheckHealth,
    },
    Row {
        name: "publish_route",
        percent: 80,
        log: "Opening the public port",
        cancellable: true,
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
    ending: &StartEnding,
};

pub(super) struct StartEnding;

#[async_trait]
impl Ending for StartEnding {
    async fn succeeded(&self, cx: &Cx) -> StepResult<Effects> {
        Ok(Effects {
            status: Some(status_after(cx, StatusEvent::BecameRunning).await?),
            log: vec![cx.line(LogLevel::Info, "Running")],
            events: vec![event(cx, EventKind::AppStarted)],
            ..Effects::default()
        })
    }

    async fn unwound(&self, cx: &Cx) -> StepResult<Effects> {
        if cx.steps().is_empty() {
            // Cancelled before anything was begun: the app is what it was.
            return Ok(Effects {
                events: vec![event(cx, EventKind::AppStartFailed)],
                ..Effects::default()
            });
        }
        Ok(Effects {
            status: Some(failed_status(cx).await?),
            url: Some(None),
            events: vec![event(cx, EventKind::AppStartFailed)],
            ..Effects::default()
        })
    }
}
