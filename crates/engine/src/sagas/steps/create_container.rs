//! Creates the container with our mark, MAC and VMID, and learns its volume from what was read back.

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_domain::guest::NativeGuest;
use proximity_domain::names::Volid;
use proximity_domain::saga::StepRecord;
use proximity_pve::lxc::{CreateLxc, NewNet};
use proximity_store::effects::Effects;
use serde_json::{Value, json};

use super::destroy::remove_guest;
use crate::saga::{
    Cx, Done, Intent, Look, StepAction, StepError, StepResult, absent_everywhere, confirm,
};

const DOING: &str = "creating the container";

pub(crate) struct CreateContainer;

#[async_trait]
impl StepAction for CreateContainer {
    /// Finds the template now, so that a missing one is a clear refusal before anything is sent.
    async fn intend(&self, cx: &Cx) -> StepResult<Intent> {
        let template = crate::commands::find_template(cx).await?;
        Ok(Intent {
            value: json!({ "ostemplate": template }),
            effects: Effects::default(),
        })
    }

    async fn act(&self, cx: &Cx, intent: &Value) -> StepResult<Done> {
        let guest = cx.must_have_guest().await?;
        #[cfg(feature = "crash-points")]
        if crate::saga::forgets_creates() && cx.fence.epoch.0 > 1 {
            return create_once_more(cx, guest, intent).await;
        }
        match cx.look(&guest).await? {
            Look::Ours { .. } | Look::BeingCreated => wait_for_create(cx, &guest).await?,
            Look::Foreign(f) => return Err(taken(f.message)),
            Look::Absent => create(cx, &guest, intent).await?,
        }
        // Look again: what counts is what is read back now.
        match cx.look(&guest).await? {
            Look::Ours { first_seen, .. } => Ok(Done {
                output: json!({ "vmid": guest.identity.vmid, "node": guest.place.node }),
                effects: Effects {
                    guests: confirm(&guest, first_seen),
                    ..Effects::default()
                },
            }),
            Look::BeingCreated => Err(half_created(&guest)),
            Look::Absent => Err(StepError::Failed(Failure::new(
                "create_left_nothing",
                "PVE's create task ended, but the container is not there",
                "read the task's log in PVE, then retry",
            ))),
            Look::Foreign(f) => Err(taken(f.message)),
        }
    }

    async fn undo(&self, cx: &Cx, _row: &StepRecord) -> StepResult<Effects> {
        let Some(guest) = cx.guest().await?.filter(|g| g.created_by == cx.op.id) else {
            return Ok(Effects::default());
        };
        let mut earlier = cx.earlier_task("vzcreate");
        if earlier.is_none() && matches!(cx.look(&guest).await?, Look::BeingCreated) {
            let place = &guest.place;
            earlier = cx.running_create_task(&place.node, place.vmid).await?;
        }
        let made = match earlier {
            Some(upid) => cx.await_task(DOING, &upid).await?.is_success(),
            None => false,
        };
        // A confirmed volume says so as well, also when the row's task is by now one of the undo's own.
        let made = made || guest.identity.rootfs_volid.is_some();
        remove_guest(cx, guest, made).await
    }
}

/// What a recovery would do that trusts neither the record nor a look: figure R1 must see it.
#[cfg(feature = "crash-points")]
async fn create_once_more(cx: &Cx, mut guest: NativeGuest, intent: &Value) -> StepResult<Done> {
    let vmid = super::reserve_vmid::choose_vmid(cx).await?;
    guest.identity.vmid = vmid;
    guest.place.vmid = vmid;
    cx.create_lxc(&guest.place, request(cx, &guest, intent)?)
        .await?;
    Ok(Done::nothing())
}

/// Sends the create call, unless a create task of this VMID is already under way.
async fn create(cx: &Cx, guest: &NativeGuest, intent: &Value) -> StepResult<()> {
    if let Some(upid) = cx.earlier_task("vzcreate") {
        // An earlier attempt got its task: its verdict counts, it is not sent again.
        let outcome = cx.await_task(DOING, &upid).await?;
        return match Cx::task_failed(DOING, &outcome) {
            Some(failure) => Err(StepError::Failed(failure)),
            None => Ok(()),
        };
    }
    if cx
        .running_create_task(&guest.place.node, guest.place.vmid)
        .await?
        .is_some()
    {
        wait_for_create(cx, guest).await?;
        return Ok(());
    }
    if !absent_everywhere(cx, &guest.place).await? {
        return Err(taken(format!(
            "VMID {} is in use elsewhere in the cluster",
            guest.place.vmid
        )));
    }
    let outcome = cx
        .create_lxc(&guest.place, request(cx, guest, intent)?)
        .await?;
    match Cx::task_failed(DOING, &outcome) {
        Some(failure) => Err(StepError::Failed(failure)),
        None => Ok(()),
    }
}

fn request(cx: &Cx, guest: &NativeGuest, intent: &Value) -> StepResult<CreateLxc> {
    let host = cx.cluster.host();
    let text = format!(
        "{} ({}), deployed by Proximity",
        cx.app.hostname, cx.app.catalog_id
    );
    let unreadable = |what: &str| {
        StepError::Stuck(Failure::new(
            "intent_unreadable",
            format!("the recorded intent has no usable {what}"),
            "report this as a bug; abandon the operation and remove the app",
        ))
    };
    let ostemplate: Option<Volid> = intent["ostemplate"].as_str().and_then(|t| t.parse().ok());
    let memory_mib =
        u32::try_from(cx.app.resources.memory_mib).map_err(|_| unreadable("memory"))?;
    Ok(CreateLxc {
        vmid: guest.identity.vmid,
        ostemplate: ostemplate.ok_or_else(|| unreadable("template"))?,
        hostname: cx.app.hostname.clone(),
        storage: host.storage.clone(),
        disk_gib: cx.app.resources.disk_gib,
        memory_mib,
        swap_mib: 0,
        cores: cx.app.resources.cores,
        net0: NewNet {
            name: "eth0".to_owned(),
            bridge: host.bridge.clone(),
            hwaddr: guest.identity.net0_mac,
        },
        description: guest.identity.mark.described(&text),
        pool: host.pool.clone(),
        unprivileged: true,
        onboot: true,
        protection: cx.limits().protect,
        nesting: true,
    })
}

/// Waits while PVE's create task of this VMID runs; when none runs and the lock is still there, a person is needed.
async fn wait_for_create(cx: &Cx, guest: &NativeGuest) -> StepResult<()> {
    let place = &guest.place;
    if let Some(upid) = cx.running_create_task(&place.node, place.vmid).await? {
        let outcome = cx.await_task(DOING, &upid).await?;
        if let Some(failure) = Cx::task_failed(DOING, &outcome) {
            return Err(StepError::Failed(failure));
        }
        return Ok(());
    }
    match cx.look(guest).await? {
        Look::BeingCreated => Err(half_created(guest)),
        Look::Ours { .. } | Look::Absent | Look::Foreign(_) => Ok(()),
    }
}

fn taken(message: String) -> StepError {
    StepError::Failed(Failure::new(
        "vmid_taken",
        message,
        "another container took the id; retry chooses a new one",
    ))
}

fn half_created(guest: &NativeGuest) -> StepError {
    let vmid = guest.place.vmid;
    StepError::Stuck(Failure::new(
        "half_created",
        format!(
            "container {vmid} is locked by a create that no longer runs, and carries no mark yet"
        ),
        format!(
            "check it on node {}; if it is this one: pct unlock {vmid} && pct destroy {vmid}, then retry",
            guest.place.node
        ),
    ))
}
