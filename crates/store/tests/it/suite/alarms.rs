//! Alarms about containers: each is raised once, and ended once.

use proximity_domain::event::EventKind;
use proximity_store::alarms::{Alarm, AlarmKey, AlarmKind};

use super::observation::event;
use super::orphans::orphan;
use super::world::{Make, World};

pub async fn are_raised_once_and_ended_once(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = world.deployed("web", 101).await;
    let alarm = Alarm {
        key: AlarmKey {
            guest: guest.id,
            kind: AlarmKind::Conflict,
            host: world.host,
            vmid: guest.place.vmid,
        },
        why: "its mark is another one".to_owned(),
        since: world.at(),
    };
    let of_kind = |kind| Alarm {
        key: AlarmKey { kind, ..alarm.key },
        ..alarm.clone()
    };
    let (pool, twin) = (of_kind(AlarmKind::Pool), of_kind(AlarmKind::Twin));
    world.store.journal_numbered().await.unwrap();
    let newest = world.store.newest_event().await.unwrap();
    let store = world.store.clone();
    let told = event(EventKind::GuestConflicted);
    assert!(store.raise_alarm(&alarm, app.id, &told).await.unwrap());
    assert!(!store.raise_alarm(&alarm, app.id, &told).await.unwrap());
    let other = event(EventKind::GuestTwinFound);
    assert!(store.raise_alarm(&twin, app.id, &other).await.unwrap());
    let entered = event(EventKind::AdoptedEnteredPool);
    for is_first in [true, false] {
        let raised = store.raise_alarm(&pool, app.id, &entered).await.unwrap();
        assert_eq!(raised, is_first);
    }
    let all = [alarm.clone(), pool.clone(), twin.clone()];
    assert_eq!(store.alarms().await.unwrap(), all);
    let over = event(EventKind::GuestConflictEnded);
    let said = Some((app.id, &over));
    assert!(store.end_alarm(&alarm.key, said, world.at()).await.unwrap());
    assert!(!store.end_alarm(&alarm.key, said, world.at()).await.unwrap());
    let left = event(EventKind::AdoptedLeftPool);
    let said = Some((app.id, &left));
    assert!(store.end_alarm(&pool.key, said, world.at()).await.unwrap());
    assert!(!store.end_alarm(&pool.key, said, world.at()).await.unwrap());
    assert!(store.end_alarm(&twin.key, None, world.at()).await.unwrap());
    assert_eq!(store.alarms().await.unwrap(), []);
    let kinds: Vec<EventKind> = world
        .events(newest, 10)
        .await
        .iter()
        .map(|e| e.2.kind)
        .collect();
    assert_eq!(
        kinds,
        [
            EventKind::GuestConflicted,
            EventKind::GuestTwinFound,
            EventKind::AdoptedEnteredPool,
            EventKind::GuestConflictEnded,
            EventKind::AdoptedLeftPool
        ]
    );
    let found = orphan(&world, &app, &guest);
    assert!(store.archive_orphan(&found, world.at()).await.unwrap());
    assert!(
        !store.raise_alarm(&alarm, app.id, &told).await.unwrap(),
        "its guest is gone"
    );
    world.assert_sound().await;
}
