//! Looking at the lab and the gateway from outside of the product.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::calls::Counts;
use super::http::{self, Answer};
use super::stand::Order;
use super::verdict::World;

/// Everything there is now.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    /// VMID and description.
    pub(super) guests: Vec<(u32, String)>,
    on_disk: BTreeSet<u32>,
    pub(super) running: BTreeSet<u32>,
    leased: BTreeSet<u32>,
    /// App ids.
    pub(super) routes: Vec<String>,
    /// Task id, kind, VMID, whether it ended well.
    tasks: Vec<(String, String, u32, bool)>,
    /// Number and VMID of each call that changes something.
    changes: Vec<(u64, u32)>,
}

/// Looks at everything.
pub(super) fn snapshot(order: &Order) -> Result<Snapshot> {
    Ok(Snapshot {
        guests: guests(order)?,
        on_disk: on_disk(&order.lab().join("lxc"))?,
        running: running()?,
        leased: leased(&order.lab().join("leases.json"))?,
        routes: routes(order)?,
        tasks: tasks(order)?,
        changes: changes(order)?,
    })
}

impl Snapshot {
    /// What has come since `before`.
    pub(super) fn since(&self, before: &Self) -> World {
        let old_vmids: BTreeSet<u32> = before.guests.iter().map(|(vmid, _)| *vmid).collect();
        let seen = before
            .changes
            .iter()
            .map(|(seq, _)| *seq)
            .max()
            .unwrap_or(0);
        let mut world = World {
            on_disk: &self.on_disk - &before.on_disk,
            running: &self.running - &before.running,
            leased: &self.leased - &before.leased,
            ..World::default()
        };
        world.guests = self.guests.clone();
        world.guests.retain(|(vmid, _)| !old_vmids.contains(vmid));
        world.routes = self.routes.clone();
        world.routes.retain(|app| !before.routes.contains(app));
        for (id, kind, vmid, well) in &self.tasks {
            if *well && !before.tasks.iter().any(|(old, ..)| old == id) {
                world.done.push((kind.clone(), *vmid));
            }
        }
        let new = self.changes.iter().filter(|(seq, _)| *seq > seen);
        world.changed = new.map(|(_, vmid)| *vmid).collect();
        world
    }
}

fn lab(order: &Order, what: &str) -> Result<Value> {
    control(order, what, None)?.json()
}

/// Asks the lab's control socket.
pub(super) fn control(order: &Order, what: &str, body: Option<&Value>) -> Result<Answer> {
    let mut wire = http::unix(&order.lab().join("control.sock"))?;
    http::ask(&mut wire, what, None, body)
}

/// How often each method was called since the lab's start.
pub(super) fn counts(order: &Order) -> Result<Counts> {
    let mut answer = lab(order, "GET /journal?mutating=1")?;
    serde_json::from_value(answer["counters"]["by_method"].take()).context("reading the counters")
}

/// How often each was called in between.
pub(super) fn between(before: &Counts, after: &Counts) -> Counts {
    let gone = |method: &String| before.get(method).copied().unwrap_or(0);
    let more = after
        .iter()
        .map(|(method, count)| (method.clone(), count - gone(method)));
    more.filter(|(_, count)| *count > 0).collect()
}

fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn number(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

fn guests(order: &Order) -> Result<Vec<(u32, String)>> {
    let answer = lab(order, "GET /world/guests")?;
    let row = |row: &Value| {
        let vmid = number(&row["vmid"]).context("a guest without VMID")?;
        Ok((vmid, row["config"].to_string()))
    };
    rows(&answer).map(row).collect()
}

fn tasks(order: &Order) -> Result<Vec<(String, String, u32, bool)>> {
    let answer = lab(order, "GET /world/tasks")?;
    let task = |row: &Value| {
        let upid = row["upid"].as_str()?;
        let mut parts = upid.split(':').skip(5);
        let (kind, vmid) = (parts.next()?, parts.next()?.parse().ok()?);
        let well = row["exit"].as_str() == Some("OK");
        Some((upid.to_owned(), kind.to_owned(), vmid, well))
    };
    Ok(rows(&answer).filter_map(task).collect())
}

fn changes(order: &Order) -> Result<Vec<(u64, u32)>> {
    let answer = lab(order, "GET /journal?mutating=1")?;
    let entry = |row: &Value| Some((row["seq"].as_u64()?, number(&row["vmid"])?));
    Ok(rows(&answer["entries"]).filter_map(entry).collect())
}

/// VMIDs of LXC's directories: `LAB/NODE/VMID`.
fn on_disk(root: &Path) -> Result<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    for lab in folders(root)? {
        for node in folders(&lab)? {
            let names = folders(&node)?.into_iter();
            found.extend(names.filter_map(|path| path.file_name()?.to_str()?.parse::<u32>().ok()));
        }
    }
    Ok(found)
}

/// The folders in a folder. The template's tree is not looked into: it is no lab.
fn folders(path: &Path) -> Result<Vec<std::path::PathBuf>> {
    let entries = std::fs::read_dir(path).with_context(|| format!("reading {}", path.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.file_name() != "base" {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// VMIDs of containers that run: LXC's monitors listen on `@/var/lib/lxc/LAB/NODE/VMID/command`.
/// The lane's network is its own, so all of them are the lane's.
fn running() -> Result<BTreeSet<u32>> {
    let table = std::fs::read_to_string("/proc/net/unix").context("reading /proc/net/unix")?;
    let vmid = |line: &str| {
        let name = line.split_whitespace().last()?;
        let path = name
            .strip_prefix("@/var/lib/lxc/")?
            .strip_suffix("/command")?;
        path.rsplit('/').next()?.parse().ok()
    };
    Ok(table.lines().filter_map(vmid).collect())
}

/// VMIDs with an address: keys `NODE/VMID/INDEX`.
fn leased(file: &Path) -> Result<BTreeSet<u32>> {
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        read => read.with_context(|| format!("reading {}", file.display()))?,
    };
    let book: Value = serde_json::from_str(&text)?;
    let held = book["held"]
        .as_object()
        .context("the leases have no list")?;
    Ok(held
        .keys()
        .filter_map(|key| key.split('/').nth(1)?.parse().ok())
        .collect())
}

/// App ids of the gateway's routes.
pub(super) fn routes(order: &Order) -> Result<Vec<String>> {
    let mut wire = http::unix(&order.socket())?;
    wire.write_all(b"{\"v\":1,\"op\":\"list_routes\",\"args\":{}}\n")?;
    let mut line = String::new();
    BufReader::new(wire).read_line(&mut line)?;
    let answer: Value = serde_json::from_str(&line).context("reading the gateway's answer")?;
    let list = answer["ok"]["routes"].as_array();
    let list = list.with_context(|| format!("the gateway lists no routes: {line}"))?;
    let app = |row: &Value| Some(row["app_id"].as_str()?.to_owned());
    let apps: Option<Vec<String>> = list.iter().map(app).collect();
    apps.with_context(|| format!("a route of no app: {line}"))
}
