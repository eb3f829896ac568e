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
use proximity_pve::error::Error as PveError;
use proximity_pve::wording::says_no_free_vmid;
use proximity_store::Store;
use proximity_store::effects::{Effects, GuestChange};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::saga::{Cx, Done, Intent, StepAction, StepError, StepResult, pve_failure};
use crate::vmids::Chosen;

/// How many numbers are tried of a range.
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
        learned: None,
    }
}

/// A VMID that is free now, that no guest of ours on this cluster has reserved, and that is not among `avoid`: the lowest of
/// the host's range, wherever that lies, or of the one PVE offers if it has none. No other operation of this process is given it until the answer is
/// dropped, which is to be after it was committed. Only the create call makes it ours.
pub(super) async fn choose_vmid(cx: &Cx, avoid: &[Vmid]) -> StepResult<Chosen> {
    let among = Numbers {
        store: cx.store(),
        cluster: &cx.cluster,
    };
    among.choose(avoid).await
}

/// The numbers of one cluster.
pub(crate) struct Numbers<'a> {
    pub(crate) store: &'a Store,
    pub(crate) cluster: &'a Cluster,
}

impl Numbers<'_> {
    /// As of [`choose_vmid`].
    pub(crate) async fn choose(&self, avoid: &[Vmid]) -> StepResult<Chosen> {
        let held = held(self).await?;
        match self.cluster.host().placement.vmids {
            Some(range) => from_range(self, range, &held, avoid).await,
            None => from_pve(self, &held, avoid).await,
        }
    }
}

/// What our record says is taken.
async fn held(at: &Numbers<'_>) -> StepResult<HashSet<Vmid>> {
    let guests = at.store.host_guests(at.cluster.host().id).await?;
    Ok(guests.into_iter().map(|g| g.identity.vmid).collect())
}

/// The candidate for us alone, unless another operation is about to commit it, or did since the record was read.
async fn for_us(at: &Numbers<'_>, candidate: Vmid) -> StepResult<Option<Chosen>> {
    let Some(chosen) = at.cluster.vmids().choose(candidate) else {
        return Ok(None);
    };
    // Whoever had chosen it before has committed it, or given it up: the record tells.
    let held = at.store.is_held(at.cluster.host().id, candidate).await?;
    Ok((!held).then_some(chosen))
}

async fn from_range(
    at: &Numbers<'_>,
    range: VmidRange,
    held: &HashSet<Vmid>,
    avoid: &[Vmid],
) -> StepResult<Chosen> {
    let read = at.cluster.read();
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
        let Some(chosen) = for_us(at, candidate).await? else {
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
            at.cluster.label()
        ),
    )))
}

/// What PVE offers, or else the next one of its range that is free: PVE offers the lowest to everybody who asks.
async fn from_pve(at: &Numbers<'_>, held: &HashSet<Vmid>, avoid: &[Vmid]) -> StepResult<Chosen> {
    let asking = |e| pve_failure("asking PVE for a free VMID", &e);
    let read = at.cluster.read();
    let lowest = match read.next_id(None).await {
        Ok(lowest) => lowest,
        Err(PveError::Refused { message, .. }) if says_no_free_vmid(&message) => {
            return Err(none_offered(at, message.trim_end().to_owned()));
        }
        Err(e) => return Err(asking(e)),
    };
    let is_out = |candidate: &Vmid| held.contains(candidate) || avoid.contains(candidate);
    if !is_out(&lowest)
        && let Some(chosen) = for_us(at, lowest).await?
    {
        return Ok(chosen);
    }
    let range = read.next_id_range().await;
    let range = range.map_err(|e| pve_failure("reading PVE's datacenter options", &e))?;
    let above = (lowest.get().saturating_add(1)..).map_while(|n| Vmid::try_from(n).ok());
    let offered = above.take_while(|candidate| range.is_some_and(|r| r.contains(*candidate)));
    let candidates = offered.filter(|candidate| !is_out(candidate));
    for (candidate, tried) in candidates.zip(0_u32..) {
        if tried == CANDIDATES {
            let why = format!("none of {CANDIDATES} VMIDs above {lowest} is free");
            return Err(none_offered(at, why));
        }
        let Some(chosen) = for_us(at, candidate).await? else {
            continue;
        };
        match read.next_id(Some(candidate)).await {
            Ok(_) => return Ok(chosen),
            Err(e) if e.is_vmid_taken() => {}
            Err(e) => return Err(asking(e)),
        }
    }
    let why = match range {
        Some(range) => format!("no VMID of {range} is left, and PVE offers no others"),
        None => "PVE offers no VMIDs".to_owned(),
    };
    Err(none_offered(at, why))
}

fn none_offered(at: &Numbers<'_>, why: String) -> StepError {
    StepError::Failed(Failure::new(
        "vmids_exhausted",
        why,
        format!(
            "widen `next-id` in PVE's datacenter options, give Proximity a range of its own with: proximity hosts set {} --vmids FIRST-LAST, or remove containers",
            at.cluster.label()
        ),
    ))
}
