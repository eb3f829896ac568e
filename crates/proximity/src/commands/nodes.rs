//! `proximity nodes`.

use proximity_api::nodes::{Node, NodeList, NodeQuery};

use crate::cli::NodesArgs;
use crate::context::Context;
use crate::failed::Failed;
use crate::text::{or_dash, table};

pub(crate) async fn run(context: &Context, args: NodesArgs) -> Result<(), Failed> {
    let query = NodeQuery { host: args.host };
    let list = context.client()?.nodes(&query).await?;
    context.output.result(&list, human)
}

fn human(list: &NodeList) -> String {
    let mut text = table(
        [
            "HOST", "NODE", "PVE", "MEMORY", "CPUS", "STORAGE", "NEW APPS",
        ],
        list.nodes.iter().map(row),
        "no nodes",
    );
    for host in &list.unreachable {
        text.push_str(&format!(
            "\nhost {} could not be asked: {}",
            host.host, host.why
        ));
    }
    text
}

fn row(node: &Node) -> [String; 7] {
    let memory = match (node.memory_bytes, node.memory_used_bytes) {
        (Some(all), Some(used)) => {
            format!("{} of {} free", gib(all.saturating_sub(used)), gib(all))
        }
        _ => "-".to_owned(),
    };
    let storage = node.storage.as_ref().map(|s| {
        let free = s.available_bytes.map(gib).unwrap_or_default();
        if s.active {
            format!("{}: {free} free", s.name)
        } else {
            format!("{}: not active", s.name)
        }
    });
    let new_apps = match (&node.why_not, node.memory_promised_bytes) {
        (Some(why), _) => format!("no: it {why}"),
        (None, 0) => "yes".to_owned(),
        (None, promised) => format!("yes, {} promised", gib(promised)),
    };
    [
        node.host.clone(),
        node.name.clone(),
        or_dash(node.pve_version.as_deref()),
        memory,
        or_dash(node.cpus.map(|n| n.to_string()).as_deref()),
        or_dash(storage.as_deref()),
        new_apps,
    ]
}

/// GiB with one digit.
fn gib(bytes: u64) -> String {
    let tenths = (bytes >> 20).saturating_mul(10) / 1024;
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use proximity_api::nodes::{NodeStorage, UnreachableHost};

    use super::*;

    fn node(name: &str) -> Node {
        Node {
            host: "home".to_owned(),
            name: name.to_owned(),
            online: true,
            pve_version: Some("9.2.11".to_owned()),
            memory_bytes: Some(8 << 30),
            memory_used_bytes: Some(3 << 29),
            memory_promised_bytes: 0,
            cpus: Some(4),
            cpu: Some(0.1),
            storage: Some(NodeStorage {
                name: "local-zfs".to_owned(),
                active: true,
                total_bytes: Some(100 << 30),
                available_bytes: Some(42 << 30),
            }),
            excluded: false,
            placeable: true,
            why_not: None,
        }
    }

    #[test]
    fn nodes_are_a_table_for_people() {
        let off = Node {
            online: false,
            pve_version: None,
            memory_bytes: None,
            memory_used_bytes: None,
            cpus: None,
            cpu: None,
            storage: None,
            placeable: false,
            why_not: Some("is offline".to_owned()),
            ..node("pve3")
        };
        let busy = Node {
            memory_promised_bytes: 1 << 30,
            ..node("pve2")
        };
        let list = NodeList {
            nodes: vec![node("pve1"), busy, off],
            unreachable: vec![UnreachableHost {
                host: "work".to_owned(),
                why: "nobody answers".to_owned(),
            }],
        };
        insta::assert_snapshot!(human(&list));
    }
}
