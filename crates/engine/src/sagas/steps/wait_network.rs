//! Waits until the guest shows an address on the device that has our MAC.

use std::net::IpAddr;

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_domain::guest::NativeGuest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::route_sweep::usable_address;
use crate::saga::{Cx, Done, StepAction, StepError, StepResult, pve_failure};

const POLL_MS: u64 = 300;

pub(crate) struct WaitNetwork;

/// What this step reads back.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NetworkSeen {
    pub(crate) address: IpAddr,
}

#[async_trait]
impl StepAction for WaitNetwork {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        let guest = cx.must_have_guest().await?;
        let clock = &cx.engine.inner.parts.clock;
        let deadline = clock.monotonic().plus_ms(cx.limits().network_ms);
        loop {
            if let Some(address) = address_of(cx, &guest).await? {
                return Done::with(&NetworkSeen { address });
            }
            if clock.monotonic() >= deadline {
                return Err(StepError::Failed(Failure::new(
                    "no_address",
                    format!(
                        "container {} showed no address within {} s",
                        guest.place.vmid,
                        cx.limits().network_ms / 1000
                    ),
                    "check bridge and DHCP of the node's network, then retry",
                )));
            }
            cx.pause_ms(POLL_MS).await;
        }
    }
}

/// The guest's address now: of the device with our MAC, or the one that was learned, IPv4 first. An address of another device is never used.
pub(crate) async fn address_of(cx: &Cx, guest: &NativeGuest) -> StepResult<Option<IpAddr>> {
    let place = &guest.place;
    let interfaces = cx
        .cluster
        .read()
        .lxc_interfaces(&place.node, place.vmid)
        .await
        .map_err(|e| pve_failure("reading the container's addresses", &e))?;
    let learned = guest.learned.as_ref();
    Ok(usable_address(
        interfaces.as_deref().unwrap_or_default(),
        learned.map_or(guest.identity.net0_mac, |learned| learned.shown.net0_mac),
        cx.cluster.is_on_this_machine(),
    ))
}
