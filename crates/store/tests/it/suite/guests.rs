//! Identity rows.

use std::collections::BTreeMap;

use proximity_domain::ids::{HostId, Vmid};
use proximity_domain::recorded::RecordedGuest;
use proximity_store::effects::{Effects, GuestChange};
use proximity_store::records::Fence;
use proximity_store::{Store, StoreError};
use serde_json::json;
use uuid::Uuid;

use super::world::{Make, World};

async fn change(world: &World, fence: &Fence, change: GuestChange) -> Result<(), StoreError> {
    let effects = Effects {
        guests: vec![change],
        ..Effects::default()
    };
    world
        .store
        .begin_step(fence, 0, "create", json!({}), effects, world.at())
        .await
}

pub async fn are_recorded_once_per_place(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("app-a").await;
    let (operation, fence) = world.claim().await;
    let guest = world.guest(app.id, operation.id, 101);
    change(&world, &fence, GuestChange::Insert(guest.clone()))
        .await
        .unwrap();
    assert_eq!(
        world.store.native_guests(app.id).await.unwrap(),
        vec![guest.clone()]
    );
    let recorded = vec![RecordedGuest::Native(guest.clone())];
    assert_eq!(world.store.recorded_guests(app.id).await.unwrap(), recorded);
    let of_host = world.store.recorded_guests_of_host(world.host).await;
    assert_eq!(of_host.unwrap(), recorded);
    let at = world.store.recorded_guest_at(world.host, guest.place.vmid);
    assert_eq!(at.await.unwrap().as_ref(), recorded.first());
    let twin = world.guest(app.id, operation.id, 101);
    let refused = change(&world, &fence, GuestChange::Insert(twin)).await;
    assert!(
        matches!(refused, Err(StoreError::Exists { what: "guest", .. })),
        "{refused:?}"
    );
    change(&world, &fence, GuestChange::Gone { guest: guest.id })
        .await
        .unwrap();
    change(&world, &fence, GuestChange::Gone { guest: guest.id })
        .await
        .unwrap();
    assert!(world.store.native_guests(app.id).await.unwrap().is_empty());
    let next = world.guest(app.id, operation.id, 101);
    change(&world, &fence, GuestChange::Insert(next.clone()))
        .await
        .unwrap();
    let mut copied = world.guest(app.id, operation.id, 102);
    copied.identity.mark = next.identity.mark;
    let refused = change(&world, &fence, GuestChange::Insert(copied)).await;
    assert!(
        matches!(refused, Err(StoreError::Exists { what: "guest", .. })),
        "{refused:?}"
    );
    world.assert_sound().await;
}

pub async fn of_a_page_of_apps_are_read_together(make: &impl Make) {
    let mut world = World::new(make).await;
    let (first, of_first) = world.deployed("first", 101).await;
    let (_, _) = world.deployed("not-asked-for", 102).await;
    let (second, of_second) = world.deployed("second", 103).await;
    let bare = world.create("bare").await;
    let (operation, fence) = world.claim().await;
    let ids = [first.id, second.id, bare.id];
    let read = async |store: &Store| store.guests_of_apps(&ids).await.unwrap();
    let expected = BTreeMap::from([
        (first.id, vec![of_first.into()]),
        (second.id, vec![of_second.into()]),
        (bare.id, Vec::new()),
    ]);
    assert_eq!(read(&world.store).await, expected);
    // One that went is left out, of two the one recorded first comes first.
    let guests = [104, 105, 106].map(|vmid| world.guest(bare.id, operation.id, vmid));
    for guest in &guests {
        let insert = GuestChange::Insert(guest.clone());
        change(&world, &fence, insert).await.unwrap();
    }
    let gone = GuestChange::Gone {
        guest: guests[0].id,
    };
    change(&world, &fence, gone).await.unwrap();
    assert_eq!(
        read(&world.store).await[&bare.id],
        world.store.recorded_guests(bare.id).await.unwrap()
    );
    assert_eq!(read(&world.store).await[&bare.id].len(), 2);
    assert!(world.store.guests_of_apps(&[]).await.unwrap().is_empty());
    world.assert_sound().await;
}

pub async fn are_confirmed_once(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("app-a").await;
    let (operation, fence) = world.claim().await;
    let guest = world.guest(app.id, operation.id, 101);
    change(&world, &fence, GuestChange::Insert(guest.clone()))
        .await
        .unwrap();
    let confirm = |disk: &str| GuestChange::Confirm {
        guest: guest.id,
        rootfs_volid: disk.parse().unwrap(),
    };
    change(&world, &fence, confirm("local:101/a.raw"))
        .await
        .unwrap();
    change(&world, &fence, confirm("local:101/a.raw"))
        .await
        .unwrap();
    let refused = change(&world, &fence, confirm("local:101/b.raw")).await;
    assert!(
        matches!(refused, Err(StoreError::IllegalTransition { .. })),
        "{refused:?}"
    );
    let read = world.store.native_guests(app.id).await.unwrap().remove(0);
    assert_eq!(
        read.identity.rootfs_volid.unwrap().as_str(),
        "local:101/a.raw"
    );
    world.assert_sound().await;
}

pub async fn are_followed_to_another_node(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("app-a").await;
    let (operation, fence) = world.claim().await;
    let guest = world.guest(app.id, operation.id, 101);
    change(&world, &fence, GuestChange::Insert(guest.clone()))
        .await
        .unwrap();
    let node = "pve2".parse().unwrap();
    change(
        &world,
        &fence,
        GuestChange::Moved {
            guest: guest.id,
            node,
        },
    )
    .await
    .unwrap();
    let read = world.store.native_guests(app.id).await.unwrap().remove(0);
    assert_eq!(read.place.node.as_str(), "pve2");
    assert_eq!(world.app(app.id).await.node.as_str(), "pve2");
    assert_eq!(read.identity, guest.identity);
}

pub async fn of_others_are_out_of_reach(make: &impl Make) {
    let mut world = World::new(make).await;
    let (other, theirs) = world.deployed("other", 101).await;
    let app = world.create("mine").await;
    let (operation, fence) = world.claim().await;
    let node = "pve2".parse().unwrap();
    for out_of_reach in [
        GuestChange::Gone { guest: theirs.id },
        GuestChange::Moved {
            guest: theirs.id,
            node,
        },
        GuestChange::Confirm {
            guest: theirs.id,
            rootfs_volid: "local:x".parse().unwrap(),
        },
        GuestChange::Insert(world.guest(other.id, operation.id, 102)),
        GuestChange::Insert(world.guest(app.id, theirs.created_by, 102)),
    ] {
        let refused = change(&world, &fence, out_of_reach.clone()).await;
        assert!(refused.is_err(), "{out_of_reach:?}");
    }
    assert_eq!(
        world.store.native_guests(other.id).await.unwrap(),
        vec![theirs]
    );
    assert!(world.store.native_guests(app.id).await.unwrap().is_empty());
    assert!(
        world.store.steps(operation.id).await.unwrap().is_empty(),
        "nor was the step written"
    );
    world.assert_sound().await;
}

/// On their own cluster, wherever there: another cluster has numbers of its own.
pub async fn hold_their_number_until_they_are_gone(make: &impl Make) {
    let mut world = World::new(make).await;
    let other = HostId(Uuid::from_u128(9_999));
    let number = |n: u32| Vmid::try_from(n).unwrap();
    let held = async |world: &World, host, n| world.store.is_held(host, number(n)).await.unwrap();
    assert!(!held(&world, world.host, 101).await);
    let (app, guest) = world.deployed("blog", 101).await;
    assert!(held(&world, world.host, 101).await);
    assert!(!held(&world, world.host, 102).await);
    assert!(!held(&world, other, 101).await);
    world.removed(&app, guest.id, false).await;
    assert!(!held(&world, world.host, 101).await);
}
