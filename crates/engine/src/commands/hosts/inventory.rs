//! One look at a cluster through the token: nodes, storages, bridges, templates.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use proximity_domain::names::{NodeName, StorageName};
use proximity_pve::ReadClient;
use proximity_pve::cluster::ClusterStatus;
use proximity_pve::error::Error as PveError;
use proximity_pve::network::Bridge;
use proximity_pve::node::NodeRow;
use proximity_pve::storage::{Content, Storage};
use proximity_pve::transport::https::Fingerprint;

/// Questions under way at the same time: PVE's proxy has three workers, and others need them too.
const QUESTIONS: usize = 3;

/// One node as the cluster tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodeSeen {
    pub(super) name: NodeName,
    pub(super) online: bool,
    /// It is the node that answers at the URL that was given.
    pub(super) local: bool,
    /// Address in the cluster network.
    pub(super) ip: Option<String>,
    /// `None` while PVE has no figures of it.
    pub(super) memory_bytes: Option<u64>,
    /// `None` while PVE has no figures of it.
    pub(super) cpus: Option<u64>,
    /// Of its own certificate.
    pub(super) fingerprint: Option<Fingerprint>,
}

/// What the online nodes have. A node that did not answer is left out, with a warning.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    pub(super) storages: Vec<(NodeName, Vec<Storage>)>,
    pub(super) bridges: Vec<(NodeName, Vec<Bridge>)>,
    pub(super) warnings: Vec<String>,
}

/// Storage → node → volume ids of its container templates.
pub(super) type Templates = BTreeMap<StorageName, BTreeMap<NodeName, Vec<String>>>;

/// Membership joined with the nodes' figures.
pub(super) fn join(status: &ClusterStatus, rows: &[NodeRow]) -> Vec<NodeSeen> {
    let seen = status.nodes.iter().map(|member| {
        let row = rows.iter().find(|row| row.node == member.name);
        NodeSeen {
            name: member.name.clone(),
            online: member.online,
            local: member.local,
            ip: member.ip.clone().filter(|ip| !ip.is_empty()),
            memory_bytes: row.and_then(|r| r.maxmem_bytes),
            cpus: row.and_then(|r| r.maxcpu),
            fingerprint: row.and_then(|r| r.ssl_fingerprint.as_deref()?.parse().ok()),
        }
    });
    seen.collect()
}

/// Storages and bridges of the online nodes.
///
/// # Errors
/// Any but that of a node that does not answer its cluster: it is treated as one that is off.
pub(super) async fn holdings(read: &ReadClient, nodes: &[NodeSeen]) -> Result<Holdings, PveError> {
    let online: Vec<&NodeSeen> = nodes.iter().filter(|n| n.online).collect();
    let asked: Vec<_> = stream::iter(online)
        .map(|node| async move {
            let storages = read.storages(&node.name).await;
            let bridges = match &storages {
                Ok(_) => read.bridges(&node.name).await,
                Err(_) => Ok(Vec::new()),
            };
            (node.name.clone(), storages.and_then(|s| Ok((s, bridges?))))
        })
        .buffered(QUESTIONS)
        .collect()
        .await;
    let mut found = Holdings::default();
    for (node, answer) in asked {
        match answer {
            Ok((storages, bridges)) => {
                found.storages.push((node.clone(), storages));
                found.bridges.push((node, bridges));
            }
            Err(e) if e.is_node_unreachable() => found.warnings.push(format!(
                "node {node} does not answer the cluster ({e}); its storages and bridges were not seen"
            )),
            Err(e) => return Err(e),
        }
    }
    Ok(found)
}

/// Templates on these storages, on each node that has them; and what could not be listed, as warnings.
pub(super) async fn templates(
    read: &ReadClient,
    places: Vec<(StorageName, NodeName)>,
) -> (Templates, Vec<String>) {
    let asked: Vec<_> = stream::iter(places)
        .map(|(storage, node)| async move {
            let listed = read
                .storage_content(&node, &storage, Content::Template)
                .await;
            (storage, node, listed)
        })
        .buffered(QUESTIONS)
        .collect()
        .await;
    let mut found = Templates::new();
    let mut warnings = Vec::new();
    for (storage, node, listed) in asked {
        match listed {
            Ok(volumes) => {
                let volids = volumes.into_iter().map(|v| v.volid.to_string()).collect();
                found.entry(storage).or_default().insert(node, volids);
            }
            Err(e) => warnings.push(format!(
                "the templates on storage {storage} of node {node} could not be listed: {e}"
            )),
        }
    }
    (found, warnings)
}
