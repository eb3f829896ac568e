//! Who gets which ports, and when one is free again.

use std::collections::BTreeMap;

use proximity_domain::ids::GuestId;
use proximity_domain::ports::{FreedAt, PortPair, PortRange, choose};
use proximity_store::StoreError;
use proximity_store::records::AppRecord;

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
        matches!(&refused, Err(StoreError::PortsExhausted { range, held: 0, resting }) if range == "10-10" && *resting == [10]),
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

pub async fn rest_ends_when_a_person_says_so(make: &impl Make) {
    let mut world = World::shaped(make, shape((10, 10), (20, 20))).await;
    let (a, guest) = world.deployed("app-a", 101).await;
    world.removed(&a, guest.id, true).await;
    let end = |port| world.store.end_port_rest(port, &world.actor, world.at());
    assert_eq!(end(Some(11)).await.unwrap(), Vec::<u16>::new());
    assert_eq!(end(Some(10)).await.unwrap(), [10]);
    assert_eq!(end(None).await.unwrap(), [20]);
    assert_eq!(end(None).await.unwrap(), Vec::<u16>::new());
    let audit = world.audit(1_000, 0).await;
    let ended = audit.iter().filter(|a| a.action == "ports.free").count();
    assert_eq!(ended, 2, "what ended nothing is not on record");
    assert!(world.create("app-b").await.ports.is_some());
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
        matches!(&refused, Err(StoreError::PortsExhausted { range, held: 1, resting }) if range == "20-20" && resting.is_empty()),
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

/// Each range is given out whole, whatever ranges its ports were given out under before. `make` opens the same database each
/// time. Not in the list of cases: a store that keeps nothing cannot be opened again.
#[allow(dead_code)] // of those that keep what they have
pub async fn changed_ranges_lose_no_port(make: &impl Make) {
    let (low, high) = ((10, 11), (20, 21));
    let mut world = World::shaped(make, shape(low, high)).await;
    let (free, guest) = world.deployed("app-a", 101).await;
    let (held, held_guest) = world.deployed("app-b", 102).await;
    world.removed(&free, guest.id, false).await;
    // Swapped: what was freed before is of the other side now, and so is what is freed afterwards.
    world.reopen(make, shape(high, low)).await;
    let (again, _) = world.deployed("app-c", 103).await;
    let again = again.ports.unwrap();
    assert_eq!((again.public, again.internal), (20, 10));
    world.pass(1);
    world.removed(&held, held_guest.id, false).await;
    let (last, _) = world.deployed("app-d", 104).await;
    let last = last.ports.unwrap();
    assert_eq!((last.public, last.internal), (21, 11));
    world.assert_sound().await;
    // Wider and overlapping, then apart again.
    world.reopen(make, shape((10, 21), (10, 30))).await;
    let (wide, _) = world.deployed("app-e", 105).await;
    let wide = wide.ports.unwrap();
    assert_eq!((wide.public, wide.internal), (12, 13));
    world.reopen(make, shape((30, 40), (10, 29))).await;
    let (apart, _) = world.deployed("app-f", 106).await;
    let apart = apart.ports.unwrap();
    assert_eq!((apart.public, apart.internal), (30, 14));
    world.assert_sound().await;
}

/// Any sequence of taking, giving back, giving back to rest and passing time takes the ports that the rule of the domain
/// takes, on ranges that are apart, overlap, or are the same; and a store that is opened again goes on.
pub async fn any_sequence_follows_the_rule(make: &impl Make) {
    for (round, (public, internal)) in [
        ((10, 14), (20, 24)),
        ((10, 16), (13, 19)),
        ((13, 19), (10, 14)),
        ((10, 15), (10, 15)),
    ]
    .into_iter()
    .enumerate()
    {
        let shape = shape(public, internal);
        let mut world = World::shaped(make, shape).await;
        let mut model = Model::default();
        let mut draw = 0x9E37_79B9_u64.wrapping_mul(round as u64 + 1);
        for n in 0..60_u32 {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            world.pass(1);
            match (draw >> 33) % 5 {
                0..=2 => model.take(&mut world, shape, n).await,
                what => {
                    model
                        .give_back(&mut world, (draw >> 40) as usize, what == 4)
                        .await
                }
            }
            if (draw >> 50).is_multiple_of(4) {
                world.pass(REST_MS / 2);
            }
        }
        world.assert_sound().await;
    }
}

/// What the domain's rule says.
#[derive(Default)]
struct Model {
    live: Vec<(AppRecord, GuestId)>,
    freed: FreedAt,
    rests_until: BTreeMap<u16, i64>,
}

impl Model {
    fn pick(&self, range: PortRange, also: Option<u16>, now: i64) -> Option<u16> {
        let pairs = self.live.iter().filter_map(|(app, _)| app.ports);
        let mut out: Vec<u16> = pairs.flat_map(|p| [p.public, p.internal]).collect();
        out.extend(also);
        out.extend(
            self.rests_until
                .iter()
                .filter(|(_, until)| **until > now)
                .map(|(p, _)| *p),
        );
        choose(range, &out, &self.freed)
    }

    async fn take(&mut self, world: &mut World, shape: Shape, n: u32) {
        let now = world.at().0;
        let public = self.pick(shape.public, None, now);
        let pair = public.and_then(|public| {
            let internal = self.pick(shape.internal, Some(public), now)?;
            Some(PortPair { public, internal })
        });
        let name = format!("app-{n}");
        let Some(pair) = pair else {
            let (app, operation) = world.new_app(&name);
            let refused = world
                .store
                .create_app(app, operation, &world.actor, None, world.at())
                .await;
            assert!(
                matches!(refused, Err(StoreError::PortsExhausted { .. })),
                "{refused:?}"
            );
            return;
        };
        let (app, guest) = world.deployed(&name, 101 + n).await;
        assert_eq!(app.ports, Some(pair), "{n}");
        for port in [pair.public, pair.internal] {
            self.freed.remove(&port);
            self.rests_until.remove(&port);
        }
        self.live.push((app, guest.id));
    }

    async fn give_back(&mut self, world: &mut World, which: usize, rest: bool) {
        if self.live.is_empty() {
            return;
        }
        let (app, guest) = self.live.swap_remove(which % self.live.len());
        world.removed(&app, guest, rest).await;
        let pair = app.ports.unwrap();
        for port in [pair.public, pair.internal] {
            self.freed.insert(port, world.at());
            if rest {
                self.rests_until.insert(port, world.at().0 + REST_MS);
            }
        }
    }
}
