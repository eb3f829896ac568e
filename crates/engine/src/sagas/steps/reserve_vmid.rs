//! Chooses VMID, MAC and mark, and commits them as the guest's identity before anything is created.

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_domain::guest::{ContainerIdentity, ContainerRef, NativeGuest};
use proximity_domain::ids::{GuestId, Vmid};
use proximity_domain::mark::Mark;
use proximity_domain::names::Mac;
use proximity_domain::saga::StepRecord;
use proximity_store::effects::{Effects, GuestChange};
use serde_json::{Value, json};

use crate::saga::{Cx, Done, Intent, StepAction, StepError, StepResult, pve_failure};

/// How many ids are tried upwards from PVE's lowest free one.
const CANDIDATES: u32 = 1_000;

pub(crate) struct ReserveVmid;

#[async_trait]
impl StepAction for ReserveVmid {
    async fn intend(&self, cx: &Cx) -> StepResult<Intent> {
        let vmid = choose_vmid(cx).await?;
        let ids = &cx.engine.inner.parts.ids;
        let nonce = ids.nonce();
        let [.., a, b, c] = ids.nonce().to_be_bytes();
        let identity = ContainerIdentity {
            vmid,
            mark: Mark {
                installation: cx.store().installation(),
                app: cx.app.id,
                nonce,
            },
            net0_mac: Mac::with_pve_prefix([a, b, c]),
            rootfs_volid: None,
        };
        let guest = NativeGuest {
            id: GuestId(ids.uuid()),
            app: cx.app.id,
            created_by: cx.op.id,
            place: ContainerRef {
                host: cx.app.host,
                node: cx.app.node.clone(),
                vmid,
            },
            identity,
        };
        let value = json!({
            "guest": guest.id, "vmid": vmid, "node": guest.place.node, "mac": guest.identity.net0_mac,
            "mark": guest.identity.mark.to_string(),
        });
        let effects = Effects {
            guests: vec![GuestChange::Insert(guest)],
            ..Effects::default()
        };
        Ok(Intent { value, effects })
    }

    /// The reservation is the committed identity row itself.
    async fn act(&self, cx: &Cx, intent: &Value) -> StepResult<Done> {
        cx.must_have_guest().await?;
        Done::with(intent)
    }

    /// By now the create step proved that nothing of ours is left (or never sent anything): the row may go.
    async fn undo(&self, cx: &Cx, _row: &StepRecord) -> StepResult<Effects> {
        let gone = cx.guest().await?.filter(|g| g.created_by == cx.op.id);
        Ok(Effects {
            guests: gone
                .into_iter()
                .map(|g| GuestChange::Gone { guest: g.id })
                .collect(),
            ..Effects::default()
        })
    }
}

/// PVE's lowest free id that no guest of ours on this cluster has reserved.
pub(super) async fn choose_vmid(cx: &Cx) -> StepResult<Vmid> {
    let read = cx.cluster.read();
    let lowest = read
        .next_id(None)
        .await
        .map_err(|e| pve_failure("asking PVE for a free VMID", &e))?;
    let held: std::collections::HashSet<Vmid> = cx
        .store()
        .host_guests(cx.app.host)
        .await?
        .into_iter()
        .map(|g| g.identity.vmid)
        .collect();
    for n in lowest.get()..lowest.get().saturating_add(CANDIDATES) {
        let Ok(candidate) = Vmid::try_from(n) else {
            break;
        };
        if held.contains(&candidate) {
            continue;
        }
        if candidate == lowest {
            return Ok(candidate);
        }
        // Above PVE's answer: ask whether this very id is free.
        match read.next_id(Some(candidate)).await {
            Ok(free) => return Ok(free),
            Err(e) if e.is_vmid_taken() => {}
            Err(e) => return Err(pve_failure("asking PVE for a free VMID", &e)),
        }
    }
    Err(StepError::Failed(Failure::new(
        "vmids_exhausted",
        format!("no free VMID within {CANDIDATES} above {lowest}"),
        "free some, or change `next-id` in PVE's datacenter options",
    )))
}
