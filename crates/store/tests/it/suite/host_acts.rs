//! What is done at a host outside of any operation.

use proximity_domain::ids::HostId;
use uuid::Uuid;

use super::world::{Make, World};

pub async fn are_audited_one_by_one(make: &impl Make) {
    let world = World::new(make).await;
    let before = world.audit(100, 0).await.len();
    for change in ["create role a", "create user b"] {
        let at = world.at();
        world
            .store
            .note_host_act("elsewhere", "host.init", change, &world.actor, at)
            .await
            .unwrap();
    }
    let entries = world.audit(100, 0).await.split_off(before);
    let told: Vec<(&str, &str, &str)> = entries
        .iter()
        .map(|e| {
            let change = e.details["change"].as_str().unwrap();
            (e.action.as_str(), e.target.as_str(), change)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("host.init", "elsewhere", "create role a"),
            ("host.init", "elsewhere", "create user b"),
        ]
    );
    assert_eq!(entries[0].account, world.actor.account);
    world.assert_sound().await;
}

pub async fn need_no_host_that_nobody_uses(make: &impl Make) {
    let mut world = World::new(make).await;
    let host = world.host_record("second");
    world
        .store
        .add_host(host.clone(), &world.actor, world.at())
        .await
        .unwrap();
    assert_eq!(world.store.host_users(host.id).await.unwrap(), 0);
    let unknown = HostId(Uuid::from_u128(9));
    assert_eq!(world.store.host_users(unknown).await.unwrap(), 0);
    world.create("web").await;
    let used = world.store.host_users(world.host).await.unwrap();
    assert_eq!(used, 1);
}
