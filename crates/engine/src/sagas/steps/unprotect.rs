//! Lifts PVE's protection for a removal, by compare-and-swap; the undo puts back what this operation lifted, and reads it back.

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_domain::guest::NativeGuest;
use proximity_domain::ids::Vmid;
use proximity_domain::saga::StepRecord;
use proximity_store::effects::{Effects, NewLogLine};
use proximity_store::records::LogLevel;
use serde_json::{Value, json};

use super::destroy::lift_protection;
use crate::saga::{
    BARE, Change, Cx, Done, HAD_LIFTED, Look, PUT_BACK, StepAction, StepError, StepResult,
    taken_back,
};

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
        if !has_lifted(cx, guest.place.vmid).await? {
            return Ok(Effects::default());
        }
        let log = match protect_again(cx, &guest).await? {
            Back::Put => vec![protected_again(cx, guest.place.vmid)],
            Back::There | Back::Nothing => Vec::new(),
        };
        Ok(Effects {
            log,
            ..Effects::default()
        })
    }
}

/// What came of protecting a container again.
enum Back {
    /// It is protected again, as was read back.
    Put,
    /// It was: somebody else did it.
    There,
    /// There is nothing of ours to protect any more.
    Nothing,
}

/// Protects the container again that the step at work had unprotected for a destroy that waits for a person now. Once per lift:
/// whoever takes the protection away while it waits wants it so. Gives what is to be said where it is not put back.
pub(super) async fn put_back(cx: &Cx, guest: NativeGuest) -> StepResult<Option<String>> {
    let vmid = guest.place.vmid;
    let lifts = cx.sent(Change::Unprotect, vmid).await?.effective();
    let intent = cx.row().map_or(Value::Null, |row| row.intent);
    if lifts <= taken_back(&intent) {
        return Ok(None);
    }
    match protect_in_the_end(cx, guest).await {
        Ok(Back::Put) => cx.note_line(protected_again(cx, vmid)).await?,
        Ok(Back::There) => {}
        Ok(Back::Nothing) => return Ok(None),
        Err(error @ (StepError::Halt(_) | StepError::Cancelled)) => return Err(error),
        Err(error) => return Ok(error.into_failure().map(|why| still_bare(&why))),
    }
    note_taken_back(cx, lifts).await?;
    Ok(None)
}

/// Protects it again, in as many attempts as an operation has, for nothing comes back to it before a person does. Each reads the
/// guest anew: one that was moved is recorded in its new place by the look that finds it there, and that look fails.
async fn protect_in_the_end(cx: &Cx, mut guest: NativeGuest) -> StepResult<Back> {
    let mut attempt = 1;
    loop {
        let error = match protect_again(cx, &guest).await {
            Err(error @ (StepError::Transient(_) | StepError::Uncertain(_))) => error,
            ended => return ended,
        };
        let Some(wait_ms) = cx.limits().retry.wait_ms(attempt, 0) else {
            return Err(error);
        };
        cx.pause_ms(wait_ms).await;
        attempt += 1;
        match cx.guest().await? {
            Some(anew) if anew.id == guest.id => guest = anew,
            Some(_) | None => return Ok(Back::Nothing),
        }
    }
}

fn still_bare(why: &Failure) -> String {
    format!("{BARE}, and is not put back: {}", why.message)
}

async fn note_taken_back(cx: &Cx, lifts: usize) -> StepResult<()> {
    let mut intent = cx.row().map_or(Value::Null, |row| row.intent);
    if !intent.is_object() {
        intent = json!({});
    }
    intent[PUT_BACK] = json!(lifts);
    let (index, now) = (cx.step_index(), cx.now());
    cx.store()
        .amend_intent(&cx.fence, index, intent, now)
        .await?;
    cx.reload().await.map_err(StepError::Halt)
}

fn protected_again(cx: &Cx, vmid: Vmid) -> NewLogLine {
    let text = format!("Container {vmid} is protected again");
    cx.line(LogLevel::Info, text)
}

/// Whether a call of this step has lifted the protection, or may have.
async fn has_lifted(cx: &Cx, vmid: Vmid) -> StepResult<bool> {
    Ok(!cx.sent(Change::Unprotect, vmid).await?.did_nothing())
}

/// Protects it again; ends well only when that was read back, or there is nothing of ours to protect any more.
async fn protect_again(cx: &Cx, guest: &NativeGuest) -> StepResult<Back> {
    let vmid = guest.place.vmid;
    let sent = cx.sent(Change::Unprotect, vmid).await?;
    if sent.is_in_doubt(0) {
        // Protected again it shows the digest of before: a lift whose answer was lost would still be taken.
        let free_ms = cx.limits().destroy_late_ms;
        cx.outwait(&sent, &guest.place, free_ms).await;
    }
    let bare = format!("{HAD_LIFTED} {vmid} in PVE, and has not put it back");
    let told = |e: StepError| e.with_hint(&bare);
    let seen = match cx.look(guest).await.map_err(told)? {
        Look::Ours { seen, .. } if seen.protection => return Ok(Back::There),
        Look::Ours { seen, .. } => seen,
        Look::Foreign(f) => return Err(StepError::Failed(f).with_hint(&bare)),
        Look::Absent | Look::BeingCreated | Look::Stranger(_) => return Ok(Back::Nothing),
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
    Ok(Back::Put)
}
