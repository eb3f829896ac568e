//! First step of a removal: is there a container, is it ours, and does nothing of PVE's hold it? Nothing is touched before that
//! is known.

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_store::effects::Effects;
use serde_json::{Value, json};

use super::members::refuse_members;
use crate::saga::{
    Cx, Done, Look, StepAction, StepError, StepResult, absent_by_every_word, confirm,
};

pub(crate) struct Identify;

#[async_trait]
impl StepAction for Identify {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        let Some(guest) = cx.guest().await? else {
            return Ok(Done {
                output: json!({ "container": "none" }).into(),
                effects: Effects::default(),
            });
        };
        match cx.look(&guest).await? {
            Look::Ours {
                seen, first_seen, ..
            } => {
                refuse_members(cx, &seen.place).await?;
                Ok(Done {
                    output: json!({ "container": "ours", "vmid": guest.identity.vmid }).into(),
                    effects: Effects {
                        guests: confirm(&guest, first_seen),
                        ..Effects::default()
                    },
                })
            }
            Look::Absent if absent_by_every_word(cx, &guest).await? => Ok(Done {
                output: json!({ "container": "absent", "vmid": guest.identity.vmid }).into(),
                effects: Effects::default(),
            }),
            Look::Absent => Err(StepError::Failed(Failure::new(
                "container_elsewhere",
                format!(
                    "container {} is not on node {}, but the cluster still lists it",
                    guest.place.vmid, guest.place.node
                ),
                "it may have been migrated in this moment; retry looks for it and goes on where it is",
            ))),
            Look::BeingCreated => Err(StepError::Failed(Failure::new(
                "half_created",
                format!(
                    "container {} is locked by a create and carries no mark yet",
                    guest.place.vmid
                ),
                format!(
                    "check it on node {}; if it is this one: pct unlock {1} && pct destroy {1}",
                    guest.place.node, guest.place.vmid
                ),
            ))),
            Look::Foreign(f) | Look::Stranger(f) => Err(StepError::Failed(f)),
        }
    }
}
