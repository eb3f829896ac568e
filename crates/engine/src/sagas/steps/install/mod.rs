//! Carries out a recipe inside the guest. Every part comes out the same however often it is done, so a run that was cut off
//! is simply repeated, and what an earlier run may have done is looked at first.

mod parts;

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_store::effects::Effects;
use proximity_store::records::LogLevel;
use serde_json::Value;

use super::clone_container::Made;
use super::guest_session::{GuestSession, command_failed};
use super::health_check::recipe;
use crate::catalog::{ResolvedRecipe, Step, UnitState, UnitStep};
use crate::mask::Masker;
use crate::saga::{Cx, Done, StepAction, StepError, StepResult};

pub(crate) struct Install;

#[async_trait]
impl StepAction for Install {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        let recipe = recipe(cx).await?;
        let is_clone = Made::of(cx).is_some_and(|made| made.clone.is_some());
        if recipe.steps.is_empty() && !is_clone {
            return Ok(Done::nothing());
        }
        let guest = cx.must_have_guest().await?;
        let session = GuestSession::open(cx, guest, Masker::new(recipe.secrets()))?;
        let work = async {
            if is_clone {
                renew(cx, &session).await?;
            }
            carry_out(cx, &session, &recipe).await
        };
        told(cx, &session, work.await).await
    }
}

/// Carries the recipe out in a guest in which it was carried out before with other settings, those of `other`: what is shown
/// has the secrets of neither. Services start anew, for what they read may be another text now.
pub(crate) async fn carry_out_again(
    cx: &Cx,
    recipe: &ResolvedRecipe,
    other: &ResolvedRecipe,
) -> StepResult<Done> {
    if recipe.steps.is_empty() {
        return Ok(Done::nothing());
    }
    let guest = cx.must_have_guest().await?;
    let secrets = recipe.secrets().chain(other.secrets());
    let session = GuestSession::open(cx, guest, Masker::new(secrets))?;
    let anew = ResolvedRecipe {
        steps: recipe.steps.iter().map(started_anew).collect(),
        ..recipe.clone()
    };
    told(cx, &session, carry_out(cx, &session, &anew).await).await
}

/// The step, with a service that is started in any case.
fn started_anew(step: &Step) -> Step {
    match step {
        Step::Service(unit) => Step::Service(UnitStep {
            state: UnitState::Restarted,
            ..unit.clone()
        }),
        Step::Apt(_)
        | Step::File(_)
        | Step::Absent(_)
        | Step::Run(_)
        | Step::User(_)
        | Step::Directory(_)
        | Step::Venv(_)
        | Step::Npm(_)
        | Step::Download(_) => step.clone(),
    }
}

/// The end of the step, with what the guest said of it before what we say.
async fn told(cx: &Cx, session: &GuestSession<'_>, ended: StepResult<()>) -> StepResult<Done> {
    match ended {
        Ok(()) => Ok(Done {
            effects: Effects {
                log: session.unsaid(),
                ..Effects::default()
            },
            ..Done::nothing()
        }),
        Err(error) => {
            if let Err(unsaid) = session.say_unsaid().await {
                tracing::warn!(operation = %cx.op.id, error = ?unsaid, "what commands printed could not be told");
            }
            Err(error)
        }
    }
}

async fn carry_out(cx: &Cx, session: &GuestSession<'_>, recipe: &ResolvedRecipe) -> StepResult<()> {
    wait_booted(session).await?;
    let sent = cx.store().mutations(cx.op.id, cx.step_index()).await?;
    for step in &recipe.steps {
        let line = cx.line(LogLevel::Info, parts::describe(step));
        if !sent.is_empty() && parts::is_done(session, step).await? {
            cx.note_line(line).await?;
            continue;
        }
        let command = parts::command(step);
        let output = session.change(&command, Some(line)).await?;
        parts::judge(step, command.doing, &output, session.masker())?;
    }
    Ok(())
}

/// Gives a clone what its template was stripped of, where nothing did before: a machine-id, which systemd draws at the first start, and
/// SSH host keys. Done twice it is done once.
async fn renew(cx: &Cx, session: &GuestSession<'_>) -> StepResult<()> {
    wait_booted(session).await?;
    let line = cx.line(LogLevel::Info, "Renewing the identity of the clone");
    let command = parts::renewal();
    let output = session.change(&command, Some(line)).await?;
    match output.exit_code {
        0 => Ok(()),
        _ => Err(command_failed(command.doing, &output, session.masker())),
    }
}

/// Waits until the guest's init has brought everything up (or says what it could not).
async fn wait_booted(session: &GuestSession<'_>) -> StepResult<()> {
    let output = session
        .look(&["systemctl", "is-system-running", "--wait"])
        .await?;
    let state = String::from_utf8_lossy(&output.stdout);
    match state.trim() {
        "running" | "degraded" => Ok(()),
        other => Err(StepError::Transient(Failure::new(
            "guest_not_booted",
            format!("the container's init says {other:?}"),
            "look into the container; retry",
        ))),
    }
}

#[cfg(test)]
mod parts_tests;
