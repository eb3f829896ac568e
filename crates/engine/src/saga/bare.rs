//! A container that an operation has unprotected for a destroy and not protected again: whoever waits for that operation is told,
//! also where nothing can be looked at any more.

use proximity_domain::failure::Failure;
use proximity_domain::guest::NativeGuest;
use proximity_domain::ids::OperationId;
use proximity_domain::saga::StepState;
use proximity_store::Store;
use proximity_store::error::StoreError;
use serde_json::Value;

use super::sent::{Change, Sent};

/// What is told of it in the next step.
pub(crate) const BARE: &str = "its protection in PVE was lifted for the destroy";
/// How a removal that turns back tells of it; the container's number follows.
pub(crate) const HAD_LIFTED: &str = "the removal had lifted the protection of container";

/// The key of a step's intent that says how many of its lifts it has taken back.
pub(crate) const PUT_BACK: &str = "put_back";

/// How many of its lifts a step with this intent has taken back.
pub(crate) fn taken_back(intent: &Value) -> usize {
    let noted = intent[PUT_BACK].as_u64();
    noted.map_or(0, |noted| usize::try_from(noted).unwrap_or(usize::MAX))
}

/// The failure of an operation that is left for now, with that in its next step where it is so and not said there yet. Reads the
/// record alone.
///
/// # Errors
/// The database's.
pub(crate) async fn with_bare(
    store: &Store,
    operation: OperationId,
    failure: Failure,
) -> Result<Failure, StoreError> {
    if says_so(&failure.hint) || !may_be_bare(store, operation).await? {
        return Ok(failure);
    }
    Ok(Failure {
        hint: format!("{}; {BARE}", failure.hint),
        ..failure
    })
}

/// An empty next step is a simulation's, which has to find it.
fn says_so(hint: &str) -> bool {
    hint.is_empty() || hint.contains(BARE) || hint.contains(HAD_LIFTED)
}

/// Whether a call of the operation has lifted the protection of a container that is still on record, or may have, and that was not
/// taken back.
async fn may_be_bare(store: &Store, operation: OperationId) -> Result<bool, StoreError> {
    let Some(record) = store.operation(operation).await? else {
        return Ok(false);
    };
    let guests = store.native_guests(record.app).await?;
    if guests.is_empty() {
        return Ok(false);
    }
    for step in store.steps(operation).await? {
        // What is undone put back what it had lifted.
        if step.state == StepState::UndoFinished {
            continue;
        }
        let audited = store.mutations(operation, step.index).await?;
        let lifts = |guest: &NativeGuest| {
            let vmid = guest.place.vmid;
            Sent::of(Change::Unprotect, vmid, &audited, &step.intent).effective()
        };
        let back = taken_back(&step.intent);
        if guests.iter().any(|guest| lifts(guest) > back) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_taken_back_is_counted_and_nothing_is_none() {
        assert_eq!(taken_back(&Value::Null), 0);
        assert_eq!(taken_back(&json!({ "settled": [] })), 0);
        assert_eq!(taken_back(&json!({ "put_back": 2 })), 2);
    }

    #[test]
    fn it_is_said_once() {
        assert!(says_so(&format!("retry; {BARE}")));
        assert!(says_so(&format!("retry; {HAD_LIFTED} 100 in PVE")));
        assert!(!says_so("retry"));
    }
}
