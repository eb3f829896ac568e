//! Another number for a container whose own was lost, or was to be a clone's that came to nothing.

use proximity_domain::failure::Failure;
use proximity_domain::guest::NativeGuest;
use proximity_domain::ids::Vmid;
use proximity_store::effects::{Effects, GuestChange};
use proximity_store::error::StoreError;
use proximity_store::records::LogLevel;
use serde_json::{Value, json};

use super::reserve_vmid::{choose_vmid, new_guest};
use crate::saga::{Cx, StepError, StepResult, crowded};

/// How many numbers in a row may be lost to somebody else.
const NUMBERS: usize = 8;
/// How often a number is chosen anew because another operation of ours reserved it in the meantime.
const RESERVATIONS: u32 = 16;

/// What became of a number that somebody else has.
pub(super) fn was_taken(how: &str) -> String {
    format!("was taken by another guest in the meantime ({how}); it is left alone")
}

/// What became of the number of a clone that was not made.
pub(super) fn was_not_cloned(how: &str) -> String {
    format!(
        "was to be a clone of a prepared template, and is none ({how}); the container is made from the OS template"
    )
}

/// Gives up the number of `lost`, commits another one as the step's intent, and gives that intent: with that one nothing is cloned. The
/// text says what became of the number.
///
/// The identity row of the old number is retired in the same commit; when there is no other number it is retired all the
/// same, for what is there is not ours.
pub(super) async fn choose_again(
    cx: &Cx,
    intent: Value,
    lost: Option<(NativeGuest, String)>,
) -> StepResult<Value> {
    let mut taken: Vec<Vmid> = serde_json::from_value(intent["taken"].clone()).unwrap_or_default();
    let mut effects = Effects::default();
    if let Some((guest, how)) = lost {
        taken.push(guest.place.vmid);
        effects.guests.push(GuestChange::Gone { guest: guest.id });
        let text = format!("VMID {} {how}", guest.place.vmid);
        effects.log.push(cx.line(LogLevel::Warning, text));
    }
    let failure = match reserve(cx, &intent, &taken, &effects).await {
        Ok(intent) => return Ok(intent),
        Err(StepError::Failed(failure)) => failure,
        Err(other) => return Err(other),
    };
    cx.store().note(&cx.fence, effects, cx.now()).await?;
    Err(StepError::Failed(failure))
}

/// Commits a new number, beside `effects`.
async fn reserve(cx: &Cx, intent: &Value, taken: &[Vmid], effects: &Effects) -> StepResult<Value> {
    if taken.len() >= NUMBERS {
        let numbers: Vec<String> = taken.iter().map(ToString::to_string).collect();
        return Err(StepError::Failed(Failure::new(
            "vmid_taken",
            format!(
                "{} VMIDs in a row were taken by others at the same moment: {}",
                taken.len(),
                numbers.join(", ")
            ),
            "another program creates guests as fast; give Proximity a range of its own \
             (proximity hosts set LABEL --vmids FIRST-LAST), then retry",
        )));
    }
    for _ in 0..RESERVATIONS {
        let chosen = choose_vmid(cx, taken).await?;
        let guest = new_guest(cx, chosen.vmid());
        let next = json!({
            "ostemplate": intent["ostemplate"],
            "image": intent["image"],
            "taken": taken,
            "vmid": guest.place.vmid,
            "base": intent["base"],
        });
        let mut effects = effects.clone();
        effects.guests.push(GuestChange::Insert(guest));
        let begun = cx
            .store()
            .begin_step(
                &cx.fence,
                cx.step_index(),
                cx.step_name(),
                next.clone(),
                effects,
                cx.now(),
            )
            .await;
        match begun {
            Ok(()) => {
                cx.reload().await.map_err(StepError::Halt)?;
                return Ok(next);
            }
            Err(StoreError::Exists { .. }) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Err(StepError::Transient(crowded()))
}
