//! Reads back that the guest is ours and runs, as the last step before `running` is said.

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_domain::recorded::RecordedGuest;
use proximity_store::effects::Effects;
use serde_json::{Value, json};

use crate::saga::{Cx, Done, StepAction, StepError, StepResult, pve_failure};

/// Of a container under high availability Proxmox VE only notes the wish, in a task that ends at once
/// (`PVE::API2::LXC::Status`: `hastart`, `hastop`); its manager acts later, and keeps to the wish. What came of it could not be
/// told, and a restart would leave it stopped: what is adopted is left to that manager.
pub(crate) async fn refuse_under_ha(cx: &Cx, guest: &RecordedGuest) -> StepResult<()> {
    let RecordedGuest::Adopted(guest) = guest else {
        return Ok(());
    };
    let (node, vmid) = (&guest.place.node, guest.place.vmid);
    let status = cx.cluster.read().lxc_status(node, vmid).await;
    let status = status.map_err(|e| pve_failure("reading the container's status", &e))?;
    if !status.ha_managed {
        return Ok(());
    }
    Err(StepError::Failed(Failure::new(
        "ha_managed",
        format!(
            "container {vmid} is managed by PVE's high availability, which starts and stops it by itself"
        ),
        format!("tell that: ha-manager set ct:{vmid} --state started (or stopped)"),
    )))
}

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
            output: json!({ "running": true }).into(),
            effects: Effects::default(),
        })
    }
}
