//! Addresses that deploys give by hand.

use proximity_domain::ids::HostId;
use proximity_domain::names::LanName;
use proximity_domain::network::NetworkWish;
use proximity_store::StoreError;
use proximity_store::records::{AppRecord, HostPlacement, HostRecord};

use super::world::{Make, World};

fn at(address: &str) -> NetworkWish {
    NetworkWish {
        ipv4: Some(format!("{address}/24")),
        gateway: (address != "192.0.2.254").then(|| "192.0.2.254".to_owned()),
        ..NetworkWish::default()
    }
}

/// Records an app that is given this network, on this host entry.
async fn create_on(
    world: &mut World,
    hostname: &str,
    network: NetworkWish,
    host: HostId,
) -> Result<AppRecord, StoreError> {
    let (mut app, operation) = world.new_app(hostname);
    app.made_with.network = network.check().unwrap();
    app.host = host;
    let (store, at) = (&world.store, world.at());
    store
        .create_app(app, operation, &world.actor, None, at)
        .await
}

async fn create(world: &mut World, hostname: &str, address: &str) -> Result<AppRecord, StoreError> {
    let host = world.host;
    create_on(world, hostname, at(address), host).await
}

/// A second host entry, which calls its network so; the first one is called so too.
async fn shared(world: &mut World, lan: Option<&str>) -> HostId {
    let lan: Option<LanName> = lan.map(|lan| lan.parse().unwrap());
    let first = world.store.host(world.host).await.unwrap().unwrap();
    let called = |record: HostRecord| HostRecord {
        placement: HostPlacement {
            lan: lan.clone(),
            ..HostPlacement::default()
        },
        ..record
    };
    let (store, at) = (&world.store, world.at());
    let changed = store.update_host(called(first), &world.actor, at);
    changed.await.unwrap();
    let second = world.host_record("away");
    let id = second.id;
    let at = world.at();
    let added = world.store.add_host(called(second), &world.actor, at);
    added.await.unwrap();
    id
}

fn is_taken(made: &Result<AppRecord, StoreError>, address: &str) -> bool {
    matches!(made, Err(StoreError::Exists { what: "address", id }) if id == address)
}

pub async fn given_by_hand_are_of_one_live_app(make: &impl Make) {
    let mut world = World::new(make).await;
    create(&mut world, "web", "192.0.2.10").await.unwrap();
    let taken = create(&mut world, "next", "192.0.2.10").await;
    assert!(is_taken(&taken, "192.0.2.10"), "{taken:?}");
    assert!(world.store.app_by_hostname("next").await.unwrap().is_none());
    // Neither one that begins like it, nor the gateway of others.
    create(&mut world, "one", "192.0.2.1").await.unwrap();
    create(&mut world, "way-out", "192.0.2.254").await.unwrap();
    // Whoever is given none is asked for none.
    world.create("other").await;
    world.assert_sound().await;
}

pub async fn are_one_apps_on_entries_that_share_a_network(make: &impl Make) {
    let mut world = World::new(make).await;
    let second = shared(&mut world, Some("home")).await;
    create(&mut world, "web", "192.0.2.10").await.unwrap();
    let taken = create_on(&mut world, "next", at("192.0.2.10"), second).await;
    assert!(is_taken(&taken, "192.0.2.10"), "{taken:?}");
    let apart = NetworkWish {
        vlan: Some(30),
        ..at("192.0.2.10")
    };
    let made = create_on(&mut world, "beside", apart, second).await;
    made.unwrap();
    world.assert_sound().await;
}

pub async fn are_each_ones_on_entries_that_share_none(make: &impl Make) {
    let mut world = World::new(make).await;
    let second = shared(&mut world, None).await;
    create(&mut world, "web", "192.0.2.10").await.unwrap();
    let made = create_on(&mut world, "next", at("192.0.2.10"), second).await;
    made.unwrap();
    world.assert_sound().await;
}
