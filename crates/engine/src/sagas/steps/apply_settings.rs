//! Carries out the app's recipe again with other settings: files are written anew, and services started anew. The undo does the
//! same with the settings on record.

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_domain::saga::StepRecord;
use proximity_store::effects::Effects;
use proximity_store::records::LogLevel;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::health_check::{recipe, recipe_of, settings_on_record};
use super::install::carry_out_again;
use super::set_limits::unreadable;
use crate::catalog::ResolvedRecipe;
use crate::commands::UpdateInput;
use crate::saga::{Cx, Done, Look, StepAction, StepError, StepResult};

pub(crate) struct ApplySettings;

#[async_trait]
impl StepAction for ApplySettings {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        if !UpdateInput::of(cx)?.works_inside() {
            return Ok(Done::nothing());
        }
        let (wanted, before) = (wanted_recipe(cx).await?, recipe(cx).await?);
        carry_out_again(cx, &wanted, &before).await
    }

    async fn undo(&self, cx: &Cx, row: &StepRecord) -> StepResult<Effects> {
        // Each command is audited before it is sent.
        let sent = cx.store().mutations(cx.op.id, row.index).await?;
        let Some(guest) = cx.guest().await? else {
            return Ok(Effects::default());
        };
        if sent.is_empty() {
            return Ok(Effects::default());
        }
        match cx.look(&guest).await? {
            Look::Ours { .. } => {}
            Look::Absent | Look::BeingCreated | Look::Foreign(_) | Look::Stranger(_) => {
                return Ok(Effects {
                    log: vec![cx.line(LogLevel::Warning, UNKNOWN)],
                    ..Effects::default()
                });
            }
        }
        if !cx.is_running(&guest).await? {
            return Err(stopped());
        }
        let (before, wanted) = (recipe(cx).await?, wanted_recipe(cx).await?);
        let mut effects = carry_out_again(cx, &before, &wanted).await?.effects;
        let line = cx.line(LogLevel::Info, "The settings are as before again");
        effects.log.push(line);
        Ok(effects)
    }
}

/// What is said where the container cannot be asked.
const UNKNOWN: &str = "Whether the settings are as before is not known: the container on record is not there, or another one is";

/// The recipe with the settings that are asked for in the place of those on record. The others are as they are on record now: nobody
/// else changes them while this operation lives, and somebody may have before.
pub(crate) async fn wanted_recipe(cx: &Cx) -> StepResult<ResolvedRecipe> {
    let sealed = cx.store().sealed_input(cx.op.id).await?;
    let sealed = sealed.ok_or_else(|| unreadable("the new settings"))?;
    let asked: Map<String, Value> =
        serde_json::from_str(sealed.expose_secret()).map_err(|_| unreadable("the new settings"))?;
    let mut settings = settings_on_record(cx).await?;
    settings.extend(asked);
    let entry = UpdateInput::of(cx)?.entry.map(|entry| entry.hash);
    let entry = entry.or_else(|| cx.app.entry_hash.clone());
    recipe_of(cx, entry.as_deref(), &settings).await
}

fn stopped() -> StepError {
    StepError::Failed(Failure::new(
        "container_stopped",
        "the container was stopped while its settings were changed: files in it may be of the new ones",
        "start it in PVE, then retry this operation: it puts the settings of before back",
    ))
}
