//! Every request this client can send is held against PVE's own schema: path, parameters, types, limits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use proximity_domain::network::NetworkWish;
use proximity_domain::restore::{self, OptionChange};
use proximity_domain::time::Monotonic;
use proximity_pve::lxc::{CreateLxc, NewNet};
use proximity_pve::property::PropertyString;
use proximity_pve::storage::Content;
use proximity_pve::task::{TaskFilter, TaskSource};
use proximity_pve::transport::in_process::InProcess;
use proximity_pve::transport::{Method, Request, TransportError};
use proximity_pve::{Client, Upid};
use serde_json::Value;

use crate::world::{SetClock, host, node, permit, purging_permit, vmid, warrant};
use crate::{accounts, calls};

/// PVE's schema in the compact form the emulator checks by; made from PVE's own, independently of this client.
pub(crate) fn schema() -> Value {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../pve-emulator/assets/schema-9.2.11.json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// Sends every call there is, with every parameter it has, and returns the requests.
pub(crate) async fn all_requests() -> Vec<Request> {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let log = sent.clone();
    let transport = InProcess::new(move |request| {
        log.lock().unwrap().push(request);
        async { Err(TransportError::NotSent("only recorded".to_owned())) }
    });
    let client = Client::new(
        Arc::new(transport),
        Arc::new(SetClock::default()),
        host(),
        warrant(),
    );
    // The answers are all errors; what counts is what was sent.
    send_reads(&client).await;
    send_changes(&client).await;
    calls::send_reads(client.read()).await;
    calls::send_changes(&client).await;
    drop(client);
    let mut requests = Arc::try_unwrap(sent).unwrap().into_inner().unwrap();
    requests.extend(accounts::all_requests().await);
    requests
}

async fn send_reads(client: &Client) {
    let (read, at, id) = (client.read(), node("pve1"), vmid(100));
    let upid: Upid = "UPID:pve1:000002F5:0006BA26:6B001DCD:vzstart:140:root@pam!gold:"
        .parse()
        .unwrap();
    let filter = TaskFilter {
        vmid: Some(id),
        kind: Some("vzcreate".to_owned()),
        since_s: Some(1),
        source: TaskSource::All,
        limit: Some(10),
    };
    let outcomes = [
        read.version().await.is_err(),
        read.cluster_status().await.is_err(),
        read.nodes().await.is_err(),
        read.node_status(&at).await.is_err(),
        read.node_time(&at).await.is_err(),
        read.node_dns(&at).await.is_err(),
        read.roles().await.is_err(),
        read.users().await.is_err(),
        read.grants().await.is_err(),
        read.resources_vm().await.is_err(),
        read.backup_jobs().await.is_err(),
        read.replication_jobs().await.is_err(),
        read.next_id(Some(id)).await.is_err(),
        read.next_id_range().await.is_err(),
        read.storages(&at).await.is_err(),
        read.storage_content(&at, &"local".parse().unwrap(), Content::Template)
            .await
            .is_err(),
        read.bridges(&at).await.is_err(),
        read.permissions(Some("/vms/100")).await.is_err(),
        read.permissions_of("observe@pve!proximity", Some("/vms/100"))
            .await
            .is_err(),
        read.lxc_list(&at).await.is_err(),
        read.lxc_config(&at, id).await.is_err(),
        read.lxc_config_whole(&at, id).await.is_err(),
        read.lxc_status(&at, id).await.is_err(),
        read.lxc_interfaces(&at, id).await.is_err(),
        read.task_status(&upid).await.is_err(),
        read.task_log(&upid, 0, 50).await.is_err(),
        read.cluster_tasks().await.is_err(),
        read.node_tasks(&at, &filter).await.is_err(),
    ];
    assert!(outcomes.iter().all(|failed| *failed));
}

async fn send_changes(client: &Client) {
    let (at, id) = (node("pve1"), vmid(100));
    let new = CreateLxc {
        vmid: id,
        ostemplate: "local:vztmpl/debian-13_1_amd64.tar.zst".parse().unwrap(),
        hostname: "web".parse().unwrap(),
        storage: "local".parse().unwrap(),
        disk_gib: 4,
        mounts: Vec::new(),
        memory_mib: 512,
        swap_mib: 0,
        cores: 2,
        net0: NewNet {
            name: "eth0".to_owned(),
            bridge: "vmbr0".parse().unwrap(),
            hwaddr: "BC:24:11:00:00:01".parse().unwrap(),
        },
        network: NetworkWish {
            vlan: Some(30),
            ipv4: Some("192.0.2.10/24".to_owned()),
            gateway: Some("192.0.2.1".to_owned()),
            ipv6: Some("2001:db8::10/64".to_owned()),
            gateway6: Some("fe80::1".to_owned()),
            dns: vec!["192.0.2.53".to_owned(), "2001:db8::53".to_owned()],
            search: Some("lab.example.org".to_owned()),
            ..NetworkWish::default()
        }
        .check()
        .unwrap(),
        root_keys: vec!["ssh-ed25519 AAAA".to_owned(), "ssh-ed25519 BBBB".to_owned()],
        root_password: Some("correct horse".into()),
        description: "text; with = and &\nmark".to_owned(),
        pool: Some("apps/web".parse().unwrap()),
        unprivileged: true,
        onboot: true,
        protection: true,
        nesting: true,
    };
    let digest = "0123456789abcdef0123456789abcdef01234567";
    let digest = &digest.parse().unwrap();
    let outcomes = [
        client.create_lxc(&at, new).await.is_err(),
        client.start(&at, id).await.is_err(),
        client.shutdown(&at, id, 60).await.is_err(),
        client.stop(&at, id).await.is_err(),
        client.set_protection(&at, id, false, digest).await.is_err(),
        client
            .set_tags(&at, id, &["a".to_owned(), "b".to_owned()], digest)
            .await
            .is_err(),
        client.set_tags(&at, id, &[], digest).await.is_err(),
        client
            .set_options(&at, id, &restored(), digest)
            .await
            .is_err(),
        client
            .destroy_lxc(permit("pve1", 100, Monotonic(0)))
            .await
            .is_err(),
        client
            .destroy_lxc(purging_permit("pve1", 100, Monotonic(0)))
            .await
            .is_err(),
    ];
    assert!(outcomes.iter().all(|failed| *failed));
}

/// A change that sets a key and takes one away.
fn restored() -> OptionChange {
    let of = |key: &str| BTreeMap::from([(key.to_owned(), Value::from(1))]);
    let plan = restore::plan(&of("cores"), &of("swap"), &restore::Wanted::All, true);
    plan.change().unwrap()
}

/// The schema's method for a request, and the values its path holds.
fn find<'a>(schema: &'a Value, request: &Request) -> (&'a Value, Vec<(String, String)>) {
    let sent: Vec<&str> = request.path.split('/').collect();
    let mut found = schema["methods"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|method| {
            let template: Vec<&str> = method["path"].as_str()?.split('/').collect();
            if method["method"] != request.method.as_str() || template.len() != sent.len() {
                return None;
            }
            let mut values = Vec::new();
            for (pattern, part) in template.iter().zip(&sent) {
                match pattern.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
                    Some(name) => values.push((
                        name.to_owned(),
                        part.replace("%3A", ":").replace("%2F", "/"),
                    )),
                    None if pattern == part => {}
                    None => return None,
                }
            }
            Some((method, values))
        });
    found
        .next()
        .unwrap_or_else(|| panic!("PVE knows no {} {}", request.method, request.path))
}

fn check_value(what: &str, property: &Value, value: &str) {
    let number = || {
        value
            .parse::<f64>()
            .unwrap_or_else(|_| panic!("{what}: {value:?} is no number"))
    };
    match property["type"].as_str() {
        Some("boolean") => assert!(["0", "1"].contains(&value), "{what}: {value:?}"),
        Some("integer") => assert!(value.parse::<i64>().is_ok(), "{what}: {value:?}"),
        _ => {}
    }
    if let Some(minimum) = property["minimum"].as_f64() {
        assert!(number() >= minimum, "{what}: {value} < {minimum}");
    }
    if let Some(maximum) = property["maximum"].as_f64() {
        assert!(number() <= maximum, "{what}: {value} > {maximum}");
    }
    if let Some(longest) = property["maxLength"].as_u64() {
        assert!(
            value.len() as u64 <= longest,
            "{what}: {value:?} is too long"
        );
    }
    if let Some(allowed) = property["enum"].as_array() {
        assert!(
            allowed.iter().any(|a| a == value),
            "{what}: {value:?} is none of {allowed:?}"
        );
    }
    if let Some(keys) = property["format"].as_object() {
        check_property_string(what, keys, value);
    }
}

fn check_property_string(what: &str, keys: &serde_json::Map<String, Value>, value: &str) {
    let pairs = PropertyString::parse(value);
    for part in value.split(',') {
        let Some((key, _)) = part.split_once('=') else {
            assert!(
                keys.values().any(|k| k["default_key"] == 1),
                "{what}: {part:?} has no key"
            );
            continue;
        };
        let definition = keys
            .get(key)
            .unwrap_or_else(|| panic!("{what} knows no {key}"));
        check_value(
            &format!("{what}.{key}"),
            definition,
            pairs.get(key).unwrap(),
        );
    }
    for (key, definition) in keys {
        let is_there = pairs.get(key).is_some() || definition["default_key"] == 1;
        assert!(
            definition["optional"] == 1 || is_there,
            "{what} needs {key}"
        );
    }
}

#[tokio::test]
async fn pve_knows_every_request_and_every_parameter() {
    let schema = schema();
    let requests = all_requests().await;
    let mut methods = BTreeSet::new();
    for request in &requests {
        let (method, from_path) = find(&schema, request);
        methods.insert(format!(
            "{} {}",
            request.method,
            method["path"].as_str().unwrap()
        ));
        let given: Vec<(String, String)> = from_path
            .into_iter()
            .chain(request.params.clone())
            .collect();
        let known = method["parameters"].as_object().unwrap();
        for (name, value) in &given {
            let indexed = format!("{}[n]", name.trim_end_matches(|c: char| c.is_ascii_digit()));
            let index = known.get(name).or_else(|| known.get(&indexed));
            let index = index
                .unwrap_or_else(|| panic!("{} {} knows no {name}", request.method, request.path));
            let property = &schema["properties"][usize::try_from(index.as_u64().unwrap()).unwrap()];
            check_value(
                &format!("{} {} {name}", request.method, request.path),
                property,
                value,
            );
            if let Some(needed) = property["requires"].as_str() {
                assert!(
                    given.iter().any(|(n, _)| n == needed),
                    "{} {}: {name} needs {needed}",
                    request.method,
                    request.path
                );
            }
        }
        for (name, index) in known.iter().filter(|(name, _)| !name.ends_with("[n]")) {
            let property = &schema["properties"][usize::try_from(index.as_u64().unwrap()).unwrap()];
            let is_given = given.iter().any(|(n, _)| n == name);
            assert!(
                property["optional"] == 1 || is_given,
                "{} {} needs {name}",
                request.method,
                request.path
            );
        }
    }
    assert_eq!(methods.len(), 76, "{methods:#?}");
}

/// What a request may hold of what would harm elsewhere.
fn is_fine(request: &Request, name: &str, value: &str) -> bool {
    let is_create = request.path.ends_with("/lxc");
    let has = |name: &str| request.params.iter().any(|(known, _)| known == name);
    match name {
        "tags" => !is_create,
        "start" => request.path.ends_with("/log"),
        "restore" => is_create,
        // Sent by the one call that takes a permit to destroy what is there.
        "force" => is_create && has("restore"),
        // Membership of a pool, a grant; a volume that is moved stays where it was.
        "delete" => {
            ["/pools", "/access/acl"].contains(&request.path.as_str())
                || request.path.ends_with("/config")
                || value == "0"
        }
        // Older backups stay when one is made.
        "remove" | "forceStop" => value == "0",
        // Sent by the one call whose permit says so.
        "purge" => request.method == Method::Delete && value == "1",
        "skiplock"
        | "destroy-unreferenced-disks"
        | "allow-move"
        | "all"
        | "verify-certificates"
        | "overrule-shutdown"
        | "ignore-unpack-errors" => false,
        _ => true,
    }
}

#[tokio::test]
async fn what_would_harm_is_never_sent() {
    let (mut forced, mut purged) = (0, 0);
    for request in all_requests().await {
        let what = format!("{} {}", request.method, request.path);
        for (name, value) in &request.params {
            assert!(
                is_fine(&request, name, value),
                "{what} sends {name}={value}"
            );
            forced += usize::from(name == "force");
            purged += usize::from(name == "purge");
        }
        assert_eq!(
            request.send_before.is_some(),
            !request.method.is_read(),
            "{what}"
        );
        if request.path.ends_with("/vzdump") {
            let remove = ("remove".to_owned(), "0".to_owned());
            assert!(request.params.contains(&remove), "{what}");
        }
        if request.method == Method::Delete {
            let names: Vec<&str> = request.params.iter().map(|(n, _)| n.as_str()).collect();
            let expected: &[&str] = if request.path == "/pools" {
                &["poolid"]
            } else if request.path.ends_with("/prunebackups") {
                &["vmid", "type", "prune-backups"]
            } else if names.contains(&"purge") {
                assert!(request.path.starts_with("/nodes/pve1/lxc/"), "{what}");
                assert_eq!(request.path.split('/').count(), 5, "{what}");
                &["purge"]
            } else {
                &[]
            };
            assert_eq!(names, expected, "{what}");
        }
    }
    assert_eq!((forced, purged), (1, 1));
}
