//! Remove (native): stop, verify stopped, destroy by permit, prove absence, release the ports, archive the record.
//!
//! Guarantees: doctrine 1, hard delete. Every call follows a read that showed the whole identity; the record goes only after the
//! container was proven absent. Errors: before the destroy everything is put back (protection, route) and the app shows what it is.

use async_trait::async_trait;
use proximity_domain::event::EventKind;
use proximity_store::effects::Effects;
use proximity_store::records::LogLevel;

use super::steps::destroy::DestroyContainer;
use super::steps::identify::Identify;
use super::steps::shutdown::ShutDown;
use super::steps::status::{event, observed_status};
use super::steps::unprotect::{self, Unprotect};
use super::steps::withdraw_route::WithdrawRoute;
use crate::saga::{Calls, Cx, Ending, Row, Saga, StepResult};

const STEPS: &[Row] = &[
    Row {
        name: "identify",
        percent: 5,
        log: "HARD DELETE: Destroying container and cleaning up resources",
        cancellable: true,
        calls: Calls::Nothing,
        action: &Identify,
    },
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
        percent: 20,
        log: "Shutting down container",
        cancellable: true,
        calls: Calls::Task,
        action: &ShutDown,
    },
    Row {
        name: unprotect::NAME,
        percent: 50,
        log: "Lifting the protection",
        cancellable: true,
        calls: Calls::Call,
        action: &Unprotect,
    },
    Row {
        name: "destroy",
        percent: 60,
        log: "Destroying container",
        cancellable: true,
        calls: Calls::Task,
        action: &DestroyContainer,
    },
];

pub(super) static SAGA: Saga = Saga {
    steps: STEPS,
    ending: &RemoveEnding,
};

struct RemoveEnding;

#[async_trait]
impl Ending for RemoveEnding {
    async fn succeeded(&self, cx: &Cx) -> StepResult<Effects> {
        Ok(Effects {
            archive: true,
            url: Some(None),
            log: vec![cx.line(LogLevel::Info, "Removed")],
            events: vec![event(cx, EventKind::AppRemoved)],
            percent: Some(100),
            ..Effects::default()
        })
    }

    async fn unwound(&self, cx: &Cx) -> StepResult<Effects> {
        Ok(Effects {
            status: Some(observed_status(cx).await?),
            events: vec![event(cx, EventKind::AppRemoveFailed)],
            ..Effects::default()
        })
    }
}
