//! A node that is gone, with what is recorded on it: a person says that it is lost, after seeing what becomes of each app.

mod doubt;

use std::sync::Arc;

use proximity_domain::app::AppClass;
use proximity_domain::event::EventKind;
use proximity_domain::observe::Brake;
use proximity_domain::operation::OperationState;
use proximity_domain::retry::RetryPolicy;
use proximity_engine::commands::{Action, AdoptContainer, Becomes, CreateApp, GiveUp, NodeLoss};
use proximity_engine::engine::EngineLimits;
use proximity_engine::error::EngineError;
use proximity_engine::reconcile::Pass;
use proximity_engine::seams::Ingress;
use proximity_pve::transport::{Method, RawResponse, Request, TransportError};
use proximity_pve_emulator::core::{Access, Reach};
use proximity_store::records::AppRecord;
use proximity_store::views::ArchivedBy;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{TestWorld, WorldParts};

async fn world() -> TestWorld {
    world_of(&["pve1", "pve2", "pve3"]).await
}

async fn world_of(nodes: &[&str]) -> TestWorld {
    TestWorld::start_of(WorldParts {
        clusters: vec![Pve::cluster(0, nodes, Access::Full)],
        pairs: 8,
        limits: EngineLimits {
            retry: RetryPolicy {
                first_ms: 20,
                ..RetryPolicy::DEFAULT
            },
            ..EngineLimits::default()
        },
        ..WorldParts::default()
    })
    .await
    .unwrap()
}

/// An app with its container's number.
async fn deployed(w: &TestWorld, name: &str, node: &str) -> (AppRecord, u32) {
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: name.to_owned(),
        node: Some(node.to_owned()),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    let guest = w.store.native_guests(app.id).await.unwrap().pop().unwrap();
    let app = w.store.app(app.id).await.unwrap().unwrap();
    (app, guest.identity.vmid.get())
}

/// A stranger's container on pve2 that is taken over.
async fn adopted(w: &TestWorld, vmid: u32) -> AppRecord {
    assert_eq!(w.pve.stranger_creates("pve2", vmid).await.status, 200);
    let config = format!("/nodes/pve2/lxc/{vmid}/config");
    w.pve.put(&config, &[("hostname", "db")]).await;
    let request = AdoptContainer {
        host: Some("lab".to_owned()),
        node: Some("pve2".to_owned()),
        vmid,
        suggested_type: None,
        port: None,
        probe: false,
        key: None,
    };
    let app = w.engine.adopt(&w.actor, request).await.unwrap();
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    w.store.app(app.id).await.unwrap().unwrap()
}

async fn give_up(w: &TestWorld, said: GiveUp) -> Result<NodeLoss, EngineError> {
    w.engine.give_up_node(&w.actor, "lab", "pve2", said).await
}

/// The code and the words of a refusal, which is the same whether it is looked at or asked for.
async fn refused(w: &TestWorld) -> (&'static str, String) {
    let shown = give_up(w, GiveUp::Show).await.unwrap_err();
    let asked = give_up(w, GiveUp::Lost(1)).await.unwrap_err();
    assert_eq!(shown.to_string(), asked.to_string());
    let hint = asked.hint();
    assert!(
        hint.contains("look again") && !hint.contains("delnode"),
        "{hint}"
    );
    (asked.code(), asked.to_string())
}

async fn is_live(w: &TestWorld, app: &AppRecord) -> bool {
    w.store.app(app.id).await.unwrap().is_some()
}

async fn known_nodes(w: &TestWorld) -> Vec<String> {
    let host = w.store.hosts().await.unwrap().pop().unwrap();
    host.known_nodes.iter().map(ToString::to_string).collect()
}

async fn forgotten(w: &TestWorld) -> usize {
    let events = w.store.events(0, 1_000).await.unwrap();
    let kinds = events.iter().map(|event| event.2.kind);
    kinds
        .filter(|kind| *kind == EventKind::HostNodeForgotten)
        .count()
}

async fn assert_sound(w: &TestWorld) {
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}

fn reach(w: &TestWorld, nodes: &[&str], reach: Reach) {
    w.pve.meddle(|world| {
        for node in nodes {
            world.node_mut(node).unwrap().reach = reach;
        }
    });
}

#[tokio::test]
async fn what_is_lost_with_a_node_that_left_is_shown_and_then_ended_whole() {
    let mut w = world().await;
    let (web, _) = deployed(&w, "web", "pve2").await;
    let db = adopted(&w, 150).await;
    let (other, _) = deployed(&w, "other", "pve1").await;
    // A worker lets go of an app a moment after its operation has ended.
    w.stop_worker().await.unwrap();
    w.pve.meddle(|world| world.remove_node("pve2"));
    let sent = w.pve.changes();
    let plain = w.engine.forget_node(&w.actor, "lab", "pve2").await;
    let plain = plain.unwrap_err();
    assert_eq!(plain.code(), "node_in_use");
    assert!(plain.to_string().contains("2 container(s)"), "{plain}");

    let shown = give_up(&w, GiveUp::Show).await.unwrap();
    let apps: Vec<_> = shown.apps.iter().map(|a| (a.app, a.class)).collect();
    let both = [(web.id, AppClass::Native), (db.id, AppClass::Adopted)];
    assert_eq!(apps, both);
    let archived = Becomes::Archived { listed: true };
    assert!(shown.apps.iter().all(|app| app.becomes == archived));
    assert!(shown.apps.iter().all(|app| app.ports.is_some()));
    assert_eq!((shown.is_member, shown.is_done), (false, false));
    assert_eq!(shown.brake, Brake::Free);
    for other in [1, 3] {
        let wrong = give_up(&w, GiveUp::Lost(other)).await.unwrap_err();
        assert_eq!(wrong.code(), "invalid_value");
    }
    assert!(is_live(&w, &web).await && is_live(&w, &db).await);
    assert_eq!(known_nodes(&w).await, ["pve1", "pve2", "pve3"]);

    let done = give_up(&w, GiveUp::Lost(2)).await.unwrap();
    assert!(done.is_done);
    assert_eq!(known_nodes(&w).await, ["pve1", "pve3"]);
    for app in [&web, &db] {
        assert!(!is_live(&w, app).await);
        let kept = w.store.archived_app(app.id).await.unwrap().unwrap();
        assert_eq!(kept.by, ArchivedBy::Person);
    }
    assert!(w.store.adoption(db.id).await.unwrap().is_some());
    let routes = w.routes.routes().await.unwrap();
    let led: Vec<_> = routes.iter().map(|route| route.app).collect();
    assert_eq!(led, [other.id]);
    let freed = w.store.ports().await.unwrap().freed;
    assert!(freed.len() == 4 && freed.iter().all(|port| port.rests_until.is_some()));
    assert_eq!(w.pve.changes(), sent, "nothing was sent to the cluster");
    let audit = w.store.audit(1_000, 0).await.unwrap();
    let mut said = audit.iter().filter(|a| a.target == "lab");
    let said = said.find(|a| a.action == "host.containers_lost").unwrap();
    assert_eq!(said.account, "admin");
    assert_eq!(said.details["confirmed"], 2);
    let events = w.store.events(0, 1_000).await.unwrap();
    let kinds = events.iter().map(|event| event.2.kind);
    let told = kinds.filter(|kind| *kind == EventKind::AppLostWithNode);
    assert_eq!(told.count(), 2);
    assert_sound(&w).await;
}

/// Proxmox VE keeps the files of a node that was taken out: its lists are of members and of others until a person deletes them.
#[tokio::test]
async fn what_was_left_of_a_node_in_the_cluster_is_named_until_it_is_deleted() {
    let mut w = world().await;
    deployed(&w, "web", "pve2").await;
    deployed(&w, "other", "pve1").await;
    w.stop_worker().await.unwrap();
    w.pve.meddle(|world| world.remove_node("pve2"));
    give_up(&w, GiveUp::Lost(1)).await.unwrap();
    let pass = async || w.engine.reconciler().pass(&Pass::Work).await.unwrap();
    let said = pass().await.result.errors.join("\n");
    assert!(said.contains("/etc/pve/nodes/pve2"), "{said}");
    w.pve.meddle(|world| world.delete_files_of("pve2"));
    let seen = pass().await;
    assert!(seen.result.success, "{seen:?}");
    assert_eq!((seen.result.total_apps, seen.suspected), (1, 0));
}

#[tokio::test]
async fn a_node_that_is_off_for_good_stays_on_record_without_its_apps() {
    let mut w = world().await;
    let (web, vmid) = deployed(&w, "web", "pve2").await;
    w.stop_worker().await.unwrap();
    reach(&w, &["pve2"], Reach::Refused);
    let shown = give_up(&w, GiveUp::Show).await.unwrap();
    assert!(shown.is_member);
    let done = give_up(&w, GiveUp::Lost(1)).await.unwrap();
    assert!(done.is_done && !is_live(&w, &web).await);
    assert_eq!(known_nodes(&w).await, ["pve1", "pve2", "pve3"]);
    let audit = w.store.audit(1_000, 0).await.unwrap();
    assert!(audit.iter().all(|a| a.action != "host.forget_node"));

    // It was not gone after all: its container is nobody's, and is left alone.
    reach(&w, &["pve2"], Reach::Up);
    let sent = w.pve.changes();
    let seen = w.engine.reconciler().pass(&Pass::Work).await.unwrap();
    assert!(seen.result.success, "{seen:?}");
    assert_eq!(w.engine.reconciler().unmanaged()["lab"], 1);
    assert_eq!(w.pve.guests.vmids(), [vmid]);
    assert_eq!(w.pve.changes(), sent);
    assert_sound(&w).await;
}

#[tokio::test]
async fn a_node_that_anybody_reaches_is_not_given_up() {
    let w = world().await;
    let (web, _) = deployed(&w, "web", "pve2").await;
    let (code, online) = refused(&w).await;
    assert_eq!(code, "node_in_use");
    assert!(online.contains("its cluster has it online"), "{online}");
    reach(&w, &["pve2", "pve3"], Reach::Refused);
    let (code, alone) = refused(&w).await;
    assert_eq!(code, "node_in_use");
    assert!(alone.contains("no quorum"), "{alone}");
    reach(&w, &["pve2", "pve3"], Reach::Up);
    // Cut off from the others, which take it for dead: its containers run on.
    w.pve.meddle(|world| world.partition("pve2", 0));
    let (code, itself) = refused(&w).await;
    assert_eq!(code, "node_in_use");
    assert!(itself.contains("it answers itself"), "{itself}");
    let unknown = w.engine.give_up_node(&w.actor, "lab", "pve9", GiveUp::Show);
    assert_eq!(unknown.await.unwrap_err().code(), "not_found");
    assert!(is_live(&w, &web).await);
}

/// What was seen a moment ago is not what counts: the node is back before the records end.
#[tokio::test]
async fn a_node_that_comes_back_in_that_moment_is_not_given_up() {
    let mut w = world().await;
    let (web, _) = deployed(&w, "web", "pve2").await;
    w.stop_worker().await.unwrap();
    reach(&w, &["pve2"], Reach::Refused);
    let pve = w.pve.clone();
    w.pve.distort(Some(Arc::new(
        move |request: &Request,
              answer: Result<RawResponse, TransportError>|
              -> Result<RawResponse, TransportError> {
            if request.path.ends_with("/config") {
                pve.meddle(|world| world.node_mut("pve2").unwrap().reach = Reach::Up);
            }
            answer
        },
    )));
    let back = give_up(&w, GiveUp::Lost(1)).await.unwrap_err();
    w.pve.distort(None);
    assert_eq!(back.code(), "node_in_use");
    assert!(back.to_string().contains("online"), "{back}");
    assert!(is_live(&w, &web).await);
}

#[tokio::test]
async fn nothing_is_given_up_while_of_one_it_cannot_be_told() {
    let mut w = world().await;
    let (web, _) = deployed(&w, "web", "pve2").await;
    let (shop, vmid) = deployed(&w, "shop", "pve2").await;
    w.pve.meddle(|world| world.remove_node("pve2"));
    let config = format!("/nodes/pve3/lxc/{vmid}/config");
    w.pve.refuse(Method::Get, &config, "got timeout", 1);
    let silent = give_up(&w, GiveUp::Lost(2)).await.unwrap_err();
    assert_eq!(silent.code(), "node_in_use");
    let said = silent.to_string();
    assert!(said.contains("shop: the node pve3 is online"), "{said}");

    w.stop_worker().await.unwrap();
    let stop = Action::Stop { force: false };
    let stop = w.engine.act(&w.actor, "shop", stop).await.unwrap();
    let shown = give_up(&w, GiveUp::Show).await.unwrap();
    assert_eq!(shown.lost(), 1);
    for typed in [1, 2] {
        let busy = give_up(&w, GiveUp::Lost(typed)).await.unwrap_err();
        assert_eq!(busy.code(), "node_in_use");
        let cancel = format!("proximity operations cancel {}", stop.id);
        assert!(busy.to_string().contains(&cancel), "{busy}");
    }
    assert!(is_live(&w, &web).await && is_live(&w, &shop).await);
    w.engine.cancel_operation(&w.actor, stop.id).await.unwrap();
    give_up(&w, GiveUp::Lost(2)).await.unwrap();
    assert!(!is_live(&w, &web).await && !is_live(&w, &shop).await);
    assert_sound(&w).await;
}

/// Its configuration was moved to a node that lives, as one does with what is on shared storage: it is there, and not lost.
#[tokio::test]
async fn what_was_moved_off_a_node_that_left_is_followed() {
    let w = world().await;
    let (web, vmid) = deployed(&w, "web", "pve2").await;
    w.pve.meddle(|world| {
        world.remove_node("pve2");
        world.move_guest(vmid, "pve1");
    });
    let shown = give_up(&w, GiveUp::Show).await.unwrap();
    let on = "pve1".parse().unwrap();
    assert_eq!(shown.apps[0].becomes, Becomes::Stays { on });
    let none = give_up(&w, GiveUp::Lost(1)).await.unwrap_err();
    assert_eq!(none.code(), "invalid_value");

    for _ in 0..2 {
        w.engine.forget_node(&w.actor, "lab", "pve2").await.unwrap();
        assert_eq!(forgotten(&w).await, 1, "once");
    }
    let followed = async || {
        let pass = w.engine.reconciler().pass(&Pass::Work).await.unwrap();
        pass.moved == 1
    };
    w.until(followed).await.unwrap();
    let guest = w.store.native_guests(web.id).await.unwrap().pop().unwrap();
    assert_eq!(guest.place.node.as_str(), "pve1");
    assert!(is_live(&w, &web).await);
    assert_sound(&w).await;
}

/// The list that answers has stood still since before the container went to another node, which says itself that it has it.
#[tokio::test]
async fn what_another_node_has_is_not_lost_though_no_list_shows_it() {
    let w = world().await;
    let (web, vmid) = deployed(&w, "web", "pve2").await;
    w.pve.meddle(|world| {
        world.move_guest(vmid, "pve3");
        world.remove_node("pve2");
    });
    w.pve.distort(Some(Arc::new(
        move |request: &Request,
              answer: Result<RawResponse, TransportError>|
              -> Result<RawResponse, TransportError> {
            let answer = answer?;
            if request.path != "/cluster/resources" {
                return Ok(answer);
            }
            let old = String::from_utf8(answer.body.to_vec()).unwrap();
            let body = old.replace("\"node\":\"pve3\"", "\"node\":\"pve2\"").into();
            Ok(RawResponse { body, ..answer })
        },
    )));
    let shown = give_up(&w, GiveUp::Show).await.unwrap();
    let on = "pve3".parse().unwrap();
    assert_eq!(shown.apps[0].becomes, Becomes::Stays { on });
    assert!(give_up(&w, GiveUp::Lost(1)).await.is_err());
    assert!(is_live(&w, &web).await);
}
