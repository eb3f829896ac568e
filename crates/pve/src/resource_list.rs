//! Everything that a cluster lists: its nodes, storages and guests, with what does not change by itself. For the list that is read
//! every few seconds see [`crate::guest_list`]. It is read in one pass; what several items say is kept once.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};

use crate::call::Call;
use crate::cluster::GuestKind;
use crate::error::Result;
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
    pub node: Arc<NodeName>,
    /// `online`, `offline` or `unknown`.
    pub status: Arc<str>,
    /// Its CPUs, while it is online.
    pub cpus: Option<f64>,
    /// Its memory, while it is online.
    pub memory_bytes: Option<u64>,
}

/// A storage in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageItem {
    /// The node.
    pub node: Arc<NodeName>,
    /// Its id.
    pub storage: Arc<str>,
    /// `available`, or `unknown` while the node tells nothing of it.
    pub status: Arc<str>,
    /// Its plugin, e.g. `dir`.
    pub plugin: Option<Arc<str>>,
    /// What it may hold, in no order, separated by commas.
    pub content: Option<Arc<str>>,
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
    pub node: Arc<NodeName>,
    /// Its power as PVE says it, up to 10 s old.
    pub status: Arc<str>,
    /// Its name, from the statistics: `None` while there are none.
    pub name: Option<Box<str>>,
    /// Its tags, separated by semicolons.
    pub tags: Option<Arc<str>>,
    /// The pool it is in.
    pub pool: Option<Arc<str>>,
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
struct Row<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "lenient::opt_word")]
    node: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::opt_word")]
    status: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    vmid: Option<u64>,
    #[serde(borrow, default, deserialize_with = "lenient::opt_word")]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::opt_word")]
    tags: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::opt_word")]
    pool: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::opt_word")]
    hastate: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "lenient::flag")]
    template: bool,
    #[serde(default, deserialize_with = "lenient::opt_f64")]
    maxcpu: Option<f64>,
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    maxmem: Option<u64>,
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    maxdisk: Option<u64>,
    #[serde(borrow, default, deserialize_with = "lenient::opt_word")]
    storage: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::opt_word")]
    plugintype: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::opt_word")]
    content: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "lenient::flag")]
    shared: bool,
}

/// What was read before, while a list is read: the same text is kept once.
#[derive(Default)]
struct Words {
    nodes: Vec<Arc<NodeName>>,
    words: HashSet<Arc<str>>,
}

impl Words {
    fn node(&mut self, name: &str) -> Result<Arc<NodeName>, String> {
        // A list has few nodes, and mostly the last one again.
        let known = self.nodes.iter().rev().find(|node| node.as_str() == name);
        if let Some(known) = known {
            return Ok(Arc::clone(known));
        }
        let node: NodeName = name.parse().map_err(|e| format!("{e}"))?;
        let node = Arc::new(node);
        self.nodes.push(Arc::clone(&node));
        Ok(node)
    }

    fn word(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.words.get(text) {
            return Arc::clone(known);
        }
        let word: Arc<str> = text.into();
        self.words.insert(Arc::clone(&word));
        word
    }

    fn some(&mut self, text: Option<Cow<'_, str>>) -> Option<Arc<str>> {
        text.map(|text| self.word(&text))
    }

    fn status(&mut self, status: Option<Cow<'_, str>>) -> Arc<str> {
        self.word(status.as_deref().unwrap_or("unknown"))
    }
}

impl Row<'_> {
    /// `None`: of a kind that is nothing here, e.g. a pool or a network.
    fn item(self, words: &mut Words) -> Result<Option<ResourceItem>, String> {
        let kind = match &*self.kind {
            "node" => return self.node(words).map(Some),
            "storage" => return self.storage(words).map(Some),
            "lxc" => GuestKind::Lxc,
            "qemu" => GuestKind::Qemu,
            _ => return Ok(None),
        };
        self.guest(kind, words).map(Some)
    }

    fn node(self, words: &mut Words) -> Result<ResourceItem, String> {
        let node = self.node.ok_or("a node without a name")?;
        Ok(ResourceItem::Node(NodeItem {
            node: words.node(&node)?,
            status: words.status(self.status),
            cpus: self.maxcpu,
            memory_bytes: self.maxmem,
        }))
    }

    fn storage(self, words: &mut Words) -> Result<ResourceItem, String> {
        let node = self.node.ok_or("a storage without a node")?;
        let storage = self.storage.ok_or("a storage without a name")?;
        Ok(ResourceItem::Storage(StorageItem {
            node: words.node(&node)?,
            storage: words.word(&storage),
            status: words.status(self.status),
            plugin: words.some(self.plugintype),
            content: words.some(self.content),
            shared: self.shared,
        }))
    }

    fn guest(self, kind: GuestKind, words: &mut Words) -> Result<ResourceItem, String> {
        let vmid = self.vmid.and_then(|vmid| u32::try_from(vmid).ok());
        let vmid = vmid.ok_or("a guest without a number")?;
        let node = self.node.ok_or("a guest without a node")?;
        Ok(ResourceItem::Guest(GuestItem {
            vmid: Vmid::try_from(vmid).map_err(|e| e.to_string())?,
            kind,
            node: words.node(&node)?,
            status: words.status(self.status),
            name: self.name.map(Box::from),
            tags: words.some(self.tags),
            pool: words.some(self.pool),
            template: self.template,
            ha_managed: self.hastate.is_some(),
            cpus: self.maxcpu,
            memory_bytes: self.maxmem,
            disk_bytes: self.maxdisk,
        }))
    }
}

/// All of an answer.
struct Items(Vec<ResourceItem>);

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Rows;

        impl<'de> Visitor<'de> for Rows {
            type Value = Items;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of resources")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Items, A::Error> {
                let (mut items, mut words) = (Vec::new(), Words::default());
                while let Some(row) = seq.next_element::<Row<'de>>()? {
                    items.extend(row.item(&mut words).map_err(A::Error::custom)?);
                }
                Ok(Items(items))
            }
        }

        d.deserialize_seq(Rows)
    }
}

impl ReadClient {
    /// All nodes, and the storages and guests that the token may see.
    ///
    /// The list is read whole or not at all: one row that cannot be read makes it [`crate::Error::Unreadable`]. That something is not
    /// in it proves nothing by itself.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn resource_list(&self) -> Result<Vec<ResourceItem>> {
        let all: Items = self.get(Call::quick(&["cluster", "resources"])).await?;
        Ok(all.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<ResourceItem>, String> {
        let all: Items = serde_json::from_str(text).map_err(|e| e.to_string())?;
        Ok(all.0)
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
        assert_eq!((&*node.status, node.cpus), ("online", Some(4.0)));
        assert_eq!((&*storage.storage, storage.shared), ("local", false));
        assert_eq!(storage.content.as_deref(), Some("vztmpl,iso"));
        assert_eq!((guest.vmid.get(), guest.kind), (101, GuestKind::Lxc));
        assert_eq!((guest.cpus, guest.ha_managed), (Some(0.5), true));
    }

    #[test]
    fn what_several_items_say_is_kept_once() {
        let list = read(
            r#"[{"type":"lxc","vmid":101,"node":"pve1","status":"running","name":"a","tags":"web","pool":"team"},
                {"type":"lxc","vmid":102,"node":"pve1","status":"running","name":"b","tags":"web","pool":"team"},
                {"type":"lxc","vmid":103,"node":"pve2"}]"#,
        )
        .unwrap();
        let guests: Vec<&GuestItem> = list
            .iter()
            .filter_map(|item| match item {
                ResourceItem::Guest(guest) => Some(guest),
                ResourceItem::Node(_) | ResourceItem::Storage(_) => None,
            })
            .collect();
        let [one, same, other] = guests.as_slice() else {
            panic!("{list:?}");
        };
        assert!(Arc::ptr_eq(&one.node, &same.node));
        assert!(Arc::ptr_eq(&one.status, &same.status));
        assert_eq!(one.tags.as_deref(), Some("web"));
        for (one, same) in [(&one.tags, &same.tags), (&one.pool, &same.pool)] {
            let both = one.as_ref().zip(same.as_ref());
            assert!(both.is_some_and(|(one, same)| Arc::ptr_eq(one, same)));
        }
        assert_eq!(other.node.as_str(), "pve2");
        assert_eq!((&*other.status, &other.name), ("unknown", &None));
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
