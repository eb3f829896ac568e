//! The control socket: `STATE/control.sock`, HTTP with JSON, for tests and tools on the same
//! machine. No part of PVE.
//!
//! - `GET /journal` → `{entries, counters}`; `?mutating=1` and `?vmid=N` choose.
//! - `GET /world/guests` → `[{vmid, node, power, lock, config, digest}]`.
//! - `GET /world/tasks` → `[{upid, running, exit, log}]`.
//! - `POST /guests/NODE/VMID` breaks or mends a simulated guest and gives how it stands: any of `{"faults": {"exec_hangs",
//!   "half_output", "no_network", "never_answers", "ignores_shutdown", "keeps_disk": bool, "hogged_mib": MiB}, "crash_unit":
//!   UNIT, "die": true}`. Faults that are not named are mended.
//! - `POST /world/scenery` sets up containers that are only told of: `{"guests": N, "first_vmid": 10000, "running_percent": 80, "pools": 0}`;
//!   the last two may be left out. `POST /world/scenery/power` with `{"first_vmid", "guests", "running"}` switches some of them
//!   on or off, which is told of at once. `POST /world/scenery/tasks` with `{"each"}` gives each node so many ended tasks.
//! - `GET`/`POST /task-times` → the times in milliseconds; a POST gives those to change as JSON.
//! - `GET /faults` → `[{id, wish, seen, hits, held: [{call, state}]}]`; `POST /faults` with `{"calls": {"verb", "path", "node",
//!   "via", "vmid"}, "nth", "times", "kind": {KIND: {…}}}` → `{id}`. What is absent of `calls` is any; the `nth` call
//!   (counted from 1) and those after it are hit, `times` of them or all. Kinds: [`FaultKind`](crate::core::FaultKind).
//! - `POST /faults/ID/wait` with `{"hits", "timeout_ms"}` answers when the fault has hit so many calls (1), or with 408 when
//!   the time is up (10 s); `POST /faults/ID/release` lets go on what it holds, or with `{"cut": true}` cuts it (what was not let
//!   in never happens) → `{released}`; `DELETE /faults/ID` and
//!   `DELETE /faults` end one or all: what hangs goes on, what would never be answered is cut.
//! - `GET /nodes` → `[{node, powered, reach, partitioned, daemons, slow_ms, old_view_cycles}]`; `POST /nodes/NODE` changes any of
//!   these.
//! - `POST /world/guests/VMID` with one of `{"vanish": {}}`, `{"stranger": {"node"}}`, `{"move": {"to"}}`, `{"move_config":
//!   {"to"}}`, `{"lock": {"as"}}` (without `as`: unlock), `{"faults": {"boot_fails", "no_network"}}` does that to a guest.
//! - `GET`/`POST /clock` → `{now_ms, ahead_ms}`; a POST of `{"ahead_ms"}` sets the world's clock ahead, never back.
//! - `GET`/`POST /checks` → `{immortal, calls_per_node}`; `GET /violations` → `{total, violations}`; `DELETE /violations` forgets
//!   them. What is looked for: [`Check`](crate::core::Check).
//!
//! Unknown fields are refused with 400, what does not exist with 404.

mod faults;
mod world;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::driver::GuestDriver;
use super::error::ShellError;
use super::http::{Head, MAX_BODY_BYTES, Reader};
use super::journal::Journal;
use super::keeper::Door;
use crate::core::guest::GuestKey;
use crate::core::{Scenery, SceneryPower, SceneryTasks, TaskTimes, World};

/// What the control socket serves from.
#[derive(Clone)]
pub(super) struct Control {
    pub(super) door: Door,
    pub(super) journal: Journal,
    pub(super) driver: Arc<dyn GuestDriver>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

/// Opens the socket; a left-over one is replaced.
pub(super) fn open(path: &Path) -> Result<UnixListener, ShellError> {
    let failed = |source| ShellError::File {
        path: path.to_owned(),
        source,
    };
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Serves until told to stop.
pub(super) async fn run(listener: UnixListener, control: Control) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = control.stop.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        let serving = control.clone();
        control.tasks.spawn(async move {
            let stop = serving.stop.clone();
            tokio::select! {
                () = serve(stream, &serving) => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

async fn serve(stream: UnixStream, control: &Control) {
    let mut reader = Reader::new(stream);
    if let Ok(head) = reader.head().await {
        let length = head.content_length();
        let body = if length <= MAX_BODY_BYTES {
            reader.body(length).await
        } else {
            None
        };
        let (status, value) = match body {
            Some(body) => answer(&head, &body, control).await,
            None => (413, json!({"error": "body too large or not sent"})),
        };
        let text = value.to_string();
        let length = text.len();
        let bytes = format!(
            "HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
        );
        reader.send(bytes.as_bytes()).await;
    }
    reader.close().await;
}

/// Status and JSON.
type Answer = (u16, Value);

fn refused(status: u16, error: impl std::fmt::Display) -> Answer {
    (status, json!({"error": error.to_string()}))
}

/// The body as what an endpoint takes; nothing at all counts as an object without members.
fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Answer> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| refused(400, error))
}

/// What the keeper gave; 503 when it has stopped.
fn given(value: Result<Value, ShellError>) -> Answer {
    value.map_or_else(|error| refused(503, error), |value| (200, value))
}

fn no_endpoint(head: &Head) -> Answer {
    refused(
        404,
        format!("no such endpoint: {} {}", head.method, head.path),
    )
}

async fn answer(head: &Head, body: &[u8], control: &Control) -> Answer {
    let parts: Vec<&str> = head.path.split('/').skip(1).collect();
    match parts.first().copied() {
        Some("faults") => return faults::answer(head, &parts[1..], body, control).await,
        Some("nodes" | "clock" | "checks" | "violations") => {
            return world::answer(head, &parts, body, control).await;
        }
        Some("world") if head.method == "POST" && !head.path.starts_with("/world/scenery") => {
            return world::answer(head, &parts, body, control).await;
        }
        _ => {}
    }
    let result = match (head.method.as_str(), head.path.as_str()) {
        ("GET", "/journal") => return (200, journal(head, &control.journal)),
        ("GET", "/world/guests") => control.door.read(guests).await,
        ("GET", "/world/tasks") => control.door.read(tasks).await,
        ("GET", "/task-times") => control.door.read(|world| json!(world.task_times())).await,
        ("POST", "/task-times") => return set_task_times(body, control).await,
        ("POST", "/world/scenery") => {
            let change = |world: &mut World, order, now_ms| world.set_up_scenery(order, now_ms);
            return change_scenery::<Scenery>(body, control, change).await;
        }
        ("POST", "/world/scenery/power") => {
            let change = |world: &mut World, order, now_ms| world.switch_scenery(order, now_ms);
            return change_scenery::<SceneryPower>(body, control, change).await;
        }
        ("POST", "/world/scenery/tasks") => {
            let change = |world: &mut World, order, now_ms| world.list_scenery_tasks(order, now_ms);
            return change_scenery::<SceneryTasks>(body, control, change).await;
        }
        ("POST", path) if path.starts_with("/guests/") => {
            return meddle(path, body, control).await;
        }
        _ => return no_endpoint(head),
    };
    given(result)
}

/// `/guests/NODE/VMID`.
async fn meddle(path: &str, body: &[u8], control: &Control) -> (u16, Value) {
    let mut parts = path.split('/').skip(2);
    let (node, vmid) = (
        parts.next(),
        parts.next().and_then(|vmid| vmid.parse().ok()),
    );
    let (Some(node), Some(vmid), None) = (node, vmid, parts.next()) else {
        return (404, json!({"error": "expected /guests/NODE/VMID"}));
    };
    let Ok(order) = serde_json::from_slice::<Value>(body) else {
        return (400, json!({"error": "expected a JSON object"}));
    };
    let key = GuestKey {
        node: node.to_owned(),
        vmid,
    };
    match control.driver.meddle(&key, order).await {
        Ok(stands) => (200, stands),
        Err(error) => (400, json!({"error": error})),
    }
}

fn journal(head: &Head, journal: &Journal) -> Value {
    let parameter = |name: &str| {
        let pairs = head
            .query
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        pairs
            .into_iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
    };
    let mutating = parameter("mutating").as_deref() == Some("1");
    let vmid: Option<u32> = parameter("vmid").and_then(|text| text.parse().ok());
    let mut entries = journal.entries();
    entries.retain(|entry| (!mutating || entry.mutating) && (vmid.is_none() || entry.vmid == vmid));
    json!({"entries": entries, "counters": journal.counters()})
}

/// All guests with their configurations.
pub(super) fn guests(world: &World) -> Value {
    let rows = world.guests().map(|(vmid, guest)| {
        json!({
            "vmid": vmid, "node": guest.node, "running": guest.is_running(), "power": guest.power,
            "lock": guest.config.get("lock"), "config": guest.config, "digest": guest.config.digest(),
        })
    });
    rows.collect()
}

fn tasks(world: &World) -> Value {
    let row = |task: &crate::core::Task| json!({"upid": task.upid.to_string(), "running": task.is_running(), "exit": task.exit(), "log": task.log});
    world.tasks().map(row).collect()
}

/// Answers when the containers are as ordered.
async fn change_scenery<Order: DeserializeOwned + Send + 'static>(
    body: &[u8],
    control: &Control,
    change: impl FnOnce(&mut World, Order, u64) -> Result<(), String> + Send + 'static,
) -> Answer {
    let order: Order = match serde_json::from_slice(body) {
        Ok(order) => order,
        Err(error) => return (400, json!({"error": error.to_string()})),
    };
    let told = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let (give, take) = tokio::sync::oneshot::channel();
    let change = move |world: &mut World| {
        // Nobody waits any more: fine.
        let _ = give.send(change(world, order, super::now_ms()));
    };
    if let Err(error) = control.door.change(change).await {
        return (503, json!({"error": error.to_string()}));
    }
    match take.await {
        Ok(Ok(())) => (200, json!({"guests": told["guests"]})),
        Ok(Err(error)) => (400, json!({"error": error})),
        Err(_) => (503, json!({"error": "the emulator has stopped"})),
    }
}

/// The given times replace the current ones; unknown names are refused.
async fn set_task_times(body: &[u8], control: &Control) -> (u16, Value) {
    let Ok(Value::Object(given)) = serde_json::from_slice(body) else {
        return (400, json!({"error": "expected a JSON object"}));
    };
    let current = match control.door.read(|world| json!(world.task_times())).await {
        Ok(current) => current,
        Err(error) => return (503, json!({"error": error.to_string()})),
    };
    let mut merged = current;
    for (name, value) in given {
        merged[name.as_str()] = value;
    }
    let times: TaskTimes = match serde_json::from_value(merged) {
        Ok(times) => times,
        Err(error) => return (400, json!({"error": error.to_string()})),
    };
    match control
        .door
        .change(move |world| world.set_task_times(times))
        .await
    {
        Ok(()) => (200, json!(times)),
        Err(error) => (503, json!({"error": error.to_string()})),
    }
}
