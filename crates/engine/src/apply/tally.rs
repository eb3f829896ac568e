//! What applies ended in the last hour or are about to end, for the mass brake.

use proximity_domain::apply::ChangeState;
use proximity_domain::plan::Act;
use proximity_domain::time::Timestamp;
use proximity_store::Reader;
use proximity_store::applies::{ApplyChange, ApplyRecord};
use proximity_store::error::StoreError;

/// So many applies are looked at: as many as the store gives at once.
const MOST: u32 = 1_000;

/// How many records were ended by applies since then, with those that one which is under way ends: two that are begun side by side are
/// not let pass where one would be stopped.
///
/// # Errors
/// The store's.
pub(crate) async fn removed_after(reader: &Reader, from: Timestamp) -> Result<u64, StoreError> {
    let mut removed = 0;
    for apply in reader.applies(None, MOST).await? {
        if !reaches(&apply, from) {
            continue;
        }
        let changes = reader.apply_changes(apply.id).await?;
        let ended = changes.iter();
        let ended = ended.filter(|change| removes(change.act) && ends(change, from));
        removed += ended.count() as u64;
    }
    Ok(removed)
}

/// Something of it may have happened since then.
fn reaches(apply: &ApplyRecord, from: Timestamp) -> bool {
    apply.ended_at.is_none_or(|at| at > from)
}

/// Its record has ended since then, or will.
fn ends(change: &ApplyChange, from: Timestamp) -> bool {
    let is_late = change.ended_at.is_some_and(|at| at > from);
    match change.state {
        ChangeState::Waiting | ChangeState::Started => true,
        ChangeState::Done => is_late,
        // One that is replaced may have ended, though another one was not made.
        ChangeState::Failed => is_late && change.act == Act::Replace && change.operation.is_some(),
        ChangeState::HeldUp | ChangeState::NotStarted | ChangeState::Quiet => false,
    }
}

fn removes(act: Act) -> bool {
    match act {
        Act::Replace | Act::Forget | Act::Destroy => true,
        Act::Create | Act::Update | Act::Adopt | Act::NoOp => false,
    }
}
