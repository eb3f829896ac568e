//! What has expired goes though nobody asks for anything.
#![allow(clippy::unwrap_used)] // helpers of tests may fail the test

use proximity_domain::ids::HostId;
use proximity_domain::time::{Clock, Timestamp};
use proximity_engine::housekeeping;
use proximity_pve_emulator::core::Access;
use proximity_store::records::{HostRecord, RequestKey};
use proximity_testkit::sources::RealClock;
use proximity_testkit::world::TestWorld;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const DAY_MS: i64 = 86_400_000;

/// Adds a host entry under a key `at_ms` from now, and keeps house once. Gives how many keys a look at `later_ms` from now still forgets.
async fn left(at_ms: i64, later_ms: i64) -> u64 {
    let w = TestWorld::start(Access::Full).await.unwrap();
    let now = RealClock.now().0;
    let host = w.store.hosts().await.unwrap().remove(0);
    let spare = HostRecord {
        id: HostId(Uuid::from_u128(77)),
        label: "spare".parse().unwrap(),
        cluster_key: "node:elsewhere".to_owned(),
        ..host
    };
    let key = RequestKey {
        key: "k".to_owned(),
        fingerprint: "f".to_owned(),
    };
    let at = Timestamp(now + at_ms);
    let added = w.store.add_host_once(spare, Some(key), &w.actor, at);
    added.await.unwrap();
    let ended = CancellationToken::new();
    ended.cancel();
    housekeeping::run(w.engine.clone(), ended).await;
    let later = Timestamp(now + later_ms);
    w.store.forget_old_requests(later).await.unwrap()
}

#[tokio::test]
async fn keys_of_requests_are_forgotten_after_a_day_and_not_before() {
    assert_eq!(left(-DAY_MS - 60_000, 0).await, 0, "it is gone already");
    assert_eq!(left(-DAY_MS + 600_000, 2 * DAY_MS).await, 1, "it was kept");
}
