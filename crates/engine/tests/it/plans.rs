//! Plans on the emulated PVE: what they say of what is there, and that they change nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use proximity_domain::ids::{AppId, InstallationId};
use proximity_domain::ignore::Ignored;
use proximity_domain::manifest::{AdoptedSpec, AppSpec, Manifest, Policy, ResourceWish};
use proximity_domain::mark::Mark;
use proximity_domain::plan::{Act, Change, Plan, Source};
use proximity_engine::commands::{Action, AdoptContainer, CreateApp, MakePlan};
use proximity_engine::error::EngineError;
use proximity_pve::transport::{Method, RawResponse, Request, Transport, TransportError};
use proximity_pve_emulator::core::Access;
use proximity_testkit::world::TestWorld;
use serde_json::json;

fn app(name: &str) -> (String, AppSpec) {
    let spec = AppSpec {
        catalog_id: "beacon".parse().unwrap(),
        host: None,
        node: None,
        resources: ResourceWish::default(),
        settings: BTreeMap::new(),
        network: None,
        root_access: None,
        root_keys: Vec::new(),
        host_name: None,
        certificate: None,
        apart_from: None,
        allow_unpinned: false,
        power: None,
        policy: Policy::Warn,
        ignore: Ignored::default(),
        depends_on: Vec::new(),
        stack: None,
    };
    (name.to_owned(), spec)
}

fn found(vmid: u32) -> AdoptedSpec {
    AdoptedSpec {
        host: "lab".parse().unwrap(),
        vmid: vmid.try_into().unwrap(),
        taken_for: None,
        port: None,
        expose: false,
        guard: false,
        power: None,
        policy: Policy::Warn,
        ignore: Ignored::default(),
        depends_on: Vec::new(),
        stack: None,
    }
}

async fn plan_of(w: &TestWorld, documents: Vec<Manifest>, prune: bool) -> Plan {
    let names = documents.iter().map(|one| one.name().to_owned());
    let request = MakePlan {
        order: vec![names.collect()],
        documents,
        prune,
        ..MakePlan::default()
    };
    let before = w.pve.changes().len();
    let made = w.engine.make_plan(&w.actor, request).await.unwrap();
    assert_eq!(w.pve.changes().len(), before, "a plan changes nothing");
    assert_eq!(w.store.plan(made.id).await.unwrap(), Some(made.clone()));
    made.plan
}

async fn plan(w: &TestWorld, apps: Vec<(String, AppSpec)>, prune: bool) -> Plan {
    let documents = apps.into_iter().map(|(name, spec)| Manifest::App {
        name: name.parse().unwrap(),
        spec,
    });
    plan_of(w, documents.collect(), prune).await
}

async fn deployed(w: &TestWorld, hostname: &str) -> u32 {
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: hostname.to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    w.settled(app.operation.unwrap()).await.unwrap();
    let guests = w.store.recorded_guests(app.id).await.unwrap();
    guests[0].place().vmid.get()
}

fn fields(change: &Change) -> Vec<(&str, Source)> {
    let fields = change.fields.iter();
    fields
        .map(|field| (field.path.as_str(), field.source))
        .collect()
}

#[tokio::test]
async fn what_was_deployed_is_as_wanted_and_what_a_hand_changed_is_not() {
    let w = TestWorld::start(Access::Full).await.unwrap();
    let vmid = deployed(&w, "web").await;
    let same = plan(&w, vec![app("web")], true).await;
    assert!(same.changes.is_empty(), "{same:?}");
    assert_eq!(same.unchanged, 1);
    let config = format!("/nodes/pve1/lxc/{vmid}/config");
    w.pve.put(&config, &[("memory", "128")]).await;
    // The cluster's list may be ten seconds old.
    let is_seen = async || !plan(&w, vec![app("web")], true).await.changes.is_empty();
    w.until(is_seen).await.unwrap();
    let changed = plan(&w, vec![app("web")], true).await;
    assert_ne!(changed.basis, same.basis);
    assert_eq!(changed.digest, same.digest);
    let change = &changed.changes[0];
    assert_eq!(fields(change), [("memory", Source::Cluster)]);
    assert_eq!(change.fields[0].from, Some(json!(128)));
    assert_eq!(change.fields[0].to, Some(json!(64)));
    assert_eq!(
        (change.lacks.len(), change.obstacles.len()),
        (0, 0),
        "{change:?}"
    );
}

#[tokio::test]
async fn removal_names_the_volumes_that_go_and_the_brake() {
    let w = TestWorld::start(Access::Full).await.unwrap();
    let vmid = deployed(&w, "web").await;
    let plan = plan(&w, Vec::new(), true).await;
    let change = &plan.changes[0];
    assert_eq!((change.act, plan.removed()), (Act::Destroy, 1));
    assert_eq!(change.at_risk.len(), 1, "{change:?}");
    let named = format!("{vmid}");
    assert!(change.at_risk[0].contains(&named), "{change:?}");
    assert_eq!(plan.brake, None);
    assert!(change.obstacles.is_empty(), "{change:?}");
}

#[tokio::test]
async fn another_container_under_the_number_is_told_and_never_planned_for() {
    let w = TestWorld::start(Access::Full).await.unwrap();
    let vmid = deployed(&w, "web").await;
    let config = format!("/nodes/pve1/lxc/{vmid}/config");
    w.pve.put(&config, &[("description", "mine")]).await;
    let net = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:99,ip=dhcp";
    w.pve.put(&config, &[("net0", net)]).await;
    let plan = plan(&w, Vec::new(), true).await;
    let codes = plan.changes[0].obstacles.iter();
    let codes: Vec<&str> = codes.map(|one| one.code.as_str()).collect();
    assert_eq!(codes, ["identity_conflict"]);
}

/// All that the list tells of it is as wanted, and its configuration is not read.
#[tokio::test]
async fn another_container_that_looks_like_the_wanted_one_is_never_as_wanted() {
    let w = TestWorld::start(Access::Full).await.unwrap();
    let vmid = deployed(&w, "web").await;
    // The device of a running container is not changed.
    let stop = Action::Stop { force: false };
    let stop = w.engine.act(&w.actor, "web", stop).await.unwrap();
    w.settled(stop.id).await.unwrap();
    let config = format!("/nodes/pve1/lxc/{vmid}/config");
    w.pve.put(&config, &[("description", "mine")]).await;
    let net = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:99,ip=dhcp";
    w.pve.put(&config, &[("net0", net)]).await;
    w.engine.reconciler().sweep().await.unwrap();
    assert_eq!(w.store.alarms().await.unwrap().len(), 1);
    let named = plan(&w, vec![app("web")], false).await;
    assert_eq!((named.changes.len(), named.unchanged), (1, 0), "{named:?}");
    let codes = named.changes[0].obstacles.iter();
    let codes: Vec<&str> = codes.map(|one| one.code.as_str()).collect();
    assert_eq!(codes, ["identity_conflict"]);
}

#[tokio::test]
async fn a_passing_plan_is_not_kept() {
    let w = TestWorld::start(Access::Full).await.unwrap();
    for passing in [true, false] {
        let request = MakePlan {
            prune: true,
            passing,
            ..MakePlan::default()
        };
        let made = w.engine.make_plan(&w.actor, request).await.unwrap();
        let kept = w.store.plan(made.id).await.unwrap();
        assert_eq!(kept.is_none(), passing);
    }
}

#[tokio::test]
async fn two_documents_never_get_one_container() {
    let w = TestWorld::start(Access::Full).await.unwrap();
    let document = |name: &str, vmid| Manifest::AdoptedApp {
        name: name.parse().unwrap(),
        spec: found(vmid),
    };
    let request = |documents: Vec<Manifest>| MakePlan {
        documents,
        ..MakePlan::default()
    };
    let one = vec![document("db1", 150), document("db2", 150)];
    match w.engine.make_plan(&w.actor, request(one)).await {
        Err(EngineError::Manifests { fields }) => {
            let named: Vec<&String> = fields.keys().collect();
            assert_eq!(named, ["db2.vmid"]);
            let why = &fields["db2.vmid"];
            for told in ["150", "lab", "db1", "db2"] {
                assert!(why.contains(told), "{why}");
            }
        }
        other => panic!("{other:?}"),
    }
    let two = vec![document("db1", 150), document("db2", 151)];
    let plan = w.engine.make_plan(&w.actor, request(two)).await.unwrap();
    assert_eq!(plan.plan.changes.len(), 2);
}

#[tokio::test]
async fn what_may_be_hidden_is_never_told_to_be_absent() {
    let w = TestWorld::start(Access::Full).await.unwrap();
    let document = Manifest::AdoptedApp {
        name: "dbs".parse().unwrap(),
        spec: found(151),
    };
    let path = "/access/permissions";
    w.pve.refuse(Method::Get, path, "no", u32::MAX);
    let plan = plan_of(&w, vec![document], false).await;
    let codes = plan.changes[0].obstacles.iter();
    let codes: Vec<&str> = codes.map(|one| one.code.as_str()).collect();
    assert!(
        matches!(codes.as_slice(), [code] if code.starts_with("pve_")),
        "{codes:?}"
    );
}

/// Another endpoint is asked first each time: who is in the cluster was not said by the one that gives the list.
#[tokio::test]
async fn what_endpoints_say_by_turns_is_told_as_not_known() {
    let w = TestWorld::start(Access::Full).await.unwrap();
    deployed(&w, "web").await;
    let pve = w.pve.clone();
    w.pve.distort(Some(Arc::new(
        move |request: &Request,
              answer: Result<RawResponse, TransportError>|
              -> Result<RawResponse, TransportError> {
            let is_state = request.path.ends_with("/status/current");
            if is_state || request.path == "/cluster/resources" {
                pve.prefer(1);
                pve.prefer(0);
            }
            answer
        },
    )));
    let turns = plan(&w, vec![app("web")], false).await;
    w.pve.distort(None);
    assert_eq!((turns.changes.len(), turns.unchanged), (1, 0));
    let why = &turns.changes[0].obstacles[0];
    assert_eq!(why.code, "view_incomplete");
    assert!(why.message.contains("answered by turns"), "{why:?}");
    assert_eq!(plan(&w, vec![app("web")], false).await.unchanged, 1);
}

#[tokio::test]
async fn a_stranger_is_planned_to_be_taken_over_and_what_bears_a_mark_is_not() {
    let w = TestWorld::start(Access::Full).await.unwrap();
    assert_eq!(w.pve.stranger_creates("pve1", 150).await.status, 200);
    w.pve.quiet().await;
    let document = |name: &str, vmid| Manifest::AdoptedApp {
        name: name.parse().unwrap(),
        spec: found(vmid),
    };
    let first = plan_of(&w, vec![document("dbs", 150)], false).await;
    let change = &first.changes[0];
    assert_eq!(
        (change.act, change.obstacles.len()),
        (Act::Adopt, 0),
        "{change:?}"
    );
    let absent = plan_of(&w, vec![document("dbs", 151)], false).await;
    assert_eq!(absent.changes[0].obstacles[0].code, "container_missing");
    let request = AdoptContainer {
        host: Some("lab".to_owned()),
        node: None,
        vmid: 150,
        suggested_type: None,
        port: None,
        probe: false,
        key: None,
    };
    let adopted = w.engine.adopt(&w.actor, request).await.unwrap();
    w.settled(adopted.operation.unwrap()).await.unwrap();
    let name = adopted.hostname.as_str();
    let same = plan_of(&w, vec![document(name, 150)], true).await;
    assert!(same.changes.is_empty() && same.unchanged == 1, "{same:?}");
    let mut shown = found(150);
    (shown.expose, shown.port) = (true, Some(5432));
    let shown = Manifest::AdoptedApp {
        name: name.parse().unwrap(),
        spec: shown,
    };
    let plan = plan_of(&w, vec![shown], true).await;
    let expected = [("port", Source::Documents), ("expose", Source::Documents)];
    assert_eq!(fields(&plan.changes[0]), expected);
}

/// A container of the name `web`, with these notes, that no record has.
async fn unrecorded(w: &TestWorld, notes: &str) {
    assert_eq!(w.pve.stranger_creates("pve1", 150).await.status, 200);
    w.pve.quiet().await;
    let config = "/nodes/pve1/lxc/150/config";
    let named = [("hostname", "web"), ("description", notes)];
    w.pve.put(config, &named).await;
}

fn mark(installation: InstallationId) -> String {
    let mark = Mark {
        installation,
        app: AppId(uuid::Uuid::from_u128(5)),
        nonce: 7,
    };
    mark.described("mine")
}

#[tokio::test]
async fn a_container_of_ours_without_a_record_holds_its_document_back() {
    let w = TestWorld::start(Access::Full).await.unwrap();
    unrecorded(&w, &mark(w.store.installation())).await;
    let held = async || {
        let plan = plan(&w, vec![app("web")], false).await;
        let held = plan.changes[0].obstacles.first();
        held.is_some_and(|one| one.code == "marked_container_there")
    };
    // The cluster's list may be ten seconds old.
    w.until(held).await.unwrap();
    let mut here = app("web");
    here.1.host = Some("lab".parse().unwrap());
    for document in [app("web"), here] {
        let plan = plan(&w, vec![document], false).await;
        let change = &plan.changes[0];
        assert_eq!((change.act, change.obstacles.len()), (Act::Create, 1));
        let told = &change.obstacles[0].message;
        assert!(told.contains("150") && told.contains("lab/pve1"), "{told}");
    }
    // Another name is free.
    let other = plan(&w, vec![app("other")], false).await;
    assert!(other.changes[0].obstacles.is_empty(), "{other:?}");
    // As an adopted one it is refused by its mark, as ever.
    let document = Manifest::AdoptedApp {
        name: "dbs".parse().unwrap(),
        spec: found(150),
    };
    let adopted = plan_of(&w, vec![document], false).await;
    assert_eq!(adopted.changes[0].obstacles[0].code, "guest_marked");
}

#[tokio::test]
async fn a_container_of_another_installation_is_told_of_and_one_of_nobody_is_not() {
    let w = TestWorld::start(Access::Full).await.unwrap();
    unrecorded(&w, &mark(InstallationId(uuid::Uuid::from_u128(9)))).await;
    let is_told = async || {
        let plan = plan(&w, vec![app("web")], false).await;
        !plan.changes[0].notes.is_empty()
    };
    w.until(is_told).await.unwrap();
    let told = plan(&w, vec![app("web")], false).await;
    let change = &told.changes[0];
    assert_eq!((change.act, change.obstacles.len()), (Act::Create, 0));
    let notes = &change.notes;
    assert!(notes[0].contains("another installation"), "{notes:?}");
    // Who may not know of what no app has is not told.
    let request = MakePlan {
        documents: vec![Manifest::App {
            name: "web".parse().unwrap(),
            spec: app("web").1,
        }],
        owner: Some("somebody".to_owned()),
        ..MakePlan::default()
    };
    let hidden = w.engine.make_plan(&w.actor, request).await.unwrap().plan;
    assert!(hidden.changes[0].notes.is_empty(), "{hidden:?}");
    let config = "/nodes/pve1/lxc/150/config";
    w.pve.put(config, &[("description", "mine")]).await;
    let stranger = plan(&w, vec![app("web")], false).await;
    let change = &stranger.changes[0];
    assert_eq!((change.obstacles.len(), change.notes.len()), (0, 0));
}
