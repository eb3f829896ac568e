//! Bulk actions, of the cluster and of one node.

use serde_json::{Value, json};

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::guest::GuestKey;
use super::super::task::{BulkItem, BulkPlan, Work};
use super::super::worker;
use super::super::world::Guest;
use crate::schema::{perl_text, split_list};

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

fn check(call: &Call<'_>, vmids: &[u32], privilege: &str) -> Result<(), ApiError> {
    if vmids.is_empty() {
        return call.rights().need("/", &[privilege]);
    }
    vmids
        .iter()
        .try_for_each(|vmid| call.rights().need(&format!("/vms/{vmid}"), &[privilege]))
}

/// The guests meant, templates left out; unknown ids are ignored.
fn chosen<'a>(call: &'a Call<'_>, vmids: &[u32], node: Option<&str>) -> Vec<(u32, &'a Guest)> {
    let meant = |vmid: u32| vmids.is_empty() || vmids.contains(&vmid);
    call.world
        .guests()
        .filter(|(vmid, guest)| meant(*vmid) && !guest.config.flag("template"))
        .filter(|(_, guest)| node.is_none_or(|node| guest.node == node))
        .collect()
}

fn key(vmid: u32, guest: &Guest) -> GuestKey {
    GuestKey {
        node: guest.node.clone(),
        vmid,
    }
}

fn begin(call: &mut Call<'_>, kind: &str, node: &str, plan: BulkPlan) -> Outcome {
    let work = Work::Bulk(Box::new(plan));
    let place = (node, kind, "");
    let upid = worker::spawn_on(call.world, place, None, &call.caller.id, work, call.now_ms);
    Ok(Value::String(upid.to_string()).into())
}

fn first_line(verb: &str, vmids: &[u32]) -> String {
    if vmids.is_empty() {
        return format!("{verb} all guests");
    }
    let ids: Vec<String> = vmids.iter().map(u32::to_string).collect();
    format!("{verb} guests: {}", ids.join(", "))
}

fn plan(
    call: &Call<'_>,
    line: Option<String>,
    verb: Option<&str>,
    waiting: Vec<BulkItem>,
) -> BulkPlan {
    let workers = call
        .number("max-workers")
        .or_else(|| call.number("maxworkers"))
        .unwrap_or(4);
    BulkPlan {
        first_line: line,
        waiting,
        workers: usize::try_from(workers).unwrap_or(4),
        running: Vec::new(),
        failed: Vec::new(),
        verb: verb.map(str::to_owned),
    }
}

/// A guest that runs already is resumed, which fails: as PVE 9.2.11 does it.
pub(super) fn start(call: &mut Call<'_>) -> Outcome {
    let vmids = given(call);
    check(call, &vmids, "VM.PowerMgmt")?;
    let items = chosen(call, &vmids, None).into_iter().map(|(vmid, guest)| {
        let (kind, work) = if guest.is_running() {
            ("vzresume", Work::Resume)
        } else {
            ("vzstart", Work::Start)
        };
        item(vmid, guest, format!("Starting CT {vmid}"), kind, work)
    });
    let items = items.collect();
    let plan = plan(
        call,
        Some(first_line("Starting", &vmids)),
        Some("start"),
        items,
    );
    begin(call, "bulk-start", &call.via.clone(), plan)
}

fn item(vmid: u32, guest: &Guest, line: String, kind: &str, work: Work) -> BulkItem {
    BulkItem {
        guest: key(vmid, guest),
        line,
        kind: kind.into(),
        work,
        error: None,
    }
}

/// A shutdown of each that runs, in their order.
fn shutdowns(
    call: &Call<'_>,
    guests: Vec<(u32, &Guest)>,
    line: impl Fn(u32, u64) -> String,
) -> Vec<BulkItem> {
    let timeout_s = call.number("timeout").unwrap_or(180);
    let force = call.text("force-stop").as_deref() != Some("0");
    let running = guests.into_iter().filter(|(_, guest)| guest.is_running());
    let items = running.map(|(vmid, guest)| {
        let work = Work::Shutdown { timeout_s, force };
        item(vmid, guest, line(vmid, timeout_s), "vzshutdown", work)
    });
    items.collect()
}

/// A move of each that is elsewhere; those that run are stopped for it and started again.
fn moves(guests: Vec<(u32, &Guest)>, target: &str) -> Vec<BulkItem> {
    let elsewhere = guests.into_iter().filter(|(_, guest)| guest.node != target);
    let items = elsewhere.map(|(vmid, guest)| {
        let work = Work::Migrate {
            target: target.to_owned(),
            restart: guest.is_running(),
            timeout_s: 180,
        };
        item(
            vmid,
            guest,
            format!("Migrating CT {vmid}"),
            "vzmigrate",
            work,
        )
    });
    items.collect()
}

pub(super) fn shutdown(call: &mut Call<'_>) -> Outcome {
    let vmids = given(call);
    check(call, &vmids, "VM.PowerMgmt")?;
    let items = shutdowns(call, chosen(call, &vmids, None), |vmid, timeout_s| {
        format!("Shutting down CT {vmid} (Timeout = {timeout_s} seconds)")
    });
    let plan = plan(
        call,
        Some(first_line("Shutting down", &vmids)),
        Some("shutdown"),
        items,
    );
    begin(call, "bulk-shutdown", &call.via.clone(), plan)
}

/// Containers cannot be suspended here.
pub(super) fn suspend(call: &mut Call<'_>) -> Outcome {
    let vmids = given(call);
    check(call, &vmids, "VM.PowerMgmt")?;
    let items = chosen(call, &vmids, None)
        .into_iter()
        .map(|(vmid, guest)| BulkItem {
            error: Some(format!("skipping CT {vmid}, only VMs can be suspended")),
            ..item(vmid, guest, String::new(), "vzsuspend", Work::Suspend)
        });
    let items = items.collect();
    let plan = plan(call, Some(first_line("Suspending", &vmids)), None, items);
    begin(call, "bulk-suspend", &call.via.clone(), plan)
}

pub(super) fn migrate(call: &mut Call<'_>) -> Outcome {
    let vmids = given(call);
    let target = call
        .text("target")
        .or_else(|| call.text("target-node"))
        .unwrap_or_default();
    check(call, &vmids, "VM.Migrate")?;
    if call.world.node(&target).is_none() {
        return Err(ApiError::died(format!("no such cluster node '{target}'")).into());
    }
    let items = moves(chosen(call, &vmids, None), &target);
    let line = format!("{} to '{target}'", first_line("Migrating", &vmids));
    let plan = plan(call, Some(line), Some("migrate"), items);
    begin(call, "bulk-migrate", &call.via.clone(), plan)
}

/// Without `force` only those that start with the node.
pub(super) fn start_all(call: &mut Call<'_>) -> Outcome {
    let vmids = given(call);
    check(call, &vmids, "VM.PowerMgmt")?;
    let force = call.flag("force");
    let node = call.node.clone();
    let meant = chosen(call, &vmids, Some(&node)).into_iter();
    let meant =
        meant.filter(|(_, guest)| !guest.is_running() && (force || guest.config.flag("onboot")));
    let items = meant.map(|(vmid, guest)| {
        item(
            vmid,
            guest,
            format!("Starting CT {vmid}"),
            "vzstart",
            Work::Start,
        )
    });
    let items = items.collect();
    let plan = BulkPlan {
        workers: 1,
        ..plan(call, None, None, items)
    };
    begin(call, "startall", &node, plan)
}

pub(super) fn stop_all(call: &mut Call<'_>) -> Outcome {
    let vmids = given(call);
    check(call, &vmids, "VM.PowerMgmt")?;
    let node = call.node.clone();
    let mut there = chosen(call, &vmids, Some(&node));
    there.reverse();
    let items = shutdowns(call, there, |vmid, timeout_s| {
        format!("Stopping CT {vmid} (timeout = {timeout_s} seconds)")
    });
    let plan = plan(call, None, None, items);
    begin(call, "stopall", &node, plan)
}

pub(super) fn migrate_all(call: &mut Call<'_>) -> Outcome {
    let vmids = given(call);
    let target = call.text("target").unwrap_or_default();
    check(call, &vmids, "VM.Migrate")?;
    let node = call.node.clone();
    if target == node {
        return Err(ApiError::parameter("target", "target is local node.").into());
    }
    if call.world.node(&target).is_none() {
        return Err(ApiError::died(format!("no such cluster node '{target}'")).into());
    }
    let items = moves(chosen(call, &vmids, Some(&node)), &target);
    let plan = plan(call, None, None, items);
    begin(call, "migrateall", &node, plan)
}
