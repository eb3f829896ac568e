//! Deploy: from a recorded request to an app that answers through its public port.
//!
//! Flow: choose VMID, MAC and mark → create → start → wait for an address → install → check health → publish → read back.
//! Guarantees: the container carries our mark from the create call on; on failure it is destroyed again, by permit, and only if it
//! is provably ours; the app is `running` only after a real process answered a real request through the public port.
//! Assumptions: the port pair is held by the app since the request was acknowledged.
//! Errors: any step's failure unwinds and leaves the app in `error` with that failure as the reason.

use async_trait::async_trait;
use proximity_domain::app::StatusEvent;
use proximity_domain::event::EventKind;
use proximity_store::effects::Effects;
use proximity_store::records::LogLevel;

use super::steps::create_container::{CreateContainer, NAME};
use super::steps::health_check::CheckHealth;
use super::steps::install::Install;
use super::steps::power::ConfirmRunning;
use super::steps::publish_route::PublishRoute;
use super::steps::reserve_vmid::ReserveVmid;
use super::steps::start::StartContainer;
use super::steps::status::{event, failed_status, status_after};
use super::steps::wait_network::WaitNetwork;
use crate::saga::{Calls, Cx, Ending, Row, Saga, StepResult};
use crate::templates::count_deploy;

const STEPS: &[Row] = &[
    Row {
        name: "reserve_vmid",
        percent: 5,
        log: "Allocating VMID",
        cancellable: true,
        calls: Calls::Nothing,
        action: &ReserveVmid,
    },
    Row {
        name: NAME,
        percent: 15,
        log: "Creating LXC container",
        cancellable: true,
        calls: Calls::Task,
        action: &CreateContainer,
    },
    Row {
        name: "start",
        percent: 35,
        log: "Starting container",
        cancellable: true,
        calls: Calls::Task,
        action: &StartContainer,
    },
    Row {
        name: "wait_network",
        percent: 45,
        log: "Waiting for the network",
        cancellable: true,
        calls: Calls::Nothing,
        action: &WaitNetwork,
    },
    Row {
        name: "install",
        percent: 55,
        log: "Configuring application",
        cancellable: true,
        calls: Calls::Call,
        action: &Install,
    },
    Row {
        name: "health_check",
        percent: 85,
        log: "Checking health",
        cancellable: true,
        calls: Calls::Nothing,
        action: &CheckHealth,
    },
    Row {
        name: "publish_route",
        percent: 92,
        log: "Opening the public port",
        cancellable: true,
        calls: Calls::Nothing,
        action: &PublishRoute,
    },
    Row {
        name: "mark_running",
        percent: 97,
        log: "Reading back the result",
        cancellable: false,
        calls: Calls::Nothing,
        action: &ConfirmRunning,
    },
];

pub(super) static SAGA: Saga = Saga {
    steps: STEPS,
    ending: &DeployEnding,
};

struct DeployEnding;

#[async_trait]
impl Ending for DeployEnding {
    async fn succeeded(&self, cx: &Cx) -> StepResult<Effects> {
        count_deploy(cx).await;
        let mut line = cx.line(LogLevel::Info, "Complete!");
        line.percent = Some(100);
        Ok(Effects {
            status: Some(status_after(cx, StatusEvent::BecameRunning).await?),
            log: vec![line],
            events: vec![event(cx, EventKind::AppDeployed)],
            percent: Some(100),
            ..Effects::default()
        })
    }

    async fn unwound(&self, cx: &Cx) -> StepResult<Effects> {
        Ok(Effects {
            status: Some(failed_status(cx).await?),
            url: Some(None),
            log: vec![cx.line(
                LogLevel::Warning,
                "Deploy failed; what it had made was removed",
            )],
            events: vec![event(cx, EventKind::AppDeployFailed)],
            ..Effects::default()
        })
    }
}
