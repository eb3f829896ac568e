//! What is exported holds what was applied, and is carried into other control planes.

use proximity_domain::manifest::{Manifest, Policy, SecretReference, SettingSource, WantedPower};
use proximity_domain::names::ManifestName;
use proximity_domain::plan::{Act, Plan};
use proximity_engine::commands::{AdoptContainer, Export, Exports};
use proximity_pve_emulator::core::Access;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{Place, TestWorld, WorldParts};

use super::takes_over::with_keeper;
use super::{Stand, app, spec};

async fn exported(s: &Stand) -> Exports {
    let exports = s.w.engine.export(Export::default()).await.unwrap();
    assert!(exports.left_out.is_empty(), "{exports:?}");
    exports
}

fn documents(exports: &Exports) -> Vec<Manifest> {
    let documents = exports.documents.iter();
    documents.map(|one| one.document.clone()).collect()
}

async fn done(s: &Stand, documents: &[Manifest]) {
    let id = s.apply(documents).await;
    let (state, changes) = s.ended(id).await;
    assert_eq!(state.label(), "done", "{changes:?}");
}

/// Two apps, with all that only documents say of them.
fn shop() -> [Manifest; 2] {
    let mut web = app("web", &["dbs"]);
    spec(&mut web).policy = Policy::Revert;
    spec(&mut web).power = Some(WantedPower::Running);
    spec(&mut web).resources.memory_mib = Some(128);
    [web, app("dbs", &[])]
}

#[tokio::test]
async fn what_only_documents_said_is_in_an_export_and_plans_to_nothing() {
    let s = Stand::start().await;
    done(&s, &shop()).await;
    let exports = exported(&s).await;
    assert!(exports.documents.iter().all(|one| one.notes.is_empty()));
    let mut written = documents(&exports);
    let names: Vec<&str> = written.iter().map(Manifest::name).collect();
    assert_eq!(names, ["dbs", "web"]);
    let web = spec(&mut written[1]);
    assert_eq!(
        (web.policy, web.power),
        (Policy::Revert, Some(WantedPower::Running))
    );
    let needs: Vec<&str> = web.depends_on.iter().map(ManifestName::as_str).collect();
    assert_eq!(needs, ["dbs"]);
    s.is_as_wanted(&written).await;

    // Alone it is told what has to be given with it.
    let web = s.w.store.app_by_hostname("web").await.unwrap().unwrap();
    let alone = Export {
        apps: Some([web.id].into_iter().collect()),
        ..Export::default()
    };
    let alone = s.w.engine.export(alone).await.unwrap();
    let notes = &alone.documents[0].notes;
    assert!(notes.len() == 1 && notes[0].contains("dbs"), "{notes:?}");
}

#[tokio::test]
async fn an_export_makes_the_same_apps_on_another_cluster() {
    let here = Stand::start().await;
    done(&here, &shop()).await;
    let exports = documents(&exported(&here).await);
    let there = Stand::start().await;
    done(&there, &exports).await;
    there.is_as_wanted(&exports).await;
    assert_eq!(there.hostnames().await, ["dbs", "web"]);
    assert_eq!(documents(&exported(&there).await), exports);
}

/// A control plane on this cluster that has nothing on record.
async fn empty(pve: &Pve, place: Place) -> Stand {
    let parts = WorldParts {
        clusters: vec![pve.clone()],
        seed: 1,
        place,
        ..WorldParts::default()
    };
    Stand::over(TestWorld::start_of(parts).await.unwrap())
}

/// What is planned for an app, and by which codes it is held back.
fn act(plan: &Plan, name: &str) -> (Act, Vec<String>) {
    let mut changes = plan.changes.iter();
    let change = changes.find(|one| one.name.as_str() == name).unwrap();
    let codes = change.obstacles.iter().map(|one| one.code.clone());
    (change.act, codes.collect())
}

async fn plan(s: &Stand, documents: &[Manifest]) -> Plan {
    s.plan(documents, false).await.plan
}

#[tokio::test]
async fn a_new_control_plane_takes_over_what_was_adopted_and_makes_nothing_beside_what_is_there() {
    // Installations of stores in memory are the same one.
    let parts = WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        place: Place::Memory,
        ..WorldParts::default()
    };
    let before = Stand::over(TestWorld::start_of(parts).await.unwrap());
    before.deployed("web").await;
    let pve = before.w.pve.clone();
    assert_eq!(pve.stranger_creates("pve1", 150).await.status, 200);
    pve.quiet().await;
    let request = AdoptContainer {
        host: Some("lab".to_owned()),
        node: None,
        vmid: 150,
        suggested_type: None,
        port: None,
        probe: false,
        key: None,
    };
    let engine = &before.w.engine;
    let adopted = engine.adopt(&before.w.actor, request).await.unwrap();
    before.w.settled(adopted.operation.unwrap()).await.unwrap();
    let all = documents(&exported(&before).await);
    drop(before);

    let same = empty(&pve, Place::Memory).await;
    let name = adopted.hostname.as_str();
    // The cluster's list may be ten seconds old.
    let is_seen = async || {
        let held = plan(&same, &all).await;
        let marked = vec!["marked_container_there".to_owned()];
        act(&held, "web") == (Act::Create, marked) && act(&held, name) == (Act::Adopt, Vec::new())
    };
    same.w.until(is_seen).await.unwrap();
    let found: Vec<Manifest> = all
        .iter()
        .filter(|one| one.name() == name)
        .cloned()
        .collect();
    let changes = pve.changes().len();
    done(&same, &found).await;
    same.is_as_wanted(&found).await;
    assert_eq!(documents(&exported(&same).await), found);
    assert_eq!(pve.changes().len(), changes, "it is not touched");
    drop(same);

    // Of another installation it is told, and another one may be made beside it.
    let other = empty(&pve, Place::Temporary).await;
    let is_told = async || {
        let told = plan(&other, &all).await;
        let web = told.changes.iter().find(|one| one.name.as_str() == "web");
        let mut notes = web.unwrap().notes.iter();
        let is_told = notes.any(|note| note.contains("another installation"));
        is_told && act(&told, "web") == (Act::Create, Vec::new())
    };
    other.w.until(is_told).await.unwrap();
}

#[tokio::test]
async fn a_secret_is_called_in_an_export_as_its_document_called_it() {
    let folder = tempfile::tempdir().unwrap();
    let s = with_keeper(folder.path()).await;
    let value = "correct-horse".to_owned().into();
    let name = "shared".parse().unwrap();
    let set = s.w.engine.set_secret(&s.w.actor, &name, &value).await;
    set.unwrap();
    let mut document = app("web", &[]);
    let reference = SecretReference { secret: name };
    spec(&mut document).catalog_id = "keeper".parse().unwrap();
    let settings = [(
        "password".parse().unwrap(),
        SettingSource::Secret(reference),
    )];
    spec(&mut document).settings = settings.into_iter().collect();
    done(&s, std::slice::from_ref(&document)).await;
    let exports = exported(&s).await;
    let secret = &exports.documents[0].secrets[0].secret;
    assert_eq!(secret.as_str(), "shared");
    s.is_as_wanted(&documents(&exports)).await;
}
