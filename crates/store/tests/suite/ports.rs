//! Who gets which ports, and when one is free again.

use proximity_domain::ports::{PortPair, PortRange};
use proximity_store::StoreError;

use super::world::{Make, REST_MS, Shape, World};

fn shape(public: (u16, u16), internal: (u16, u16)) -> Shape {
    let range = |(first, last)| PortRange { first, last };
    Shape {
        public: range(public),
        internal: range(internal),
    }
}

pub async fn the_longest_free_is_taken(make: &impl Make) {
    let mut world = World::shaped(make, shape((10, 12), (20, 22))).await;
    let (a, guest_a) = world.deployed("app-a", 101).await;
    let (b, guest_b) = world.deployed("app-b", 102).await;
    assert_eq!(
        a.ports,
        Some(PortPair {
            public: 10,
            internal: 20
        })
    );
    assert_eq!(
        b.ports,
        Some(PortPair {
            public: 11,
            internal: 21
        })
    );
    world.pass(1);
    world.removed(&b, guest_b.id, false).await;
    world.pass(1);
    world.removed(&a, guest_a.id, false).await;
    let freed: Vec<u16> = world
        .store
        .ports()
        .await
        .unwrap()
        .freed
        .iter()
        .map(|f| f.port)
        .collect();
    assert_eq!(freed, [11, 21, 10, 20], "longest-free first");
    let mut given = Vec::new();
    for name in ["app-c", "app-d", "app-e"] {
        given.push(world.create(name).await.ports.unwrap().public);
    }
    assert_eq!(given, [12, 11, 10], "never used, then longest free");
    let view = world.store.ports().await.unwrap();
    assert_eq!((view.held.len(), view.freed.len()), (3, 0));
    world.assert_sound().await;
}

pub async fn of_an_orphan_rest(make: &impl Make) {
    let mut world = World::shaped(make, shape((10, 10), (20, 20))).await;
    let (a, guest) = world.deployed("app-a", 101).await;
    world.removed(&a, guest.id, true).await;
    let until = world.store.ports().await.unwrap().freed[0]
        .rests_until
        .unwrap();
    assert_eq!(until.0, world.at().0 + REST_MS);
    let (app, operation) = world.new_app("app-b");
    let refused = world
        .store
        .create_app(app, operation, &world.actor, None, world.at())
        .await;
    assert!(
        matches!(&refused, Err(StoreError::PortsExhausted { range, held: 0, resting: 1 }) if range == "10-10"),
        "{refused:?}"
    );
    world.pass(REST_MS);
    assert_eq!(
        world.create("app-b").await.ports,
        Some(PortPair {
            public: 10,
            internal: 20
        })
    );
    world.assert_sound().await;
}

pub async fn exhaustion_is_counted(make: &impl Make) {
    let mut world = World::shaped(make, shape((10, 12), (20, 20))).await;
    world.create("app-a").await;
    let (app, operation) = world.new_app("app-b");
    let refused = world
        .store
        .create_app(app, operation, &world.actor, None, world.at())
        .await;
    assert!(
        matches!(&refused, Err(StoreError::PortsExhausted { range, held: 1, resting: 0 }) if range == "20-20"),
        "{refused:?}"
    );
    assert_eq!(
        world.store.ports().await.unwrap().held.len(),
        1,
        "no half pair is kept"
    );
    world.assert_sound().await;
}

pub async fn overlapping_ranges_share_no_port(make: &impl Make) {
    let mut world = World::shaped(make, shape((10, 13), (10, 13))).await;
    let a = world.create("app-a").await.ports.unwrap();
    let b = world.create("app-b").await.ports.unwrap();
    let mut all = vec![a.public, a.internal, b.public, b.internal];
    all.sort_unstable();
    assert_eq!(all, [10, 11, 12, 13]);
    world.assert_sound().await;
}
