//! Rows of Proxmox VE's lists as states of resources. Pure.
//!
//! What changes all the time is left out: use of anything, uptime, locks, where high availability is on its way, and the size of a
//! storage or of a running container's disk, which a file system says.

use std::collections::BTreeSet;

use proximity_domain::resource::{ResourceKey, ResourceState, Shows};
use proximity_pve::cluster::GuestKind;
use proximity_pve::resource_list::{GuestItem, NodeItem, ResourceItem, StorageItem};
use proximity_pve::task::{TaskOutcome, TaskRow};
use serde_json::Value;

/// Characters that are kept of why a task failed.
const WHY_CHARS: usize = 200;
const UNKNOWN: &str = "unknown";

/// Fields of a state; what is absent is left out.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.push((name, value.into()));
        self
    }

    fn with_some(mut self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.0.push((name, value.into()));
        }
        self
    }

    fn state(self) -> ResourceState {
        ResourceState::of(self.0)
    }
}

/// A row of one of a cluster's lists, as compact as it was read.
#[derive(Debug)]
pub(super) enum Row {
    Item(ResourceItem),
    /// There are few, and each is larger than an item.
    Task(Box<TaskRow>),
}

impl Shows for Row {
    fn key(&self) -> ResourceKey {
        match self {
            Self::Item(ResourceItem::Node(item)) => ResourceKey::node(&item.node),
            Self::Item(ResourceItem::Storage(item)) => {
                ResourceKey::storage(&item.node, &item.storage)
            }
            Self::Item(ResourceItem::Guest(item)) => match item.kind {
                GuestKind::Lxc => ResourceKey::container(item.vmid),
                GuestKind::Qemu => ResourceKey::machine(item.vmid),
            },
            Self::Task(row) => ResourceKey::task(row.upid.as_str()),
        }
    }

    fn state(&self) -> Option<ResourceState> {
        match self {
            Self::Item(ResourceItem::Node(item)) => node(item),
            Self::Item(ResourceItem::Storage(item)) => storage(item),
            Self::Item(ResourceItem::Guest(item)) => guest(item),
            Self::Task(row) => Some(task(row)),
        }
    }
}

/// All of a cluster's lists.
pub(super) fn listed(items: Vec<ResourceItem>, tasks: Vec<TaskRow>) -> Vec<Row> {
    let items = items.into_iter().map(Row::Item);
    let tasks = tasks.into_iter().map(|row| Row::Task(Box::new(row)));
    items.chain(tasks).collect()
}

/// Whether a task is to be recorded: it has not ended, or not before that moment, in seconds since 1970.
pub(super) fn is_kept(row: &TaskRow, since_s: u64) -> bool {
    row.end_s.is_none_or(|end_s| end_s >= since_s)
}

/// Whether a node is up the list tells of one that is off too, but none of its figures.
fn node(item: &NodeItem) -> Option<ResourceState> {
    let fields = || {
        Fields::default()
            .with("status", &*item.status)
            .with_some("cpus", item.cpus.map(cpus))
            .with_some("memory_mib", item.memory_bytes.map(mib))
    };
    is_told(&item.status).then(|| fields().state())
}

fn storage(item: &StorageItem) -> Option<ResourceState> {
    let fields = || {
        Fields::default()
            .with("status", &*item.status)
            .with("node", item.node.as_str())
            .with("name", &*item.storage)
            .with("shared", item.shared)
            .with_some("type", item.plugin.as_deref())
            .with_some("content", item.content.as_deref().map(in_order))
    };
    is_told(&item.status).then(|| fields().state())
}

/// Without a name PVE has no statistics of it, and its power is unknown.
fn guest(item: &GuestItem) -> Option<ResourceState> {
    let disk = match item.kind {
        GuestKind::Lxc => None,
        GuestKind::Qemu => item.disk_bytes,
    };
    let name = item.name.as_deref().filter(|_| is_told(&item.status))?;
    let fields = Fields::default()
        .with("status", &*item.status)
        .with("node", item.node.as_str())
        .with("name", name)
        .with("template", item.template)
        .with("ha", item.ha_managed)
        .with_some("tags", item.tags.as_deref().map(in_order))
        .with_some("pool", item.pool.as_deref())
        .with_some("cpus", item.cpus.map(cpus))
        .with_some("memory_mib", item.memory_bytes.map(mib))
        .with_some("disk_mib", disk.map(mib));
    Some(fields.state())
}

fn task(row: &TaskRow) -> ResourceState {
    let upid = &row.upid;
    let (status, result) = match &row.outcome {
        None if row.has_ended() => (UNKNOWN, None),
        None => ("running", None),
        Some(TaskOutcome::Ok) => ("ok", None),
        Some(TaskOutcome::Warnings(count)) => ("warnings", Some(format!("{count} warnings"))),
        Some(TaskOutcome::Failed(why)) => ("failed", Some(cut(why))),
        Some(TaskOutcome::Unknown(why)) => (UNKNOWN, Some(cut(why))),
    };
    Fields::default()
        .with("status", status)
        .with("node", upid.node().as_str())
        .with("type", upid.kind())
        .with("of", upid.id())
        .with("user", upid.user())
        .with("started_s", upid.start_s())
        .with_some("ended_s", row.end_s)
        .with_some("result", result)
        .state()
}

fn is_told(status: &str) -> bool {
    status != UNKNOWN
}

fn cut(text: &str) -> String {
    text.chars().take(WHY_CHARS).collect()
}

/// Of a list whose order tells nothing.
fn in_order(text: &str) -> String {
    let parts = text.split([',', ';', ' ']).filter(|part| !part.is_empty());
    let parts: Vec<&str> = parts.collect::<BTreeSet<&str>>().into_iter().collect();
    parts.join(",")
}

/// A whole number where it is one.
fn cpus(cpus: f64) -> Value {
    let whole = cpus.to_string().parse::<u64>();
    whole.map_or_else(|_| Value::from(cpus), Value::from)
}

fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn item(status: &str, name: Option<&str>) -> GuestItem {
        GuestItem {
            vmid: 101_u32.try_into().unwrap(),
            kind: GuestKind::Lxc,
            node: Arc::new("pve1".parse().unwrap()),
            status: status.into(),
            name: name.map(Box::from),
            tags: Some("b;a;b".into()),
            pool: None,
            template: false,
            ha_managed: false,
            cpus: Some(2.0),
            memory_bytes: Some(512 << 20),
            disk_bytes: Some(8 << 30),
        }
    }

    #[test]
    fn a_guest_is_told_without_what_changes_by_itself() {
        let state = guest(&item("running", Some("web"))).unwrap();
        let expected = json!({
            "status": "running", "node": "pve1", "name": "web", "template": false, "ha": false, "tags": "a,b",
            "cpus": 2, "memory_mib": 512,
        });
        assert_eq!(serde_json::to_value(&state).unwrap(), expected);
        let machine = GuestItem {
            kind: GuestKind::Qemu,
            cpus: Some(0.5),
            ..item("stopped", Some("db"))
        };
        let row = Row::Item(ResourceItem::Guest(machine));
        assert_eq!(row.key().to_string(), "vm 101");
        let state = row.state().unwrap();
        assert_eq!(state.fields()["disk_mib"], 8192);
        assert_eq!(state.fields()["cpus"], 0.5);
    }

    #[test]
    fn of_what_nobody_tells_anything_there_is_no_state() {
        assert_eq!(guest(&item("running", None)), None);
        assert_eq!(guest(&item("unknown", Some("web"))), None);
        let off = StorageItem {
            node: Arc::new("pve1".parse().unwrap()),
            storage: "local".into(),
            status: "unknown".into(),
            plugin: None,
            content: None,
            shared: false,
        };
        assert_eq!(storage(&off), None);
        let on = StorageItem {
            status: "available".into(),
            content: Some("rootdir,images".into()),
            ..off
        };
        let state = storage(&on).unwrap();
        assert_eq!(state.fields()["content"], "images,rootdir");
    }

    #[test]
    fn a_task_is_told_with_its_end() {
        let upid = "UPID:pve1:0000C530:001C9BEC:68FF1234:vzstart:101:root@pam:";
        let row = |outcome, end_s| TaskRow {
            upid: upid.parse().unwrap(),
            end_s,
            outcome,
        };
        let status = |row: &TaskRow| task(row).status().to_owned();
        assert_eq!(status(&row(None, None)), "running");
        assert_eq!(status(&row(None, Some(7))), "unknown");
        let kept = [None, Some(7), Some(8)].map(|end_s| is_kept(&row(None, end_s), 8));
        assert_eq!(kept, [true, false, true]);
        let failed = row(Some(TaskOutcome::Failed("x".repeat(900))), Some(7));
        assert_eq!(status(&failed), "failed");
        let state = task(&failed);
        assert_eq!(state.fields()["of"], "101");
        assert_eq!(state.fields()["result"], "x".repeat(200));
    }
}
