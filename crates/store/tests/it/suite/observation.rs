//! What the reconciler and the janitor keep and write.

use proximity_domain::app::{Status, StatusLabel};
use proximity_domain::event::EventKind;
use proximity_domain::guest::NativeGuest;
use proximity_domain::identity::Shown;
use proximity_domain::ids::AppId;
use proximity_domain::janitor::Pulse;
use proximity_domain::names::Mac;
use proximity_domain::observe::Suspicion;
use proximity_domain::operation::OperationKind;
use proximity_domain::time::Timestamp;
use proximity_store::StoreError;
use proximity_store::effects::NewEvent;
use proximity_store::identities::{Accepted, GuestLooks};
use proximity_store::observation::{BrakeChange, BrakeRecord, KeptSuspicion, SuspicionChange};
use proximity_store::power::{ReadPower, SeenPower};
use proximity_store::views::ArchiveFilter;
use serde_json::json;

use super::orphans::orphan;
use super::world::{LEASE_MS, Make, World, assert_illegal, error_status, failure};

pub fn event(kind: EventKind) -> NewEvent {
    let fields = kind.spec().fields.iter();
    let body = fields.map(|field| ((*field).to_owned(), json!(1)));
    NewEvent {
        kind,
        body: body.collect(),
    }
}

pub fn begun(guest: &NativeGuest, now: Timestamp) -> SuspicionChange {
    SuspicionChange::Begun {
        guest: guest.id,
        app: guest.app,
        suspicion: Suspicion::begun(now),
        event: Some(event(EventKind::OrphanSuspected)),
        among_many: false,
    }
}

/// As it is read back.
fn kept(suspicion: Suspicion, among_many: bool) -> KeptSuspicion {
    KeptSuspicion {
        suspicion,
        among_many,
    }
}

pub async fn guests_are_watched_with_their_app(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = world.deployed("web", 101).await;
    let seen = world.store.watched_guests(world.host).await.unwrap();
    let [only] = seen.as_slice() else {
        panic!("{seen:?}")
    };
    assert_eq!((only.watched.guest, only.watched.app), (guest.id, app.id));
    assert_eq!(only.watched.place, guest.place);
    assert!(only.watched.confirmed && !only.is_worked_on() && !only.adopted);
    assert_eq!(only.status, StatusLabel::Running);
    let stop = world.enqueue(OperationKind::Stop, app.id, None).await;
    let seen = world.store.watched_guests(world.host).await.unwrap();
    assert_eq!(seen[0].operation, Some((stop.id, false)));
    let (_, fence) = world.claim().await;
    world.stick(&fence, None, "x").await;
    let seen = world.store.watched_guests(world.host).await.unwrap();
    assert_eq!(seen[0].operation, Some((stop.id, true)));
    assert!(!seen[0].is_worked_on());
}

pub async fn suspicions_are_kept_until_they_end(make: &impl Make) {
    let mut world = World::new(make).await;
    let (_, guest) = world.deployed("web", 101).await;
    let first = Suspicion::begun(world.at());
    let change = begun(&guest, world.at());
    world.store.journal_numbered().await.unwrap();
    let newest = world.store.newest_event().await.unwrap();
    world
        .store
        .change_suspicions(&[change], world.at())
        .await
        .unwrap();
    let told = world.events(newest, 10).await;
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].2.kind, told[0].3),
        (EventKind::OrphanSuspected, Some(guest.app))
    );
    world.pass(30_000);
    let second = first.counted(world.at(), world.at()).unwrap();
    let counted = SuspicionChange::Counted {
        guest: guest.id,
        suspicion: second,
    };
    world
        .store
        .change_suspicions(&[counted], world.at())
        .await
        .unwrap();
    assert_eq!(
        world.store.suspicions().await.unwrap(),
        [(guest.id, kept(second, false))]
    );
    let ended = |event| SuspicionChange::Ended {
        guest: guest.id,
        event,
    };
    let seen = event(EventKind::GuestSeenAgain);
    let ends = [ended(None), ended(Some((guest.app, seen)))];
    let changed = world.store.change_suspicions(&ends, world.at());
    changed.await.unwrap();
    assert_eq!(world.store.suspicions().await.unwrap(), []);
    let told = world.events(newest + 1, 10).await;
    let told: Vec<_> = told.iter().map(|row| (row.2.kind, row.3)).collect();
    assert_eq!(told, [(EventKind::GuestSeenAgain, Some(guest.app))]);
    // Begun anew without a word of its own, told with others.
    let silent = SuspicionChange::Begun {
        guest: guest.id,
        app: guest.app,
        suspicion: second,
        event: None,
        among_many: true,
    };
    let many = SuspicionChange::Told {
        event: event(EventKind::OrphansSuspected),
    };
    let changes = [silent, many];
    let changed = world.store.change_suspicions(&changes, world.at());
    changed.await.unwrap();
    let told = world.events(newest + 2, 10).await;
    let told: Vec<_> = told.iter().map(|row| (row.2.kind, row.3)).collect();
    assert_eq!(told, [(EventKind::OrphansSuspected, None)]);
    let known = world.store.suspicions().await.unwrap();
    assert_eq!(known, [(guest.id, kept(second, true))]);
    world.assert_sound().await;
}

pub async fn what_is_left_of_many_is_told_of_by_itself_once(make: &impl Make) {
    let mut world = World::new(make).await;
    let (_, guest) = world.deployed("web", 101).await;
    let first = Suspicion::begun(world.at());
    let change = async |change: SuspicionChange, at: Timestamp| {
        let changes = [change];
        let changed = world.store.change_suspicions(&changes, at);
        changed.await.unwrap();
        world.store.suspicions().await.unwrap()
    };
    world.store.journal_numbered().await.unwrap();
    let newest = world.store.newest_event().await.unwrap();
    let alone = SuspicionChange::ToldAlone {
        guest: guest.id,
        app: guest.app,
        event: event(EventKind::OrphanSuspected),
    };
    assert_eq!(change(alone.clone(), world.at()).await, [], "not suspected");
    let begun = SuspicionChange::Begun {
        guest: guest.id,
        app: guest.app,
        suspicion: first,
        event: Some(event(EventKind::OrphanAmongMany)),
        among_many: true,
    };
    let known = change(begun, world.at()).await;
    assert_eq!(known, [(guest.id, kept(first, true))]);
    let later = Timestamp(world.at().0 + 30_000);
    let second = first.counted(later, later).unwrap();
    let counted = SuspicionChange::Counted {
        guest: guest.id,
        suspicion: second,
    };
    let known = change(counted, later).await;
    assert_eq!(known, [(guest.id, kept(second, true))], "it is still so");
    for _ in 0..2 {
        let known = change(alone.clone(), later).await;
        assert_eq!(known, [(guest.id, kept(second, false))]);
    }
    let told = world.events(newest, 10).await;
    let told: Vec<_> = told.iter().map(|row| (row.2.kind, row.3)).collect();
    let app = Some(guest.app);
    assert_eq!(
        told,
        [
            (EventKind::OrphanAmongMany, app),
            (EventKind::OrphanSuspected, app)
        ]
    );
    world.assert_sound().await;
}

pub async fn an_identity_is_learned_and_accepted_by_a_person(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = world.deployed("web", 101).await;
    let store = world.store.clone();
    let shown = Shown {
        marked: true,
        net0_mac: Mac::with_pve_prefix([9, 9, 9]),
        rootfs_volid: guest.identity.rootfs_volid.clone().unwrap(),
    };
    let known = async || store.native_guests(app.id).await.unwrap().pop().unwrap();
    let told = event(EventKind::GuestIdentityLearned);
    let now = world.at();
    let learn = async |shown| {
        let learned = store.learn_identity(guest.id, app.id, shown, &told, now);
        assert!(learned.await.unwrap());
    };
    learn(Some(&shown)).await;
    let learned = known().await;
    assert_eq!(learned.identity, guest.identity, "what is recorded stays");
    assert_eq!(learned.learned.unwrap().shown, shown);
    learn(None).await;
    assert_eq!(known().await, guest);
    let nothing = store.learn_identity(guest.id, app.id, None, &told, now);
    assert!(!nothing.await.unwrap(), "its end is told once");
    learn(Some(&shown)).await;
    store.note_verified(&[guest.id], world.at()).await.unwrap();
    let begun = [begun(&guest, world.at())];
    store.change_suspicions(&begun, world.at()).await.unwrap();
    let looks = GuestLooks {
        verified_at: Some(world.at()),
        missed_at: Some(world.at()),
    };
    assert_eq!(store.guest_looks(guest.id).await.unwrap(), looks);
    let mut accepted = Accepted {
        app: app.id,
        guest: guest.id,
        shown: Shown {
            marked: false,
            ..shown.clone()
        },
        event: event(EventKind::GuestReidentified),
        actor: world.actor.clone(),
    };
    let unmarked = store.accept_identity(&accepted, world.at()).await;
    assert_illegal(unmarked);
    accepted.shown = shown.clone();
    store.accept_identity(&accepted, world.at()).await.unwrap();
    let after = known().await;
    assert_eq!(after.identity.net0_mac, shown.net0_mac);
    assert_eq!(
        (after.identity.mark, after.learned),
        (guest.identity.mark, None)
    );
    let audit = world.audit(1000, 0).await;
    assert!(audit.iter().any(|a| a.action == "app.reidentify"));
    world.enqueue(OperationKind::Stop, app.id, None).await;
    let busy = store.accept_identity(&accepted, world.at()).await;
    assert!(matches!(busy, Err(StoreError::Busy { .. })), "{busy:?}");
    world.assert_sound().await;
}

pub async fn what_was_missed_is_so_until_it_is_verified_after_that(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = world.deployed("web", 101).await;
    let (_, other) = world.deployed("api", 102).await;
    let store = world.store.clone();
    let looks = async || store.guest_looks(guest.id).await.unwrap();
    let at = |ms: i64| Timestamp(world.at().0 + ms);
    let moments = |verified_at, missed_at| GuestLooks {
        verified_at,
        missed_at,
    };
    let change = async |change: SuspicionChange, now: Timestamp| {
        let changed = store.change_suspicions(&[change], now).await;
        changed.unwrap();
    };
    let ended = || SuspicionChange::Ended {
        guest: guest.id,
        event: None,
    };
    change(begun(&guest, at(1)), at(1)).await;
    // A read of before may be written down meanwhile.
    let both = [guest.id, other.id];
    let noted = store.note_verified(&both, at(2)).await.unwrap();
    assert_eq!(noted, [other.id]);
    assert_eq!(looks().await, moments(None, Some(at(1))));
    change(ended(), at(3)).await;
    assert_eq!(
        looks().await,
        moments(None, Some(at(1))),
        "it is listed again, and may be another one"
    );
    let noted = store.note_verified(&both, at(4)).await.unwrap();
    assert_eq!(noted, both);
    assert_eq!(looks().await, moments(Some(at(4)), None));
    change(begun(&guest, at(5)), at(5)).await;
    assert_eq!(looks().await, moments(Some(at(4)), Some(at(5))));
    change(ended(), at(6)).await;
    // What a person accepts was read and compared.
    let accepted = Accepted {
        app: app.id,
        guest: guest.id,
        shown: Shown {
            marked: true,
            net0_mac: Mac::with_pve_prefix([9, 9, 9]),
            rootfs_volid: guest.identity.rootfs_volid.clone().unwrap(),
        },
        event: event(EventKind::GuestReidentified),
        actor: world.actor.clone(),
    };
    store.accept_identity(&accepted, at(7)).await.unwrap();
    assert_eq!(looks().await, moments(Some(at(7)), None));
    world.assert_sound().await;
}

pub async fn an_unchanged_look_writes_nothing(make: &impl Make) {
    let world = World::new(make).await;
    let commits = world.store.commits();
    let before = *commits.borrow();
    world
        .store
        .change_suspicions(&[], world.at())
        .await
        .unwrap();
    assert_eq!(*commits.borrow(), before);
}

pub async fn the_brake_counts_from_its_baseline(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = world.deployed("web", 101).await;
    let hour_ago = Timestamp(world.at().0 - 3_600_000);
    assert_eq!(world.store.live_apps().await.unwrap(), 1);
    assert_eq!(
        world.store.orphans_archived_after(hour_ago).await.unwrap(),
        0
    );
    assert_eq!(
        world.store.mass_brake().await.unwrap(),
        BrakeRecord::default()
    );
    let stops = BrakeChange::Stops {
        missing: 7,
        event: event(EventKind::MassBrakeStopped),
    };
    world.store.change_brake(&stops, world.at()).await.unwrap();
    let stopped = Some((world.at(), 7));
    let brake = world.store.mass_brake().await.unwrap();
    assert_eq!((brake.stopped, brake.baseline_at), (stopped, None));
    let found = orphan(&world, &app, &guest);
    assert!(
        world
            .store
            .archive_orphan(&found, world.at())
            .await
            .unwrap()
    );
    assert_eq!(world.store.live_apps().await.unwrap(), 0);
    assert_eq!(
        world.store.orphans_archived_after(hour_ago).await.unwrap(),
        1
    );
    assert_eq!(
        world
            .store
            .orphans_archived_after(world.at())
            .await
            .unwrap(),
        0
    );
    is_released_in_part_and_whole(&world, brake).await;
    world.store.change_brake(&stops, world.at()).await.unwrap();
    let began = world.at();
    world.pass(1_000);
    let brake = world.store.mass_brake().await.unwrap().baseline_at;
    world.store.change_brake(&stops, world.at()).await.unwrap();
    let doubled = world.store.mass_brake().await.unwrap().stopped;
    assert_eq!(doubled, Some((began, 7)), "since the first time");
    world.journal_numbered().await;
    let newest = world.store.newest_event().await.unwrap();
    let ends = BrakeChange::Ends {
        event: event(EventKind::MassBrakeEnded),
    };
    for _ in 0..2 {
        world.store.change_brake(&ends, world.at()).await.unwrap();
    }
    let ended = world.store.mass_brake().await.unwrap();
    assert_eq!((ended.stopped, ended.baseline_at), (None, brake));
    let told = world.events(newest, 10).await;
    let told: Vec<_> = told.iter().map(|row| row.2.kind).collect();
    assert_eq!(told, [EventKind::MassBrakeEnded], "its end is told once");
}

/// A person's confirmation is on record with the person, whatever was done of it.
async fn is_released_in_part_and_whole(world: &World, brake: BrakeRecord) {
    let details = json!({ "confirmed": 7, "archived": 1, "apps": ["web"] });
    let in_part = BrakeChange::ReleasedInPart {
        details: details.clone(),
        actor: world.actor.clone(),
    };
    let done = world.store.change_brake(&in_part, world.at()).await;
    done.unwrap();
    assert_eq!(world.store.mass_brake().await.unwrap(), brake, "it is on");
    let audit = world.audit(1000, 0).await;
    let entry = audit.last().unwrap();
    assert_eq!(entry.action, "reconcile.confirm_missing");
    assert_eq!(
        (&entry.details, &entry.account),
        (&details, &world.actor.account)
    );
    let released = BrakeChange::Released {
        event: event(EventKind::MassBrakeReleased),
        details,
        actor: world.actor.clone(),
    };
    world
        .store
        .change_brake(&released, world.at())
        .await
        .unwrap();
    let brake = world.store.mass_brake().await.unwrap();
    assert_eq!((brake.stopped, brake.baseline_at), (None, Some(world.at())));
    let audit = world.audit(1000, 0).await;
    assert_eq!(audit.last().unwrap().action, "reconcile.confirm_missing");
}

pub async fn stuck_apps_are_marked_as_seen_or_not_at_all(make: &impl Make) {
    let mut world = World::new(make).await;
    let app = world.create("web").await;
    let (stuck, why) = (event(EventKind::AppDiagnosedStuck), failure("timed_out"));
    let seen = world.store.transitional_apps().await.unwrap();
    assert_eq!((seen[0].app, seen[0].pulse), (app.id, Pulse::Waiting));
    world.pass(10);
    let (operation, _) = world.claim().await;
    let mark = |seen, at| {
        let (why, stuck, store) = (why.clone(), stuck.clone(), world.store.clone());
        async move { store.mark_stuck(&seen, why, &stuck, at).await.unwrap() }
    };
    let at = world.at();
    assert!(!mark(seen[0].clone(), at).await, "it was claimed since");
    let seen = world.store.transitional_apps().await.unwrap();
    let until = Timestamp(at.0 + LEASE_MS);
    assert_eq!(seen[0].pulse, Pulse::Leased { until });
    assert_eq!(seen[0].operation, Some(operation.id));
    assert!(mark(seen[0].clone(), at).await);
    let marked = world.app(app.id).await;
    assert!(
        matches!(&marked.status, Status::Error { was: StatusLabel::Deploying, why: w, .. } if *w == why),
        "{marked:?}"
    );
    assert_eq!(
        marked.operation,
        Some(operation.id),
        "the operation is left alone"
    );
    assert_eq!(world.store.transitional_apps().await.unwrap(), []);
    assert!(!mark(seen[0].clone(), at).await, "marked once");
    world.assert_sound().await;
}

pub async fn power_is_followed_between_running_and_stopped_alone(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = world.deployed("web", 101).await;
    let (running, stopped) = (ReadPower::Running, ReadPower::Stopped);
    let store = world.store.clone();
    let follow = async |from, to, at| {
        let app = app.id;
        let seen = SeenPower { app, from, to };
        store.follow_powers(&[seen], at).await.unwrap() == [app]
    };
    let at = world.at();
    assert!(!follow(stopped, running, at).await, "it is running");
    assert!(follow(running, stopped, at).await);
    assert_eq!(world.app(app.id).await.status, Status::Stopped);
    world.enqueue(OperationKind::Start, app.id, None).await;
    assert!(
        !follow(stopped, running, at).await,
        "an operation is at work"
    );
    let (_, fence) = world.claim().await;
    world.fail(&fence, None, "x").await;
    world.end(&fence).await.unwrap();
    assert!(!follow(stopped, running, at).await, "out of error");
    assert!(matches!(
        world.app(app.id).await.status,
        Status::Error { .. }
    ));
}

pub async fn an_app_in_error_is_resolved_by_a_person(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = world.deployed("web", 101).await;
    let resolve = world
        .store
        .resolve_app(app.id, ReadPower::Running, &world.actor, world.at());
    assert_illegal(resolve.await);
    world.enqueue(OperationKind::Stop, app.id, None).await;
    let (_, fence) = world.claim().await;
    let resolve = world
        .store
        .resolve_app(app.id, ReadPower::Running, &world.actor, world.at());
    assert!(matches!(resolve.await, Err(StoreError::Busy { .. })));
    world.fail(&fence, None, "x").await;
    world.end(&fence).await.unwrap();
    assert_eq!(world.app(app.id).await.status, error_status(world.at()));
    let resolve = world
        .store
        .resolve_app(app.id, ReadPower::Stopped, &world.actor, world.at());
    assert_eq!(resolve.await.unwrap().status, Status::Stopped);
    let audit = world.audit(1000, 0).await;
    assert_eq!(audit.last().unwrap().action, "app.resolve");
    let nobody = AppId(world.id());
    let resolve = world
        .store
        .resolve_app(nobody, ReadPower::Stopped, &world.actor, world.at());
    assert!(matches!(resolve.await, Err(StoreError::NotFound { .. })));
    world.assert_sound().await;
}

pub async fn the_archive_is_listed_newest_first(make: &impl Make) {
    let mut world = World::new(make).await;
    let mut ids = Vec::new();
    for (name, vmid) in [("one", 101), ("two", 102), ("three", 103)] {
        let (app, guest) = world.deployed(name, vmid).await;
        world.pass(10);
        let found = orphan(&world, &app, &guest);
        assert!(
            world
                .store
                .archive_orphan(&found, world.at())
                .await
                .unwrap()
        );
        ids.push(app.id);
    }
    world.deployed("live", 104).await;
    ids.reverse();
    let list = |filter| {
        let store = world.store.clone();
        async move {
            let found = store.archived_apps(filter).await.unwrap();
            found.iter().map(|a| a.record.id).collect::<Vec<_>>()
        }
    };
    assert_eq!(list(ArchiveFilter::default()).await, ids);
    let filter = ArchiveFilter {
        limit: 1,
        before: Some(ids[0]),
        owner: Some("admin".to_owned()),
        hostname: None,
    };
    assert_eq!(list(filter).await, ids[1..2]);
    let named = |name: &str| ArchiveFilter {
        hostname: Some(name.to_owned()),
        ..ArchiveFilter::default()
    };
    assert_eq!(list(named("two")).await, ids[1..2]);
    assert_eq!(list(named("live")).await, []);
    assert_eq!(list(named("two\0")).await, []);
    let filter = ArchiveFilter {
        owner: Some("someone".to_owned()),
        ..ArchiveFilter::default()
    };
    assert_eq!(list(filter).await, []);
}
