//! `/cluster/config`: what the cluster's communication is configured with, and the cluster's log.

use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::task::Task;
use super::super::world::{Node, World};

/// The version of the call that joins a node.
const JOIN_VERSION: u64 = 1;
/// Entries of the log, unless it is said.
const ENTRIES: usize = 50;

pub(super) fn index(_: &mut Call<'_>) -> Outcome {
    let names = ["nodes", "totem", "join", "qdevice", "apiversion"];
    let rows = names.iter().map(|name| json!({"name": name}));
    Ok(rows.collect::<Value>().into())
}

pub(super) fn version(_: &mut Call<'_>) -> Outcome {
    Ok(json!(JOIN_VERSION).into())
}

/// There is no such device.
pub(super) fn device(_: &mut Call<'_>) -> Outcome {
    Ok(json!({}).into())
}

fn totem_of(world: &World) -> Option<Value> {
    let name = world.cluster_name.as_ref()?;
    Some(json!({
        "cluster_name": name, "config_version": world.nodes().len().to_string(), "interface": {"0": {"linknumber": "0"}},
        "ip_version": "ipv4-6", "link_mode": "passive", "secauth": "on", "version": "2",
    }))
}

pub(super) fn totem(call: &mut Call<'_>) -> Outcome {
    Ok(totem_of(call.world).unwrap_or_default().into())
}

/// A member as the configuration has it: numbers are texts.
fn member(node: &Node) -> Value {
    json!({
        "name": node.name, "nodeid": node.id.to_string(), "quorum_votes": "1", "ring0_addr": node.address,
    })
}

/// What a node needs to join.
pub(super) fn join(call: &mut Call<'_>) -> Outcome {
    let world = &*call.world;
    let Some(totem) = totem_of(world) else {
        let text = "node is not in a cluster, no join info available!";
        return Err(ApiError::raised(424, text).into());
    };
    let name = call.text("node").unwrap_or_else(|| call.via.clone());
    if world.node(&name).is_none() {
        return Err(ApiError::died(format!("unknown node '{name}'")).into());
    }
    let rows = world.nodes().iter().map(|node| {
        let mut row = member(node);
        row["pve_addr"] = node.address.clone().into();
        row["pve_fp"] = node.fingerprint.clone().into();
        row
    });
    let members: Vec<Value> = rows.collect();
    let digest = hex::encode(Sha1::digest(format!("{totem}{members:?}").as_bytes()));
    let row = json!({
        "nodelist": members, "preferred_node": name, "totem": totem, "config_digest": digest,
    });
    Ok(row.into())
}

/// When, of which node, and the entry without what all have.
type Entry = (u64, Value);

/// What a task wrote into the cluster's log: that it began, and how it ended.
fn entries(task: &Task) -> Vec<Entry> {
    let upid = &task.upid;
    let entry = |at_s: u64, level: u64, message: String| {
        let row = json!({
            "time": at_s, "node": upid.node, "user": upid.user, "pid": upid.pid, "tag": "pvedaemon", "pri": level,
            "msg": message,
        });
        (at_s, row)
    };
    let mut found = vec![entry(upid.starttime_s, 6, format!("starting task {upid}"))];
    if let Some((exit, end_s)) = task.exit().zip(task.end_s()) {
        let level = if exit == "OK" || exit.starts_with("WARNINGS: ") {
            6
        } else {
            3
        };
        found.push(entry(end_s, level, format!("end task {upid} {exit}")));
    }
    found
}

/// The last entries, the newest first; without Sys.Syslog only one's own.
pub(super) fn log(call: &mut Call<'_>) -> Outcome {
    let all = call.may("/", "Sys.Syslog");
    let most = call
        .number("max")
        .and_then(|most| usize::try_from(most).ok());
    let tasks = call.world.tasks();
    let seen = tasks.filter(|task| all || task.upid.user == call.caller.id);
    let mut rows: Vec<Entry> = seen.flat_map(entries).collect();
    rows.sort_by_key(|(at_s, _)| *at_s);
    let most = most.unwrap_or(ENTRIES);
    let numbered = rows.into_iter().enumerate().rev().take(most);
    let rows = numbered.map(|(at, (_, mut row))| {
        let uid = at + 1;
        row["id"] = format!("{uid}:{}", row["node"].as_str().unwrap_or_default()).into();
        row["uid"] = uid.into();
        row
    });
    Ok(rows.collect::<Value>().into())
}
