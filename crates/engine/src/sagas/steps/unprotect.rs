//! Lifts PVE's protection for a removal, by compare-and-swap; the undo puts back what this operation lifted, and reads it back.

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_domain::guest::NativeGuest;
use proximity_domain::ids::Vmid;
use proximity_domain::saga::StepRecord;
use proximity_store::effects::Effects;
use proximity_store::records::LogLevel;
use serde_json::{Value, json};

use super::destroy::lift_protection;
use crate::saga::{Change, Cx, Done, Look, StepAction, StepError, StepResult};

/// The step's name in the table.
pub(crate) const NAME: &str = "unprotect";

pub(crate) struct Unprotect;

#[async_trait]
impl StepAction for Unprotect {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        let Some(guest) = cx.guest().await? else {
            return Ok(Done::nothing());
        };
        if matches!(cx.look(&guest).await?, Look::Absent) {
            return Ok(Done::nothing());
        }
        lift_protection(cx, &guest).await?;
        Ok(Done {
            output: json!({ "lifted": has_lifted(cx, guest.place.vmid).await? }).into(),
            effects: Effects::default(),
        })
    }

    /// Whoever found the container without its protection, or took it away meanwhile, wants it so: only a lift of this step is
    /// taken back. Whether one was sent is in the audit, committed before it left, so a crash in between loses nothing.
    async fn undo(&self, cx: &Cx, _row: &StepRecord) -> StepResult<Effects> {
        let Some(guest) = cx.guest().await? else {
            return Ok(Effects::default());
        };
        if has_lifted(cx, guest.place.vmid).await? {
            protect_again(cx, &guest).await
        } else {
            Ok(Effects::default())
        }
    }
}

/// Whether a call of this step has lifted the protection, or may have.
pub(super) async fn has_lifted(cx: &Cx, vmid: Vmid) -> StepResult<bool> {
    Ok(!cx.sent(Change::Unprotect, vmid).await?.did_nothing())
}

/// Protects it again; ends well only when that was read back, or there is nothing of ours to protect any more.
async fn protect_again(cx: &Cx, guest: &NativeGuest) -> StepResult<Effects> {
    let vmid = guest.place.vmid;
    let sent = cx.sent(Change::Unprotect, vmid).await?;
    if sent.is_in_doubt(0) {
        // Protected again it shows the digest of before: a lift whose answer was lost would still be taken.
        let late_ms = cx.limits().destroy_late_ms;
        cx.pause_ms(sent.late_for_ms(cx.now(), late_ms)).await;
    }
    let bare = format!(
        "the removal had lifted the protection of container {vmid} in PVE, and has not put it back"
    );
    let told = |e: StepError| e.with_hint(&bare);
    let seen = match cx.look(guest).await.map_err(told)? {
        Look::Ours { seen, .. } if seen.protection => return Ok(Effects::default()),
        Look::Ours { seen, .. } => seen,
        Look::Foreign(f) => return Err(StepError::Failed(f).with_hint(&bare)),
        Look::Absent | Look::BeingCreated | Look::Stranger(_) => return Ok(Effects::default()),
    };
    cx.protect_lxc(&seen.place, true, &seen.digest)
        .await
        .map_err(told)?;
    let (again, _) = cx.must_be_ours(guest).await.map_err(told)?;
    if !again.protection {
        let failure = Failure::new(
            "not_protected",
            format!("container {vmid} was protected again, and does not show it"),
            "somebody may be changing its options at the same time; decide with them, then retry",
        );
        return Err(StepError::Transient(failure).with_hint(&bare));
    }
    Ok(Effects {
        log: vec![cx.line(
            LogLevel::Info,
            format!("Container {vmid} is protected again"),
        )],
        ..Effects::default()
    })
}
