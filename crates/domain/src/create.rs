//! Deciding about a request for a new app: pure, from what was asked and what was observed.

use serde::{Deserialize, Serialize};

use crate::names::{CatalogId, Hostname, NodeName};

/// Resources of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Memory limit, MiB.
    pub memory_mib: u64,
    /// CPU cores.
    pub cores: u32,
    /// Root file system, GiB.
    pub disk_gib: u32,
}

/// What a user may leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ResourceRequest {
    /// Memory limit, MiB.
    pub memory_mib: Option<u64>,
    /// CPU cores.
    pub cores: Option<u32>,
    /// Root file system, GiB.
    pub disk_gib: Option<u32>,
}

/// What a catalog entry needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Least memory, MiB.
    pub min_memory_mib: u64,
    /// What it gets unless asked otherwise.
    pub default: Resources,
}

/// A node as seen just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCapacity {
    /// Name.
    pub node: NodeName,
    /// Online.
    pub online: bool,
    /// Physical memory, MiB.
    pub memory_mib: u64,
    /// Free memory, MiB.
    pub free_memory_mib: u64,
    /// CPU threads.
    pub cpus: u32,
    /// The template is there.
    pub has_template: bool,
}

/// Why a new app is refused; nothing was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another live app has this name.
    #[error("the host name {0} is taken by another app")]
    HostnameTaken(Hostname),
    /// No such entry.
    #[error("there is no app {0} in the catalog")]
    UnknownCatalogId(CatalogId),
    /// Less memory than the entry needs.
    #[error("{asked} MiB of memory is less than the {needed} MiB that {app} needs")]
    TooLittleMemory {
        /// The entry.
        app: CatalogId,
        /// Asked for.
        asked: u64,
        /// Needed.
        needed: u64,
    },
    /// More memory than any node has.
    #[error("{asked} MiB of memory is more than any online node has ({largest} MiB at most)")]
    MemoryAboveNode {
        /// Asked for.
        asked: u64,
        /// The largest node's memory.
        largest: u64,
    },
    /// More cores than any node has.
    #[error("{asked} cores are more than any online node has ({largest} at most)")]
    CoresAboveNode {
        /// Asked for.
        asked: u32,
        /// The largest node's CPU threads.
        largest: u32,
    },
    /// A figure outside of what PVE takes.
    #[error("{what} must be {min} to {max}, got {asked}")]
    OutOfRange {
        /// Which figure.
        what: &'static str,
        /// Asked for.
        asked: u64,
        /// Least.
        min: u64,
        /// Most.
        max: u64,
    },
    /// No node is online.
    #[error("no node of the host is online")]
    NoNodeOnline,
    /// The template is on none of the nodes that fit.
    #[error("the template {0} is on no online node of the host")]
    TemplateMissing(String),
}

/// Fills in and checks the resources.
///
/// # Errors
/// [`Refusal`] when a figure is out of range or below the entry's need.
pub fn resources(
    app: &CatalogId,
    needs: &Needs,
    asked: ResourceRequest,
) -> Result<Resources, Refusal> {
    let got = Resources {
        memory_mib: asked.memory_mib.unwrap_or(needs.default.memory_mib),
        cores: asked.cores.unwrap_or(needs.default.cores),
        disk_gib: asked.disk_gib.unwrap_or(needs.default.disk_gib),
    };
    // PVE's schema: memory 16 MiB and up, cores 1 to 8192; disk as a whole number of GiB.
    let range = |what, asked: u64, min, max| {
        if (min..=max).contains(&asked) {
            Ok(())
        } else {
            Err(Refusal::OutOfRange {
                what,
                asked,
                min,
                max,
            })
        }
    };
    range("memory (MiB)", got.memory_mib, 16, 16 << 20)?;
    range("cores", u64::from(got.cores), 1, 8192)?;
    range("disk (GiB)", u64::from(got.disk_gib), 1, 131_072)?;
    if got.memory_mib < needs.min_memory_mib {
        return Err(Refusal::TooLittleMemory {
            app: app.clone(),
            asked: got.memory_mib,
            needed: needs.min_memory_mib,
        });
    }
    Ok(got)
}

/// The online node with the most free memory that can hold `resources` and has the template.
///
/// # Errors
/// [`Refusal`] naming the first thing no node has.
pub fn place(
    nodes: &[NodeCapacity],
    resources: Resources,
    template: &str,
) -> Result<NodeName, Refusal> {
    let online: Vec<&NodeCapacity> = nodes.iter().filter(|n| n.online).collect();
    let Some(largest) = online.iter().map(|n| n.memory_mib).max() else {
        return Err(Refusal::NoNodeOnline);
    };
    if resources.memory_mib > largest {
        return Err(Refusal::MemoryAboveNode {
            asked: resources.memory_mib,
            largest,
        });
    }
    let cpus = online.iter().map(|n| n.cpus).max().unwrap_or(0);
    if resources.cores > cpus {
        return Err(Refusal::CoresAboveNode {
            asked: resources.cores,
            largest: cpus,
        });
    }
    let fits = |n: &&&NodeCapacity| {
        n.memory_mib >= resources.memory_mib && n.cpus >= resources.cores && n.has_template
    };
    online
        .iter()
        .filter(fits)
        .max_by(|a, b| {
            a.free_memory_mib
                .cmp(&b.free_memory_mib)
                .then_with(|| b.node.cmp(&a.node))
        })
        .map(|n| n.node.clone())
        .ok_or_else(|| Refusal::TemplateMissing(template.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(
        name: &str,
        online: bool,
        memory_mib: u64,
        free: u64,
        has_template: bool,
    ) -> NodeCapacity {
        NodeCapacity {
            node: name.parse().unwrap(),
            online,
            memory_mib,
            free_memory_mib: free,
            cpus: 4,
            has_template,
        }
    }

    const ASK: Resources = Resources {
        memory_mib: 512,
        cores: 1,
        disk_gib: 4,
    };

    #[test]
    fn the_freest_online_node_with_the_template_is_taken() {
        let nodes = [
            node("a", true, 4096, 1000, true),
            node("b", true, 4096, 3000, false),
            node("c", true, 4096, 2000, true),
            node("d", false, 4096, 4000, true),
        ];
        assert_eq!(place(&nodes, ASK, "t").unwrap().as_str(), "c");
    }

    #[test]
    fn each_lack_has_its_own_refusal() {
        assert_eq!(place(&[], ASK, "t"), Err(Refusal::NoNodeOnline));
        assert_eq!(
            place(&[node("a", false, 4096, 1, true)], ASK, "t"),
            Err(Refusal::NoNodeOnline)
        );
        assert!(matches!(
            place(&[node("a", true, 256, 1, true)], ASK, "t"),
            Err(Refusal::MemoryAboveNode {
                asked: 512,
                largest: 256
            })
        ));
        assert!(matches!(
            place(
                &[node("a", true, 4096, 1, true)],
                Resources { cores: 5, ..ASK },
                "t"
            ),
            Err(Refusal::CoresAboveNode {
                asked: 5,
                largest: 4
            })
        ));
        assert!(matches!(
            place(&[node("a", true, 4096, 1, false)], ASK, "t"),
            Err(Refusal::TemplateMissing(_))
        ));
    }
}
