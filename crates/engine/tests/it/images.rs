//! Apps whose container is made of an OCI image, from a registry that is a folder: pulled, looked at, started as the entry says.

use std::path::Path;
use std::sync::Arc;

use proximity_domain::failure::Failure;
use proximity_domain::network::NetworkWish;
use proximity_domain::operation::OperationState;
use proximity_domain::preflight::What;
use proximity_engine::commands::{ChangeHost, CreateApp, UpdateApp};
use proximity_pve::transport::{Method, RawResponse, Request, TransportError};
use proximity_pve_emulator::core::Access;
use proximity_pve_emulator::lab::read_registry;
use proximity_store::records::{AppRecord, OperationRecord};
use proximity_testkit::guests::address;
use proximity_testkit::least::{Least, cluster};
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{TestWorld, WorldParts};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The image's own command listens on another port, and its greeting is another one: Proxmox VE drops what a create is given of both.
const OWN_COMMAND: [&str; 6] = ["/bin/busybox", "httpd", "-f", "-p", "9999", "-h"];

const SHELF: &str = r#"
format: 1
id: shelf
name: Shelf
version: 1.0.0
summary: Serves a folder
description: For tests.
category: test
oci:
  image: registry.example.com/team/shelf:1.2
  digest: DIGEST
  entrypoint: [/bin/busybox, httpd, -f, -p, "{{ port }}", -h, "/{{ settings.folder }}"]
  env:
    - { name: GREETING, value: "{{ settings.greeting }} to you" }
  volumes:
    - { path: /data, size_gib: 3 }
    - { path: /var/lib/shelf, size_gib: 1 }
resources:
  memory_mib: { min: 32, default: 64 }
  cores: { default: 1 }
  disk_gib: { default: 2 }
port: 8080
protocol: http
settings:
  - { name: folder, type: string, default: etc, help: What is served. }
  - { name: greeting, type: string, default: good day, help: What it says. }
health:
  http: { path: /os-release, body_contains: bookworm }
  attempts: 2
"#;

const PULL: &str = "POST /nodes/pve1/storage/local/oci-registry-pull";

/// Writes a document of the layout, and gives its digest.
fn blob(folder: &Path, document: &Value) -> String {
    let text = document.to_string();
    let hex = hex::encode(Sha256::digest(&text));
    std::fs::write(folder.join("blobs/sha256").join(&hex), text).unwrap();
    format!("sha256:{hex}")
}

/// Puts the image into the registry's folder; gives the digest of its configuration.
fn publish(root: &Path, greeting: &str) -> String {
    let folder = root.join("registry.example.com/team/shelf");
    std::fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    let config = blob(
        &folder,
        &json!({"config": {
            "Entrypoint": OWN_COMMAND, "Cmd": ["/etc"], "WorkingDir": "/srv",
            "Env": ["PATH=/usr/bin:/bin", format!("GREETING={greeting}")],
        }}),
    );
    let layers = json!([{"digest": "sha256:11", "size": 4096}]);
    let manifest = json!({"config": {"digest": &config, "size": 200}, "layers": layers});
    let manifest = blob(&folder, &manifest);
    let named = json!({"org.opencontainers.image.ref.name": "1.2"});
    let index = json!({"manifests": [{"digest": manifest, "size": 300, "annotations": named}]});
    std::fs::write(folder.join("oci-layout"), "{}").unwrap();
    std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
    config
}

/// A world whose catalog has an entry of this image, and whose node reaches the registry of it.
async fn world_of(digest: &str, registry: &Path) -> TestWorld {
    let parts = WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        ..WorldParts::default()
    };
    world_with(digest, registry, parts).await
}

async fn world_with(digest: &str, registry: &Path, parts: WorldParts) -> TestWorld {
    let folder = tempfile::tempdir().unwrap();
    let entry = folder.path().join("shelf");
    std::fs::create_dir(&entry).unwrap();
    let text = SHELF.replace("DIGEST", digest);
    std::fs::write(entry.join("app.yaml"), text).unwrap();
    let w = TestWorld::start_of(WorldParts {
        catalog: Some(folder.path().to_owned()),
        ..parts
    })
    .await
    .unwrap();
    let registry = read_registry(registry).unwrap();
    w.pve.meddle(|world| world.set_registry(Some(registry)));
    w
}

async fn world() -> TestWorld {
    let registry = tempfile::tempdir().unwrap();
    let digest = publish(registry.path(), "hi");
    world_of(&digest, registry.path()).await
}

fn shelf(hostname: &str) -> CreateApp {
    CreateApp {
        catalog_id: "shelf".to_owned(),
        hostname: hostname.to_owned(),
        ..CreateApp::default()
    }
}

async fn deployed(w: &TestWorld, hostname: &str) -> (AppRecord, OperationRecord) {
    let app = w
        .engine
        .create_app(&w.actor, shelf(hostname))
        .await
        .unwrap();
    let ended = w.settled(app.operation.unwrap()).await.unwrap();
    (app, ended)
}

fn failure(ended: &OperationRecord) -> &Failure {
    match &ended.state {
        OperationState::Failed { failure } => failure,
        other => panic!("{other:?}"),
    }
}

async fn config(w: &TestWorld, vmid: u32) -> Value {
    let path = format!("/nodes/pve1/lxc/{vmid}/config");
    let answer = w.pve.as_root(Method::Get, &path, &[]).await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    body["data"].clone()
}

fn pulls(w: &TestWorld) -> usize {
    let changes = w.pve.changes();
    changes.iter().filter(|call| call.as_str() == PULL).count()
}

#[tokio::test]
async fn what_a_create_drops_is_set_before_the_container_starts() {
    let w = world().await;
    let (app, ended) = deployed(&w, "hall").await;
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
    let config = config(&w, 100).await;
    assert_eq!(
        config["entrypoint"],
        "/bin/busybox httpd -f -p 8080 -h /etc"
    );
    assert_eq!(
        config["env"],
        "PATH=/usr/bin:/bin\0GREETING=good day to you"
    );
    let page = w
        .pve
        .guests
        .fetch((address(100), 8080).into(), "/os-release");
    assert!(page.unwrap().1.contains("bookworm"));
    // Nothing was set up inside, and the call was made before the start.
    let changes = w.pve.changes();
    let place = |end: &str| changes.iter().position(|call| call.ends_with(end)).unwrap();
    assert!(place("/oci-registry-pull") < place("POST /nodes/pve1/lxc"));
    assert!(place("/lxc/100/config") < place("/lxc/100/status/start"));
    let app = w.store.app(app.id).await.unwrap().unwrap();
    assert!(app.url.is_some(), "{app:?}");
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}

/// Who only looks is not shown the variables of a container, so the token that operates asks for them.
#[tokio::test]
async fn tokens_of_single_purposes_are_enough() {
    let registry = tempfile::tempdir().unwrap();
    let digest = publish(registry.path(), "hi");
    let pve = cluster();
    let least = Least::on(&pve, None).await.unwrap();
    let parts = WorldParts {
        clusters: vec![pve],
        least: Some(least),
        ..WorldParts::default()
    };
    let w = world_with(&digest, registry.path(), parts).await;
    let (_, ended) = deployed(&w, "hall").await;
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
    let config = config(&w, 100).await;
    assert_eq!(
        config["env"],
        "PATH=/usr/bin:/bin\0GREETING=good day to you"
    );
}

#[tokio::test]
async fn its_volumes_are_on_record_and_in_the_preview_of_its_removal() {
    let w = world().await;
    let (_, ended) = deployed(&w, "hall").await;
    let steps = w.store.steps(ended.id).await.unwrap();
    let made = steps.iter().find(|step| step.name == "create_container");
    let output = made.unwrap().output.clone().unwrap();
    let volumes = output["volumes"].as_object().unwrap();
    let text = |key: &str| volumes[key].as_str().unwrap();
    assert_eq!(volumes.len(), 2, "{volumes:?}");
    assert!(text("mp0").contains("mp=/data") && text("mp0").contains("size=3G"));
    assert!(text("mp1").contains("mp=/var/lib/shelf"));
    let plan = w.engine.plan_remove("hall", false).await.unwrap();
    let told = plan.steps.join("\n");
    for volume in ["(rootfs, 2G)", "(mp0, 3G)", "(mp1, 1G)"] {
        assert!(told.contains(volume), "{told}");
    }
}

#[tokio::test]
async fn an_image_is_pulled_once_and_looked_at_each_time() {
    let w = world().await;
    for hostname in ["hall-a", "hall-b"] {
        let (_, ended) = deployed(&w, hostname).await;
        assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
    }
    assert_eq!(pulls(&w), 1, "{:?}", w.pve.changes());
}

/// Nobody moves the tag of a registry but its owner, who may be somebody else by now.
#[tokio::test]
async fn a_tag_that_leads_to_another_image_fails_the_deploy_and_nothing_is_made_of_it() {
    let registry = tempfile::tempdir().unwrap();
    let named = publish(registry.path(), "hi");
    publish(registry.path(), "hello from somebody else");
    let w = world_of(&named, registry.path()).await;
    for hostname in ["hall-a", "hall-b"] {
        let (_, ended) = deployed(&w, hostname).await;
        let failure = failure(&ended);
        assert_eq!(failure.code, "image_differs");
        assert!(failure.message.contains(&named), "{failure:?}");
    }
    assert_eq!(
        pulls(&w),
        1,
        "the file is there, and is not what it is called"
    );
    assert!(w.pve.guests.vmids().is_empty());
    let made = w.pve.changes();
    assert!(!made.iter().any(|call| call.ends_with("/lxc")), "{made:?}");
}

#[tokio::test]
async fn a_file_that_nobody_pulled_is_not_used() {
    let w = world().await;
    // As if the log of its pull had gone with old tasks: the file stays.
    let untold = |request: &Request, answer: Result<RawResponse, TransportError>| {
        if !request.path.ends_with("/log") {
            return answer;
        }
        answer.map(|mut answer| {
            let body = json!({"data": [{"n": 1, "t": "no content"}]});
            answer.body = body.to_string().into_bytes().into();
            answer
        })
    };
    w.pve.distort(Some(Arc::new(untold)));
    let (_, ended) = deployed(&w, "hall").await;
    let failure = failure(&ended);
    assert_eq!(failure.code, "image_unverified");
    assert!(failure.hint.contains("pvesm free local:vztmpl/shelf_1.2_"));
    w.pve.distort(None);
    let (_, ended) = deployed(&w, "hall-b").await;
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
}

#[tokio::test]
async fn a_registry_without_the_image_fails_the_deploy_with_its_words() {
    let w = world().await;
    w.pve.meddle(|world| world.set_registry(None));
    let (_, ended) = deployed(&w, "hall").await;
    let failure = failure(&ended);
    assert_eq!(failure.code, "image_not_pulled");
    assert!(failure.message.contains("skopeo copy"), "{failure:?}");
    assert!(w.pve.guests.vmids().is_empty());
}

#[tokio::test]
async fn an_image_that_is_larger_than_the_disk_is_not_unpacked() {
    let w = world().await;
    let large = |request: &Request, answer: Result<RawResponse, TransportError>| {
        if !request.path.ends_with("/storage/local/content") {
            return answer;
        }
        answer.map(|mut answer| {
            let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
            for row in body["data"].as_array_mut().unwrap() {
                row["size"] = json!(3_u64 << 30);
            }
            answer.body = body.to_string().into_bytes().into();
            answer
        })
    };
    w.pve.distort(Some(Arc::new(large)));
    let (_, ended) = deployed(&w, "hall").await;
    let failure = failure(&ended);
    assert_eq!(failure.code, "image_too_large");
    assert!(failure.message.contains("3 GiB"), "{failure:?}");
}

#[tokio::test]
async fn a_version_that_makes_nothing_of_images_is_refused_with_the_next_step() {
    let w = world().await;
    let old = |request: &Request, answer: Result<RawResponse, TransportError>| {
        if !request.path.ends_with("/nodes/pve1/status") {
            return answer;
        }
        answer.map(|mut answer| {
            let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
            body["data"]["pveversion"] = json!("pve-manager/9.0.11/14a22df35955d97d");
            answer.body = body.to_string().into_bytes().into();
            answer
        })
    };
    w.pve.distort(Some(Arc::new(old)));
    let refused = w.engine.create_app(&w.actor, shelf("hall")).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), "pve_too_old");
    assert!(refused.to_string().contains("9.0.11"), "{refused}");
    assert!(refused.hint().contains("upgrade the node"), "{refused:?}");
    let found = w.engine.preflight(shelf("hall")).await.unwrap();
    let mut lines = found.lines.iter().map(|line| &line.line);
    let line = lines.find(|line| line.what == What::Template).unwrap();
    assert_eq!(line.code, Some("pve_too_old"));
    assert!(!found.deployable);
    assert_eq!(w.pve.changes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_pre_flight_names_the_file_and_counts_the_volumes() {
    let w = world().await;
    let found = w.engine.preflight(shelf("hall")).await.unwrap();
    assert!(found.deployable, "{found:?}");
    let line = |what: What| {
        let mut lines = found.lines.iter().map(|line| &line.line);
        lines.find(|line| line.what == what).unwrap().clone()
    };
    let template = line(What::Template);
    let begin = "a deploy downloads shelf_1.2_";
    assert!(template.note.starts_with(begin), "{template:?}");
    let storage = line(What::Storage);
    assert_eq!(storage.wants.unwrap().to_string(), "6");
}

#[tokio::test]
async fn root_is_not_let_in_where_nobody_knows_whether_it_would_be() {
    let w = world().await;
    let asked = CreateApp {
        root_password: true,
        ..shelf("hall")
    };
    let refused = w.engine.create_app(&w.actor, asked).await.unwrap_err();
    assert_eq!(refused.code(), "invalid_value");
    assert!(refused.to_string().contains("image"), "{refused}");
}

#[tokio::test]
async fn an_address_that_routers_announce_is_refused_before_anything_is_made() {
    let w = world().await;
    let wish = NetworkWish {
        ipv6: Some("auto".to_owned()),
        ..NetworkWish::default()
    };
    let asked = CreateApp {
        network: wish.check().unwrap(),
        ..shelf("hall")
    };
    let refused = w.engine.create_app(&w.actor, asked).await.unwrap_err();
    assert_eq!(refused.code(), "invalid_value");
    assert!(refused.to_string().contains("image"), "{refused}");
    assert_eq!(w.pve.changes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_host_whose_templates_are_brought_by_hand_pulls_nothing() {
    let w = world().await;
    let by_hand = ChangeHost {
        fetch_templates: Some(false),
        ..ChangeHost::default()
    };
    let host = w.engine.change_host(&w.actor, "lab", by_hand).await;
    assert!(host.unwrap().placement.templates_by_hand);
    let refused = w.engine.create_app(&w.actor, shelf("hall")).await;
    assert_eq!(refused.unwrap_err().code(), "template_missing");
    assert_eq!(pulls(&w), 0);
}

/// As if somebody had removed the file and put another one there under its name: what its pull once said is of the one before.
#[tokio::test]
async fn a_file_that_is_newer_than_its_pull_is_not_used() {
    let w = world().await;
    let (_, ended) = deployed(&w, "hall-a").await;
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
    let newer = |request: &Request, answer: Result<RawResponse, TransportError>| {
        if !request.path.ends_with("/storage/local/content") {
            return answer;
        }
        answer.map(|mut answer| {
            let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
            for row in body["data"].as_array_mut().unwrap() {
                row["ctime"] = json!(u32::MAX);
            }
            answer.body = body.to_string().into_bytes().into();
            answer
        })
    };
    w.pve.distort(Some(Arc::new(newer)));
    let (_, ended) = deployed(&w, "hall-b").await;
    assert_eq!(failure(&ended).code, "image_unverified");
    assert_eq!(w.pve.guests.vmids(), [100]);
}

#[tokio::test]
async fn other_settings_take_another_container() {
    let w = world().await;
    let (_, ended) = deployed(&w, "hall").await;
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
    let settings: Map<String, Value> =
        serde_json::from_value(json!({"greeting": "good night"})).unwrap();
    let update = UpdateApp {
        settings,
        ..UpdateApp::default()
    };
    let refused = w.engine.update_app(&w.actor, "hall", update).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), "needs_replacement");
    assert!(refused.to_string().contains("image"), "{refused}");
}

/// The answer to the call that sets what is dropped is lost, and the next look shows that it was taken.
#[tokio::test]
async fn a_lost_answer_is_looked_after() {
    let w = world().await;
    w.pve.cut_after(Method::Put, "/lxc/100/config");
    let (_, ended) = deployed(&w, "hall").await;
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
    let put = |call: &&String| call.as_str() == "PUT /nodes/pve1/lxc/100/config";
    assert_eq!(w.pve.changes().iter().filter(put).count(), 1);
    let config = config(&w, 100).await;
    assert_eq!(
        config["env"],
        "PATH=/usr/bin:/bin\0GREETING=good day to you"
    );
}
