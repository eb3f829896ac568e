//! Starts the container; `running` is read back, not assumed from the task.

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_pve::upid::Upid;
use proximity_store::effects::Effects;
use serde_json::{Value, json};

use super::power::refuse_under_ha;
use crate::saga::{Cx, Done, StepAction, StepError, StepResult};

const DOING: &str = "starting the container";

pub(crate) struct StartContainer;

#[async_trait]
impl StepAction for StartContainer {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        let guest = cx.must_have_recorded().await?;
        let place = guest.place();
        // At the same time, and right before the call. What the others say of a container that is not ours does not count.
        let (ours, under_way, runs) = tokio::join!(
            cx.must_be_ours(&guest),
            cx.running_task(&place.node, place.vmid, "vzstart"),
            cx.is_running(&guest),
        );
        ours?;
        let mut runs = runs?;
        if let Some(upid) = under_way? {
            cx.await_task(DOING, &upid).await?;
            // That took its time: what was seen before it is old.
            cx.must_be_ours(&guest).await?;
            runs = cx.is_running(&guest).await?;
        }
        if !runs {
            refuse_under_ha(cx, &guest).await?;
            let outcome = cx.start_lxc(guest.place()).await?;
            if let Some(error) = Cx::unless_ended_well(DOING, &outcome)
                && !cx.is_running(&guest).await?
            {
                return Err(error);
            }
        }
        if !cx.is_running(&guest).await? {
            return Err(StepError::Failed(Failure::new(
                "not_running_after_start",
                "the start task ended well, but PVE says the container is stopped",
                "read the task's log in PVE; the container may end at once",
            )));
        }
        let upid = cx
            .row()
            .and_then(|r| r.upid)
            .filter(|u| u.parse::<Upid>().is_ok());
        Ok(Done {
            output: json!({ "running": true, "task": upid }).into(),
            effects: Effects::default(),
        })
    }
}
