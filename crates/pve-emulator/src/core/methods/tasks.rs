//! Task lists, states and logs.

use serde_json::{Value, json};

use super::super::answer::Reply;
use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::faults;
use super::super::park::Wait;
use super::super::task::Task;
use super::super::upid::Upid;
use super::super::worker;
use crate::schema::split_list;

/// Ended tasks per node in `/cluster/tasks`.
const CLUSTER_TAIL: usize = 25;

/// Running tasks and the last ended ones of all nodes; others' tasks need Sys.Audit on `/`, and a
/// token's own are not shown to it either.
pub(super) fn cluster_list(call: &mut Call<'_>) -> Outcome {
    if !call.may("/", "Sys.Audit") {
        return Ok(json!([]).into());
    }
    let mut rows = Vec::new();
    for node in call.world.nodes() {
        let here = || {
            call.world
                .tasks()
                .rev()
                .filter(|task| task.upid.node == node.name)
                .filter(|task| !faults::is_forgotten(call.world, &task.upid))
        };
        rows.extend(
            here()
                .filter(|task| task.is_running())
                .map(Task::cluster_row),
        );
        rows.extend(
            here()
                .filter(|task| !task.is_running())
                .take(CLUSTER_TAIL)
                .map(Task::cluster_row),
        );
    }
    Ok(Value::Array(rows).into())
}

/// A user's tasks are those of his tokens too.
fn is_own(call: &Call<'_>, task: &Task) -> bool {
    let owner = &task.upid.user;
    let of_token = || {
        owner
            .strip_prefix(&call.caller.id)
            .is_some_and(|rest| rest.starts_with('!'))
    };
    *owner == call.caller.id || of_token()
}

/// A task is shown to its own account and to auditors of its node.
fn visible(call: &Call<'_>, task: &Task) -> bool {
    is_own(call, task) || call.may(&format!("/nodes/{}", call.node), "Sys.Audit")
}

pub(super) fn node_list(call: &mut Call<'_>) -> Outcome {
    let source = call.text("source").unwrap_or_else(|| "archive".into());
    let start = usize::try_from(call.number("start").unwrap_or(0)).unwrap_or(usize::MAX);
    let limit = usize::try_from(call.number("limit").unwrap_or(50)).unwrap_or(usize::MAX);
    let here: Vec<&Task> = call
        .world
        .tasks()
        .rev()
        .filter(|task| task.upid.node == call.node)
        .filter(|task| !faults::is_forgotten(call.world, &task.upid))
        .collect();
    let running = here
        .iter()
        .filter(|task| task.is_running() && source != "archive");
    let ended = here
        .iter()
        .filter(|task| !task.is_running() && source != "active");
    let rows: Vec<Value> = running
        .chain(ended)
        .filter(|task| visible(call, task) && wanted(call, task))
        .map(|task| task.node_row())
        .collect();
    let total = rows.len() as u64;
    let page: Vec<Value> = rows.into_iter().skip(start).take(limit).collect();
    Ok(Reply::page(Value::Array(page), total))
}

fn wanted(call: &Call<'_>, task: &Task) -> bool {
    let upid = &task.upid;
    let state = match task.exit() {
        None | Some("") => "unknown",
        Some("OK") => "ok",
        Some(exit) if exit.starts_with("WARNINGS: ") => "warning",
        Some("unexpected status") => "unknown",
        Some(_) => "error",
    };
    let failed = !matches!(task.exit(), Some("OK") | None) && state != "warning";
    let states = call.text("statusfilter").unwrap_or_default().to_lowercase();
    call.number("vmid")
        .is_none_or(|vmid| upid.id == vmid.to_string())
        && call.text("typefilter").is_none_or(|kind| upid.kind == kind)
        && call
            .text("userfilter")
            .is_none_or(|user| upid.user.contains(&user))
        && call
            .number("since")
            .is_none_or(|since| upid.starttime_s >= since)
        && call
            .number("until")
            .is_none_or(|until| upid.starttime_s <= until)
        && (!call.flag("errors") || failed)
        && (states.is_empty() || split_list(&states).contains(&state))
}

/// The task the path names, if it exists on this node and the caller may see it.
fn find(call: &Call<'_>, privilege: &str) -> Result<Task, ApiError> {
    let text = call.text("upid").unwrap_or_default();
    let upid: Upid = text
        .parse()
        .map_err(|_| ApiError::parameter("upid", "unable to parse worker upid"))?;
    let task = call
        .world
        .tasks()
        .find(|task| task.upid == upid && upid.node == call.node)
        .filter(|task| !faults::is_forgotten(call.world, &task.upid));
    let task = task.ok_or_else(|| ApiError::parameter("upid", "no such task"))?;
    let path = format!("/nodes/{}", call.node);
    if is_own(call, task) || call.may(&path, privilege) {
        return Ok(task.clone());
    }
    Err(ApiError::denied(format!("{path}, {privilege}")))
}

pub(super) fn status(call: &mut Call<'_>) -> Outcome {
    Ok(find(call, "Sys.Audit")?.status().into())
}

pub(super) fn log(call: &mut Call<'_>) -> Outcome {
    let task = find(call, "Sys.Audit")?;
    let start = usize::try_from(call.number("start").unwrap_or(0)).unwrap_or(usize::MAX);
    let limit = match call.number("limit") {
        None => 50,
        Some(0) => usize::MAX,
        Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let lines: Vec<String> = if task.log.is_empty() {
        vec!["no content".into()]
    } else {
        task.log
    };
    let total = lines.len() as u64;
    let page = lines
        .iter()
        .zip(1_u64..)
        .skip(start)
        .take(limit)
        .map(|(text, number)| json!({"n": number, "t": text}));
    Ok(Reply::page(page.collect(), total))
}

/// Kills a running task; answers when its process is gone. An ended one is left as it is.
pub(super) fn kill(call: &mut Call<'_>) -> Outcome {
    let task = find(call, "Sys.Modify")?;
    if call.progress.checked {
        return Ok(Value::Null.into());
    }
    call.progress.checked = true;
    match worker::terminate(call.world, &task.upid, call.now_ms) {
        None => Ok(Value::Null.into()),
        Some(gone_ms) => Err(super::super::call::Stop::Park(Wait::Until(gone_ms))),
    }
}
