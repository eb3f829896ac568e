//! Every recorded answer to a call that is typed here goes through the real client.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use proximity_domain::names::NodeName;
use proximity_pve::lxc::{CreateLxc, NewNet};
use proximity_pve::storage::Content;
use proximity_pve::task::{TaskFilter, TaskOutcome};
use proximity_pve::transport::in_process::InProcess;
use proximity_pve::transport::{Method, RawResponse, Request};
use proximity_pve::{Client, Error, ReadClient, Upid};
use serde_json::Value;

use crate::replay;
use crate::world::{SetClock, host, permit, vmid, warrant};

pub(crate) struct Step {
    pub(crate) id: String,
    pub(crate) method: String,
    /// Below `/api2/json`.
    pub(crate) segments: Vec<String>,
    /// The parameters of the recorded request.
    pub(crate) given: BTreeMap<String, String>,
    pub(crate) answer: RawResponse,
    json: Value,
    task: Option<String>,
}

/// All steps of all recordings below `/api2/json` that were answered at all.
pub(crate) fn steps() -> Vec<Step> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/pve-traces");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "json"));
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let recording: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let steps = recording["steps"].as_array().cloned().unwrap_or_default();
        all.extend(steps.iter().filter_map(|step| read_step(&name, step)));
    }
    all
}

fn read_step(file: &str, step: &Value) -> Option<Step> {
    let path = step["path"].as_str()?.strip_prefix("/api2/json/")?;
    let response = &step["response"];
    let status = u16::try_from(response["status"].as_u64()?).unwrap();
    let body = match &response["body"] {
        Value::Null => Bytes::new(),
        Value::String(text) => Bytes::from(text.clone()),
        other => Bytes::from(other.to_string()),
    };
    Some(Step {
        id: format!("{file} step {}", step["n"]),
        method: step["method"].as_str()?.to_owned(),
        given: given(step),
        segments: path
            .split('/')
            .map(|s| {
                s.replace("%3A", ":")
                    .replace("%2F", "/")
                    .replace("%40", "@")
                    .replace("%21", "!")
            })
            .collect(),
        answer: RawResponse {
            status,
            reason: response["reason"].as_str().unwrap_or_default().to_owned(),
            body,
        },
        json: response["body"].clone(),
        task: step["task"]["exitstatus"].as_str().map(str::to_owned),
    })
}

/// Query, form or JSON as texts; what is none of these has no parameters.
fn given(step: &Value) -> BTreeMap<String, String> {
    let parts = ["query", "form", "json"].map(|part| step[part].as_object());
    let all = parts.into_iter().flatten().flatten();
    all.map(|(name, value)| {
        let text = value.as_str().map(str::to_owned);
        (name.clone(), text.unwrap_or_else(|| value.to_string()))
    })
    .collect()
}

pub(crate) fn client(step: &Step) -> Client {
    client_into(step, &Arc::default())
}

/// The same, which writes down what it was asked to send.
fn client_into(step: &Step, sent: &Arc<Mutex<Option<Request>>>) -> Client {
    let answer = step.answer.clone();
    let method = step.method.clone();
    let sent = sent.clone();
    let transport = InProcess::new(move |request| {
        assert_eq!(request.method.as_str(), method);
        *sent.lock().unwrap() = Some(request);
        let answer = answer.clone();
        async move { Ok(answer) }
    });
    Client::new(
        Arc::new(transport),
        Arc::new(SetClock::default()),
        host(),
        warrant(),
    )
}

/// What a typed call made of a recorded answer: its result as text for comparing, or the error.
pub(crate) type Outcome = Result<Value, Error>;

pub(crate) fn rows<T>(read: &[T]) -> Value {
    Value::from(read.len())
}

/// Sends the typed call that belongs to a step; `None` if none does.
async fn replay(step: &Step) -> Option<(&'static str, Outcome)> {
    let segments: Vec<&str> = step.segments.iter().map(String::as_str).collect();
    let sent = Arc::default();
    let client = client_into(step, &sent);
    if let Some((call, outcome, asked)) = replay::replay(step, &segments, &client).await {
        let sent = sent.lock().unwrap().take();
        replay::compare(
            step,
            asked,
            &sent.unwrap_or_else(|| panic!("{} sent nothing", step.id)),
        );
        return Some((call, outcome));
    }
    match step.method.as_str() {
        "GET" if segments == ["cluster", "resources"] => {
            // Without this type the answer has rows of other kinds, which this client never asks for.
            step.given.get("type").filter(|kind| *kind == "vm")?;
            Some((
                "guests",
                client.read().resources_vm().await.map(|r| rows(&r)),
            ))
        }
        "GET" => replay_read(&segments, client.read()).await,
        _ => replay_change(&step.method, &segments, &client).await,
    }
}

async fn replay_read(segments: &[&str], read: &ReadClient) -> Option<(&'static str, Outcome)> {
    Some(match segments {
        ["version"] => ("version", read.version().await.map(|v| v.version.into())),
        ["cluster", "status"] => (
            "cluster status",
            read.cluster_status().await.map(|s| rows(&s.nodes)),
        ),
        ["cluster", "nextid"] => (
            "next id",
            read.next_id(None).await.map(|v| v.get().to_string().into()),
        ),
        ["cluster", "tasks"] => (
            "cluster tasks",
            read.cluster_tasks().await.map(|t| rows(&t)),
        ),
        ["access", "permissions"] => (
            "permissions",
            read.permissions(None).await.map(|p| Value::from(p.len())),
        ),
        ["nodes"] => ("nodes", read.nodes().await.map(|n| rows(&n))),
        ["nodes", node, rest @ ..] => return replay_node(&node.parse().unwrap(), rest, read).await,
        _ => return None,
    })
}

async fn replay_node(
    node: &NodeName,
    rest: &[&str],
    read: &ReadClient,
) -> Option<(&'static str, Outcome)> {
    Some(match rest {
        ["status"] => (
            "node status",
            read.node_status(node)
                .await
                .map(|s| s.memory.total_bytes.into()),
        ),
        ["storage"] => ("storages", read.storages(node).await.map(|s| rows(&s))),
        ["storage", storage, "content"] => {
            let storage = storage.parse().unwrap();
            let content = read
                .storage_content(node, &storage, Content::Template)
                .await;
            ("storage content", content.map(|c| rows(&c)))
        }
        ["network"] => ("bridges", read.bridges(node).await.map(|b| rows(&b))),
        ["tasks"] => (
            "node tasks",
            read.node_tasks(node, &TaskFilter::default())
                .await
                .map(|t| rows(&t)),
        ),
        ["tasks", upid, "status"] => {
            let upid: Upid = upid.parse().ok()?;
            (
                "task status",
                read.task_status(&upid)
                    .await
                    .map(|s| format!("{s:?}").into()),
            )
        }
        ["tasks", upid, "log"] => {
            let upid: Upid = upid.parse().ok()?;
            (
                "task log",
                read.task_log(&upid, 0, 50).await.map(|l| rows(&l)),
            )
        }
        ["lxc"] => ("lxc list", read.lxc_list(node).await.map(|l| rows(&l))),
        ["lxc", id, "config"] => {
            let id = id.parse().ok()?;
            (
                "lxc config",
                read.lxc_config(node, id)
                    .await
                    .map(|c| c.digest.map(|d| d.to_string()).into()),
            )
        }
        ["lxc", id, "status", "current"] => {
            let id = id.parse().ok()?;
            let status = read.lxc_status(node, id).await;
            (
                "lxc status",
                status.map(|s| format!("{:?}", s.status).to_lowercase().into()),
            )
        }
        ["lxc", id, "interfaces"] => {
            let id = id.parse().ok()?;
            let read = read.lxc_interfaces(node, id).await;
            (
                "lxc interfaces",
                read.map(|i| i.map_or(Value::Null, |i| rows(&i))),
            )
        }
        _ => return None,
    })
}

async fn replay_change(
    method: &str,
    segments: &[&str],
    client: &Client,
) -> Option<(&'static str, Outcome)> {
    let ["nodes", node, "lxc", rest @ ..] = segments else {
        return None;
    };
    let at: NodeName = node.parse().unwrap();
    let upid = |u: Upid| Value::from(u.to_string());
    Some(match (method, rest) {
        ("POST", []) => (
            "create",
            client.create_lxc(&at, new_container()).await.map(upid),
        ),
        ("POST", [id, "status", "start"]) => {
            ("start", client.start(&at, id.parse().ok()?).await.map(upid))
        }
        ("POST", [id, "status", "stop"]) => {
            ("stop", client.stop(&at, id.parse().ok()?).await.map(upid))
        }
        ("POST", [id, "status", "shutdown"]) => (
            "shutdown",
            client.shutdown(&at, id.parse().ok()?, 10).await.map(upid),
        ),
        ("PUT", [id, "config"]) => {
            let set = client
                .set_protection(&at, id.parse().ok()?, true, &"d".parse().ok()?)
                .await;
            ("set protection", set.map(|()| Value::Null))
        }
        ("DELETE", [id]) => {
            let id = id.parse::<u32>().ok().filter(|id| *id >= 100)?;
            let permit = permit(node, id, proximity_domain::time::Monotonic(0));
            ("destroy", client.destroy_lxc(permit).await.map(upid))
        }
        _ => return None,
    })
}

pub(crate) fn new_container() -> CreateLxc {
    CreateLxc {
        vmid: vmid(100),
        ostemplate: "local:vztmpl/debian.tar.zst".parse().unwrap(),
        hostname: "web".parse().unwrap(),
        storage: "local".parse().unwrap(),
        disk_gib: 4,
        mounts: Vec::new(),
        memory_mib: 512,
        swap_mib: 0,
        cores: 1,
        net0: NewNet {
            name: "eth0".to_owned(),
            bridge: "vmbr0".parse().unwrap(),
            hwaddr: "BC:24:11:00:00:01".parse().unwrap(),
        },
        network: proximity_domain::network::Network::default(),
        root_keys: Vec::new(),
        root_password: None,
        description: "notes".to_owned(),
        pool: None,
        unprivileged: true,
        onboot: false,
        protection: true,
        nesting: true,
    }
}

/// What the recorded body says a good result is, in the form `replay` gives it.
fn expected(call: &str, body: &Value) -> Option<Value> {
    let data = &body["data"];
    let count = || data.as_array().map(|rows| Value::from(rows.len()));
    match call {
        "version" => Some(data["version"].clone()),
        "cluster status" => {
            let nodes = data
                .as_array()?
                .iter()
                .filter(|row| row["type"] == "node")
                .count();
            Some(Value::from(nodes))
        }
        "permissions" => data.as_object().map(|paths| Value::from(paths.len())),
        "node status" => Some(data["memory"]["total"].clone()),
        "lxc config" => Some(data["digest"].clone()),
        "lxc status" => Some(data["status"].clone()),
        "lxc interfaces" if data.is_null() => Some(Value::Null),
        "task status" => None,
        "next id" | "create" | "start" | "stop" | "shutdown" | "destroy" => Some(data.clone()),
        "set protection" => Some(Value::Null),
        _ => replay::expected(call, data).or_else(count),
    }
}

/// The error must say what the recorded refusal means.
fn check_refusal(step: &Step, error: &Error) {
    let id = &step.id;
    let reason = step.answer.reason.as_str();
    match step.answer.status {
        401 => assert!(
            matches!(error, Error::Unauthorized { .. }),
            "{id}: {error:?}"
        ),
        403 => assert!(error.is_permission_denied(), "{id}: {error:?}"),
        595..=599 => assert!(error.is_node_unreachable(), "{id}: {error:?}"),
        400 => {
            let Error::Refused { errors, .. } = error else {
                panic!("{id}: {error:?}")
            };
            assert!(!errors.is_empty(), "{id}: {error:?}");
        }
        _ => assert!(matches!(error, Error::Refused { .. }), "{id}: {error:?}"),
    }
    if !step.answer.body.is_empty() {
        let text = error.to_string();
        let first_line = reason.lines().next().unwrap();
        assert!(
            text.contains(first_line),
            "{id}: {text:?} does not show {first_line:?}"
        );
    }
    check_meaning(step, error);
}

/// PVE's wording must be understood as what it means.
fn check_meaning(step: &Step, error: &Error) {
    let (id, reason) = (&step.id, step.answer.reason.as_str());
    let meanings = [
        (
            "does not exist",
            reason.starts_with("Configuration file '"),
            error.is_missing_config(),
        ),
        (
            "taken",
            reason.contains(" already exists on node "),
            error.is_vmid_taken(),
        ),
        (
            "running",
            reason.ends_with(" already running"),
            error.is_already_running(),
        ),
        (
            "not running",
            reason.ends_with(" not running"),
            error.is_not_running(),
        ),
        (
            "protected",
            reason.contains("protection mode"),
            error.is_protected(),
        ),
        (
            "digest",
            reason.starts_with("detected modified"),
            error.is_digest_mismatch(),
        ),
        (
            "no quorum",
            reason.contains("no quorum"),
            error.is_no_quorum(),
        ),
    ];
    for (meaning, said, understood) in meanings {
        if said {
            assert!(
                understood,
                "{id}: {reason:?} was not understood as {meaning}"
            );
        }
    }
    if let Some(lock) = reason
        .strip_prefix("CT is locked (")
        .and_then(|r| r.strip_suffix(')'))
    {
        assert_eq!(error.is_locked().as_deref(), Some(lock), "{id}");
    }
}

#[tokio::test]
async fn every_recorded_answer_is_understood() {
    let mut read: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for step in steps() {
        let Some((call, outcome)) = replay(&step).await else {
            continue;
        };
        let counts = read.entry(call).or_default();
        match (&outcome, step.answer.status) {
            (Ok(value), 200) => {
                counts.0 += 1;
                if let Some(expected) = expected(call, &step.json) {
                    assert_eq!(*value, expected, "{} ({call})", step.id);
                }
            }
            (Err(error), status) if status != 200 => {
                counts.1 += 1;
                check_refusal(&step, error);
            }
            _ => panic!(
                "{} ({call}): status {} gave {outcome:?}",
                step.id, step.answer.status
            ),
        }
    }
    let none: Vec<_> = read.iter().filter(|(_, (good, _))| *good == 0).collect();
    assert!(none.is_empty(), "no good answer was recorded for {none:?}");
    assert_eq!(read.len(), 55, "calls with recordings: {:?}", read.keys());
    let (good, refused) = read
        .values()
        .fold((0, 0), |sum, n| (sum.0 + n.0, sum.1 + n.1));
    assert!(
        good >= 220 && refused >= 130,
        "only {good} good answers and {refused} refusals were read"
    );
}

#[test]
fn every_recorded_exit_status_is_understood() {
    let mut seen = 0;
    for step in steps() {
        let Some(text) = &step.task else { continue };
        let outcome = TaskOutcome::from_exit_status(text);
        match text.as_str() {
            "OK" => assert_eq!(outcome, TaskOutcome::Ok, "{}", step.id),
            "unexpected status" => {
                assert!(matches!(outcome, TaskOutcome::Unknown(_)), "{}", step.id)
            }
            other => assert_eq!(
                outcome,
                TaskOutcome::Failed(other.to_owned()),
                "{}",
                step.id
            ),
        }
        seen += 1;
    }
    assert!(seen >= 30, "only {seen} exit statuses were read");
}

#[test]
fn only_reads_are_reads() {
    assert!(Method::Get.is_read());
    assert!(
        ![Method::Post, Method::Put, Method::Delete]
            .iter()
            .any(|m| m.is_read())
    );
}
