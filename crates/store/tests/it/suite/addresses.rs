//! Addresses that deploys give by hand.

use proximity_store::StoreError;
use proximity_store::records::AppRecord;
use serde_json::json;

use super::world::{Make, World};

/// Records an app whose deploy gives it this address.
async fn create(world: &mut World, hostname: &str, address: &str) -> Result<AppRecord, StoreError> {
    let (app, mut operation) = world.new_app(hostname);
    let ipv4 = json!({"by": "static", "address": address, "prefix": 24, "gateway": "192.0.2.254"});
    operation.input = json!({"network": {"ipv4": ipv4}});
    let (store, at) = (&world.store, world.at());
    store
        .create_app(app, operation, &world.actor, None, at)
        .await
}

pub async fn given_by_hand_are_of_one_live_app(make: &impl Make) {
    let mut world = World::new(make).await;
    create(&mut world, "web", "192.0.2.10").await.unwrap();
    let taken = create(&mut world, "next", "192.0.2.10").await;
    assert!(
        matches!(&taken, Err(StoreError::Exists { what: "address", id }) if id == "192.0.2.10"),
        "{taken:?}"
    );
    assert!(world.store.app_by_hostname("next").await.unwrap().is_none());
    // Neither one that begins like it, nor the gateway of others.
    create(&mut world, "one", "192.0.2.1").await.unwrap();
    create(&mut world, "way-out", "192.0.2.254").await.unwrap();
    // Whoever is given none is asked for none.
    world.create("other").await;
    world.assert_sound().await;
}
