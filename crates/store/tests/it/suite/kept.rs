//! The copy of what is on record of guests: whatever was written, it is what would be read anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proximity_domain::event::EventKind;
use proximity_domain::ids::AppId;
use proximity_domain::operation::OperationKind;
use proximity_store::KeptRecord;
use proximity_store::effects::NewEvent;
use proximity_store::power::{ReadPower, SeenPower};
use serde_json::json;

use super::adoptions::adopt;
use super::world::{Make, World, failure};

/// Pairs of apps that are switched, always both of one in one commit.
const PAIRS: usize = 20;
/// How often one is: five times each, so that what is missed of a commit is not soon told by another one.
const SWITCHED: usize = 5 * PAIRS;

/// Refreshed it is what is on record.
pub async fn assert_true(world: &World, kept: &mut KeptRecord) {
    kept.refresh().await.unwrap();
    let guests = world.store.watched_guests(world.host).await.unwrap();
    assert_eq!(*kept.guests(world.host), guests);
    assert_eq!(kept.live_apps(), world.store.live_apps().await.unwrap());
}

pub fn switched(apps: &[AppId], on: bool) -> Vec<SeenPower> {
    let (from, to) = match on {
        true => (ReadPower::Stopped, ReadPower::Running),
        false => (ReadPower::Running, ReadPower::Stopped),
    };
    let seen = apps.iter().map(|app| SeenPower {
        app: *app,
        from,
        to,
    });
    seen.collect()
}

pub async fn follows_what_is_written(make: &impl Make) {
    let mut world = World::new(make).await;
    let mut kept = world.store.keep_record();
    let empty = (kept.guests(world.host).len(), kept.live_apps());
    assert_eq!(empty, (0, 0), "nothing was read yet");
    assert_true(&world, &mut kept).await;
    let (web, guest) = world.deployed("web", 102).await;
    assert_true(&world, &mut kept).await;
    let (shop, shops) = world.deployed("shop", 101).await;
    adopt(&mut world, "found", 103).await.unwrap();
    assert_true(&world, &mut kept).await;
    assert_eq!((kept.guests(world.host).len(), kept.live_apps()), (3, 3));
    let off = switched(&[web.id], false);
    let followed = world.store.follow_powers(&off, world.at()).await.unwrap();
    assert_eq!(followed, [web.id]);
    assert_true(&world, &mut kept).await;
    let fields = EventKind::GuestMoved.spec().fields.iter();
    let event = NewEvent {
        kind: EventKind::GuestMoved,
        body: fields
            .map(|field| ((*field).to_owned(), json!(1)))
            .collect(),
    };
    let node = "pve2".parse().unwrap();
    let moved = world
        .store
        .guest_moved(web.id, guest.id, &node, event, world.at());
    moved.await.unwrap();
    assert_true(&world, &mut kept).await;
    // The oldest is claimed first: the adoption, which comes to nothing.
    let (_, fence) = world.claim().await;
    world.stick(&fence, None, "x").await;
    assert_true(&world, &mut kept).await;
    let (operation, why) = (fence.operation, failure("given_up"));
    let abandoned = world
        .store
        .abandon(operation, why, &world.actor, world.at());
    abandoned.await.unwrap();
    world.enqueue(OperationKind::Start, web.id, None).await;
    assert_true(&world, &mut kept).await;
    let (_, fence) = world.claim().await;
    world.step(&fence, 0).await;
    world.complete(&fence).await;
    assert_true(&world, &mut kept).await;
    world.removed(&shop, shops.id, false).await;
    assert_true(&world, &mut kept).await;
    // Its number has another guest in the same look.
    world.removed(&web, guest.id, false).await;
    world.deployed("again", 102).await;
    world.create("late").await;
    assert_true(&world, &mut kept).await;
    assert_eq!((kept.guests(world.host).len(), kept.live_apps()), (1, 2));
    world.assert_sound().await;
}

/// Whenever it is refreshed while somebody writes: no half of a commit shows in it, and none is missed.
pub async fn is_of_one_moment(make: &impl Make) {
    let mut world = World::new(make).await;
    let mut apps = Vec::new();
    for (n, vmid) in (0..2 * PAIRS).zip(101..) {
        let (app, _) = world.deployed(&format!("app{n}"), vmid).await;
        apps.push(app.id);
    }
    let mut kept = world.store.keep_record();
    assert_true(&world, &mut kept).await;
    let over = Arc::new(AtomicBool::new(false));
    let (host, is_over) = (world.host, Arc::clone(&over));
    let refreshing = tokio::spawn(async move {
        while !is_over.load(Ordering::Relaxed) {
            kept.refresh().await.unwrap();
            for pair in kept.guests(host).chunks(2) {
                assert_eq!(pair[0].status, pair[1].status, "half of a commit");
            }
            tokio::task::yield_now().await;
        }
        kept
    });
    for n in 0..SWITCHED {
        let pair = &apps[2 * (n % PAIRS)..][..2];
        let seen = switched(pair, n / PAIRS % 2 == 1);
        let followed = world.store.follow_powers(&seen, world.at()).await.unwrap();
        assert_eq!(followed, pair);
        tokio::task::yield_now().await;
    }
    over.store(true, Ordering::Relaxed);
    let mut kept = refreshing.await.unwrap();
    assert_true(&world, &mut kept).await;
    world.assert_sound().await;
}
