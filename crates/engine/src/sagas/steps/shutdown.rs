//! Shuts the container down gracefully; by force only where the request says so.

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_domain::operation::OperationKind;
use proximity_domain::recorded::RecordedGuest;
use proximity_domain::saga::StepRecord;
use proximity_store::effects::Effects;
use proximity_store::records::LogLevel;
use serde_json::{Value, json};

use super::power::refuse_under_ha;
use crate::saga::{Before, Cx, Done, Look, StepAction, StepError, StepResult};

const DOING: &str = "shutting the container down";

pub(crate) struct ShutDown;

#[async_trait]
impl StepAction for ShutDown {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        // Only a removal may go on without a container; a stop that stopped nothing would be a lie.
        let removing = cx.op.kind == OperationKind::Remove;
        let recorded = match removing {
            // What was adopted is never removed: a removal knows guests of ours alone.
            true => cx.guest().await?.map(RecordedGuest::Native),
            false => cx.recorded().await?,
        };
        let Some(guest) = recorded else {
            return if removing {
                Ok(Done::nothing())
            } else {
                cx.must_have_recorded().await.map(|_| Done::nothing())
            };
        };
        match cx.look(&guest).await? {
            Look::Absent if removing => {
                cx.outwait_power_off(DOING, guest.place()).await?;
                return Ok(Done {
                    output: json!({ "container": "absent" }).into(),
                    effects: Effects::default(),
                });
            }
            Look::Ours { .. } => {}
            Look::Absent | Look::BeingCreated | Look::Foreign(_) | Look::Stranger(_) => {
                cx.must_be_ours(&guest).await?;
            }
        }
        // Also where it is stopped already: what arrives later would hit it when it was started again.
        let before = cx.await_power_off(DOING, guest.place()).await?;
        if cx.is_running(&guest).await? {
            refuse_under_ha(cx, &guest).await?;
            stop_it(cx, &guest, &before).await?;
        }
        if cx.is_running(&guest).await? {
            return Err(StepError::Failed(Failure::new(
                "still_running",
                format!("container {} still runs", guest.place().vmid),
                "repeat with --force-stop (for stop and restart: --force)",
            )));
        }
        #[cfg(feature = "bug-switches")]
        if cx.op.kind == OperationKind::Stop {
            super::destroy::destroy_without_right(cx).await?;
        }
        Ok(Done {
            output: json!({ "stopped": true }).into(),
            effects: Effects::default(),
        })
    }

    /// What was shut down stays so. A call whose answer was lost is waited for here too: it must not stop the container after
    /// it was said what that is.
    async fn undo(&self, cx: &Cx, _row: &StepRecord) -> StepResult<Effects> {
        let Some(guest) = cx.recorded().await? else {
            return Ok(Effects::default());
        };
        cx.outwait_power_off(DOING, guest.place()).await?;
        Ok(Effects::default())
    }
}

/// Whether this operation has shut its container down: the step's output outlives its undo.
pub(crate) fn was_shut_down(cx: &Cx) -> bool {
    cx.steps()
        .iter()
        .any(|row| row.name == "shutdown" && row.output.is_some())
}

async fn stop_it(cx: &Cx, guest: &RecordedGuest, before: &Before) -> StepResult<()> {
    let force = cx
        .op
        .input
        .get("force")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    cx.must_be_ours(guest).await?;
    let outcome = cx
        .shutdown_lxc(guest.place(), cx.limits().shutdown_s, before)
        .await?;
    let Some(failure) = Cx::task_failed(DOING, &outcome) else {
        return Ok(());
    };
    if !cx.is_running(guest).await? {
        return Ok(());
    }
    if Cx::did_nothing(&outcome) {
        // It was not even asked to shut down: no reason for force.
        return Err(StepError::Transient(failure));
    }
    if !force {
        return Err(StepError::Failed(failure));
    }
    cx.say(
        LogLevel::Warning,
        format!("{}; stopping it by force, as requested", failure.message),
    )
    .await?;
    let before = cx.tasks_before(guest.place()).await?;
    cx.must_be_ours(guest).await?;
    let outcome = cx.stop_lxc(guest.place(), &before).await?;
    match Cx::unless_ended_well("stopping the container by force", &outcome) {
        Some(error) if cx.is_running(guest).await? => Err(error),
        Some(_) | None => Ok(()),
    }
}
