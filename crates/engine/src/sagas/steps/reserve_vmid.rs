//! Chooses VMID, MAC and mark, and commits them as the guest's identity before anything is created.

use std::collections::HashSet;

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_domain::guest::{ContainerIdentity, ContainerRef, NativeGuest};
use proximity_domain::ids::{GuestId, Vmid};
use proximity_domain::mark::Mark;
use proximity_domain::names::Mac;
use proximity_domain::saga::StepRecord;
use proximity_domain::vmids::VmidRange;
use proximity_store::effects::{Effects, GuestChange};
use serde_json::{Value, json};

use crate::saga::{Cx, Done, Intent, StepAction, StepError, StepResult, pve_failure};
use crate::vmids::Chosen;

/// How many ids are tried upwards from PVE's lowest free one, or asked about in a range.
const CANDIDATES: u32 = 1_000;

pub(crate) struct ReserveVmid;

#[async_trait]
impl StepAction for ReserveVmid {
    async fn intend(&self, cx: &Cx) -> StepResult<Intent> {
        let chosen = choose_vmid(cx, &[]).await?;
        let guest = new_guest(cx, chosen.vmid());
        let value = json!({
            "guest": guest.id, "vmid": chosen.vmid(), "node": guest.place.node, "mac": guest.identity.net0_mac,
            "mark": guest.identity.mark.to_string(),
        });
        let effects = Effects {
            guests: vec![GuestChange::Insert(guest)],
            ..Effects::default()
        };
        Ok(Intent {
            value,
            effects,
            chosen: Some(chosen),
        })
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

/// An identity for a container that does not exist yet: mark and MAC are drawn at random.
pub(super) fn new_guest(cx: &Cx, vmid: Vmid) -> NativeGuest {
    let ids = &cx.engine.inner.parts.ids;
    let nonce = ids.nonce();
    let [.., a, b, c] = ids.nonce().to_be_bytes();
    NativeGuest {
        id: GuestId(ids.uuid()),
        app: cx.app.id,
        created_by: cx.op.id,
        place: ContainerRef {
            host: cx.app.host,
            node: cx.app.node.clone(),
            vmid,
        },
        identity: ContainerIdentity {
            vmid,
            mark: Mark {
                installation: cx.store().installation(),
                app: cx.app.id,
                nonce,
            },
            net0_mac: Mac::with_pve_prefix([a, b, c]),
            rootfs_volid: None,
        },
    }
}

/// A VMID that is free now, that no guest of ours on this cluster has reserved, and that is not among `avoid`: the lowest of
/// the host's range, or of PVE's own if it has none. No other operation of this process is given it until the answer is
/// dropped, which is to be after it was committed. Only the create call makes it ours.
pub(super) async fn choose_vmid(cx: &Cx, avoid: &[Vmid]) -> StepResult<Chosen> {
    let held = held(cx).await?;
    match cx.cluster.host().placement.vmids {
        Some(range) => from_range(cx, range, &held, avoid).await,
        None => from_pve(cx, &held, avoid).await,
    }
}

/// What our record says is taken.
async fn held(cx: &Cx) -> StepResult<HashSet<Vmid>> {
    let guests = cx.store().host_guests(cx.app.host).await?;
    Ok(guests.into_iter().map(|g| g.identity.vmid).collect())
}

/// The candidate for us alone, unless another operation is about to commit it, or did since the record was read.
async fn for_us(cx: &Cx, candidate: Vmid) -> StepResult<Option<Chosen>> {
    let Some(chosen) = cx.cluster.vmids().choose(candidate) else {
        return Ok(None);
    };
    // Whoever had chosen it before has committed it, or given it up: the record tells.
    let held = cx.store().is_held(cx.app.host, candidate).await?;
    Ok((!held).then_some(chosen))
}

async fn from_range(
    cx: &Cx,
    range: VmidRange,
    held: &HashSet<Vmid>,
    avoid: &[Vmid],
) -> StepResult<Chosen> {
    let read = cx.cluster.read();
    let rows = read.resources_vm().await;
    let rows = rows.map_err(|e| pve_failure("listing the guests", &e))?;
    // What the token may not see is not listed; asking about the very number tells.
    let mut used: HashSet<Vmid> = rows.into_iter().map(|row| row.vmid).collect();
    used.extend(avoid);
    let mut out: HashSet<Vmid> = used.union(held).copied().collect();
    for _ in 0..CANDIDATES {
        let Some(candidate) = range.lowest_free(&out) else {
            break;
        };
        out.insert(candidate);
        used.insert(candidate);
        let Some(chosen) = for_us(cx, candidate).await? else {
            continue;
        };
        match read.next_id(Some(candidate)).await {
            Ok(_) => return Ok(chosen),
            Err(e) if e.is_vmid_taken() => {}
            Err(e) => return Err(pve_failure("asking PVE for a free VMID", &e)),
        }
    }
    // The number that was just lost to somebody else is still on our record, but not ours.
    let ours: HashSet<Vmid> = held
        .iter()
        .filter(|v| !avoid.contains(v))
        .copied()
        .collect();
    let count = |all: &HashSet<Vmid>| all.iter().filter(|v| range.contains(**v)).count();
    Err(StepError::Failed(Failure::new(
        "vmids_exhausted",
        format!(
            "no VMID of {range} is free: {} in use in the cluster, {} held by Proximity's own apps",
            count(&used),
            count(&ours),
        ),
        format!(
            "widen it with: proximity hosts set {} --vmids FIRST-LAST, or remove containers",
            cx.cluster.label()
        ),
    )))
}

async fn from_pve(cx: &Cx, held: &HashSet<Vmid>, avoid: &[Vmid]) -> StepResult<Chosen> {
    let read = cx.cluster.read();
    let lowest = read
        .next_id(None)
        .await
        .map_err(|e| pve_failure("asking PVE for a free VMID", &e))?;
    for n in lowest.get()..lowest.get().saturating_add(CANDIDATES) {
        let Ok(candidate) = Vmid::try_from(n) else {
            break;
        };
        if held.contains(&candidate) || avoid.contains(&candidate) {
            continue;
        }
        let Some(chosen) = for_us(cx, candidate).await? else {
            continue;
        };
        if candidate == lowest {
            return Ok(chosen);
        }
        // Above PVE's answer: ask whether this very id is free.
        match read.next_id(Some(candidate)).await {
            Ok(_) => return Ok(chosen),
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
