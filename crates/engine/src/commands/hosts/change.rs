//! Changing where a host entry lets new containers go, and forgetting a node that left its cluster.

use proximity_domain::event::EventKind;
use proximity_domain::names::{LanName, NodeName};
use proximity_domain::vmids::VmidRange;
use proximity_pve::cluster::ClusterStatus;
use proximity_store::records::{Actor, HostRecord};

use super::lost::left_behind;
use super::wish::invalid;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::view::{Gap, is_word_of, status};

/// What to change of a host entry; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct ChangeHost {
    /// `Some(None)`: PVE chooses the numbers again.
    pub vmids: Option<Option<String>>,
    /// All nodes that get no new containers.
    pub excluded_nodes: Option<Vec<String>>,
    /// Whether a deploy downloads an OS template where it is missing.
    pub fetch_templates: Option<bool>,
    /// What it calls the network that its bridges lead to; `Some(None)`: nothing.
    pub lan: Option<Option<String>>,
}

impl Engine {
    /// Changes a host entry, by label or id. Containers that exist stay where they are, and keep their numbers.
    ///
    /// # Errors
    /// No such host; a value that breaks its rule; a node the cluster is not known to have.
    pub async fn change_host(
        &self,
        actor: &Actor,
        host: &str,
        request: ChangeHost,
    ) -> Result<HostRecord, EngineError> {
        let _one_at_a_time = self.inner.host_changes.lock().await;
        let mut record = self.named_host(host).await?;
        if let Some(vmids) = request.vmids {
            let range = vmids.map(|text| text.parse::<VmidRange>()).transpose();
            record.placement.vmids = range.map_err(|e| invalid("vmids", e.to_string()))?;
        }
        if let Some(names) = request.excluded_nodes {
            record.placement.excluded_nodes = excluded(&record, &names)?;
        }
        if let Some(fetches) = request.fetch_templates {
            record.placement.templates_by_hand = !fetches;
        }
        if let Some(lan) = request.lan {
            let lan = lan.map(|text| text.parse::<LanName>()).transpose();
            record.placement.lan = lan.map_err(|e| invalid("lan", e.to_string()))?;
        }
        self.store()
            .change_host(
                record.clone(),
                EventKind::HostUpdated,
                "host.update",
                actor,
                self.now(),
            )
            .await?;
        self.inner.clusters.forget(record.id).await;
        Ok(record)
    }

    /// Says that a node has left its cluster for good: from then on a listing without it is complete again, and what was on
    /// it may be taken for gone. Containers recorded there that another node has by now are followed from then on, or once that
    /// node is back. Where nothing of the entry is about the node any more, nothing is written.
    ///
    /// # Errors
    /// No such host or node; the cluster cannot be asked, has no quorum, is another one by now, or still lists the node;
    /// containers of ours are recorded there that no other node has ([`Engine::give_up_node`]); there is no other way to the
    /// cluster.
    pub async fn forget_node(
        &self,
        actor: &Actor,
        host: &str,
        node: &str,
    ) -> Result<HostRecord, EngineError> {
        let _one_at_a_time = self.inner.host_changes.lock().await;
        let record = self.named_host(host).await?;
        let (_, there) = self.recorded_there(&record, node).await?;
        let in_use = |why: String| EngineError::NodeInUse {
            node: node.to_owned(),
            why,
        };
        let cluster = self.inner.clusters.get(record.id).await?;
        let status = status(&cluster)
            .await
            .map_err(|e| crate::commands::upstream(cluster.label(), &e))?;
        may_forget(&record, &status, node).map_err(in_use)?;
        match left_behind(&cluster, &status, &there).await? {
            0 => {}
            count => {
                return Err(in_use(format!(
                    "{count} container(s) of Proximity are recorded on it; what becomes of them if they are lost with it is \
                     shown by: proximity hosts forget-node {} {node} --containers-lost",
                    record.label
                )));
            }
        }
        if !is_about(&record, node) {
            return Ok(record);
        }
        let record = without(record, node).map_err(in_use)?;
        self.store()
            .change_host(
                record.clone(),
                EventKind::HostNodeForgotten,
                "host.forget_node",
                actor,
                self.now(),
            )
            .await?;
        self.inner.clusters.forget(record.id).await;
        Ok(record)
    }
}

/// Whether anything of the entry is about this node.
fn is_about(record: &HostRecord, node: &str) -> bool {
    let is_it = |name: &NodeName| name.as_str() == node;
    let endpoints = &record.endpoints;
    let logins = record.ssh.as_ref();
    record.known_nodes.iter().any(is_it)
        || record.placement.excluded_nodes.iter().any(is_it)
        || endpoints.iter().any(|e| e.node.as_ref().is_some_and(is_it))
        || logins.is_some_and(|ssh| ssh.nodes.iter().any(|known| is_it(&known.node)))
}

/// The entry without a node: its addresses, what is pinned of it, and what is wished of it go. It may live on, as a node of its
/// own: what it says is not the cluster's word any more.
///
/// # Errors
/// There is no other way to the cluster.
pub(super) fn without(mut record: HostRecord, node: &str) -> Result<HostRecord, String> {
    record
        .endpoints
        .retain(|e| e.node.as_ref().is_none_or(|n| n.as_str() != node));
    if record.endpoints.is_empty() {
        return Err(
            "the cluster is reached through it alone; once another node answers, its address is learned within a \
             minute, else remove the host and add it by another node"
                .to_owned(),
        );
    }
    record.known_nodes.retain(|n| n.as_str() != node);
    // Another one may join under its name, with another host key.
    if let Some(ssh) = &mut record.ssh {
        ssh.nodes.retain(|known| known.node.as_str() != node);
    }
    record
        .placement
        .excluded_nodes
        .retain(|n| n.as_str() != node);
    Ok(record)
}

/// Whether this answer is the word of the entry's cluster, which alone says who has left; else why not.
pub(super) fn speaks_for(host: &HostRecord, status: &ClusterStatus) -> Result<(), String> {
    is_word_of(host, status).map_err(|gap| match gap {
        Gap::NoQuorum => {
            "the node that answers has no quorum, and cannot say who has left".to_owned()
        }
        Gap::OtherCluster { .. } | Gap::Unlisted(_) => gap.text(host.label.as_str()),
    })
}

/// Whether this answer shows that the node is not in the cluster of this entry; else why not.
fn may_forget(host: &HostRecord, status: &ClusterStatus, node: &str) -> Result<(), String> {
    speaks_for(host, status)?;
    if status.nodes.iter().any(|n| n.name.as_str() == node) {
        return Err("its cluster still lists it".to_owned());
    }
    Ok(())
}

fn excluded(host: &HostRecord, names: &[String]) -> Result<Vec<NodeName>, EngineError> {
    let mut nodes = Vec::with_capacity(names.len());
    for name in names {
        let node: NodeName = name
            .parse()
            .map_err(|e| invalid("excluded_nodes", format!("{e}")))?;
        if !host.known_nodes.contains(&node) {
            let known: Vec<&str> = host.known_nodes.iter().map(NodeName::as_str).collect();
            return Err(invalid(
                "excluded_nodes",
                format!(
                    "host {} has no node {node}; it has {}",
                    host.label,
                    known.join(", ")
                ),
            ));
        }
        nodes.push(node);
    }
    nodes.sort_unstable();
    nodes.dedup();
    Ok(nodes)
}
