//! Bulk actions, of the cluster and of one node: who may, and what is to be done. The task itself is in
//! `worker::bulk`.

use serde_json::{Value, json};

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::task::{BulkAct, BulkPlan, Work};
use super::super::worker;
use super::check_quorum;
use crate::schema::{perl_text, split_list};

/// Workers of a node at most, unless it is told.
const NODE_WORKERS: u64 = 8;

pub(super) fn index(_: &mut Call<'_>) -> Outcome {
    Ok(json!([{"name": "guest"}]).into())
}

pub(super) fn guest_index(_: &mut Call<'_>) -> Outcome {
    Ok(
        json!([{"name": "start"}, {"name": "shutdown"}, {"name": "migrate"}, {"name": "suspend"}])
            .into(),
    )
}

/// Ids given as a list of numbers or as one text.
fn given(call: &Call<'_>) -> Vec<u32> {
    match call.params.get("vms") {
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(|id| perl_text(id)?.parse().ok())
            .collect(),
        Some(other) => {
            let text = perl_text(other).unwrap_or_default();
            split_list(&text)
                .iter()
                .filter_map(|id| id.parse().ok())
                .collect()
        }
        None => Vec::new(),
    }
}

/// For the cluster's actions: on each of the guests that are named, else on everything.
fn check(call: &Call<'_>, vmids: &[u32], privilege: &str) -> Result<(), ApiError> {
    if vmids.is_empty() {
        return call.rights().need("/", &[privilege]);
    }
    vmids
        .iter()
        .try_for_each(|vmid| call.rights().need(&format!("/vms/{vmid}"), &[privilege]))
}

/// For a node's actions: on everything, else on each of the guests that are named.
fn check_node(call: &Call<'_>, vmids: &[u32], privileges: &[&str]) -> Result<(), ApiError> {
    if call.rights().need("/", privileges).is_ok() {
        return Ok(());
    }
    if vmids.is_empty() {
        let what = format!("/, {}", privileges.join(" && "));
        return Err(ApiError::denied(what));
    }
    check(call, vmids, privileges[0])
}

/// How many at once: as given, else as the datacenter says.
fn workers(call: &Call<'_>) -> Option<u64> {
    let datacenter = || call.world.datacenter.get("max_workers")?.parse().ok();
    call.number("max-workers")
        .or_else(|| call.number("maxworkers"))
        .or_else(datacenter)
        .filter(|workers| *workers > 0)
}

/// How many at once on a node that is not told.
fn node_workers(call: &Call<'_>) -> u64 {
    let cpus = call.world.node(&call.node).map_or(1, |node| node.cpus);
    workers(call).unwrap_or_else(|| u64::from(cpus).saturating_sub(1).clamp(1, NODE_WORKERS))
}

fn plan(call: &Call<'_>, act: BulkAct, line: Option<String>, workers: u64) -> BulkPlan {
    let vmids = given(call);
    BulkPlan {
        first_line: line,
        chosen: call.params.get("vms").map(|_| vmids),
        workers: usize::try_from(workers).unwrap_or(1),
        ..BulkPlan::of(act)
    }
}

fn begin(call: &mut Call<'_>, kind: &str, node: &str, plan: BulkPlan) -> Outcome {
    let work = Work::Bulk(Box::new(plan));
    let place = (node, kind, "");
    let upid = worker::spawn_on(call.world, place, None, &call.caller.id, work, call.now_ms);
    Ok(Value::String(upid.to_string()).into())
}

/// A task of the node that was asked.
fn begin_here(call: &mut Call<'_>, kind: &str, plan: BulkPlan) -> Outcome {
    begin(call, kind, &call.via.clone(), plan)
}

/// A task of the node that was named.
fn begin_there(call: &mut Call<'_>, kind: &str, plan: BulkPlan) -> Outcome {
    let node = call.node.clone();
    let plan = BulkPlan {
        node: Some(node.clone()),
        ..plan
    };
    begin(call, kind, &node, plan)
}

/// e.g. `Starting guests: 100, 101`.
fn first_line(verb: &str, suffix: &str, vmids: &[u32]) -> Option<String> {
    if vmids.is_empty() {
        return Some(format!("{verb} all guests{suffix}"));
    }
    let ids: Vec<String> = vmids.iter().map(u32::to_string).collect();
    Some(format!("{verb} guests{suffix}: {}", ids.join(", ")))
}

pub(super) fn start(call: &mut Call<'_>) -> Outcome {
    let vmids = given(call);
    check(call, &vmids, "VM.PowerMgmt")?;
    let line = first_line("Starting", "", &vmids);
    let plan = plan(call, BulkAct::Start, line, workers(call).unwrap_or(4));
    begin_here(call, "bulk-start", plan)
}

fn shutdown_act(call: &Call<'_>) -> BulkAct {
    BulkAct::Shutdown {
        timeout_s: call.number("timeout"),
        force: call.text("force-stop").as_deref() != Some("0"),
    }
}

pub(super) fn shutdown(call: &mut Call<'_>) -> Outcome {
    let vmids = given(call);
    check(call, &vmids, "VM.PowerMgmt")?;
    let line = first_line("Shutting down", "", &vmids);
    let act = shutdown_act(call);
    let plan = plan(call, act, line, workers(call).unwrap_or(4));
    begin_here(call, "bulk-shutdown", plan)
}

/// Containers cannot be suspended: all are skipped.
pub(super) fn suspend(call: &mut Call<'_>) -> Outcome {
    let vmids = given(call);
    check(call, &vmids, "VM.PowerMgmt")?;
    if call.flag("to-disk") {
        check(call, &vmids, "VM.Config.Disk")?;
        if let Some(id) = call.text("statestorage") {
            let path = format!("/storage/{id}");
            call.rights().need(&path, &["Datastore.AllocateSpace"])?;
        }
    }
    let line = first_line("Suspending", "", &vmids);
    let plan = plan(call, BulkAct::Suspend, line, workers(call).unwrap_or(4));
    begin_here(call, "bulk-suspend", plan)
}

/// A target that is not there fails each migration, not the call.
pub(super) fn migrate(call: &mut Call<'_>) -> Outcome {
    let vmids = given(call);
    check(call, &vmids, "VM.Migrate")?;
    let target = call.text("target").unwrap_or_default();
    let line = first_line("Migrating", &format!(" to {target}"), &vmids);
    let online = call.text("online");
    let act = BulkAct::Migrate {
        target,
        restart: online.map(|online| online == "1"),
    };
    let plan = plan(call, act, line, workers(call).unwrap_or(1));
    begin_here(call, "bulk-migrate", plan)
}

/// Without `force` only those that start with the node.
pub(super) fn start_all(call: &mut Call<'_>) -> Outcome {
    check_node(call, &given(call), &["VM.PowerMgmt"])?;
    let plan = BulkPlan {
        onboot: !call.flag("force"),
        ..plan(call, BulkAct::Start, None, node_workers(call))
    };
    begin_there(call, "startall", plan)
}

pub(super) fn stop_all(call: &mut Call<'_>) -> Outcome {
    check_node(call, &given(call), &["VM.PowerMgmt"])?;
    let act = shutdown_act(call);
    let plan = plan(call, act, None, node_workers(call));
    begin_there(call, "stopall", plan)
}

pub(super) fn suspend_all(call: &mut Call<'_>) -> Outcome {
    check_node(call, &given(call), &["VM.PowerMgmt", "VM.Config.Disk"])?;
    let plan = plan(call, BulkAct::Suspend, None, node_workers(call));
    begin_there(call, "suspendall", plan)
}

/// How many at once has to be said here or in the options of the datacenter.
pub(super) fn migrate_all(call: &mut Call<'_>) -> Outcome {
    check_node(call, &given(call), &["VM.Migrate"])?;
    let target = call.text("target").unwrap_or_default();
    if target == call.node {
        return Err(ApiError::parameter("target", "target is local node.").into());
    }
    check_quorum(call)?;
    if call.world.node(&target).is_none() {
        return Err(ApiError::died(format!("no such cluster node '{target}'")).into());
    }
    let Some(workers) = workers(call) else {
        let text = "either 'max-workers' parameter or max_workers in datacenter.cfg must be set!";
        return Err(ApiError::died(text).into());
    };
    let act = BulkAct::Migrate {
        target,
        restart: None,
    };
    let plan = plan(call, act, None, workers);
    begin_there(call, "migrateall", plan)
}
