//! Prepared templates: recorded before they are made, one of a base in each place, and there as long as something hangs on them.

use proximity_domain::guest::{ContainerIdentity, NativeGuest};
use proximity_domain::ids::{AppId, GuestId, HostId, PreparedId, Vmid};
use proximity_domain::mark::Mark;
use proximity_domain::names::{Mac, Volid};
use proximity_domain::prepared::{Base, Call, Clones, Kept, Prepared, Sent, Spot, Stage};
use proximity_store::StoreError;
use proximity_store::effects::{Effects, GuestChange};
use proximity_store::prepared::TemplateCall;
use proximity_store::records::Fence;
use serde_json::json;

use super::world::{Make, World, assert_illegal};

/// A new one of a base, on the node pve1.
pub fn new(world: &mut World, vmid: u32, package: &str) -> Prepared {
    let id = world.id();
    let os_template: Volid = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"
        .parse()
        .unwrap();
    Prepared {
        id: PreparedId(id),
        spot: Spot {
            host: world.host,
            node: "pve1".parse().unwrap(),
            storage: "local".parse().unwrap(),
        },
        base: Base::of(os_template, 1 << 27, [package.to_owned()]),
        disk_gib: 4,
        identity: ContainerIdentity {
            vmid: Vmid::try_from(vmid).unwrap(),
            mark: Mark {
                installation: world.store.installation(),
                app: AppId(id),
                nonce: world.id().as_u128(),
            },
            net0_mac: Mac::with_pve_prefix([1, 2, 3]),
            rootfs_volid: None,
        },
        stage: Stage::Creating,
        recorded_at: world.at(),
        stage_at: world.at(),
        used_at: None,
    }
}

async fn recorded(world: &mut World, vmid: u32, package: &str) -> Prepared {
    let one = new(world, vmid, package);
    world.store.record_prepared(&one).await.unwrap();
    one
}

/// Brings a template to a stage, by all those before it.
async fn brought(world: &mut World, one: &Prepared, to: Stage) {
    let vmid = one.identity.vmid;
    let volume: Volid = format!("local:{vmid}/vm-{vmid}-disk-0.raw")
        .parse()
        .unwrap();
    let learned = world
        .store
        .learn_prepared(one.id, Stage::Creating, &volume)
        .await;
    assert!(learned.unwrap());
    for pair in Stage::ALL.windows(2) {
        let (from, next) = (pair[0], pair[1]);
        if next > to {
            break;
        }
        world.pass(1_000);
        let advanced = world
            .store
            .advance_prepared(one.id, from, next, world.at())
            .await;
        assert!(advanced.unwrap(), "{next:?}");
    }
}

async fn kept(world: &World) -> Vec<Kept> {
    world.store.prepared().await.unwrap()
}

/// How many share with the only one, and of how many nothing was seen yet.
async fn clones(world: &World) -> (u32, u32) {
    let clones = kept(world).await[0].clones;
    (clones.linked, clones.unconfirmed)
}

async fn noted(world: &World, template: PreparedId, guest: GuestId, linked: bool) -> bool {
    let noted = world
        .store
        .note_clone(template, guest, linked, world.at())
        .await;
    noted.unwrap()
}

fn is_taken(refused: &Result<(), StoreError>) -> bool {
    matches!(refused, Err(StoreError::Exists { .. }))
}

pub async fn are_recorded_once_with_their_number(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = world.deployed("web", 101).await;
    let one = recorded(&mut world, 105, "nginx-light").await;
    let clones = Clones::default();
    let there = Kept {
        prepared: one.clone(),
        clones,
        sent: None,
    };
    assert_eq!(kept(&world).await, [there]);
    assert!(
        world
            .store
            .is_held(world.host, one.identity.vmid)
            .await
            .unwrap()
    );
    let same_base = new(&mut world, 106, "nginx-light");
    let of_guest = new(&mut world, 101, "caddy");
    let of_template = new(&mut world, 105, "caddy");
    let mut same_mark = new(&mut world, 107, "caddy");
    same_mark.id = one.id;
    same_mark.identity.mark = one.identity.mark;
    for other in [&one, &same_base, &of_guest, &of_template, &same_mark] {
        let refused = world.store.record_prepared(other).await;
        assert!(is_taken(&refused), "{refused:?}");
    }
    let mut nowhere = new(&mut world, 108, "caddy");
    nowhere.spot.host = HostId(world.id());
    let refused = world.store.record_prepared(&nowhere).await;
    assert!(matches!(
        refused,
        Err(StoreError::NotFound { what: "host", .. })
    ));
    let mut begun = new(&mut world, 108, "caddy");
    begun.stage = Stage::Ready;
    assert_illegal(world.store.record_prepared(&begun).await);
    let mut of_app = new(&mut world, 108, "caddy");
    of_app.identity.mark.app = app.id;
    assert_illegal(world.store.record_prepared(&of_app).await);
    let mut elsewhere = new(&mut world, 109, "nginx-light");
    elsewhere.spot.node = "pve2".parse().unwrap();
    world.store.record_prepared(&elsewhere).await.unwrap();
    // No guest gets its number.
    let app = world.create("next").await;
    let (operation, fence) = world.claim().await;
    let guest = world.guest(app.id, operation.id, 105);
    let effects = Effects {
        guests: vec![GuestChange::Insert(guest)],
        ..Effects::default()
    };
    let begun = world
        .store
        .begin_step(&fence, 0, "create", json!({}), effects, world.at());
    assert!(is_taken(&begun.await));
    world.assert_sound().await;
}

pub async fn go_on_stage_by_stage(make: &impl Make) {
    let mut world = World::new(make).await;
    let one = recorded(&mut world, 105, "nginx-light").await;
    let store = world.store.clone();
    let at = world.at();
    let early = store.advance_prepared(one.id, Stage::Creating, Stage::Filling, at);
    assert_illegal(early.await);
    let leap = store.advance_prepared(one.id, Stage::Creating, Stage::Ready, at);
    assert_illegal(leap.await);
    brought(&mut world, &one, Stage::Converting).await;
    let late = store.advance_prepared(one.id, Stage::Filling, Stage::Converting, at);
    assert!(!late.await.unwrap(), "it is there already");
    let base: Volid = "local:105/base-105-disk-0.raw".parse().unwrap();
    let stale = store.learn_prepared(one.id, Stage::Filling, &base);
    assert!(!stale.await.unwrap(), "it is in another stage");
    let renamed = store.learn_prepared(one.id, Stage::Converting, &base);
    assert!(renamed.await.unwrap());
    let now = world.at();
    let ready = store.advance_prepared(one.id, Stage::Converting, Stage::Ready, now);
    assert!(ready.await.unwrap());
    let other: Volid = "local:105/vm-105-disk-1.raw".parse().unwrap();
    assert_illegal(store.learn_prepared(one.id, Stage::Ready, &other).await);
    let again = store.learn_prepared(one.id, Stage::Ready, &base);
    assert!(again.await.unwrap());
    let read = &kept(&world).await[0].prepared;
    assert_eq!((read.stage, read.stage_at), (Stage::Ready, now));
    assert_eq!(read.identity.rootfs_volid.as_ref(), Some(&base));
    let stranger = PreparedId(world.id());
    let unknown = store.advance_prepared(stranger, Stage::Ready, Stage::Leaving, now);
    let unknown = unknown.await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })));
    world.assert_sound().await;
}

/// A guest that is to be made for an app, by the operation with this fence.
async fn being_made(world: &mut World) -> (NativeGuest, Fence) {
    let app = world.create("web").await;
    let (operation, fence) = world.claim().await;
    let guest = world.guest(app.id, operation.id, 101);
    let effects = Effects {
        guests: vec![GuestChange::Insert(guest.clone())],
        ..Effects::default()
    };
    let begun = world
        .store
        .begin_step(&fence, 0, "create", json!({}), effects, world.at());
    begun.await.unwrap();
    (guest, fence)
}

pub async fn stay_while_something_is_made_of_them(make: &impl Make) {
    let mut world = World::new(make).await;
    let one = recorded(&mut world, 105, "nginx-light").await;
    let (guest, fence) = being_made(&mut world).await;
    let store = world.store.clone();
    let (template, of) = (one.id, guest.id);
    assert!(!noted(&world, template, of, true).await, "it is not ready");
    brought(&mut world, &one, Stage::Ready).await;
    let stranger = GuestId(world.id());
    assert!(!noted(&world, template, stranger, true).await);
    assert!(noted(&world, template, of, true).await);
    assert!(noted(&world, template, of, true).await, "the same again");
    assert!(!noted(&world, template, of, false).await, "another way");
    assert_eq!(clones(&world).await, (0, 1));
    assert_eq!(kept(&world).await[0].prepared.used_at, Some(world.at()));
    assert_illegal(store.end_prepared(one.id, world.at()).await);
    let leaves = store.advance_prepared(one.id, Stage::Ready, Stage::Leaving, world.at());
    assert!(leaves.await.unwrap());
    assert_illegal(store.end_prepared(one.id, world.at()).await);
    let effects = Effects {
        guests: vec![GuestChange::Confirm {
            guest: guest.id,
            rootfs_volid: "local:105/base-105-disk-0.raw/101/vm-101-disk-0.raw"
                .parse()
                .unwrap(),
        }],
        ..Effects::default()
    };
    let done = store.finish_step(&fence, 0, json!({}), effects, world.at());
    done.await.unwrap();
    assert_eq!(clones(&world).await, (1, 0));
    assert_illegal(store.end_prepared(one.id, world.at()).await);
    world.complete(&fence).await;
    let app = world.app(guest.app).await;
    world.removed(&app, guest.id, false).await;
    assert_eq!(clones(&world).await, (0, 0));
    // One of its base may be made beside it by now.
    let next = recorded(&mut world, 106, "nginx-light").await;
    store.end_prepared(one.id, world.at()).await.unwrap();
    let ids: Vec<PreparedId> = kept(&world).await.iter().map(|k| k.prepared.id).collect();
    assert_eq!(ids, [next.id]);
    assert!(!store.is_held(world.host, one.identity.vmid).await.unwrap());
    let again = store.end_prepared(one.id, world.at()).await;
    assert!(matches!(again, Err(StoreError::NotFound { .. })));
    recorded(&mut world, 105, "caddy").await;
    world.assert_sound().await;
}

pub async fn keep_their_host_entry(make: &impl Make) {
    let mut world = World::new(make).await;
    let one = recorded(&mut world, 105, "nginx-light").await;
    let store = world.store.clone();
    let in_use = store
        .remove_host(world.host, &world.actor, world.at())
        .await;
    assert!(
        matches!(in_use, Err(StoreError::HostInUse { apps: 1, .. })),
        "{in_use:?}"
    );
    let leaves = store.advance_prepared(one.id, Stage::Creating, Stage::Leaving, world.at());
    assert!(leaves.await.unwrap(), "none was made");
    store.end_prepared(one.id, world.at()).await.unwrap();
    let removed = store
        .remove_host(world.host, &world.actor, world.at())
        .await;
    removed.unwrap();
    world.assert_sound().await;
}

async fn counted(world: &World, spot: &Spot, of: &Prepared) -> u32 {
    let key = of.base.key();
    let counted = world.store.count_base(spot, &key, world.at()).await;
    counted.unwrap()
}

pub async fn bases_are_counted_by_place(make: &impl Make) {
    let mut world = World::new(make).await;
    let one = new(&mut world, 105, "nginx-light");
    let other = new(&mut world, 105, "caddy");
    let elsewhere = Spot {
        storage: "other".parse().unwrap(),
        ..one.spot.clone()
    };
    assert_eq!(counted(&world, &one.spot, &one).await, 1);
    assert_eq!(counted(&world, &one.spot, &one).await, 2);
    assert_eq!(counted(&world, &one.spot, &other).await, 1);
    assert_eq!(counted(&world, &elsewhere, &one).await, 1);
    assert_eq!(counted(&world, &one.spot, &one).await, 3);
    let store = world.store.clone();
    let removed = store
        .remove_host(world.host, &world.actor, world.at())
        .await;
    removed.unwrap();
    assert_eq!(counted(&world, &one.spot, &one).await, 1, "they go with it");
    world.assert_sound().await;
}

pub async fn calls_are_on_record_until_they_end(make: &impl Make) {
    let mut world = World::new(make).await;
    let one = recorded(&mut world, 105, "nginx-light").await;
    let sent = Sent {
        call: Call::Create,
        at: world.at(),
    };
    let told = TemplateCall {
        action: "POST /nodes/pve1/lxc",
        target: "lab/pve1/105",
        details: json!({ "vmid": 105 }),
    };
    let store = world.store.clone();
    let noted = store.note_template_call(one.id, sent, told.clone(), &world.actor);
    noted.await.unwrap();
    assert_eq!(kept(&world).await[0].sent, Some(sent));
    store.settle_template_call(one.id).await.unwrap();
    assert_eq!(kept(&world).await[0].sent, None);
    let nobody = PreparedId(world.id());
    let refused = store.note_template_call(nobody, sent, told.clone(), &world.actor);
    let refused = refused.await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })));
    let refused = store.settle_template_call(nobody).await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })));
    let act = store.note_template_act(told, &world.actor, world.at());
    act.await.unwrap();
    world.assert_sound().await;
}
