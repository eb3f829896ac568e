//! Makes the root file system of a container of ours larger. Nobody makes one smaller again: the undo says so, and records the
//! size that is there.

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_domain::guest::NativeGuest;
use proximity_domain::plan::size_text;
use proximity_domain::recorded::RecordedGuest;
use proximity_domain::saga::StepRecord;
use proximity_domain::update::{DiskStep, disk_step, recorded_after_undo};
use proximity_pve::lxc::LxcConfig;
use proximity_store::effects::{AppChange, Effects};
use proximity_store::records::LogLevel;
use serde_json::{Value, json};

use super::configuration::{digest_of, disk_bytes, read};
use super::set_limits::{left_behind, must_be};
use crate::commands::UpdateInput;
use crate::saga::{Change, Cx, Done, Look, StepAction, StepError, StepResult};

const DOING: &str = "growing the root file system";
/// PVE's name for the task.
const TASK: &str = "resize";

pub(crate) struct GrowDisk;

#[async_trait]
impl StepAction for GrowDisk {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        let input = UpdateInput::of(cx)?;
        let Some(wanted) = input.resources.disk_gib else {
            return Ok(Done::nothing());
        };
        let guest = cx.must_have_guest().await?;
        await_resize(cx, &guest).await?;
        let guest = RecordedGuest::Native(guest);
        cx.must_be_ours(&guest).await?;
        let config = read(cx, &guest).await?;
        let now = match disk_step(size_of(&config)?, Some(wanted)) {
            DiskStep::Nothing => size_of(&config)?,
            DiskStep::Shrinks => return Err(shrinks(size_of(&config)?)),
            DiskStep::Grows { to_gib } => grow(cx, &guest, to_gib, &config, &input).await?,
        };
        Done::with(&json!({ "rootfs": size_text(now) }))
    }

    async fn undo(&self, cx: &Cx, row: &StepRecord) -> StepResult<Effects> {
        let Some(guest) = cx.guest().await? else {
            return Ok(Effects::default());
        };
        let sent = cx.sent(Change::Grow, guest.place.vmid).await?;
        if sent.did_nothing() {
            return Ok(Effects::default());
        }
        if sent.is_in_doubt(usize::from(row.upid.is_some())) {
            // Until then it may still come, and what is read would not be what stays.
            let late_ms = cx.limits().destroy_late_ms;
            cx.pause_ms(sent.late_for_ms(cx.now(), late_ms)).await;
        }
        await_resize(cx, &guest).await?;
        let guest = RecordedGuest::Native(guest);
        match cx.look(&guest).await? {
            Look::Ours { .. } => as_it_is(cx, &guest).await,
            Look::Absent | Look::BeingCreated | Look::Foreign(_) | Look::Stranger(_) => {
                Ok(Effects {
                    log: vec![cx.line(LogLevel::Warning, UNKNOWN)],
                    ..Effects::default()
                })
            }
        }
    }
}

/// What is said where the container cannot be asked.
const UNKNOWN: &str = "Whether the root file system has grown is not known: the container on record is not there, or another one is";

/// Waits for a resize that runs: our own of before a crash, or somebody's.
async fn await_resize(cx: &Cx, guest: &NativeGuest) -> StepResult<()> {
    let place = &guest.place;
    if let Some(upid) = cx.running_task(&place.node, place.vmid, TASK).await? {
        cx.await_task(DOING, &upid).await?;
    }
    Ok(())
}

/// Sends the call, and gives the size that was read back.
async fn grow(
    cx: &Cx,
    guest: &RecordedGuest,
    to_gib: u32,
    config: &LxcConfig,
    input: &UpdateInput,
) -> StepResult<u64> {
    must_be(config, left_behind(cx).as_ref().unwrap_or(&input.digest))?;
    let outcome = cx
        .grow_rootfs(guest.place(), to_gib, digest_of(config)?)
        .await?;
    let now = size_of(&read(cx, guest).await?)?;
    match (
        disk_step(now, Some(to_gib)),
        Cx::unless_ended_well(DOING, &outcome),
    ) {
        (DiskStep::Grows { .. }, Some(error)) => Err(error),
        (DiskStep::Grows { .. }, None) => Err(not_seen(now, to_gib)),
        (DiskStep::Nothing | DiskStep::Shrinks, _) => Ok(now),
    }
}

/// What is on record now: the size that is there.
async fn as_it_is(cx: &Cx, guest: &RecordedGuest) -> StepResult<Effects> {
    let now = size_of(&read(cx, guest).await?)?;
    let wanted = UpdateInput::of(cx)?.resources.disk_gib;
    let resources = recorded_after_undo(cx.app.resources, wanted, now);
    if resources == cx.app.resources {
        return Ok(Effects::default());
    }
    let line = format!(
        "The root file system had grown to {} already, and none is ever made smaller: that is its size on record now",
        size_text(now)
    );
    Ok(Effects {
        change: Some(AppChange {
            resources,
            settings: None,
            entry: None,
        }),
        log: vec![cx.line(LogLevel::Warning, line)],
        ..Effects::default()
    })
}

fn size_of(config: &LxcConfig) -> StepResult<u64> {
    disk_bytes(config).ok_or_else(|| {
        StepError::Failed(Failure::new(
            "view_incomplete",
            "the size of the root file system is not in the container's configuration",
            "let PVE write it down on its node with: pct rescan --vmid VMID; then ask for it again",
        ))
    })
}

fn shrinks(now: u64) -> StepError {
    StepError::Failed(Failure::new(
        "needs_replacement",
        format!(
            "the root file system is {} now, and none is ever made smaller",
            size_text(now)
        ),
        "ask for that size or more; to have a smaller one, remove the app and deploy it again",
    ))
}

fn not_seen(now: u64, to_gib: u32) -> StepError {
    StepError::Failed(Failure::new(
        "update_not_seen",
        format!(
            "PVE's task ended well, and the root file system reads back as {} instead of {to_gib}G",
            size_text(now)
        ),
        "read the task's log in PVE, then ask for it again",
    ))
}
