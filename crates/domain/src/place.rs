//! Where a new guest goes: the online node with the most free memory that has everything it needs; before that one without an app it
//! is to be kept apart from, and one that has the template before one that would download it.
//!
//! Pure: whoever asks brings the nodes as read just now, and what deploys under way have been promised there.

use std::fmt;

use crate::create::Resources;
use crate::names::{HostLabel, NodeName};

/// A node as seen just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCapacity {
    /// Its cluster's host entry.
    pub host: HostLabel,
    /// Its name.
    pub node: NodeName,
    /// What it shows.
    pub state: NodeState,
    /// The host entry keeps new guests off it.
    pub excluded: bool,
    /// There is no way into its guests, though into those of other nodes there may be: its SSH is not known.
    pub shut: bool,
    /// Memory that deploys under way were promised and PVE does not show yet, MiB.
    pub promised_memory_mib: u64,
    /// Disk that deploys under way were promised and PVE does not show yet, GiB.
    pub promised_disk_gib: u64,
}

/// What a node shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeState {
    /// PVE says that it is off or not in the cluster.
    Offline,
    /// It is online, and its figures could not be read; the text says why.
    Silent(String),
    /// It was read.
    Up(Figures),
}

/// What was read of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// Physical memory, MiB.
    pub memory_mib: u64,
    /// Free memory, MiB.
    pub free_memory_mib: u64,
    /// CPU threads.
    pub cpus: u32,
    /// Storage for the root file system.
    pub storage: StorageState,
    /// The bridge is there and up.
    pub has_bridge: bool,
    /// The template is there.
    pub has_template: bool,
    /// It is not, and the node can download it.
    pub offers_template: bool,
    /// An image is wanted, and this version of Proxmox VE makes no containers of images; `None` where neither is so.
    pub too_old: Option<String>,
}

/// The host entry's storage, as one node sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageState {
    /// Not there, or without the content type for containers.
    Absent,
    /// There, but switched off or not reachable.
    Inactive,
    /// It can be used.
    Usable {
        /// Free, GiB, rounded down.
        free_gib: u64,
    },
}

/// What a new guest needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Memory, cores, disk.
    pub resources: Resources,
    /// The template, or the image, as the catalog names it.
    pub template: String,
    /// Room for volumes beside the root file system, GiB.
    pub volumes_gib: u64,
    /// It is set up inside.
    pub inside: bool,
    /// Where the apps are that it is to be kept apart from: taken only when no other node fits.
    pub apart_from: Vec<(HostLabel, NodeName)>,
}

/// Why a node cannot take a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// Off.
    Offline,
    /// Could not be read.
    Silent(String),
    /// Kept free of new guests.
    Excluded,
    /// No SSH entry, which what is set up inside needs.
    Shut,
    /// Less memory than asked for, even when empty.
    MemoryInAll {
        /// Built in, MiB.
        has_mib: u64,
    },
    /// Too little memory is free.
    MemoryFree {
        /// Free, MiB.
        free_mib: u64,
        /// Of that promised to deploys under way, MiB.
        promised_mib: u64,
    },
    /// Fewer CPU threads than cores asked for.
    Cores {
        /// CPU threads.
        has: u32,
    },
    /// The template is not there.
    Template(String),
    /// Its Proxmox VE, of this version, makes no containers of images.
    TooOld(String),
    /// The storage is not there.
    StorageAbsent,
    /// The storage cannot be used now.
    StorageInactive,
    /// The storage is too full.
    StorageFull {
        /// Free, GiB.
        free_gib: u64,
        /// Of that promised to deploys under way, GiB.
        promised_gib: u64,
    },
    /// The bridge is not there or down.
    Bridge,
}

impl Lack {
    /// Stable code of a refusal when this is what all nodes lack.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Offline | Self::Silent(_) => "no_node_online",
            Self::Excluded => "nodes_excluded",
            Self::Shut => "nodes_without_ssh",
            Self::MemoryInAll { .. } => "memory_above_node",
            Self::MemoryFree { .. } => "memory_short",
            Self::Cores { .. } => "cores_above_node",
            Self::Template(_) => "template_missing",
            Self::TooOld(_) => "pve_too_old",
            Self::StorageAbsent | Self::StorageInactive => "storage_missing",
            Self::StorageFull { .. } => "storage_full",
            Self::Bridge => "bridge_missing",
        }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offline => f.write_str("is offline"),
            Self::Silent(why) => write!(f, "could not be read: {why}"),
            Self::Excluded => f.write_str("is excluded from new apps"),
            Self::Shut => {
                f.write_str("has no SSH entry, and the app is set up inside its container")
            }
            Self::MemoryInAll { has_mib } => write!(f, "has {has_mib} MiB of memory in all"),
            Self::MemoryFree {
                free_mib,
                promised_mib: 0,
            } => write!(f, "has {free_mib} MiB of memory free"),
            Self::MemoryFree {
                free_mib,
                promised_mib,
            } => write!(
                f,
                "has {free_mib} MiB of memory free, {promised_mib} of them promised to deploys under way"
            ),
            Self::Cores { has } => write!(f, "has {has} CPU threads"),
            Self::Template(name) => write!(f, "does not have the template {name}"),
            Self::TooOld(version) => write!(
                f,
                "has Proxmox VE {version}, and containers of images are made from 9.1 on"
            ),
            Self::StorageAbsent => f.write_str("does not have the storage"),
            Self::StorageInactive => f.write_str("cannot use the storage now"),
            Self::StorageFull {
                free_gib,
                promised_gib: 0,
            } => write!(f, "has {free_gib} GiB free on the storage"),
            Self::StorageFull {
                free_gib,
                promised_gib,
            } => write!(
                f,
                "has {free_gib} GiB free on the storage, {promised_gib} of them promised to deploys under way"
            ),
            Self::Bridge => f.write_str("does not have the bridge, or it is down"),
        }
    }
}

/// No node can take the guest; for each node, why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPlace {
    /// What was asked for.
    pub resources: Resources,
    /// `host/node` and what it lacks, in the order they were given; nothing at all when there is no node.
    pub nodes: Vec<(String, Vec<Lack>)>,
}

/// How many nodes a sentence names.
const NAMED: usize = 8;

impl NoPlace {
    /// The one thing that every node lacks that could be read, or `no_node_fits` when they lack different ones.
    #[must_use]
    pub fn code(&self) -> &'static str {
        let codes = |counts: fn(&Lack) -> bool| {
            let all = self.nodes.iter().filter_map(|(_, lacks)| lacks.first());
            let mut codes: Vec<&'static str> = all.filter(|l| counts(l)).map(Lack::code).collect();
            codes.sort_unstable();
            codes.dedup();
            codes
        };
        // A node that is off says nothing about what the others lack.
        let up = codes(|l| !matches!(l, Lack::Offline | Lack::Silent(_)));
        match up.as_slice() {
            [] => "no_node_online",
            [code] => code,
            _ => "no_node_fits",
        }
    }
}

impl fmt::Display for NoPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Resources {
            memory_mib,
            cores,
            disk_gib,
        } = self.resources;
        write!(
            f,
            "no node can take {memory_mib} MiB of memory, {cores} cores and {disk_gib} GiB of disk"
        )?;
        if self.nodes.is_empty() {
            return f.write_str(": there is none");
        }
        for (i, (node, lacks)) in self.nodes.iter().take(NAMED).enumerate() {
            let mark = if i == 0 { ':' } else { ';' };
            write!(f, "{mark} {node} {}", sentence(lacks))?;
        }
        match self.nodes.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// What a node lacks, in one piece.
#[must_use]
pub fn sentence(lacks: &[Lack]) -> String {
    let texts: Vec<String> = lacks.iter().map(ToString::to_string).collect();
    texts.join(" and ")
}

/// The place in `nodes` of the one that takes the guest: of those that lack nothing, one without an app it is to be kept apart
/// from before the others; of those one that has the template before one that would download it; of those the one with the most
/// free memory after all promises; of equal ones the first by host and name.
///
/// # Errors
/// [`NoPlace`], with what each node lacks.
pub fn place(nodes: &[NodeCapacity], need: &Need) -> Result<usize, NoPlace> {
    let judged: Vec<(usize, &NodeCapacity, Vec<Lack>)> = nodes
        .iter()
        .enumerate()
        .map(|(i, node)| (i, node, lacks(node, need)))
        .collect();
    let fitting = judged.iter().filter(|(_, _, lacks)| lacks.is_empty());
    let best = fitting.max_by(|(_, a, _), (_, b, _)| {
        let by_apps = is_apart(a, need).cmp(&is_apart(b, need));
        let by_template = has_template(a).cmp(&has_template(b));
        let by_memory = spare_mib(a).cmp(&spare_mib(b));
        let by_all = by_apps.then(by_template).then(by_memory);
        by_all.then_with(|| (&b.host, &b.node).cmp(&(&a.host, &a.node)))
    });
    match best {
        Some((i, _, _)) => Ok(*i),
        None => Err(NoPlace {
            resources: need.resources,
            nodes: judged
                .into_iter()
                .map(|(_, node, lacks)| (format!("{}/{}", node.host, node.node), lacks))
                .collect(),
        }),
    }
}

/// None of the apps is there that this guest is to be kept apart from.
#[must_use]
pub fn is_apart(node: &NodeCapacity, need: &Need) -> bool {
    let mut places = need.apart_from.iter();
    places.all(|(host, name)| (host, name) != (&node.host, &node.node))
}

fn has_template(node: &NodeCapacity) -> bool {
    matches!(&node.state, NodeState::Up(figures) if figures.has_template)
}

/// Free memory after all promises, MiB.
pub(crate) fn spare_mib(node: &NodeCapacity) -> u64 {
    match &node.state {
        NodeState::Up(figures) => figures
            .free_memory_mib
            .saturating_sub(node.promised_memory_mib),
        NodeState::Offline | NodeState::Silent(_) => 0,
    }
}

/// Everything `node` lacks for this guest; what no wait would change first.
#[must_use]
pub fn lacks(node: &NodeCapacity, need: &Need) -> Vec<Lack> {
    let figures = match &node.state {
        NodeState::Offline => return vec![Lack::Offline],
        NodeState::Silent(why) => return vec![Lack::Silent(why.clone())],
        NodeState::Up(figures) => figures,
    };
    let asked = need.resources;
    let mut lacks = Vec::new();
    if node.excluded {
        lacks.push(Lack::Excluded);
    }
    if node.shut && need.inside {
        lacks.push(Lack::Shut);
    }
    if figures.memory_mib < asked.memory_mib {
        lacks.push(Lack::MemoryInAll {
            has_mib: figures.memory_mib,
        });
    }
    if figures.cpus < asked.cores {
        lacks.push(Lack::Cores { has: figures.cpus });
    }
    if let Some(version) = &figures.too_old {
        lacks.push(Lack::TooOld(version.clone()));
    } else if !figures.has_template && !figures.offers_template {
        lacks.push(Lack::Template(need.template.clone()));
    }
    let disk_gib = u64::from(asked.disk_gib).saturating_add(need.volumes_gib);
    lacks.extend(storage_lack(node, figures.storage, disk_gib));
    if !figures.has_bridge {
        lacks.push(Lack::Bridge);
    }
    if figures.memory_mib >= asked.memory_mib && spare_mib(node) < asked.memory_mib {
        lacks.push(Lack::MemoryFree {
            free_mib: figures.free_memory_mib,
            promised_mib: node.promised_memory_mib,
        });
    }
    lacks
}

fn storage_lack(node: &NodeCapacity, storage: StorageState, disk_gib: u64) -> Option<Lack> {
    match storage {
        StorageState::Absent => Some(Lack::StorageAbsent),
        StorageState::Inactive => Some(Lack::StorageInactive),
        StorageState::Usable { free_gib } => {
            let promised_gib = node.promised_disk_gib;
            (free_gib.saturating_sub(promised_gib) < disk_gib).then_some(Lack::StorageFull {
                free_gib,
                promised_gib,
            })
        }
    }
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
