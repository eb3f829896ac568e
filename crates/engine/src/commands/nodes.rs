//! The nodes of all clusters as they are now, and which of them could take a new app.

use std::time::Duration;

use futures::future::join_all;
use proximity_domain::create::Resources;
use proximity_domain::place::{self, Need, NodeState};
use proximity_store::records::HostRecord;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::nodes::{NodeLook, Promises, Question, look};

/// The smallest guest there is: what cannot take this one takes none.
const SMALLEST: Resources = Resources {
    memory_mib: 16,
    cores: 1,
    disk_gib: 1,
};

/// All nodes that were seen, and the hosts that could not be asked.
#[derive(Debug, Clone, Default)]
pub struct NodesView {
    /// By host label, then name.
    pub nodes: Vec<NodeView>,
    /// Host label, and why its cluster did not answer.
    pub unreachable: Vec<(String, String)>,
}

/// One node as read now.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// Label of its host entry.
    pub host: String,
    /// Its name.
    pub node: String,
    /// PVE says that it is up.
    pub online: bool,
    /// e.g. `9.2.11`.
    pub pve_version: Option<String>,
    /// Built in.
    pub memory_bytes: Option<u64>,
    /// In use.
    pub memory_used_bytes: Option<u64>,
    /// Promised to deploys under way, which PVE does not show yet.
    pub memory_promised_bytes: u64,
    /// Threads.
    pub cpus: Option<u32>,
    /// Fraction in use, up to 10 s old.
    pub cpu: Option<f64>,
    /// The storage new containers go on, if the node has it.
    pub storage: Option<NodeStorageView>,
    /// Kept free of new apps.
    pub excluded: bool,
    /// Why it cannot take any new app; `None` = it can take at least a small one.
    pub why_not: Option<String>,
}

/// The storage for new containers on one node.
#[derive(Debug, Clone)]
pub struct NodeStorageView {
    /// Its name.
    pub name: String,
    /// Whether it can be used now.
    pub active: bool,
    /// Size.
    pub total_bytes: Option<u64>,
    /// Free.
    pub available_bytes: Option<u64>,
}

impl Engine {
    /// Reads the nodes of all hosts, or of the one that is named (label or id).
    ///
    /// # Errors
    /// No such host; a host that was named and cannot be asked. Without a name, hosts that cannot be asked are in the answer.
    pub async fn nodes(&self, host: Option<&str>) -> Result<NodesView, EngineError> {
        let hosts = self.candidate_hosts(host).await?;
        let looks = join_all(hosts.iter().map(|host| self.look_at_nodes(host))).await;
        let promised = Promises::read(self.store()).await?;
        let mut view = NodesView::default();
        for (record, looked) in hosts.iter().zip(looks) {
            match looked {
                Ok(nodes) => view
                    .nodes
                    .extend(nodes.iter().map(|n| node_view(n, record, &promised))),
                Err(e) if host.is_some() => return Err(e),
                Err(e) => view
                    .unreachable
                    .push((record.label.to_string(), e.to_string())),
            }
        }
        Ok(view)
    }

    /// How long one node is waited for when it is looked at.
    pub(crate) fn node_patience(&self) -> Duration {
        Duration::from_millis(self.inner.parts.limits.node_ms)
    }

    async fn look_at_nodes(&self, host: &HostRecord) -> Result<Vec<NodeLook>, EngineError> {
        let cluster = self.inner.clusters.get(host.id).await?;
        let question = Question {
            base: None,
            node: None,
            patience: self.node_patience(),
        };
        look(&cluster, question)
            .await
            .map_err(|e| e.of_host(host.label.as_str()))
    }
}

fn node_view(seen: &NodeLook, host: &HostRecord, promised: &Promises) -> NodeView {
    let mut capacity = seen.capacity(host, promised, &host.bridge);
    if let NodeState::Up(figures) = &mut capacity.state {
        // Which template is needed depends on the app.
        figures.has_template = true;
    }
    let need = Need {
        resources: SMALLEST,
        template: String::new(),
        volumes_gib: 0,
        inside: false,
        apart_from: Vec::new(),
    };
    let lacks = place::lacks(&capacity, &need);
    let told = match &seen.told {
        Some(Ok(told)) => Some(told),
        Some(Err(_)) | None => None,
    };
    NodeView {
        host: host.label.to_string(),
        node: seen.node.to_string(),
        online: seen.online,
        pve_version: told.and_then(|t| t.pve_version.clone()),
        memory_bytes: told.map(|t| t.memory_bytes),
        memory_used_bytes: told.map(|t| t.memory_used_bytes),
        memory_promised_bytes: promised.memory_mib(host.id, &seen.node) << 20,
        cpus: told.map(|t| t.cpus),
        cpu: told.and_then(|t| t.cpu),
        storage: told
            .and_then(|t| t.storage.as_ref())
            .map(|s| NodeStorageView {
                name: s.name.to_string(),
                active: s.active && s.enabled,
                total_bytes: s.total_bytes,
                available_bytes: s.available_bytes,
            }),
        excluded: capacity.excluded,
        why_not: (!lacks.is_empty()).then(|| place::sentence(&lacks)),
    }
}
