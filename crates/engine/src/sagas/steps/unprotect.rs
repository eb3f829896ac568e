//! Lifts PVE's protection for a removal, by compare-and-swap; the undo puts it back.

use async_trait::async_trait;
use proximity_domain::saga::StepRecord;
use proximity_store::effects::Effects;
use serde_json::{Value, json};

use super::destroy::lift_protection;
use crate::saga::{Cx, Done, Intent, Look, StepAction, StepResult};

pub(crate) struct Unprotect;

#[async_trait]
impl StepAction for Unprotect {
    /// Remembers whether it was protected, so that the undo restores what was there and nothing else.
    async fn intend(&self, cx: &Cx) -> StepResult<Intent> {
        let Some(guest) = cx.guest().await? else {
            return Ok(Intent::none());
        };
        let was = match cx.look(&guest).await? {
            Look::Ours { seen, .. } => seen.protection,
            Look::Absent | Look::BeingCreated | Look::Foreign(_) | Look::Stranger(_) => false,
        };
        Ok(Intent {
            value: json!({ "was_protected": was }),
            ..Intent::none()
        })
    }

    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        let Some(guest) = cx.guest().await? else {
            return Ok(Done::nothing());
        };
        if matches!(cx.look(&guest).await?, Look::Absent) {
            return Ok(Done::nothing());
        }
        let lifted = lift_protection(cx, &guest).await?;
        Ok(Done {
            output: json!({ "lifted": lifted }).into(),
            effects: Effects::default(),
        })
    }

    async fn undo(&self, cx: &Cx, row: &StepRecord) -> StepResult<Effects> {
        let was = row
            .intent
            .get("was_protected")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        let Some(guest) = cx.guest().await?.filter(|_| was) else {
            return Ok(Effects::default());
        };
        if let Look::Ours { seen, .. } = cx.look(&guest).await?
            && !seen.protection
        {
            cx.protect_lxc(&guest.place, true, &seen.digest).await?;
        }
        Ok(Effects::default())
    }
}
