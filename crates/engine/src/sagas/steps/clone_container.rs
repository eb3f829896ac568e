//! The container of a deploy as a clone of a prepared template.
//!
//! It is ours in two calls: Proxmox VE draws the MAC of a clone, so the second call gives it the one on record, guarded by the digest of
//! what was read ([`proximity_domain::prepared::clone_standing`]). The task of the first one has the number of the template. Where a clone
//! comes to nothing the number is given up, and the container is made from the archive: docs/adr/0022.

use proximity_domain::guest::{ContainerRef, NativeGuest, Ownership};
use proximity_domain::ids::{PreparedId, Vmid};
use proximity_domain::names::Volid;
use proximity_domain::prepared::{Ask, Base, CloneStanding, Kept, Spot, Way, clone_standing, way};
use proximity_pve::lxc::{CloneLxc, CloneOf, CloneShape, ConfigDigest, CreateLxc, Feature};
use proximity_pve::storage::Content;
use proximity_pve::task::{TaskFilter, TaskOutcome};
use proximity_store::records::LogLevel;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::create_container::NAME;
use crate::cluster::observed;
use crate::saga::{Change, Cx, StepResult, pve_failure};

/// PVE's name for the task of a clone; its number is the source's.
pub(super) const CLONE_TASK: &str = "vzclone";
const DOING: &str = "creating the container";
/// How many clones of one template are waited for, one after the other.
const CLONES: u32 = 32;

/// What a container is made of, as the intent of its step says.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Made {
    /// What a template would have to be made of for it; none where templates are not used, or its archive is not there yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<Base>,
    /// What it is a clone of; none where it is made from the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) clone: Option<Source>,
}

/// A template that a container is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) template: PreparedId,
    pub(crate) vmid: Vmid,
    /// It shares the template's volume.
    pub(crate) linked: bool,
}

impl Made {
    /// By the intent of the step that makes the container, wherever the operation is by now.
    pub(crate) fn of(cx: &Cx) -> Option<Self> {
        let steps = cx.steps();
        let row = steps.into_iter().find(|row| row.name == NAME)?;
        serde_json::from_value(row.intent).ok()
    }

    /// By an intent of that step.
    pub(super) fn by(intent: &Value) -> Self {
        serde_json::from_value(intent.clone()).unwrap_or_default()
    }
}

/// Which way the container of this deploy is made, from an archive that is there. What cannot be read of a template speaks for the
/// archive.
pub(super) async fn choose(cx: &Cx, archive: &str) -> StepResult<Made> {
    let policy = &cx.limits().templates;
    if !policy.on {
        return Ok(Made::default());
    }
    let Some(base) = base(cx, archive).await? else {
        return Ok(Made::default());
    };
    let made_with = &cx.app.made_with;
    // Proxmox VE takes neither in the call for a clone, and a clone gets its identity from inside.
    let has_root = !made_with.root_keys.is_empty() || made_with.root_password;
    let clone = match has_root || cx.cluster.guest_access().is_none() {
        true => None,
        false => source(cx, &base).await?,
    };
    Ok(Made {
        base: Some(base),
        clone,
    })
}

/// What a template would have to be made of; `None` where the size of the archive is not listed.
async fn base(cx: &Cx, archive: &str) -> StepResult<Option<Base>> {
    let Some(entry) = cx.engine.entry_of(&cx.app).await? else {
        return Ok(None);
    };
    let Ok(archive) = archive.parse::<Volid>() else {
        return Ok(None);
    };
    let storage = &cx.cluster.host().template_storage;
    let read = cx.cluster.read();
    let rows = read.storage_content(&cx.app.node, storage, Content::Template);
    let rows = rows.await;
    let rows = rows.map_err(|e| pve_failure("listing the templates", &e))?;
    let row = rows.iter().find(|row| row.volid == archive);
    let bytes = row.and_then(|row| row.size_bytes);
    let packages = entry.packages().into_iter().map(str::to_owned);
    Ok(bytes.map(|bytes| Base::of(archive, bytes, packages)))
}

/// The template to make it of, if there is one that is ours and ready now.
async fn source(cx: &Cx, base: &Base) -> StepResult<Option<Source>> {
    let spot = Spot {
        host: cx.app.host,
        node: cx.app.node.clone(),
        storage: cx.cluster.host().storage.clone(),
    };
    let key = base.key();
    let ask = Ask {
        spot: &spot,
        key: &key,
        disk_gib: cx.app.resources.disk_gib,
        links: false,
    };
    let stock = cx.store().prepared().await?;
    let Way::Whole(template) = way(&stock, &ask, &cx.limits().templates, cx.now()) else {
        return Ok(None);
    };
    let Some(kept) = stock.iter().find(|kept| kept.prepared.id == template) else {
        return Ok(None);
    };
    if !shows_ready(cx, kept).await {
        return Ok(None);
    }
    let vmid = kept.prepared.identity.vmid;
    let read = cx.cluster.read();
    let links = read
        .has_feature(&cx.app.node, vmid, Feature::Clone, None)
        .await;
    let ask = Ask {
        links: links.unwrap_or(false),
        ..ask
    };
    Ok(match way(&stock, &ask, &cx.limits().templates, cx.now()) {
        Way::Linked(template) => Some(Source {
            template,
            vmid,
            linked: true,
        }),
        Way::Whole(template) => Some(Source {
            template,
            vmid,
            linked: false,
        }),
        Way::FromArchive(_) => None,
    })
}

/// Whether a template shows that it is ours and can be cloned now. What cannot be read speaks against it.
async fn shows_ready(cx: &Cx, kept: &Kept) -> bool {
    let place = kept.prepared.place();
    let read = cx.cluster.read();
    let Ok(config) = read.lxc_config(&place.node, place.vmid).await else {
        return false;
    };
    let seen = observed(place, &config, false);
    let is_ready = config.template && seen.lock.is_none();
    is_ready && kept.prepared.owns(&seen, config.template) == Ownership::Owned
}

/// Writes down that the guest is to be a clone of the template, which then stays, and looks whether it is still the one on record: since
/// it was chosen somebody may have put another one in its place. Gives why it is not to be cloned, if it is not.
pub(super) async fn note(
    cx: &Cx,
    guest: &NativeGuest,
    source: Source,
) -> StepResult<Option<&'static str>> {
    let store = cx.store();
    let noted = store.note_clone(source.template, guest.id, source.linked, cx.now());
    if !noted.await? {
        return Ok(Some("the template is leaving"));
    }
    let stock = store.prepared().await?;
    let is_it = |kept: &&Kept| {
        let one = &kept.prepared;
        one.id == source.template && one.identity.vmid == source.vmid
    };
    let is_ready = match stock.iter().find(is_it) {
        Some(kept) => kept.prepared.spot.node == guest.place.node && shows_ready(cx, kept).await,
        None => false,
    };
    Ok((!is_ready).then_some("the template is not there as it is on record"))
}

/// Sends the call for the clone and waits for its task.
pub(super) async fn clone(
    cx: &Cx,
    guest: &NativeGuest,
    source: Source,
    wanted: &CreateLxc,
) -> StepResult<TaskOutcome> {
    let text = format!(
        "Cloning the prepared template {} ({})",
        source.vmid,
        if source.linked { "linked" } else { "whole" }
    );
    cx.say(LogLevel::Info, text).await?;
    let copy = CloneLxc {
        vmid: wanted.vmid,
        hostname: wanted.hostname.clone(),
        description: wanted.description.clone(),
        pool: wanted.pool.clone(),
        of: match source.linked {
            true => CloneOf::Template,
            false => CloneOf::Container { storage: None },
        },
    };
    cx.clone_lxc(&guest.place, source.vmid, copy).await
}

/// Before the guest's number is looked at: waits for clones of its template that may be its own, and gives what shows to be its own the
/// address on record. Nothing where it is no clone, or was seen whole before.
pub(super) async fn settle(cx: &Cx, guest: &NativeGuest, wanted: &CreateLxc) -> StepResult<()> {
    let Some(source) = at_work(cx) else {
        return Ok(());
    };
    if guest.identity.rootfs_volid.is_some() {
        return Ok(());
    }
    let sent = cx.sent(Change::Create, guest.place.vmid).await?;
    if sent.did_nothing() {
        return Ok(());
    }
    if let Some(upid) = cx.earlier_task(CLONE_TASK) {
        cx.await_task(DOING, &upid).await?;
    } else {
        for _ in 0..CLONES {
            let node = &guest.place.node;
            let Some(upid) = cx.running_task(node, source.vmid, CLONE_TASK).await? else {
                break;
            };
            cx.await_task(DOING, &upid).await?;
        }
    }
    address(cx, guest, source, wanted).await
}

/// What the step that is at work makes its guest of.
fn at_work(cx: &Cx) -> Option<Source> {
    Made::by(&cx.row()?.intent).clone
}

/// Gives a clone that shows number and mark alone its MAC, and all that its source does not give it.
async fn address(
    cx: &Cx,
    guest: &NativeGuest,
    source: Source,
    wanted: &CreateLxc,
) -> StepResult<()> {
    let place = &guest.place;
    let config = match cx.cluster.read().lxc_config(&place.node, place.vmid).await {
        Ok(config) => config,
        // The look that follows says what that is.
        Err(e) if e.is_missing_config() => return Ok(()),
        Err(e) => return Err(pve_failure("reading the container's configuration", &e)),
    };
    let seen = observed(place.clone(), &config, false);
    let would_be = clone_standing(guest, &seen, true);
    if matches!(would_be, CloneStanding::Whole(_)) {
        return Ok(());
    }
    let copied = is_copied(cx, place, source).await?;
    let CloneStanding::Unaddressed { digest, .. } = clone_standing(guest, &seen, copied) else {
        return Ok(());
    };
    let Ok(digest) = digest.parse::<ConfigDigest>() else {
        return Ok(());
    };
    let shape = CloneShape {
        net0: wanted.net0.clone(),
        network: wanted.network.clone(),
        memory_mib: wanted.memory_mib,
        swap_mib: wanted.swap_mib,
        cores: wanted.cores,
        onboot: wanted.onboot,
        protection: wanted.protection,
    };
    cx.shape_clone(place, &shape, &digest).await
}

/// Whether a clone of the template by our token ended well since this step sent its first call.
async fn is_copied(cx: &Cx, place: &ContainerRef, source: Source) -> StepResult<bool> {
    if let Some(upid) = cx.earlier_task(CLONE_TASK) {
        return Ok(cx.await_task(DOING, &upid).await?.is_success());
    }
    let sent = cx.sent(Change::Create, place.vmid).await?;
    let filter = TaskFilter {
        vmid: Some(source.vmid),
        kind: Some(CLONE_TASK.to_owned()),
        since_s: sent.since_s(),
        ..TaskFilter::default()
    };
    let tasks = cx.cluster.read().node_tasks(&place.node, &filter).await;
    let tasks = tasks.map_err(|e| pve_failure("reading the node's tasks", &e))?;
    let sender = cx.sender();
    Ok(tasks.iter().any(|task| {
        let is_ours = task.upid.kind() == CLONE_TASK && task.upid.user() == sender;
        is_ours && task.outcome.as_ref().is_some_and(TaskOutcome::is_success)
    }))
}
