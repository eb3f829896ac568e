//! Start, stop and restart of adopted apps: the same steps as for native ones, without what Proximity knows of its own alone.
//!
//! Guarantees: each call follows a read that recognises the container, in the same step; `running` and `stopped` are what PVE
//! said afterwards. Whether the app answers is not said: nobody knows what is in there. Routes are the sweep's.

use async_trait::async_trait;
use serde_json::Value;

use super::restart_app::RestartEnding;
use super::start_app::StartEnding;
use super::steps::power::ConfirmRunning;
use super::steps::shutdown::ShutDown;
use super::steps::start::StartContainer;
use super::steps::withdraw_route::withdraw;
use super::stop_app::StopEnding;
use crate::saga::{Calls, Cx, Done, Row, Saga, StepAction, StepResult};

const fn close() -> Row {
    Row {
        name: "withdraw_route",
        percent: 5,
        log: "Closing the public port",
        cancellable: true,
        calls: Calls::Nothing,
        action: &CloseExposed,
    }
}

const fn shutdown() -> Row {
    Row {
        name: "shutdown",
        percent: 10,
        log: "Shutting down container",
        cancellable: true,
        calls: Calls::Task,
        action: &ShutDown,
    }
}

const fn start(cancellable: bool) -> Row {
    Row {
        name: "start",
        percent: 40,
        log: "Starting container",
        cancellable,
        calls: Calls::Task,
        action: &StartContainer,
    }
}

const fn confirm() -> Row {
    Row {
        name: "mark_running",
        percent: 95,
        log: "Reading back the result",
        cancellable: false,
        calls: Calls::Nothing,
        action: &ConfirmRunning,
    }
}

const START_STEPS: &[Row] = &[start(true), confirm()];
const STOP_STEPS: &[Row] = &[close(), shutdown()];
const RESTART_STEPS: &[Row] = &[close(), shutdown(), start(false), confirm()];

/// Takes the route of an exposed app away: while its container is down its address may become another one's. The sweep sets
/// the route of a running app again, to the address that its own device then shows.
struct CloseExposed;

#[async_trait]
impl StepAction for CloseExposed {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        if cx.app.exposed {
            withdraw(cx).await?;
        }
        Ok(Done::nothing())
    }
}

pub(super) static START: Saga = Saga {
    steps: START_STEPS,
    ending: &StartEnding,
};

pub(super) static STOP: Saga = Saga {
    steps: STOP_STEPS,
    ending: &StopEnding,
};

pub(super) static RESTART: Saga = Saga {
    steps: RESTART_STEPS,
    ending: &RestartEnding,
};
