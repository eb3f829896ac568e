//! The chain of the audit, and that of the events.

use proximity_domain::audit::{Break, Head, Link};
use proximity_store::Store;
use proximity_store::effects::{Effects, MutationAudit};
use serde_json::json;
use tokio::task::JoinSet;

use super::world::{Make, World};

/// The head, with everything numbered.
async fn head(world: &World) -> Head {
    world.journal_numbered().await;
    world.store.audit_head().await.unwrap()
}

async fn verified(store: &Store, anchors: Vec<Head>) -> Result<Head, Break> {
    store.verify_audit(Head::NONE, anchors).await.unwrap()
}

async fn note(world: &World, change: &str) {
    let noted = world
        .store
        .note_host_act("lab", "host.init", change, &world.actor, world.at());
    noted.await.unwrap();
}

/// Requests of people and calls of workers, each in the chain as soon as it can be read.
pub async fn every_entry_is_linked(make: &impl Make) {
    let mut world = World::new(make).await;
    let mut last = Head::NONE;
    for n in 0..3 {
        world.deployed(&format!("web-{n}"), 101 + n).await;
        let entries = world.audit(1_000, 0).await;
        let newest = entries.last().unwrap().seq;
        let now = head(&world).await;
        assert_eq!(now.seq, newest);
        assert_ne!(now.link, last.link);
        assert_eq!(verified(&world.store, Vec::new()).await, Ok(now));
        // From where the last walk ended.
        let further = world.store.verify_audit(last, vec![now]).await.unwrap();
        assert_eq!(further, Ok(now));
        last = now;
    }
    world.create("calls").await;
    let (_, fence) = world.claim().await;
    world.begin(&fence, 0, "create").await;
    let audit = MutationAudit {
        call: "POST /nodes/pve1/lxc".to_owned(),
        target: "lab/pve1/110".to_owned(),
        details: json!({"hostname": "calls", "memory": 512}),
    };
    let recorded = world
        .store
        .record_mutation(&fence, 0, audit, Effects::default(), world.at());
    recorded.await.unwrap();
    let now = head(&world).await;
    assert_eq!(now.seq, last.seq + 2, "the request and the call");
    assert_eq!(verified(&world.store, vec![last]).await, Ok(now));
}

pub async fn holds_against_its_anchors_alone(make: &impl Make) {
    let world = World::new(make).await;
    let mut anchors = Vec::new();
    for change in ["one", "two", "three"] {
        note(&world, change).await;
        anchors.push(head(&world).await);
    }
    let now = anchors[2];
    anchors.reverse();
    assert_eq!(verified(&world.store, anchors.clone()).await, Ok(now));
    let other = Head {
        link: Link::GENESIS,
        ..anchors[1]
    };
    let told = verified(&world.store, vec![other, anchors[2]]).await;
    let (seq, anchored) = (anchors[2].seq + 1, other.seq);
    assert_eq!(told, Err(Break::MadeAnew { seq, anchored }));
    let (seq, anchored) = (now.seq + 1, now.seq + 7);
    let ahead = Head {
        seq: anchored,
        ..now
    };
    let told = verified(&world.store, vec![ahead]).await;
    assert_eq!(told, Err(Break::CutOff { seq, anchored }));
}

/// However many write at once, and in whatever order they are committed.
pub async fn writers_beside_each_other_make_one(make: &impl Make) {
    let world = World::new(make).await;
    let before = head(&world).await.seq;
    let mut writing = JoinSet::new();
    for n in 0..32 {
        let (store, actor, at) = (world.store.clone(), world.actor.clone(), world.at());
        writing.spawn(async move {
            let change = format!("change {n}");
            let noted = store.note_host_act("lab", "host.init", &change, &actor, at);
            noted.await.unwrap();
        });
    }
    while let Some(written) = writing.join_next().await {
        written.unwrap();
    }
    let now = head(&world).await;
    assert_eq!(now.seq, before + 32);
    assert_eq!(verified(&world.store, vec![now]).await, Ok(now));
    world.assert_sound().await;
}

/// A write that is taken back takes its link with it.
pub async fn what_is_refused_leaves_no_link(make: &impl Make) {
    let mut world = World::new(make).await;
    world.create("web").await;
    let before = head(&world).await;
    let (app, operation) = world.new_app("web");
    let refused = world
        .store
        .create_app(app, operation, &world.actor, None, world.at())
        .await;
    refused.unwrap_err();
    assert_eq!(head(&world).await, before);
    note(&world, "after it").await;
    let now = head(&world).await;
    assert_eq!(now.seq, before.seq + 1);
    assert_eq!(verified(&world.store, vec![before, now]).await, Ok(now));
}

/// The head of the events, with everything numbered.
async fn events_head(world: &World) -> Head {
    world.journal_numbered().await;
    world.store.events_head().await.unwrap()
}

async fn verified_events(world: &World, anchors: Vec<Head>) -> Result<Head, Break> {
    world.store.verify_events(anchors).await.unwrap()
}

/// Whoever writes them, from the first that is kept on: retention cuts the chain, and what is left holds.
pub async fn events_are_linked_and_may_begin_anywhere(make: &impl Make) {
    let mut world = World::new(make).await;
    let mut anchors = vec![events_head(&world).await];
    for n in 0..3 {
        world.deployed(&format!("web-{n}"), 101 + n).await;
        let newest = world.events(0, 1_000).await.last().unwrap().0;
        let now = events_head(&world).await;
        assert_eq!(now.seq, newest);
        anchors.push(now);
        assert_eq!(verified_events(&world, anchors.clone()).await, Ok(now));
    }
    let now = anchors[3];
    let other = Head {
        link: Link::GENESIS,
        ..anchors[2]
    };
    let (seq, anchored) = (anchors[1].seq + 1, other.seq);
    let told = verified_events(&world, vec![anchors[1], other]).await;
    assert_eq!(told, Err(Break::MadeAnew { seq, anchored }));
    for to in [1, anchors[1].seq + 1, i64::MAX] {
        world.store.clear_events(to).await.unwrap();
        assert_eq!(verified_events(&world, anchors.clone()).await, Ok(now));
        world.assert_sound().await;
    }
    // The link is another one for what comes next, behind what is left.
    world.create("more").await;
    let further = events_head(&world).await;
    assert_eq!(verified_events(&world, vec![now]).await, Ok(further));
    let ahead = Head {
        seq: further.seq + 3,
        ..further
    };
    let (seq, anchored) = (further.seq + 1, ahead.seq);
    let told = verified_events(&world, vec![ahead]).await;
    assert_eq!(told, Err(Break::CutOff { seq, anchored }));
}
