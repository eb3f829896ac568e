//! Update: changes a native app in place: memory and cores, the size of its root file system, its settings.
//!
//! Flow: set memory and cores → grow the root file system → carry the recipe out again → check health → read back.
//! Guarantees: the configuration is the one the change was decided from, to the digest, or nothing is sent; what is as it is wanted
//! already leads to no call; record and status change in one commit, at the end. On failure memory, cores and settings are put
//! back and read back; a root file system that has grown stays, and its size is on record.
//! Assumptions: the app is `updating`, so nobody else is at work on it; a stopped one has no settings to change.
//! Errors: any step's failure unwinds; the app is what its container is read to be.

use async_trait::async_trait;
use proximity_domain::app::StatusEvent;
use proximity_domain::event::EventKind;
use proximity_domain::update::recorded_after;
use proximity_store::effects::{AppChange, Effects, NewEntry, NewEvent, NewSettings};
use proximity_store::records::LogLevel;
use serde_json::{Value, json};

use super::steps::apply_settings::{ApplySettings, wanted_recipe};
use super::steps::grow_disk::GrowDisk;
use super::steps::health_check::CheckIfRunning;
use super::steps::set_limits::{NAME as SET_LIMITS, SetLimits, unreadable};
use super::steps::status::{event, observed_status, status_after};
use crate::commands::UpdateInput;
use crate::saga::{Calls, Cx, Done, Ending, Row, Saga, StepAction, StepResult};

const READ_BACK: &str = "read_back";
/// The key of that step's output that says whether the container runs.
const RUNNING: &str = "running";

const STEPS: &[Row] = &[
    Row {
        name: SET_LIMITS,
        percent: 10,
        log: "Setting memory and cores",
        cancellable: true,
        calls: Calls::Call,
        action: &SetLimits,
    },
    Row {
        name: "grow_disk",
        percent: 25,
        log: "Looking at the root file system",
        cancellable: true,
        calls: Calls::Task,
        action: &GrowDisk,
    },
    Row {
        name: "apply_settings",
        percent: 45,
        log: "Applying settings",
        cancellable: true,
        calls: Calls::Call,
        action: &ApplySettings,
    },
    Row {
        name: "health_check",
        percent: 80,
        log: "Checking health",
        cancellable: true,
        calls: Calls::Nothing,
        action: &CheckIfRunning,
    },
    Row {
        name: READ_BACK,
        percent: 95,
        log: "Reading back the result",
        cancellable: false,
        calls: Calls::Nothing,
        action: &ReadBack,
    },
];

pub(super) static SAGA: Saga = Saga {
    steps: STEPS,
    ending: &UpdateEnding,
};

/// Whether the container runs, of one that is ours.
struct ReadBack;

#[async_trait]
impl StepAction for ReadBack {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        let guest = cx.must_have_guest().await?;
        cx.must_be_ours(&guest).await?;
        let running = cx.is_running(&guest).await?;
        Done::with(&json!({ RUNNING: running }))
    }
}

struct UpdateEnding;

#[async_trait]
impl Ending for UpdateEnding {
    async fn succeeded(&self, cx: &Cx) -> StepResult<Effects> {
        let input = UpdateInput::of(cx)?;
        let steps = cx.steps();
        let row = steps.iter().find(|row| row.name == READ_BACK);
        let running = row.and_then(|row| row.output.as_ref()?.get(RUNNING)?.as_bool());
        let became = match running {
            Some(true) => StatusEvent::BecameRunning,
            Some(false) => StatusEvent::BecameStopped,
            None => return Err(unreadable("whether the container runs")),
        };
        let settings = if input.works_inside() {
            let recipe = wanted_recipe(cx).await?;
            Some(NewSettings {
                open: recipe.open_settings(),
                sealed: recipe.sealed_settings(),
            })
        } else {
            None
        };
        let entry = input.entry.map(|entry| NewEntry {
            hash: entry.hash,
            version: entry.version,
        });
        let resources = recorded_after(cx.app.resources, input.resources);
        let vmid = cx.must_have_guest().await?.place.vmid;
        Ok(Effects {
            status: Some(status_after(cx, became).await?),
            change: Some(AppChange {
                resources,
                settings,
                entry,
            }),
            log: vec![cx.line(LogLevel::Info, "Updated")],
            events: vec![NewEvent {
                kind: EventKind::AppUpdated,
                body: json!({
                    "app": cx.app.id,
                    "hostname": cx.app.hostname,
                    "operation": cx.op.id,
                    "vmid": vmid,
                    "resources": resources,
                    "settings": input.settings,
                }),
            }],
            ..Effects::default()
        })
    }

    async fn unwound(&self, cx: &Cx) -> StepResult<Effects> {
        Ok(Effects {
            status: Some(observed_status(cx).await?),
            log: vec![cx.line(
                LogLevel::Warning,
                "Not updated; what was put back is told above",
            )],
            events: vec![event(cx, EventKind::AppUpdateFailed)],
            ..Effects::default()
        })
    }
}
