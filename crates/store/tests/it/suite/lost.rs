//! What is recorded on a node that a person gives up: ended whole, as it was judged, or not at all.

use proximity_domain::app::StatusLabel;
use proximity_domain::event::EventKind;
use proximity_domain::ids::{AppId, GuestId};
use proximity_domain::observe::Suspicion;
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_domain::time::Timestamp;
use proximity_store::StoreError;
use proximity_store::effects::NewEvent;
use proximity_store::lost::NodeLost;
use proximity_store::observation::SuspicionChange;
use proximity_store::orphans::OrphanFound;
use proximity_store::records::{AppRecord, LogLevel};
use proximity_store::views::ArchivedBy;
use serde_json::json;

use super::adoptions::adopted;
use super::world::{Make, REST_MS, World};

fn lost_app(world: &World, app: &AppRecord, guest: GuestId) -> OrphanFound {
    let kind = EventKind::AppLostWithNode;
    let fields = kind.spec().fields.iter();
    let body = fields.map(|field| ((*field).to_owned(), json!(1)));
    OrphanFound {
        app: app.id,
        status: app.status.label(),
        guests: vec![guest],
        operation: app.operation,
        event: NewEvent {
            kind,
            body: body.collect(),
        },
        level: LogLevel::Warning,
        line: "lost".to_owned(),
        actor: world.actor.clone(),
    }
}

/// pve1 with these apps, to be forgotten by the host.
async fn pve1(world: &World, apps: Vec<OrphanFound>) -> NodeLost {
    let mut host = world.store.host(world.host).await.unwrap().unwrap();
    host.known_nodes = vec!["pve2".parse().unwrap()];
    let mut recorded: Vec<GuestId> = apps.iter().flat_map(|app| app.guests.clone()).collect();
    recorded.sort_unstable();
    let mut actor = world.actor.clone();
    actor.request = Some("request-7".to_owned());
    NodeLost {
        host,
        node: "pve1".parse().unwrap(),
        is_forgotten: true,
        recorded,
        apps,
        actor,
    }
}

async fn actions(world: &World) -> Vec<String> {
    let audit = world.audit(1000, 0).await;
    audit.into_iter().map(|entry| entry.action).collect()
}

pub async fn ends_with_its_node_in_one_commit(make: &impl Make) {
    let mut world = World::new(make).await;
    let (web, guest) = world.deployed("web", 101).await;
    let (db, found) = adopted(&mut world, "box", 105).await;
    let db = world.app(db.id).await;
    let begun = [SuspicionChange::Begun {
        guest: guest.id,
        app: web.id,
        suspicion: Suspicion::begun(world.at()),
        event: None,
        among_many: false,
    }];
    let suspected = world.store.change_suspicions(&begun, world.at());
    suspected.await.unwrap();
    world.pass(60_000);
    let newest = world.events(0, 1000).await.last().unwrap().0;
    let apps = vec![
        lost_app(&world, &web, guest.id),
        lost_app(&world, &db, found.id),
    ];
    let lost = pve1(&world, apps).await;
    assert!(world.store.lose_node(&lost, world.at()).await.unwrap());

    for app in [&web, &db] {
        assert_eq!(world.store.app(app.id).await.unwrap(), None);
        let kept = world.store.archived_app(app.id).await.unwrap().unwrap();
        let by = ArchivedBy::Person;
        assert_eq!((kept.by, kept.archived_at), (by, world.at()));
        let log = world.log(app.id, 0, 100).await;
        assert_eq!(log.last().unwrap().message, "lost");
    }
    assert!(world.store.adoption(db.id).await.unwrap().is_some());
    assert_eq!(world.store.suspicions().await.unwrap(), []);
    assert_eq!(world.store.watched_guests(world.host).await.unwrap(), []);
    let rests = Some(Timestamp(world.at().0 + REST_MS));
    let ports = world.store.ports().await.unwrap();
    assert!(ports.freed.len() == 4 && ports.freed.iter().all(|p| p.rests_until == rests));
    let host = world.store.host(world.host).await.unwrap().unwrap();
    assert_eq!(host.known_nodes, lost.host.known_nodes);

    let told = world.events(newest, 100).await;
    let told: Vec<_> = told.iter().map(|row| (row.2.kind, row.3)).collect();
    let of_app = |app: &AppRecord| (EventKind::AppLostWithNode, Some(app.id));
    let forgotten = (EventKind::HostNodeForgotten, None);
    assert_eq!(told, [of_app(&web), of_app(&db), forgotten]);
    let audit = world.audit(1000, 0).await;
    let newest = &audit[audit.len() - 4..];
    let said: Vec<&str> = newest.iter().map(|a| a.action.as_str()).collect();
    let each = "app.lost_with_node";
    let expected = ["host.containers_lost", each, each, "host.forget_node"];
    assert_eq!(said, expected);
    for entry in newest {
        let by = (entry.account.as_str(), entry.token);
        assert_eq!(by, ("admin", world.actor.token));
    }
    let details = json!({
        "node": "pve1",
        "confirmed": 2,
        "apps": [web.id, db.id],
        "forgotten": true,
        "request": "request-7",
    });
    assert_eq!(newest[0].details, details);
    let hour_ago = Timestamp(world.at().0 - 3_600_000);
    let counted = world.store.orphans_archived_after(hour_ago).await.unwrap();
    assert_eq!(counted, 2, "the mass brake counts them");
    world.assert_sound().await;
}

pub async fn ends_as_judged_or_not_at_all(make: &impl Make) {
    let mut world = World::new(make).await;
    let (web, guest) = world.deployed("web", 101).await;
    let (shop, other) = world.deployed("shop", 102).await;
    let of_web = lost_app(&world, &web, guest.id);
    let of_shop = lost_app(&world, &shop, other.id);
    let judged = pve1(&world, vec![of_web.clone(), of_shop.clone()]).await;
    let other_status = OrphanFound {
        status: StatusLabel::Removing,
        ..of_shop.clone()
    };
    let nobody = OrphanFound {
        app: AppId(world.id()),
        ..of_shop.clone()
    };
    let mut others = vec![
        // One was recorded there since.
        pve1(&world, vec![of_web.clone()]).await,
        NodeLost {
            node: "pve2".parse().unwrap(),
            ..judged.clone()
        },
    ];
    for last in [other_status, nobody] {
        others.push(NodeLost {
            apps: vec![of_web.clone(), last],
            ..judged.clone()
        });
    }
    let newest = world.events(0, 1000).await.len();
    for other in &others {
        let done = world.store.lose_node(other, world.at()).await.unwrap();
        assert!(!done, "{other:?}");
    }
    world.enqueue(OperationKind::Stop, shop.id, None).await;
    let at_work = world.store.lose_node(&judged, world.at()).await.unwrap();
    assert!(!at_work, "an operation is at work on the second");
    let events = world.events(0, 1000).await;
    assert_eq!(events.len(), newest + 1, "that it was queued");
    assert!(world.store.app(web.id).await.unwrap().is_some());

    // One that fails at its end takes nothing along.
    let (_, fence) = world.claim().await;
    world.step(&fence, 0).await;
    world.complete(&fence).await;
    let mut unknown = judged.clone();
    unknown.host.id = world.host_record("elsewhere").id;
    unknown.recorded.clear();
    let refused = world.store.lose_node(&unknown, world.at()).await;
    assert!(
        matches!(refused, Err(StoreError::NotFound { what: "host", .. })),
        "{refused:?}"
    );
    assert!(world.store.app(web.id).await.unwrap().is_some());
    let actions = actions(&world).await;
    let lost = actions.iter().find(|action| action.contains("lost"));
    assert_eq!(lost, None);
    world.assert_sound().await;
}

/// One that is off and still a member stays on record. What is stuck there is given up.
pub async fn leaves_a_node_that_is_a_member(make: &impl Make) {
    let mut world = World::new(make).await;
    let (web, guest) = world.deployed("web", 101).await;
    let stop = world.enqueue(OperationKind::Stop, web.id, None).await;
    let (_, fence) = world.claim().await;
    world.begin(&fence, 0, "shut_down").await;
    world.stick(&fence, Some(0), "silent").await;
    let web = world.app(web.id).await;
    let host = world.store.host(world.host).await.unwrap().unwrap();
    let lost = NodeLost {
        is_forgotten: false,
        ..pve1(&world, vec![lost_app(&world, &web, guest.id)]).await
    };
    assert!(world.store.lose_node(&lost, world.at()).await.unwrap());
    assert_eq!(world.store.app(web.id).await.unwrap(), None);
    let ended = world.operation(stop.id).await;
    assert!(
        matches!(&ended.state, OperationState::Failed { .. }),
        "{ended:?}"
    );
    let events = world.events(0, 1000).await;
    let mut kinds = events.iter().map(|row| &row.2);
    let given_up = kinds.find(|told| told.kind == EventKind::OperationAbandoned);
    let why = &given_up.unwrap().body["failure"]["message"];
    let said = "somebody said that the app's container was lost with its node";
    assert_eq!(*why, said);
    let after = world.store.host(world.host).await.unwrap().unwrap();
    assert_eq!(after.known_nodes, host.known_nodes);
    let actions = actions(&world).await;
    assert!(!actions.contains(&"host.forget_node".to_owned()));
    assert!(actions.contains(&"host.containers_lost".to_owned()));
    world.assert_sound().await;
}
