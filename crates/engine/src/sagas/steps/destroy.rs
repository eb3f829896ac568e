//! The one place a container is destroyed: identity, quorum, permit, DELETE, proof of absence.

use async_trait::async_trait;
use proximity_domain::destroy::{DestroyIntent, NoPermit, Quorate};
use proximity_domain::failure::Failure;
use proximity_domain::guest::NativeGuest;
use proximity_domain::saga::StepRecord;
use proximity_store::effects::{Effects, GuestChange};
use proximity_store::records::LogLevel;
use serde_json::{Value, json};

use crate::saga::{
    Cx, Done, Look, StepAction, StepError, StepResult, absent_everywhere, confirm, pve_failure,
    runs,
};

const DOING: &str = "destroying the container";

/// How long a guest gets to shut down by itself when the operation that made it unwinds, seconds.
const UNWIND_GRACE_S: u32 = 15;

pub(crate) struct DestroyContainer;

#[async_trait]
impl StepAction for DestroyContainer {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        let Some(guest) = cx.guest().await? else {
            return Ok(Done::nothing());
        };
        // What may be destroyed already is not turned back in the middle.
        let _settling = cx.cuts.settle();
        destroy_once(cx, &guest, Removal::Requested).await?;
        Ok(Done {
            output: json!({ "deletion_type": "hard", "vmid_destroyed": guest.identity.vmid }),
            effects: gone(cx, &guest),
        })
    }

    /// A destroy cannot be taken back. If it happened, that is recorded; if not, there is nothing to undo.
    async fn undo(&self, cx: &Cx, _row: &StepRecord) -> StepResult<Effects> {
        let Some(guest) = cx.guest().await? else {
            return Ok(Effects::default());
        };
        if let Some(upid) = cx.earlier_task("vzdestroy") {
            cx.await_task(DOING, &upid).await?;
        }
        match cx.look(&guest).await? {
            Look::Absent if absent_everywhere(cx, &guest.place).await? => Ok(gone(cx, &guest)),
            Look::Absent
            | Look::Ours { .. }
            | Look::BeingCreated
            | Look::Foreign(_)
            | Look::Stranger(_) => Ok(Effects::default()),
        }
    }
}

/// On whose behalf a guest is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Removal {
    /// A person's removal of the app.
    Requested,
    /// The operation that created the guest unwinds.
    CreatorUnwinds,
}

fn gone(cx: &Cx, guest: &NativeGuest) -> Effects {
    Effects {
        guests: vec![GuestChange::Gone { guest: guest.id }],
        log: vec![cx.line(
            LogLevel::Info,
            format!("Container {} is gone", guest.identity.vmid),
        )],
        ..Effects::default()
    }
}

/// Brings the guest of an unwinding operation from whatever it is to proven absence: stop, unprotect, destroy.
///
/// A container that is not provably ours is left alone. If ours was never `made`, its VMID is then no longer recorded as
/// ours; if it was, it may be this very one with a factor changed, so a person chooses.
pub(crate) async fn remove_guest(cx: &Cx, guest: NativeGuest, made: bool) -> StepResult<Effects> {
    let mut guest = guest;
    match cx.look(&guest).await? {
        Look::Absent => {
            return if absent_everywhere(cx, &guest.place).await? {
                Ok(gone(cx, &guest))
            } else {
                Err(moved(&guest))
            };
        }
        // With our mark or MAC on it, it may be this very one with a factor changed.
        Look::Foreign(f) => return Err(StepError::Stuck(f)),
        Look::Stranger(f) if made => return Err(StepError::Stuck(f)),
        Look::Stranger(f) => {
            let line = format!("{}; it was left alone", f.message);
            return Ok(Effects {
                guests: vec![GuestChange::Gone { guest: guest.id }],
                log: vec![cx.line(LogLevel::Warning, line)],
                ..Effects::default()
            });
        }
        Look::BeingCreated => {
            return Err(StepError::Stuck(Failure::new(
                "half_created",
                format!(
                    "container {} is locked by a create that no longer runs",
                    guest.place.vmid
                ),
                // Unlocked alone it would carry no mark, so nothing could tell any more that it is ours.
                format!(
                    "check it on node {0}; if it is this one: pct unlock {1} && pct destroy {1}, then retry",
                    guest.place.node, guest.place.vmid
                ),
            )));
        }
        Look::Ours { first_seen, .. } => {
            if let Some(volid) = first_seen {
                // The volume must be on record before the look that leads to a permit.
                let effects = Effects {
                    guests: confirm(&guest, Some(volid.clone())),
                    ..Effects::default()
                };
                cx.store().note(&cx.fence, effects, cx.now()).await?;
                guest.identity.rootfs_volid = Some(volid);
            }
        }
    }
    stop_for_unwinding(cx, &guest).await?;
    lift_protection(cx, &guest).await?;
    destroy_once(cx, &guest, Removal::CreatorUnwinds).await?;
    Ok(gone(cx, &guest))
}

/// Stops the guest of an unwinding operation: gracefully first, by force after the grace time.
async fn stop_for_unwinding(cx: &Cx, guest: &NativeGuest) -> StepResult<()> {
    if !cx.is_running(guest).await? {
        return Ok(());
    }
    cx.must_be_ours(guest).await?;
    cx.shutdown_lxc(&guest.place, UNWIND_GRACE_S).await?;
    if !cx.is_running(guest).await? {
        return Ok(());
    }
    cx.must_be_ours(guest).await?;
    let outcome = cx.stop_lxc(&guest.place).await?;
    match Cx::task_failed("stopping the container", &outcome) {
        Some(failure) if cx.is_running(guest).await? => Err(StepError::Transient(failure)),
        Some(_) | None => Ok(()),
    }
}

/// PUT protection=0 with the digest of the look just made; nothing when it is not protected.
pub(crate) async fn lift_protection(cx: &Cx, guest: &NativeGuest) -> StepResult<bool> {
    let (seen, _) = cx.must_be_ours(guest).await?;
    if !seen.protection {
        return Ok(false);
    }
    cx.protect_lxc(&guest.place, false, &seen.digest).await?;
    let (again, _) = cx.must_be_ours(guest).await?;
    if again.protection {
        return Err(StepError::Transient(Failure::new(
            "still_protected",
            format!(
                "container {} is still protected after the change",
                guest.place.vmid
            ),
            "somebody may be protecting it again; decide with them, then retry",
        )));
    }
    Ok(true)
}

/// One attempt: await an earlier one, look, verify, permit, DELETE, await, prove absence.
async fn destroy_once(cx: &Cx, guest: &NativeGuest, removal: Removal) -> StepResult<()> {
    settle_earlier(cx, guest).await?;
    let absent = matches!(cx.look(guest).await?, Look::Absent);
    if !absent {
        let permit = permit(cx, guest, removal).await?;
        let outcome = cx.destroy_lxc(permit).await?;
        if let Some(failure) = Cx::task_failed(DOING, &outcome) {
            cx.reload().await.map_err(StepError::Halt)?;
            let task = cx.row().and_then(|r| r.upid).unwrap_or_default();
            return Err(half_destroyed(failure, &task));
        }
    }
    if absent_everywhere(cx, &guest.place).await? {
        Ok(())
    } else {
        Err(moved(guest))
    }
}

/// Awaits a destroy that was sent before: by a worker that died, or by a call whose answer was lost. Its verdict counts; a
/// second DELETE goes out only after a person has seen how the first one failed.
async fn settle_earlier(cx: &Cx, guest: &NativeGuest) -> StepResult<()> {
    let place = &guest.place;
    let earlier = match cx.earlier_task("vzdestroy") {
        Some(upid) => Some(upid),
        None => {
            cx.running_task(&place.node, place.vmid, "vzdestroy")
                .await?
        }
    };
    let Some(upid) = earlier else {
        return Ok(());
    };
    let outcome = cx.await_task(DOING, &upid).await?;
    match Cx::task_failed(DOING, &outcome) {
        Some(failure) => Err(half_destroyed(failure, upid.as_str())),
        None => Ok(()),
    }
}

/// PVE may have freed the disks before it failed: a person must look. The failure names the task.
fn half_destroyed(failure: Failure, task: &str) -> StepError {
    StepError::Stuck(Failure {
        message: format!("{} ({task})", failure.message),
        ..failure
    })
}

async fn permit(
    cx: &Cx,
    guest: &NativeGuest,
    removal: Removal,
) -> StepResult<proximity_domain::destroy::DestroyPermit> {
    let place = &guest.place;
    let read = cx.cluster.read();
    let status = read
        .lxc_status(&place.node, place.vmid)
        .await
        .map_err(|e| pve_failure("reading the container's status", &e))?;
    if runs(&status, place.vmid)? {
        return Err(StepError::Failed(Failure::new(
            "still_running",
            format!("container {} runs again", place.vmid),
            "somebody started it; stop it, then retry",
        )));
    }
    let quorate = read
        .cluster_status()
        .await
        .map_err(|e| pve_failure("reading the cluster's status", &e))?
        .quorate;
    let started = cx.engine.inner.parts.clock.monotonic();
    let config = read
        .lxc_config(&place.node, place.vmid)
        .await
        .map_err(|e| pve_failure("reading the container's configuration", &e))?;
    let seen = crate::cluster::observed(place.clone(), &config, status.ha_managed);
    let intent = match removal {
        Removal::Requested => DestroyIntent::RemovalRequested(cx.op.id),
        Removal::CreatorUnwinds => DestroyIntent::CreatorUnwinding(cx.op.id),
    };
    guest
        .verify(&seen, started, cx.fence.epoch)
        .and_then(|verified| verified.permit(cx.op.kind, intent, Quorate(quorate)))
        .map_err(|e| refused(&e))
}

fn refused(why: &NoPermit) -> StepError {
    let failure = |code: &str, hint: &str| Failure::new(code, why.to_string(), hint);
    match why {
        NoPermit::Conflict(_)
        | NoPermit::NotThisOperation { .. }
        | NoPermit::NotTheCreator { .. } => StepError::Failed(failure(
            "identity_conflict",
            "nothing was destroyed; compare the container with the app's record and decide by hand",
        )),
        NoPermit::HaManaged(_) => StepError::Failed(failure(
            "ha_managed",
            "take it out of HA in PVE first: Datacenter, HA, Resources",
        )),
        NoPermit::Locked { .. } => StepError::Failed(failure(
            "container_locked",
            "wait for the task that holds the lock, or unlock it with pct unlock",
        )),
        NoPermit::Protected(_) | NoPermit::BeingCreated(_) => StepError::Transient(failure(
            "still_protected",
            "somebody may be protecting it again; decide with them, then retry",
        )),
        NoPermit::NotQuorate => StepError::Failed(failure(
            "no_quorum",
            "bring the cluster back to quorum first; nothing was sent",
        )),
    }
}

fn moved(guest: &NativeGuest) -> StepError {
    StepError::Failed(Failure::new(
        "container_elsewhere",
        format!(
            "container {} is not on node {}, but the cluster still lists it",
            guest.place.vmid, guest.place.node
        ),
        "it may have been migrated; move it back, then retry",
    ))
}
