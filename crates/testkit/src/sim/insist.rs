//! People who insist: an operation that waits for somebody's word, because looks were not answered, is told to go on.

use std::collections::BTreeMap;
use std::time::Duration;

use proximity_domain::ids::OperationId;
use proximity_engine::engine::Engine;
use proximity_store::Store;
use proximity_store::views::OperationFilter;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::cluster::SimCluster;
use super::perform::person;

/// How often somebody who insists asks again, and after which time.
pub(super) const INSISTS: u32 = 3;
pub(super) const AGAIN: Duration = Duration::from_secs(10);

/// Looks for operations that are stuck, and has each go on, a few times at most; returns when the process stops. How many needed it is
/// counted.
pub(super) async fn run(
    engine: Engine,
    store: Store,
    cluster: SimCluster,
    stop: CancellationToken,
) {
    let mut said: BTreeMap<OperationId, u32> = BTreeMap::new();
    let filter = OperationFilter {
        state: Some("stuck".to_owned()),
        ..OperationFilter::default()
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(AGAIN) => {}
        }
        // Whoever cannot read asks again.
        let Ok(stuck) = store.operations(filter.clone()).await else {
            continue;
        };
        for operation in stuck {
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
