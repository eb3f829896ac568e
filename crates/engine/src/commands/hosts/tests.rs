//! Looks at hosts whose answers are the bytes of a PVE 9.2 cluster, and at addresses where there is none.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use proximity_domain::names::HostLabel;
use proximity_pve::ReadClient;
use proximity_pve::transport::https::Fingerprint;
use proximity_pve::transport::in_process::InProcess;
use proximity_pve::transport::{RawResponse, Request};
use serde_json::{Value, json};

use super::identity::tests::entry;
use super::look::{Survey, survey};
use super::*;

/// Path, with `?path=` for rights on one path → answer.
type Answers = BTreeMap<String, (u16, Value)>;

fn request() -> AddHost {
    AddHost {
        label: "home".to_owned(),
        url: "https://10.99.0.11:8006".to_owned(),
        fingerprint: None,
        ca_pem: None,
        token_id: "root@pam!proximity".to_owned(),
        token_secret: SecretString::from("11111111-2222-3333-4444-555555555555"),
        purpose_tokens: PurposeTokens::default(),
        pool: None,
        storage: None,
        template_storage: None,
        bridge: None,
        ssh: None,
    }
}

const PRIVILEGES: [&str; 12] = [
    "Datastore.AllocateSpace",
    "Datastore.Audit",
    "SDN.Use",
    "Sys.Audit",
    "VM.Allocate",
    "VM.Audit",
    "VM.Config.CPU",
    "VM.Config.Disk",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
    "VM.PowerMgmt",
];

fn held() -> Value {
    Value::Object(
        PRIVILEGES
            .iter()
            .map(|p| ((*p).to_owned(), json!(1)))
            .collect(),
    )
}

fn print(byte: u8) -> String {
    Fingerprint([byte; 32]).to_string()
}

/// A cluster of three with one node off, as an administrator's token sees it.
fn cluster() -> Answers {
    let node = |name: &str, print_byte: u8, status: &str| {
        json!({ "node": name, "status": status, "maxmem": 25_276_510_208_u64, "maxcpu": 2,
            "ssl_fingerprint": print(print_byte) })
    };
    let member = |name: &str, n: u8, local: u8, online: u8| {
        json!({ "type": "node", "name": name, "nodeid": n, "ip": format!("10.99.0.1{n}"), "local": local,
            "online": online, "level": "", "id": format!("node/{name}") })
    };
    let storages = json!([
        { "storage": "local", "type": "dir", "content": "iso,vztmpl,rootdir,backup", "active": 1, "enabled": 1,
          "shared": 0, "avail": 64_702_201_856_u64, "total": 270_553_174_016_u64 },
        { "storage": "shared", "type": "dir", "content": "images,backup,rootdir", "active": 1, "enabled": 1,
          "shared": 1, "avail": 94_702_201_856_u64, "total": 270_553_174_016_u64 },
    ]);
    let bridges =
        json!([{ "iface": "vmbr0", "type": "bridge", "active": 1, "cidr": "10.99.0.21/24" }]);
    let template = json!([{ "volid": "local:vztmpl/debian-13.tar.zst", "content": "vztmpl", "format": "tzst", "size": 1 }]);
    let mut answers = Answers::new();
    let mut put =
        |path: &str, data: Value| answers.insert(path.to_owned(), (200, json!({ "data": data })));
    put(
        "/cluster/status",
        json!([
            { "type": "cluster", "id": "cluster", "name": "lab", "nodes": 3, "quorate": 1, "version": 3 },
            member("pve3", 3, 0, 0), member("pve1", 1, 1, 1), member("pve2", 2, 0, 1),
        ]),
    );
    put(
        "/nodes",
        json!([
            node("pve2", 2, "online"),
            node("pve1", 1, "online"),
            node("pve3", 3, "offline")
        ]),
    );
    for name in ["pve1", "pve2"] {
        put(&format!("/nodes/{name}/storage"), storages.clone());
        put(&format!("/nodes/{name}/network"), bridges.clone());
        put(
            &format!("/nodes/{name}/storage/local/content"),
            template.clone(),
        );
    }
    let roots = ["/", "/vms", "/nodes", "/storage", "/pool", "/sdn"];
    put(
        "/access/permissions",
        Value::Object(roots.iter().map(|p| ((*p).to_owned(), held())).collect()),
    );
    let places = [
        "/",
        "/vms",
        "/nodes",
        "/storage/local",
        "/storage/shared",
        "/sdn/zones/localnetwork/vmbr0",
    ];
    for path in places {
        put(
            &format!("/access/permissions?path={path}"),
            json!({ path: held() }),
        );
    }
    answers
}

/// A client that gets these answers, and the list of what it asked.
fn client(answers: Answers) -> (ReadClient, Arc<Mutex<Vec<String>>>) {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = asked.clone();
    let transport = InProcess::new(move |request: Request| {
        let path = request.params.iter().find(|(name, _)| name == "path");
        let key = match path {
            Some((_, path)) => format!("{}?path={path}", request.path),
            None => request.path.clone(),
        };
        log.lock().unwrap().push(key.clone());
        let (status, body) = answers
            .get(&key)
            .cloned()
            .unwrap_or((501, json!({ "message": key })));
        let answer = RawResponse {
            status,
            reason: String::new(),
            body: Bytes::from(body.to_string()),
        };
        async move { Ok(answer) }
    });
    (ReadClient::new(Arc::new(transport)), asked)
}

async fn surveyed(
    request: &AddHost,
    answers: Answers,
    version: &str,
    hosts: &[HostRecord],
) -> (Result<Survey, EngineError>, Vec<String>) {
    let (read, asked) = client(answers);
    let wish = Wish::read(request).unwrap();
    let version = serde_json::from_value(json!({ "version": version })).unwrap();
    let seen = survey(&read, &wish, version, Fingerprint([1; 32]), hosts).await;
    let asked = asked.lock().unwrap().clone();
    (seen, asked)
}

async fn found(request: &AddHost, answers: Answers) -> Survey {
    surveyed(request, answers, "9.2.11", &[]).await.0.unwrap()
}

async fn refused(request: &AddHost, answers: Answers) -> EngineError {
    surveyed(request, answers, "9.2.11", &[])
        .await
        .0
        .unwrap_err()
}

#[tokio::test]
async fn everything_is_found_and_the_best_is_chosen() {
    let seen = found(&request(), cluster()).await;
    assert_eq!(seen.cluster_key, "cluster:lab:pve1,pve2,pve3");
    let places = &seen.places;
    assert_eq!(places.storage.as_ref().unwrap().as_str(), "shared");
    assert_eq!(places.template_storage.as_ref().unwrap().as_str(), "local");
    assert_eq!(places.bridge.as_ref().unwrap().as_str(), "vmbr0");
    assert_eq!(
        look::templates_on(&seen),
        ["local:vztmpl/debian-13.tar.zst"]
    );
    assert_eq!(
        seen.warnings,
        ["node pve3 is off; its storages and bridges were not seen"]
    );
    let shown = probe(Found {
        fingerprint: Fingerprint([1; 32]),
        survey: seen,
        endpoints: Vec::new(),
        ssh: Vec::new(),
        warnings: vec!["later".to_owned()],
    });
    assert_eq!(shown.nodes.len(), 3);
    assert_eq!(
        (
            shown.nodes[0].memory_mib,
            shown.nodes[0].cpus,
            shown.nodes[2].online
        ),
        (24_105, 2, false)
    );
    assert_eq!(shown.storages, ["local", "shared"]);
    assert_eq!(shown.warnings.last().unwrap(), "later");
}

#[tokio::test]
async fn what_would_be_stored_is_what_was_found() {
    let (wish, token) = (
        Wish::read(&request()).unwrap(),
        wish::given(&request()).unwrap(),
    );
    let seen = |survey| Found {
        fingerprint: Fingerprint([1; 32]),
        survey,
        endpoints: Vec::new(),
        ssh: Vec::new(),
        warnings: Vec::new(),
    };
    let id = HostId(uuid::Uuid::from_u128(7));
    let survey = found(&request(), cluster()).await;
    let host = record(id, wish.clone(), token.clone(), seen(survey), Timestamp(5)).unwrap();
    assert_eq!(
        (host.id, host.created_at, host.pve_version.as_str()),
        (id, Timestamp(5), "9.2.11")
    );
    let mut bare = cluster();
    for node in ["pve1", "pve2"] {
        bare.insert(
            format!("/nodes/{node}/network"),
            (200, json!({ "data": [] })),
        );
    }
    let survey = found(&request(), bare).await;
    match record(id, wish, token, seen(survey), Timestamp(5)) {
        Err(EngineError::Invalid { field, .. }) => assert_eq!(field, "bridge"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_without_rights_is_refused_before_any_list_is_believed() {
    let mut answers = cluster();
    answers.insert(
        "/access/permissions".to_owned(),
        (200, json!({ "data": {} })),
    );
    let (seen, asked) = surveyed(&request(), answers, "9.2.11", &[]).await;
    let error = seen.unwrap_err();
    assert_eq!(error.code(), "token_too_narrow");
    let text = error.to_string();
    for right in ["VM.Allocate on /vms", "Sys.Audit on /", "SDN.Use on"] {
        assert!(text.contains(right), "{text}");
    }
    assert_eq!(asked, ["/access/permissions"]);
}

#[tokio::test]
async fn missing_rights_are_named_with_their_path() {
    let without = |path: &str, privilege: &str| {
        let mut answers = cluster();
        let mut less = held();
        less.as_object_mut().unwrap().remove(privilege);
        answers.insert(
            format!("/access/permissions?path={path}"),
            (200, json!({ "data": { path: less } })),
        );
        answers
    };
    for (path, privilege) in [
        ("/vms", "VM.Config.Disk"),
        ("/", "Sys.Audit"),
        ("/nodes", "Sys.Audit"),
        ("/sdn/zones/localnetwork/vmbr0", "SDN.Use"),
    ] {
        match refused(&request(), without(path, privilege)).await {
            EngineError::TokenTooNarrow { missing, .. } => {
                assert_eq!(missing, [format!("{privilege} on {path}")]);
            }
            other => panic!("{other:?}"),
        }
    }
    let second_best = without("/storage/shared", "Datastore.AllocateSpace");
    let seen = found(&request(), second_best.clone()).await;
    assert_eq!(
        seen.places.storage.unwrap().as_str(),
        "local",
        "the token may use this one"
    );
    let mut named = request();
    named.storage = Some("shared".to_owned());
    assert_eq!(
        refused(&named, second_best).await.code(),
        "token_too_narrow"
    );
}

#[tokio::test]
async fn names_that_are_not_there_are_answered_with_those_that_are() {
    let mut named = request();
    named.template_storage = Some("shared".to_owned());
    let error = refused(&named, cluster()).await;
    let text = error.to_string();
    assert!(error.fields().contains_key("template_storage"), "{text}");
    assert!(
        text.ends_with("for container templates there are: local"),
        "{text}"
    );
}

#[tokio::test]
async fn only_tested_versions_are_taken() {
    for version in ["9.0.3", "9.1", "9.2.11"] {
        assert!(
            surveyed(&request(), cluster(), version, &[])
                .await
                .0
                .is_ok(),
            "{version}"
        );
    }
    for (version, why) in [
        ("8.4.14", "older"),
        ("9.3.0", "newer"),
        ("10.0", "newer"),
        ("x", "not a version"),
    ] {
        let (seen, asked) = surveyed(&request(), cluster(), version, &[]).await;
        let error = seen.unwrap_err();
        assert_eq!(error.code(), "pve_unsupported");
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(asked, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_cluster_is_known_under_any_label() {
    let known = entry("barn", "cluster:lab:pve1,pve2,pve3", Vec::new());
    let error = surveyed(&request(), cluster(), "9.2.11", &[known])
        .await
        .0
        .unwrap_err();
    assert_eq!(error.code(), "cluster_known");
    assert!(error.to_string().contains("barn"), "{error}");
}

#[tokio::test]
async fn a_node_that_stopped_answering_is_left_out() {
    let mut answers = cluster();
    answers.insert("/nodes/pve2/storage".to_owned(), (595, Value::Null));
    let seen = found(&request(), answers).await;
    assert!(
        seen.warnings
            .iter()
            .any(|w| w.starts_with("node pve2 does not answer")),
        "{:?}",
        seen.warnings
    );
    let mut answers = cluster();
    answers.insert(
        "/nodes/pve2/storage".to_owned(),
        (500, json!({ "message": "disk on fire\n" })),
    );
    let error = refused(&request(), answers).await;
    assert_eq!(error.code(), "pve_refused");
    assert!(error.to_string().contains("disk on fire"), "{error}");
}

#[tokio::test]
async fn a_bad_token_is_told_with_pves_reason() {
    let mut answers = cluster();
    answers.insert("/access/permissions".to_owned(), (401, Value::Null));
    let error = refused(&request(), answers).await;
    assert_eq!(error.code(), "token_invalid");
    assert!(
        !format!("{error} {error:?} {}", error.hint()).contains("11111111"),
        "{error}"
    );
}

#[tokio::test]
async fn nobody_there_is_told_with_the_systems_reason() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut away = request();
    away.url = format!("https://{closed}");
    let (wish, token) = (Wish::read(&away).unwrap(), wish::given(&away).unwrap());
    let error = look::look(&wish, &token, &[]).await.unwrap_err();
    assert_eq!(error.code(), "host_unreachable");
    assert!(error.to_string().contains("Connection refused"), "{error}");
    assert_eq!(wish.label, "home".parse::<HostLabel>().unwrap());
}
