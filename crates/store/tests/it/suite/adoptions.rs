//! Adopted apps: recorded with their guest, kept apart from native ones, and given back.

use std::collections::BTreeMap;

use proximity_domain::adopted::{AdoptedGuest, AdoptedIdentity};
use proximity_domain::adoption::{
    AdoptionPart, AdoptionRecord, ResourcesAtAdoption, StatusAtAdoption,
};
use proximity_domain::app::{AppClass, Status};
use proximity_domain::event::EventKind;
use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::{AppId, GuestId, Vmid};
use proximity_domain::names::Mac;
use proximity_domain::operation::OperationKind;
use proximity_domain::recorded::RecordedGuest;
use proximity_store::effects::{Effects, GuestChange};
use proximity_store::exposure::Exposure;
use proximity_store::records::AppRecord;
use proximity_store::{StepOutput, StoreError};
use serde_json::json;

use super::world::{Make, World, request_key};

pub async fn adopt(
    world: &mut World,
    hostname: &str,
    vmid: u32,
) -> Result<(AppRecord, AdoptedGuest), StoreError> {
    let (app, mut operation) = world.new_app(hostname);
    operation.kind = OperationKind::Adopt;
    let vmid = Vmid::try_from(vmid).unwrap();
    let guest = AdoptedGuest {
        id: GuestId(world.id()),
        app: app.id,
        created_by: operation.id,
        place: ContainerRef {
            host: world.host,
            node: "pve1".parse().unwrap(),
            vmid,
        },
        identity: AdoptedIdentity {
            vmid,
            net0_mac: Mac::with_pve_prefix([9, 9, 9]),
            rootfs_volid: "local-lvm:vm-105-disk-0".parse().unwrap(),
        },
        learned: None,
    };
    let made = world.store.adopt_app(
        app,
        guest.clone(),
        operation,
        &world.actor,
        None,
        world.at(),
    );
    Ok((made.await?, guest))
}

fn record(world: &World) -> AdoptionRecord {
    AdoptionRecord {
        original_vmid: Vmid::try_from(105).unwrap(),
        original_name: "db".to_owned(),
        adoption_date: world.at(),
        suggested_type: "postgres".parse().unwrap(),
        container_port: 5432,
        detected_ports: vec![22, 5432],
        proxmox_config_snapshot: BTreeMap::from([
            ("cores".to_owned(), json!(2)),
            ("description".to_owned(), json!("größer\n")),
            ("env".to_owned(), json!("PASSWORD=canary-of-the-record")),
        ]),
        resources_at_adoption: ResourcesAtAdoption {
            cpus: Some(2.0),
            memory_bytes: Some(1 << 30),
            disk_bytes: None,
            uptime_seconds: Some(0),
        },
        status_at_adoption: StatusAtAdoption::Stopped,
        network_interfaces: Vec::new(),
        hostname: Some("db".to_owned()),
        os_type: Some("debian".to_owned()),
        architecture: Some("amd64".to_owned()),
        missing_parts: vec![AdoptionPart::NetworkInterfaces],
    }
}

/// An adoption that has ended well.
pub async fn adopted(world: &mut World, hostname: &str, vmid: u32) -> (AppRecord, AdoptedGuest) {
    let (app, guest) = adopt(world, hostname, vmid).await.unwrap();
    let (_, fence) = world.claim().await;
    let (at, none) = (world.at(), Effects::default);
    let read = StepOutput::Sealed(json!({"env": "PASSWORD=canary-of-the-step"}));
    let begun = world
        .store
        .begin_step(&fence, 0, "capture", json!({}), none(), at);
    begun.await.unwrap();
    let done = world.store.finish_step(&fence, 0, read, none(), at);
    done.await.unwrap();
    let effects = Effects {
        adoption: Some(record(world)),
        status: Some(Status::Stopped),
        ..Effects::default()
    };
    let ended = world.store.complete(&fence, effects, world.at()).await;
    ended.unwrap();
    (app, guest)
}

pub async fn are_recorded_with_their_guest(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = adopt(&mut world, "found", 105).await.unwrap();
    assert_eq!((app.class, app.exposed), (AppClass::Adopted, false));
    assert_eq!(app.status, Status::Adopting);
    assert!(app.ports.is_some() && app.operation == Some(guest.created_by));
    let recorded = vec![RecordedGuest::Adopted(guest)];
    assert_eq!(world.store.recorded_guests(app.id).await.unwrap(), recorded);
    let of_host = world.store.recorded_guests_of_host(world.host).await;
    assert_eq!(of_host.unwrap(), recorded);
    assert!(world.store.native_guests(app.id).await.unwrap().is_empty());
    assert!(
        world
            .store
            .host_guests(world.host)
            .await
            .unwrap()
            .is_empty()
    );
    let watched = world.store.watched_guests(world.host).await.unwrap();
    assert!(watched.len() == 1 && watched[0].adopted);
    let counts = world.store.app_counts(None).await.unwrap();
    assert_eq!(counts[0].class, "adopted");
    assert_eq!(world.store.adoption(app.id).await.unwrap(), None);
    let native = world.create("made").await;
    assert_eq!((native.class, native.exposed), (AppClass::Native, true));
    world.assert_sound().await;
}

pub async fn hold_their_number_once(make: &impl Make) {
    let mut world = World::new(make).await;
    adopt(&mut world, "found", 105).await.unwrap();
    let refused = adopt(&mut world, "second", 105).await;
    assert!(
        matches!(refused, Err(StoreError::Exists { what: "guest", .. })),
        "{refused:?}"
    );
    let none = world.store.app_by_hostname("second").await.unwrap();
    assert_eq!(none, None, "all of it or nothing");
    // The same key gives the first.
    let (app, mut operation) = world.new_app("keyed");
    operation.kind = OperationKind::Adopt;
    let (_, mut guest) = adopt(&mut world, "other", 106).await.unwrap();
    guest = AdoptedGuest {
        id: GuestId(world.id()),
        app: app.id,
        created_by: operation.id,
        place: ContainerRef {
            vmid: Vmid::try_from(107).unwrap(),
            ..guest.place
        },
        identity: AdoptedIdentity {
            vmid: Vmid::try_from(107).unwrap(),
            ..guest.identity
        },
        learned: None,
    };
    for _ in 0..2 {
        let key = Some(request_key("k"));
        let made = world.store.adopt_app(
            app.clone(),
            guest.clone(),
            operation.clone(),
            &world.actor,
            key,
            world.at(),
        );
        assert_eq!(made.await.unwrap().id, app.id);
    }
    world.assert_sound().await;
}

pub async fn leave_a_record_that_outlives_them(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = adopted(&mut world, "found", 105).await;
    let expected = Some(record(&world));
    assert_eq!(world.store.adoption(app.id).await.unwrap(), expected);
    // Nothing writes it anew.
    world.enqueue(OperationKind::Start, app.id, None).await;
    let (_, fence) = world.claim().await;
    let again = Effects {
        adoption: Some(record(&world)),
        ..Effects::default()
    };
    let refused = world.store.note(&fence, again, world.at()).await;
    assert!(
        matches!(refused, Err(StoreError::IllegalTransition { .. })),
        "{refused:?}"
    );
    world.step(&fence, 0).await;
    world.complete(&fence).await;
    // Given back: the container's number is free, the history stays.
    let removing = Some(Status::Removing);
    world.enqueue(OperationKind::Forget, app.id, removing).await;
    let (_, fence) = world.claim().await;
    world.step(&fence, 0).await;
    let effects = Effects {
        guests: vec![GuestChange::Released { guest: guest.id }],
        archive: true,
        ..Effects::default()
    };
    world
        .store
        .complete(&fence, effects, world.at())
        .await
        .unwrap();
    let archived = world.store.archived_app(app.id).await.unwrap().unwrap();
    assert_eq!(archived.record.class, AppClass::Adopted);
    assert_eq!(world.store.adoption(app.id).await.unwrap(), expected);
    assert!(
        world
            .store
            .recorded_guests(app.id)
            .await
            .unwrap()
            .is_empty()
    );
    adopt(&mut world, "found", 105).await.unwrap();
    world.assert_sound().await;
}

/// How many events of this kind were told.
pub async fn count(world: &World, kind: EventKind) -> usize {
    let events = world.events(0, 1_000).await;
    events.iter().filter(|event| event.2.kind == kind).count()
}

pub async fn that_are_cancelled_leave_nothing(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = adopt(&mut world, "found", 105).await.unwrap();
    let cancelled = world
        .store
        .request_cancel(guest.created_by, &world.actor, world.at());
    assert!(cancelled.await.unwrap().state.is_final());
    assert_eq!(world.store.app(app.id).await.unwrap(), None);
    assert!(world.store.archived_app(app.id).await.unwrap().is_some());
    assert_eq!(count(&world, EventKind::AppAdoptFailed).await, 1);
    let free = !world
        .store
        .is_held(world.host, guest.place.vmid)
        .await
        .unwrap();
    assert!(free && world.store.ports().await.unwrap().held.is_empty());
    world.assert_sound().await;
}

pub async fn are_exposed_and_hidden_by_a_person(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = adopted(&mut world, "found", 105).await;
    let (made, _) = world.deployed("made", 106).await;
    let expose = async |world: &World, app, exposure| {
        let store = &world.store;
        store.expose(app, exposure, &world.actor, world.at()).await
    };
    let open = expose(&world, app.id, Exposure::Open(Some(6379)))
        .await
        .unwrap();
    assert_eq!((open.exposed, open.guest_port), (true, 6379));
    let open = expose(&world, app.id, Exposure::Open(None)).await.unwrap();
    assert_eq!((open.exposed, open.guest_port), (true, 6379));
    let closed = expose(&world, app.id, Exposure::Closed).await.unwrap();
    assert_eq!((closed.exposed, closed.guest_port), (false, 6379));
    assert_eq!(closed.ports, app.ports, "they stay reserved");
    let native = expose(&world, made.id, Exposure::Closed).await;
    assert!(
        matches!(native, Err(StoreError::IllegalTransition { .. })),
        "{native:?}"
    );
    world.enqueue(OperationKind::Start, app.id, None).await;
    let busy = expose(&world, app.id, Exposure::Open(None)).await;
    assert!(matches!(busy, Err(StoreError::Busy { .. })), "{busy:?}");
    let nobody = AppId(world.id());
    let absent = expose(&world, nobody, Exposure::Closed).await;
    assert!(
        matches!(absent, Err(StoreError::NotFound { what: "app", .. })),
        "{absent:?}"
    );
    world.assert_sound().await;
}

pub async fn and_native_apps_are_kept_apart(make: &impl Make) {
    let mut world = World::new(make).await;
    let (found, _) = adopted(&mut world, "found", 105).await;
    let (made, native) = world.deployed("made", 106).await;
    let removing = Some(Status::Removing);
    for (kind, app) in [
        (OperationKind::Remove, found.id),
        (OperationKind::Deploy, found.id),
        (OperationKind::Adopt, found.id),
        (OperationKind::Forget, made.id),
        (OperationKind::Adopt, made.id),
    ] {
        let operation = world.new_operation(kind, app);
        let refused = world
            .store
            .enqueue(operation, removing.clone(), &world.actor, world.at());
        let refused = refused.await;
        assert!(
            matches!(refused, Err(StoreError::IllegalTransition { .. })),
            "{kind:?}: {refused:?}"
        );
    }
    world.enqueue(OperationKind::Stop, made.id, None).await;
    let (_, fence) = world.claim().await;
    for effects in [
        Effects {
            guests: vec![GuestChange::Released { guest: native.id }],
            ..Effects::default()
        },
        Effects {
            adoption: Some(record(&world)),
            ..Effects::default()
        },
    ] {
        let refused = world.store.note(&fence, effects, world.at()).await;
        assert!(
            matches!(refused, Err(StoreError::IllegalTransition { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(world.store.native_guests(made.id).await.unwrap().len(), 1);
    world.assert_sound().await;
}
