//! Nodes as the wire shows them.

use proximity_api::nodes::{Node, NodeList, NodeStorage, UnreachableHost};
use proximity_engine::commands::{NodeView, NodesView};

pub(crate) fn node_list(view: NodesView) -> NodeList {
    NodeList {
        nodes: view.nodes.into_iter().map(node).collect(),
        unreachable: view
            .unreachable
            .into_iter()
            .map(|(host, why)| UnreachableHost { host, why })
            .collect(),
    }
}

fn node(view: NodeView) -> Node {
    Node {
        host: view.host,
        name: view.node,
        online: view.online,
        pve_version: view.pve_version,
        memory_bytes: view.memory_bytes,
        memory_used_bytes: view.memory_used_bytes,
        memory_promised_bytes: view.memory_promised_bytes,
        cpus: view.cpus,
        cpu: view.cpu,
        storage: view.storage.map(|s| NodeStorage {
            name: s.name,
            active: s.active,
            total_bytes: s.total_bytes,
            available_bytes: s.available_bytes,
        }),
        excluded: view.excluded,
        placeable: view.why_not.is_none(),
        why_not: view.why_not,
    }
}
