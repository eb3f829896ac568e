//! The one place a container is destroyed: identity, quorum, permit, DELETE, proof of absence.

use async_trait::async_trait;
use proximity_domain::destroy::{DestroyIntent, NoPermit, Quorate};
use proximity_domain::failure::Failure;
use proximity_domain::guest::{NativeGuest, ObservedContainer};
use proximity_domain::operation::OperationKind;
use proximity_domain::saga::StepRecord;
use proximity_pve::upid::Upid;
use proximity_store::effects::{Effects, GuestChange};
use proximity_store::records::LogLevel;
use serde_json::{Value, json};

use super::members::{HA_HINT, REPLICATION_HINT, replication_jobs};
use super::unprotect;
use crate::saga::{
    BARE, Change, Cx, DESTROY_TASK, Done, FreeWay, Guard, Look, StepAction, StepError, StepResult,
    as_far_as_compared, confirm, is_off, nobody_has_it, pve_failure, runs, unlisted,
};
use crate::view;

pub(super) const DOING: &str = "destroying the container";
const STOPPING: &str = "shutting the container down";
/// How long a list may name what its node says is gone: as long as it may tell of what was at all, with some room. Milliseconds.
const LISTED_MS: u64 = 330_000;
/// How often it is read meanwhile.
const LISTED_EVERY_MS: u64 = 5_000;
/// The most that is waited between two times that all nodes are asked: their lists are many times what one of them is.
const ALL_EVERY_MS: u64 = 80_000;
/// How often it is looked whether a call whose answer was lost has arrived.
const LOOK_EVERY_MS: u64 = 1_000;

/// How long a guest gets to shut down by itself when the operation that made it unwinds, seconds.
const UNWIND_GRACE_S: u32 = 15;

pub(crate) struct DestroyContainer;

#[async_trait]
impl StepAction for DestroyContainer {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        // What may be destroyed already is not turned back in the middle, from the first read on.
        let _settling = cx.cuts.settle();
        let Some(guest) = cx.guest().await? else {
            return Ok(Done::nothing());
        };
        destroy_once(cx, &guest, Removal::Requested)
            .await
            .map_err(|e| bare_meanwhile(cx, e))?;
        Ok(Done {
            output: json!({ "deletion_type": "hard", "vmid_destroyed": guest.identity.vmid })
                .into(),
            effects: gone(cx, &guest),
        })
    }

    /// A destroy cannot be taken back. If it happened, that is recorded; if not, there is nothing to undo. Which of the two
    /// is known only when nothing that was sent runs, or can still arrive.
    async fn undo(&self, cx: &Cx, _row: &StepRecord) -> StepResult<Effects> {
        // What cannot be undone waits for a person, and the protection with it.
        let told = |error: StepError| match was_lifted(cx) {
            true => error.with_hint(BARE),
            false => error,
        };
        let Some(guest) = cx.guest().await.map_err(told)? else {
            return Ok(Effects::default());
        };
        let is_there = still_there(cx, &guest).await.map_err(told)?;
        if !is_there && absence(cx, &guest).await.map_err(told)? == Absence::Proven {
            return Ok(gone(cx, &guest));
        }
        Ok(Effects::default())
    }
}

/// What turns back by itself puts the protection back; what waits for a person says that it is lifted.
fn bare_meanwhile(cx: &Cx, error: StepError) -> StepError {
    match error {
        StepError::Stuck(_) | StepError::Uncertain(_) if was_lifted(cx) => error.with_hint(BARE),
        other => other,
    }
}

/// Whether the step before lifted the protection.
fn was_lifted(cx: &Cx) -> bool {
    let steps = cx.steps();
    let lift = steps.iter().find(|row| row.name == unprotect::NAME);
    let output = lift.and_then(|row| row.output.as_ref());
    output.is_some_and(|output| output["lifted"] == true)
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

/// What may be there of a guest that an unwinding operation was to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trace {
    /// No call of ours can have made anything.
    None,
    /// A create call was sent.
    Sent,
    /// It was made.
    Made,
}

/// Brings the guest of an unwinding operation from whatever it is to proven absence: stop, unprotect, destroy.
///
/// A container that is not provably ours is left alone. If ours was never made, its VMID is then no longer recorded as
/// ours; if it was, it may be this very one with a factor changed, so a person chooses.
pub(crate) async fn remove_guest(cx: &Cx, guest: NativeGuest, trace: Trace) -> StepResult<Effects> {
    let mut guest = guest;
    if is_off(Guard::Leftover) {
        return Ok(gone(cx, &guest));
    }
    match cx.look(&guest).await? {
        Look::Absent => {
            cx.outwait_power_off(STOPPING, &guest.place).await?;
            cx.outwait_destroy(&guest.place).await?;
            return if vanishes(cx, &guest).await? {
                Ok(gone(cx, &guest))
            } else {
                Err(moved(&guest))
            };
        }
        Look::BeingCreated if trace == Trace::None => {
            return left_alone(cx, &guest, "it is being created by somebody else").await;
        }
        // With our mark or MAC on it, or none at all, it may be this very one with a factor changed.
        Look::Foreign(f) if trace != Trace::None => return Err(StepError::Stuck(f)),
        Look::Stranger(f) if trace == Trace::Made => return Err(StepError::Stuck(f)),
        Look::Foreign(f) | Look::Stranger(f) => return left_alone(cx, &guest, &f.message).await,
        Look::BeingCreated => return Err(half_created(&guest)),
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

/// What has the number is not ours.
async fn left_alone(cx: &Cx, guest: &NativeGuest, why: &str) -> StepResult<Effects> {
    cx.outwait_power_off(STOPPING, &guest.place).await?;
    let line = format!("VMID {}: {why}; it was left alone", guest.place.vmid);
    Ok(Effects {
        guests: vec![GuestChange::Gone { guest: guest.id }],
        log: vec![cx.line(LogLevel::Warning, line)],
        ..Effects::default()
    })
}

/// Locked by a create, and no task of its number runs.
pub(crate) fn half_created(guest: &NativeGuest) -> StepError {
    let (node, vmid) = (&guest.place.node, guest.place.vmid);
    StepError::Stuck(Failure::new(
        "half_created",
        format!(
            "container {vmid} is locked by a create that no longer runs, and carries no mark yet"
        ),
        // Unlocked alone it would carry no mark, so nothing could tell any more that it is ours.
        format!(
            "check it on node {node}; if it is this one: pct unlock {vmid} && pct destroy {vmid}, then retry"
        ),
    ))
}

/// Stops the guest of an unwinding operation: gracefully first, by force after the grace time.
async fn stop_for_unwinding(cx: &Cx, guest: &NativeGuest) -> StepResult<()> {
    let before = cx.await_power_off(STOPPING, &guest.place).await?;
    if !cx.is_running(guest).await? {
        return Ok(());
    }
    cx.must_be_ours(guest).await?;
    let outcome = cx
        .shutdown_lxc(&guest.place, UNWIND_GRACE_S, &before)
        .await?;
    if !cx.is_running(guest).await? {
        return Ok(());
    }
    if let Some(failure) = Cx::task_failed(STOPPING, &outcome)
        && Cx::did_nothing(&outcome)
    {
        // It had no time to shut down by itself yet.
        return Err(StepError::Transient(failure));
    }
    let before = cx.tasks_before(&guest.place).await?;
    cx.must_be_ours(guest).await?;
    let outcome = cx.stop_lxc(&guest.place, &before).await?;
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
///
/// A removal that a person cancelled meanwhile sends nothing any more: it is turned back here.
async fn destroy_once(cx: &Cx, guest: &NativeGuest, removal: Removal) -> StepResult<()> {
    if still_there(cx, guest).await? {
        if removal == Removal::Requested && cx.reins.cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        let permit = permit(cx, guest, removal).await?;
        let outcome = cx.destroy_lxc(permit).await?;
        if is_off(Guard::Destroyed) {
            return Ok(());
        }
        if let Some(failure) = Cx::task_failed(DOING, &outcome) {
            cx.reload().await.map_err(StepError::Halt)?;
            let task = cx.row().and_then(|r| r.upid).unwrap_or_default();
            if Cx::did_nothing(&outcome) {
                if let Ok(upid) = task.parse() {
                    cx.settle_void_destroy(&guest.place, &upid).await?;
                }
                return Err(StepError::Transient(failure));
            }
            return Err(half_destroyed(failure, &task));
        }
    }
    if vanishes(cx, guest).await? {
        Ok(())
    } else {
        Err(moved(guest))
    }
}

/// What a look at the whole cluster says of a container that its own node does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Absence {
    /// A destroy of ours explains it, or every node that is online has said so.
    Proven,
    /// The list of the node that is asked first names it.
    Listed,
    /// That one does not, and another node has it or lists it.
    Contradicted,
}

/// Whether it is gone for the whole cluster. The list of a node that lags names it for some time after its own node has said that
/// it does not exist: that is waited for, and one that was migrated in this moment is found by the look.
async fn vanishes(cx: &Cx, guest: &NativeGuest) -> StepResult<bool> {
    let clock = &cx.engine.inner.parts.clock;
    let began = clock.monotonic();
    let mut contradicted = 0;
    loop {
        match absence(cx, guest).await? {
            Absence::Proven => return Ok(true),
            Absence::Listed => {}
            Absence::Contradicted => contradicted += 1,
        }
        let waited_ms = clock.monotonic().since_ms(began);
        let Some(pause_ms) = until_next(waited_ms, contradicted) else {
            return Ok(false);
        };
        let look = cx.look(guest).await;
        if !matches!(unless_refused(cx, guest, look).await?, Look::Absent) {
            return Ok(false);
        }
        cx.pause_ms(pause_ms).await;
    }
}

/// How long to wait before it is read again, milliseconds: longer each time that all nodes were asked in vain. `None` = no more.
fn until_next(waited_ms: u64, contradicted: u32) -> Option<u64> {
    let left_ms = LISTED_MS.checked_sub(waited_ms).filter(|ms| *ms > 0)?;
    let times = 2_u64.saturating_pow(contradicted.saturating_sub(1));
    let pause_ms = LISTED_EVERY_MS.saturating_mul(times);
    Some(pause_ms.min(ALL_EVERY_MS).min(left_ms))
}

/// Whether it is proven absent. All nodes are asked only where the nearest list lacks it already, and no destroy of ours explains
/// that.
async fn absence(cx: &Cx, guest: &NativeGuest) -> StepResult<Absence> {
    let sent = cx.sent(Change::Destroy, guest.place.vmid).await?;
    let unlisted = unlisted(cx, &guest.place).await;
    let Some(unlisted) = unless_refused(cx, guest, unlisted).await? else {
        return Ok(Absence::Listed);
    };
    if !sent.did_nothing() {
        return Ok(Absence::Proven);
    }
    let proven = nobody_has_it(cx, guest, &unlisted).await;
    match unless_refused(cx, guest, proven).await? {
        true => Ok(Absence::Proven),
        false => Ok(Absence::Contradicted),
    }
}

/// A destroy cannot be taken back: once it was sent, what was refused of the proof is read again as what had no answer is, until
/// no attempts are left. The cause stays what was refused.
async fn unless_refused<T>(cx: &Cx, guest: &NativeGuest, read: StepResult<T>) -> StepResult<T> {
    let refused = match read {
        Err(StepError::Failed(refused)) => refused,
        other => return other,
    };
    let vmid = guest.place.vmid;
    if cx.sent(Change::Destroy, vmid).await?.did_nothing() {
        return Err(StepError::Failed(refused));
    }
    let more = format!(
        "a destroy of container {vmid} was sent, and that it is gone is not proven: retry looks again"
    );
    Err(StepError::Transient(refused).with_hint(&more))
}

/// Whether there is something to destroy, once everything sent before has ended or can no longer arrive.
async fn still_there(cx: &Cx, guest: &NativeGuest) -> StepResult<bool> {
    let clock = &cx.engine.inner.parts.clock;
    let (began, mut way) = (clock.monotonic(), FreeWay::default());
    loop {
        settle_earlier(cx, guest).await?;
        if matches!(cx.look(guest).await?, Look::Absent) {
            cx.outwait_destroy(&guest.place).await?;
            return Ok(false);
        }
        // What is there is there, also where the one on record has ended.
        let waited_ms = clock.monotonic().since_ms(began);
        let left_ms = cx
            .destroy_late_for_ms(&guest.place, waited_ms, &mut way)
            .await?;
        if left_ms == 0 {
            return Ok(true);
        }
        // The answer to a DELETE was lost, and no task shows that it arrived: it may still.
        cx.pause_ms(left_ms.min(LOOK_EVERY_MS)).await;
    }
}

/// Awaits a destroy that was sent before: by a worker that died, or by a call whose answer was lost. Its verdict counts; a
/// second DELETE goes out only after a person has seen how the first one failed, or if it found the guest not free: PVE
/// says so before it does anything.
async fn settle_earlier(cx: &Cx, guest: &NativeGuest) -> StepResult<()> {
    let place = &guest.place;
    let sent = cx.sent(Change::Destroy, place.vmid).await?;
    let answered = cx.earlier_task(DESTROY_TASK);
    let answered = answered.filter(|upid| !sent.knows(upid));
    let is_answered = answered.is_some();
    let earlier = match answered {
        Some(upid) => Some(upid),
        None => {
            cx.running_task(&place.node, place.vmid, DESTROY_TASK)
                .await?
        }
    };
    let earlier = match earlier {
        Some(upid) => Some(upid),
        None => ended_unseen(cx, guest).await?,
    };
    let Some(upid) = earlier else {
        return Ok(());
    };
    let outcome = cx.await_task(DOING, &upid).await?;
    let is_ours = is_answered || upid.user() == cx.sender();
    match Cx::task_failed(DOING, &outcome) {
        // What somebody else's did not do, one of ours may do yet.
        Some(_) if Cx::did_nothing(&outcome) && !is_ours => Ok(()),
        Some(_) if Cx::did_nothing(&outcome) => cx.settle_void_destroy(place, &upid).await,
        Some(failure) => Err(half_destroyed(failure, upid.as_str())),
        None => Ok(()),
    }
}

/// The task of a DELETE whose answer was lost, if it has ended since, and no person has seen how.
async fn ended_unseen(cx: &Cx, guest: &NativeGuest) -> StepResult<Option<Upid>> {
    let place = &guest.place;
    let sent = cx.sent(Change::Destroy, place.vmid).await?;
    if !sent.is_in_doubt(0) {
        return Ok(None);
    }
    for upid in cx.ended_destroys(place, &sent).await? {
        if !cx.was_seen(&upid) {
            return Ok(Some(upid));
        }
        cx.settle_destroy(place, &upid).await?;
    }
    Ok(None)
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
    let replicated = !replication_jobs(cx, place.vmid).await?.is_empty();
    // This finds the endpoint whose word counts; after the identity it is asked again, for the permit.
    if !has_quorum(cx, guest).await? {
        return Err(refused(&NoPermit::NotQuorate));
    }
    let started = cx.engine.inner.parts.clock.monotonic();
    let config = read
        .lxc_config(&place.node, place.vmid)
        .await
        .map_err(|e| pve_failure("reading the container's configuration", &e))?;
    let seen = crate::cluster::observed(place.clone(), &config, status.ha_managed);
    let seen = ObservedContainer { replicated, ..seen };
    let seen = as_far_as_compared(&guest.clone().into(), seen);
    let verified = guest
        .verify(&seen, started, cx.fence.epoch)
        .map_err(|e| refused(&e))?;
    let quorate = has_quorum(cx, guest).await?;
    verified
        .permit(kind(cx), intent(cx, removal), Quorate(quorate))
        .map_err(|e| refused(&e))
}

async fn has_quorum(cx: &Cx, guest: &NativeGuest) -> StepResult<bool> {
    let membership = view::status(&cx.cluster)
        .await
        .map_err(|e| pve_failure("reading the cluster's status", &e))?;
    Ok(view::has_quorum(&membership, &guest.place.node))
}

/// Why it is destroyed. Whether it is purged too is said by the request on record, and by nothing else.
fn intent(cx: &Cx, removal: Removal) -> DestroyIntent {
    let consent = cx.op.input.get("purge").and_then(Value::as_bool);
    match removal {
        Removal::Requested if consent == Some(true) => DestroyIntent::PurgeRequested(cx.op.id),
        Removal::Requested => DestroyIntent::RemovalRequested(cx.op.id),
        Removal::CreatorUnwinds => DestroyIntent::CreatorUnwinding(cx.op.id),
    }
}

/// What kind of operation asks for the permit: the one that is at work.
#[cfg(not(feature = "bug-switches"))]
fn kind(cx: &Cx) -> OperationKind {
    cx.op.kind
}

/// What kind of operation asks for the permit: the one that is at work, unless a simulation takes that off.
#[cfg(feature = "bug-switches")]
fn kind(cx: &Cx) -> OperationKind {
    if is_off(Guard::Right) {
        OperationKind::Remove
    } else {
        cx.op.kind
    }
}

/// What a simulation has to find with the guard of the right off: a stop that destroys.
#[cfg(feature = "bug-switches")]
pub(crate) async fn destroy_without_right(cx: &Cx) -> StepResult<()> {
    if !is_off(Guard::Right) {
        return Ok(());
    }
    let Some(guest) = cx.guest().await? else {
        return Ok(());
    };
    lift_protection(cx, &guest).await?;
    destroy_once(cx, &guest, Removal::Requested).await
}

fn refused(why: &NoPermit) -> StepError {
    let failure = |code: &str, hint: &str| Failure::new(code, why.to_string(), hint);
    match why {
        NoPermit::Conflict(_)
        | NoPermit::StillNeeded(_)
        | NoPermit::NotThisOperation { .. }
        | NoPermit::NotTheCreator { .. } => StepError::Failed(failure(
            "identity_conflict",
            "nothing was destroyed; compare the container with the app's record and decide by hand",
        )),
        NoPermit::HaManaged(_) => StepError::Failed(failure("ha_managed", HA_HINT)),
        NoPermit::Replicated(_) => StepError::Failed(failure("ha_managed", REPLICATION_HINT)),
        // Nothing was sent: it is waited for as a lock that PVE finds at a call.
        NoPermit::Locked { .. } => StepError::Transient(failure(
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
        "it may have been migrated in this moment; retry looks for it and goes on where it is",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long is waited in all, and how often is read, where each read says that another node has it, or else that it is listed.
    fn waited(is_contradicted: bool) -> (u64, u32) {
        let (mut waited_ms, mut reads) = (0, 1);
        loop {
            let contradicted = if is_contradicted { reads } else { 0 };
            let Some(pause_ms) = until_next(waited_ms, contradicted) else {
                return (waited_ms, reads);
            };
            waited_ms += pause_ms;
            reads += 1;
        }
    }

    #[test]
    fn one_list_is_read_often_and_those_of_all_nodes_a_few_times() {
        assert_eq!(waited(false), (LISTED_MS, 67));
        assert_eq!(waited(true), (LISTED_MS, 9));
        assert_eq!(until_next(LISTED_MS + 1, 1), None);
    }
}
