//! Reads back that the guest is ours and runs, as the last step before `running` is said.

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_store::effects::Effects;
use serde_json::{Value, json};

use crate::saga::{Cx, Done, StepAction, StepError, StepResult};

pub(crate) struct ConfirmRunning;

#[async_trait]
impl StepAction for ConfirmRunning {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        let guest = cx.must_have_recorded().await?;
        let (ours, runs) = tokio::join!(cx.must_be_ours(&guest), cx.is_running(&guest));
        ours?;
        if !runs? {
            return Err(StepError::Failed(Failure::new(
                "stopped_meanwhile",
                format!(
                    "container {} answered, but is stopped now",
                    guest.place().vmid
                ),
                "look at its log in PVE, then retry",
            )));
        }
        Ok(Done {
            output: json!({ "running": true }),
            effects: Effects::default(),
        })
    }
}
