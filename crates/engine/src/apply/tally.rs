//! What applies ended in the last hour, for the mass brake.

use proximity_domain::apply::ChangeState;
use proximity_domain::plan::Act;
use proximity_domain::time::Timestamp;
use proximity_store::Reader;
use proximity_store::applies::ApplyRecord;
use proximity_store::error::StoreError;

/// So many applies are looked at: as many as the store gives at once.
const MOST: u32 = 1_000;

/// How many records were ended by applies since then.
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
        let ended = changes.iter().filter(|change| {
            let is_late = change.ended_at.is_some_and(|at| at > from);
            is_late && change.state == ChangeState::Done && removes(change.act)
        });
        removed += ended.count() as u64;
    }
    Ok(removed)
}

/// Something of it may have happened since then.
fn reaches(apply: &ApplyRecord, from: Timestamp) -> bool {
    apply.ended_at.is_none_or(|at| at > from)
}

fn removes(act: Act) -> bool {
    match act {
        Act::Replace | Act::Forget | Act::Destroy => true,
        Act::Create | Act::Update | Act::Adopt | Act::NoOp => false,
    }
}
