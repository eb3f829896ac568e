//! People who insist: an operation that waits for somebody's word, because looks were not answered, is told to go on, and one that
//! gave up for the same reason is asked for again.

use std::collections::BTreeMap;
use std::time::Duration;

use proximity_domain::ids::OperationId;
use proximity_domain::operation::OperationState;
use proximity_engine::engine::Engine;
use proximity_store::records::OperationRecord;
use proximity_store::views::OperationFilter;
use proximity_store::{Store, StoreError};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::cluster::SimCluster;
use super::perform::person;

/// How often somebody who insists asks again, and after which time.
pub(super) const INSISTS: u32 = 3;
pub(super) const AGAIN: Duration = Duration::from_secs(10);

/// What an operation gives up with that had no answer as often as it asks, or one so late that its permit had run out.
const SILENCE: [&str; 3] = ["pve_unreachable", "pve_node_unreachable", "permit_expired"];

/// Looks for operations that are stuck, or gave up without an answer, and has each go on, a few times at most; returns when the
/// process stops. How many needed it is counted.
pub(super) async fn run(
    engine: Engine,
    store: Store,
    cluster: SimCluster,
    stop: CancellationToken,
) {
    let mut said: BTreeMap<OperationId, u32> = BTreeMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(AGAIN) => {}
        }
        // Whoever cannot read asks again.
        let Ok(waiting) = waiting(&store).await else {
            continue;
        };
        for operation in waiting {
            let times = said.entry(operation.id).or_default();
            if *times == INSISTS {
                continue;
            }
            cluster.lock().told_on += u64::from(*times == 0);
            *times += 1;
            let done = engine.retry_operation(&person(), operation.id).await;
            let answer =
                done.map_or_else(|e| e.code().to_owned(), |op| op.state.label().to_owned());
            cluster.trace.say(format_args!(
                "person: go on with {}: {answer}",
                operation.id
            ));
        }
    }
}

/// What needs a person's word.
async fn waiting(store: &Store) -> Result<Vec<OperationRecord>, StoreError> {
    let of = |state: &str| OperationFilter {
        state: Some(state.to_owned()),
        ..OperationFilter::default()
    };
    let mut waiting = store.operations(of("stuck")).await?;
    for failed in store.operations(of("failed")).await? {
        let OperationState::Failed { failure } = &failed.state else {
            continue;
        };
        let newest = OperationFilter {
            app: Some(failed.app),
            limit: 1,
            ..OperationFilter::default()
        };
        let newest = store.operations(newest).await?;
        let is_newest = newest.first().is_some_and(|it| it.id == failed.id);
        if is_newest && SILENCE.contains(&failure.code.as_str()) {
            waiting.push(failed);
        }
    }
    Ok(waiting)
}
