//! What is exported from the emulated PVE's apps plans to nothing, and what it cannot say is told.

use std::collections::BTreeSet;

use proximity_domain::app::AppClass;
use proximity_domain::export::LeftOut;
use proximity_domain::manifest::{Manifest, WantedPower};
use proximity_domain::plan::{Act, Plan};
use proximity_engine::commands::{Action, AdoptContainer, CreateApp, Export, Exports, MakePlan};
use proximity_pve_emulator::core::Access;
use proximity_store::exposure::Exposure;
use proximity_store::records::AppRecord;
use proximity_testkit::world::TestWorld;

async fn deployed(w: &TestWorld, hostname: &str) -> AppRecord {
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: hostname.to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    w.settled(app.operation.unwrap()).await.unwrap();
    app
}

async fn adopted(w: &TestWorld, vmid: u32) -> AppRecord {
    assert_eq!(w.pve.stranger_creates("pve1", vmid).await.status, 200);
    w.pve.quiet().await;
    let request = AdoptContainer {
        host: Some("lab".to_owned()),
        node: None,
        vmid,
        suggested_type: None,
        port: None,
        probe: false,
        key: None,
    };
    let app = w.engine.adopt(&w.actor, request).await.unwrap();
    w.settled(app.operation.unwrap()).await.unwrap();
    app
}

async fn exported(w: &TestWorld, power: bool) -> Exports {
    let request = Export {
        power,
        ..Export::default()
    };
    w.engine.export(request).await.unwrap()
}

async fn plan(w: &TestWorld, documents: Vec<Manifest>) -> Plan {
    let names = documents.iter().map(|one| one.name().to_owned());
    let request = MakePlan {
        order: vec![names.collect()],
        documents,
        prune: true,
        ..MakePlan::default()
    };
    w.engine.make_plan(&w.actor, request).await.unwrap().plan
}

fn documents(exports: &Exports) -> Vec<Manifest> {
    let documents = exports.documents.iter();
    documents.map(|one| one.document.clone()).collect()
}

#[tokio::test]
async fn what_was_exported_plans_to_nothing_whatever_runs_and_is_shown() {
    let w = TestWorld::start(Access::Full).await.unwrap();
    deployed(&w, "web").await;
    deployed(&w, "quiet").await;
    let stop = Action::Stop { force: false };
    let stop = w.engine.act(&w.actor, "quiet", stop).await.unwrap();
    w.settled(stop.id).await.unwrap();
    let shown = adopted(&w, 150).await;
    let guarded = adopted(&w, 151).await;
    let open = Exposure::Open(Some(5432));
    let shown = shown.hostname.as_str();
    w.engine.expose(&w.actor, shown, open).await.unwrap();
    let guarded = guarded.hostname.as_str();
    w.engine.guard(&w.actor, guarded, true).await.unwrap();

    let exports = exported(&w, true).await;
    assert!(exports.left_out.is_empty(), "{exports:?}");
    assert_eq!(exports.documents.len(), 4);
    assert!(exports.documents.iter().all(|one| one.notes.is_empty()));
    for written in documents(&exports) {
        match written {
            Manifest::App { name, spec } => {
                let power = match name.as_str() {
                    "quiet" => WantedPower::Stopped,
                    _ => WantedPower::Running,
                };
                assert_eq!((spec.power, &spec.node), (Some(power), &None));
                assert_eq!(spec.host.unwrap().as_str(), "lab");
            }
            Manifest::AdoptedApp { name, spec } => {
                assert_eq!(spec.expose, name.as_str() == shown, "{name}");
                assert_eq!(spec.guard, name.as_str() == guarded, "{name}");
                assert_eq!(spec.port == Some(5432), name.as_str() == shown, "{name}");
            }
            other => panic!("{other:?}"),
        }
    }
    // The cluster's list may be ten seconds old.
    let is_seen = async || plan(&w, documents(&exports)).await.changes.is_empty();
    w.until(is_seen).await.unwrap();
    let same = plan(&w, documents(&exports)).await;
    assert_eq!((same.changes.len(), same.unchanged), (0, 4), "{same:?}");
    let less = plan(&w, documents(&exported(&w, false).await)).await;
    assert_eq!((less.changes.len(), less.unchanged), (0, 4), "{less:?}");
    // The control: a plan does tell of an app that no document names.
    let mut fewer = documents(&exports);
    fewer.retain(|one| one.name() != "web");
    let pruned = plan(&w, fewer).await;
    assert_eq!(pruned.changes[0].act, Act::Destroy);
}

#[tokio::test]
async fn what_is_exported_is_chosen_by_app_host_and_account() {
    let w = TestWorld::start(Access::Full).await.unwrap();
    let web = deployed(&w, "web").await;
    deployed(&w, "other").await;
    let names = async |request: Export| {
        let exports = w.engine.export(request).await.unwrap();
        let documents = exports.documents.iter();
        let names: Vec<String> = documents
            .map(|one| one.document.name().to_owned())
            .collect();
        names
    };
    assert_eq!(names(Export::default()).await, ["other", "web"]);
    let one = Export {
        apps: Some(BTreeSet::from([web.id])),
        ..Export::default()
    };
    assert_eq!(names(one).await, ["web"]);
    let here = Export {
        host: Some(web.host),
        ..Export::default()
    };
    assert_eq!(names(here).await.len(), 2);
    let elsewhere = Export {
        host: Some(uuid::Uuid::nil().into()),
        ..Export::default()
    };
    assert!(names(elsewhere).await.is_empty());
    for (owner, many) in [(web.owner.as_str(), 2), ("somebody", 0)] {
        let own = Export {
            owner: Some(owner.to_owned()),
            ..Export::default()
        };
        assert_eq!(names(own).await.len(), many, "{owner}");
    }
}

#[tokio::test]
async fn an_app_that_is_not_there_yet_is_named_and_not_written() {
    let mut w = TestWorld::start(Access::Full).await.unwrap();
    w.crash_worker().await;
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let exports = exported(&w, false).await;
    assert!(exports.documents.is_empty(), "{exports:?}");
    let left_out = &exports.left_out[0];
    assert_eq!((left_out.app, left_out.name.as_str()), (app.id, "web"));
    assert!(matches!(left_out.why, LeftOut::OnItsWay(_)), "{left_out:?}");
    assert_eq!(app.class, AppClass::Native);
}
