//! Everything that a cluster lists: its nodes, storages and guests, with what does not change by itself. For the list that is read
//! every few seconds see [`crate::guest_list`].

use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;
use serde::Deserialize;

use crate::call::Call;
use crate::cluster::GuestKind;
use crate::error::{Error, Result};
use crate::lenient;
use crate::read::ReadClient;

/// One thing in the list.
#[derive(Debug, Clone, PartialEq)]
pub enum ResourceItem {
    /// A node.
    Node(NodeItem),
    /// A storage as one node sees it.
    Storage(StorageItem),
    /// A container or a virtual machine.
    Guest(GuestItem),
}

/// A node in the list.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeItem {
    /// Its name.
    pub node: NodeName,
    /// `online`, `offline` or `unknown`.
    pub status: String,
    /// Its CPUs, while it is online.
    pub cpus: Option<f64>,
    /// Its memory, while it is online.
    pub memory_bytes: Option<u64>,
}

/// A storage in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageItem {
    /// The node.
    pub node: NodeName,
    /// Its id.
    pub storage: String,
    /// `available`, or `unknown` while the node tells nothing of it.
    pub status: String,
    /// Its plugin, e.g. `dir`.
    pub plugin: Option<String>,
    /// What it may hold, in no order, separated by commas.
    pub content: Option<String>,
    /// Whether all nodes see the same content.
    pub shared: bool,
}

/// A guest in the list.
#[derive(Debug, Clone, PartialEq)]
pub struct GuestItem {
    /// Its number.
    pub vmid: Vmid,
    /// What it is.
    pub kind: GuestKind,
    /// Its node.
    pub node: NodeName,
    /// Its power as PVE says it, up to 10 s old.
    pub status: String,
    /// Its name, from the statistics: `None` while there are none.
    pub name: Option<String>,
    /// Its tags, separated by semicolons.
    pub tags: Option<String>,
    /// The pool it is in.
    pub pool: Option<String>,
    /// Whether it is a template.
    pub template: bool,
    /// Whether high availability manages it.
    pub ha_managed: bool,
    /// CPUs it may use.
    pub cpus: Option<f64>,
    /// Memory it may use.
    pub memory_bytes: Option<u64>,
    /// Size of its root disk: of a virtual machine as configured, of a container that runs as its file system says.
    pub disk_bytes: Option<u64>,
}

/// A row of any kind; what a kind has not is absent.
#[derive(Deserialize)]
struct Row {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    node: Option<NodeName>,
    #[serde(default, deserialize_with = "lenient::opt_text")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    vmid: Option<u64>,
    #[serde(default, deserialize_with = "lenient::opt_text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient::opt_text")]
    tags: Option<String>,
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pool: Option<String>,
    #[serde(default, deserialize_with = "lenient::opt_text")]
    hastate: Option<String>,
    #[serde(default, deserialize_with = "lenient::flag")]
    template: bool,
    #[serde(default, deserialize_with = "lenient::opt_f64")]
    maxcpu: Option<f64>,
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    maxmem: Option<u64>,
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    maxdisk: Option<u64>,
    #[serde(default, deserialize_with = "lenient::opt_text")]
    storage: Option<String>,
    #[serde(default, deserialize_with = "lenient::opt_text")]
    plugintype: Option<String>,
    #[serde(default, deserialize_with = "lenient::opt_text")]
    content: Option<String>,
    #[serde(default, deserialize_with = "lenient::flag")]
    shared: bool,
}

impl Row {
    /// `None`: of a kind that is nothing here, e.g. a pool or a network.
    fn item(self) -> Result<Option<ResourceItem>, String> {
        let kind = match self.kind.as_str() {
            "node" => return self.node().map(Some),
            "storage" => return self.storage().map(Some),
            "lxc" => GuestKind::Lxc,
            "qemu" => GuestKind::Qemu,
            _ => return Ok(None),
        };
        self.guest(kind).map(Some)
    }

    fn node(self) -> Result<ResourceItem, String> {
        Ok(ResourceItem::Node(NodeItem {
            node: self.node.ok_or("a node without a name")?,
            status: self.status.unwrap_or_else(unknown),
            cpus: self.maxcpu,
            memory_bytes: self.maxmem,
        }))
    }

    fn storage(self) -> Result<ResourceItem, String> {
        Ok(ResourceItem::Storage(StorageItem {
            node: self.node.ok_or("a storage without a node")?,
            storage: self.storage.ok_or("a storage without a name")?,
            status: self.status.unwrap_or_else(unknown),
            plugin: self.plugintype,
            content: self.content,
            shared: self.shared,
        }))
    }

    fn guest(self, kind: GuestKind) -> Result<ResourceItem, String> {
        let vmid = self.vmid.and_then(|vmid| u32::try_from(vmid).ok());
        let vmid = vmid.ok_or("a guest without a number")?;
        Ok(ResourceItem::Guest(GuestItem {
            vmid: Vmid::try_from(vmid).map_err(|e| e.to_string())?,
            kind,
            node: self.node.ok_or("a guest without a node")?,
            status: self.status.unwrap_or_else(unknown),
            name: self.name,
            tags: self.tags,
            pool: self.pool,
            template: self.template,
            ha_managed: self.hastate.is_some(),
            cpus: self.maxcpu,
            memory_bytes: self.maxmem,
            disk_bytes: self.maxdisk,
        }))
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

impl ReadClient {
    /// All nodes, and the storages and guests that the token may see.
    ///
    /// The list is read whole or not at all: one row that cannot be read makes it [`Error::Unreadable`]. That something is not in it
    /// proves nothing by itself.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn resource_list(&self) -> Result<Vec<ResourceItem>> {
        let call = Call::quick(&["cluster", "resources"]);
        let name = call.name();
        let rows: Vec<Row> = self.get(call).await?;
        items(rows).map_err(|why| Error::Unreadable { call: name, why })
    }
}

fn items(rows: Vec<Row>) -> Result<Vec<ResourceItem>, String> {
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        items.extend(row.item()?);
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<ResourceItem>, String> {
        items(serde_json::from_str(text).map_err(|e| e.to_string())?)
    }

    #[test]
    fn nodes_storages_and_guests_are_read_and_the_rest_is_left() {
        let list = read(
            r#"[{"id":"node/pve1","type":"node","node":"pve1","status":"online","maxcpu":4,"maxmem":8589934592,"uptime":7},
                {"id":"storage/pve1/local","type":"storage","node":"pve1","storage":"local","status":"available",
                 "plugintype":"dir","content":"vztmpl,iso","shared":0,"disk":5,"maxdisk":9},
                {"id":"lxc/101","type":"lxc","vmid":101,"node":"pve1","status":"running","name":"web","tags":"b;a",
                 "maxcpu":0.5,"maxmem":536870912,"template":0,"hastate":"started","pool":"team"},
                {"id":"/pool/team","type":"pool","pool":"team"},
                {"id":"sdn/pve1/localnetwork","type":"sdn","node":"pve1","status":"ok","sdn":"localnetwork"}]"#,
        )
        .unwrap();
        let [
            ResourceItem::Node(node),
            ResourceItem::Storage(storage),
            ResourceItem::Guest(guest),
        ] = list.as_slice()
        else {
            panic!("{list:?}");
        };
        assert_eq!((node.status.as_str(), node.cpus), ("online", Some(4.0)));
        assert_eq!((storage.storage.as_str(), storage.shared), ("local", false));
        assert_eq!(storage.content.as_deref(), Some("vztmpl,iso"));
        assert_eq!((guest.vmid.get(), guest.kind), (101, GuestKind::Lxc));
        assert_eq!((guest.cpus, guest.ha_managed), (Some(0.5), true));
    }

    #[test]
    fn one_bad_row_spoils_the_list() {
        for bad in [
            r#"{"type":"lxc","node":"pve1"}"#,
            r#"{"type":"lxc","vmid":99,"node":"pve1"}"#,
            r#"{"type":"qemu","vmid":101}"#,
            r#"{"type":"storage","node":"pve1"}"#,
            r#"{"type":"node","node":"no node"}"#,
            r#"{"type":"node"}"#,
            r#"{"node":"pve1"}"#,
        ] {
            assert!(read(&format!("[{bad}]")).is_err(), "{bad}");
        }
        assert_eq!(read("[]"), Ok(Vec::new()));
    }
}
