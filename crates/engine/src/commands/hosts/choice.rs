//! Which storages and which bridge new containers get, when the request does not say.

use std::collections::BTreeMap;
use std::fmt::Display;

use proximity_domain::names::{BridgeName, NodeName, StorageName};
use proximity_pve::network::Bridge;
use proximity_pve::storage::{Content, Storage};

use super::inventory::Templates;

/// The storage PVE sets up for templates on every new installation.
const USUAL_TEMPLATE_STORAGE: &str = "local";

/// Something that could be chosen, with what the choice depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate<N> {
    pub(super) name: N,
    /// Online nodes where it can be used.
    pub(super) nodes: Vec<NodeName>,
    /// Free on the node where least is free; 0 for bridges.
    pub(super) free_bytes: u64,
    /// Its content is the same on every node.
    pub(super) shared: bool,
}

impl<N: Display> Candidate<N> {
    /// Nodes of these where it cannot be used.
    pub(super) fn absent_on<'a>(&self, nodes: impl Iterator<Item = &'a NodeName>) -> Vec<String> {
        nodes
            .filter(|n| !self.nodes.contains(n))
            .map(ToString::to_string)
            .collect()
    }
}

/// Storages that are switched on, usable on at least one node, and may hold this content; by name.
pub(super) fn storages(
    seen: &[(NodeName, Vec<Storage>)],
    content: Content,
) -> Vec<Candidate<StorageName>> {
    let mut found: BTreeMap<&StorageName, Candidate<StorageName>> = BTreeMap::new();
    for (node, storages) in seen {
        for storage in storages
            .iter()
            .filter(|s| s.enabled && s.active && s.holds(content))
        {
            let free_bytes = storage.available_bytes.unwrap_or(0);
            let candidate = found.entry(&storage.name).or_insert_with(|| Candidate {
                name: storage.name.clone(),
                nodes: Vec::new(),
                free_bytes,
                shared: storage.shared,
            });
            candidate.nodes.push(node.clone());
            candidate.free_bytes = candidate.free_bytes.min(free_bytes);
        }
    }
    found.into_values().collect()
}

/// Bridges that are up on at least one node; by name.
pub(super) fn bridges(seen: &[(NodeName, Vec<Bridge>)]) -> Vec<Candidate<BridgeName>> {
    let mut found: BTreeMap<&BridgeName, Candidate<BridgeName>> = BTreeMap::new();
    for (node, bridges) in seen {
        for bridge in bridges.iter().filter(|b| b.active) {
            let candidate = found.entry(&bridge.name).or_insert_with(|| Candidate {
                name: bridge.name.clone(),
                nodes: Vec::new(),
                free_bytes: 0,
                shared: false,
            });
            candidate.nodes.push(node.clone());
        }
    }
    found.into_values().collect()
}

/// The storage usable on most nodes, then the one with most space.
pub(super) fn best_storage<'a>(
    candidates: impl IntoIterator<Item = &'a Candidate<StorageName>>,
) -> Option<&'a Candidate<StorageName>> {
    first_best(candidates, |c| (c.nodes.len(), c.free_bytes))
}

/// The storage that has templates, then `local`, then as [`best_storage`].
pub(super) fn best_template_storage<'a>(
    candidates: impl IntoIterator<Item = &'a Candidate<StorageName>>,
    templates: &Templates,
) -> Option<&'a Candidate<StorageName>> {
    let has_some = |name: &StorageName| {
        templates
            .get(name)
            .is_some_and(|nodes| nodes.values().any(|volids| !volids.is_empty()))
    };
    first_best(candidates, |c| {
        let usual = c.name.as_str() == USUAL_TEMPLATE_STORAGE;
        (has_some(&c.name), usual, c.nodes.len(), c.free_bytes)
    })
}

/// The bridge that is up on most nodes.
pub(super) fn best_bridge<'a>(
    candidates: impl IntoIterator<Item = &'a Candidate<BridgeName>>,
) -> Option<&'a Candidate<BridgeName>> {
    first_best(candidates, |c| c.nodes.len())
}

/// The first of those that rank highest, so that equal ones are decided by name.
fn first_best<'a, N, K: Ord>(
    candidates: impl IntoIterator<Item = &'a Candidate<N>>,
    rank: impl Fn(&Candidate<N>) -> K,
) -> Option<&'a Candidate<N>> {
    candidates
        .into_iter()
        .reduce(|best, next| if rank(next) > rank(best) { next } else { best })
}

/// Why a storage that was named cannot be used for this.
pub(super) fn why_no_storage(
    name: &StorageName,
    seen: &[(NodeName, Vec<Storage>)],
    content: Content,
    usable: &[Candidate<StorageName>],
) -> String {
    let known: Vec<&Storage> = seen
        .iter()
        .flat_map(|(_, list)| list)
        .filter(|s| s.name == *name)
        .collect();
    let what = match known.iter().find(|s| s.holds(content)) {
        Some(s) if !s.enabled => format!("storage {name} is switched off"),
        Some(_) => format!("storage {name} is not active on any online node"),
        None => match known.first() {
            Some(s) => format!(
                "storage {name} does not take {}, only {}",
                noun(content),
                s.content
            ),
            None => format!("there is no storage {name} that the token may see on an online node"),
        },
    };
    format!("{what}; for {} there are: {}", noun(content), names(usable))
}

/// Why a bridge that was named cannot be used.
pub(super) fn why_no_bridge(
    name: &BridgeName,
    seen: &[(NodeName, Vec<Bridge>)],
    usable: &[Candidate<BridgeName>],
) -> String {
    let known = seen
        .iter()
        .flat_map(|(_, list)| list)
        .any(|b| b.name == *name);
    let what = if known {
        format!("bridge {name} is not up on any online node")
    } else {
        format!("there is no bridge {name} that the token may see on an online node")
    };
    format!("{what}; there are: {}", names(usable))
}

/// The names, or `none`.
fn names<N: Display>(candidates: &[Candidate<N>]) -> String {
    if candidates.is_empty() {
        return "none".to_owned();
    }
    candidates
        .iter()
        .map(|c| c.name.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

fn noun(content: Content) -> &'static str {
    match content {
        Content::RootDir => "containers",
        Content::Template => "container templates",
        Content::Backup => "backups",
        Content::Images => "disk images",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    fn storage(name: &str, content: &str, active: u8, free: u64) -> Storage {
        let row = json!({
            "storage": name, "type": "dir", "content": content, "active": active, "enabled": 1, "avail": free,
        });
        serde_json::from_value(row).unwrap()
    }

    fn bridge(name: &str, active: u8) -> Bridge {
        serde_json::from_value(json!({ "iface": name, "type": "bridge", "active": active }))
            .unwrap()
    }

    fn chosen(candidate: Option<&Candidate<StorageName>>) -> &str {
        candidate.map_or("-", |c| c.name.as_str())
    }

    fn two_nodes() -> Vec<(NodeName, Vec<Storage>)> {
        vec![
            (
                node("pve1"),
                vec![
                    storage("fast", "rootdir,images", 1, 900),
                    storage("local", "iso,vztmpl,rootdir", 1, 100),
                    storage("nas", "rootdir,vztmpl", 1, 500),
                    storage("off", "rootdir", 0, 9_000),
                ],
            ),
            (
                node("pve2"),
                vec![
                    storage("local", "iso,vztmpl,rootdir", 1, 50),
                    storage("nas", "rootdir,vztmpl", 1, 500),
                ],
            ),
        ]
    }

    #[test]
    fn a_storage_on_every_node_goes_before_a_larger_one_on_some() {
        let found = storages(&two_nodes(), Content::RootDir);
        let names: Vec<&str> = found.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["fast", "local", "nas"]);
        assert_eq!(found[1].free_bytes, 50, "the least of its nodes");
        assert_eq!(chosen(best_storage(&found)), "nas");
        assert_eq!(chosen(best_storage(&found[..2])), "local");
        assert_eq!(chosen(best_storage(&found[..1])), "fast");
        assert_eq!(chosen(best_storage(&[])), "-");
        assert_eq!(
            found[0].absent_on([node("pve1"), node("pve2")].iter()),
            ["pve2"]
        );
    }

    #[test]
    fn templates_are_looked_for_where_some_are_then_on_local() {
        let found = storages(&two_nodes(), Content::Template);
        let mut templates = Templates::new();
        assert_eq!(chosen(best_template_storage(&found, &templates)), "local");
        let nas = templates.entry("nas".parse().unwrap()).or_default();
        nas.insert(node("pve1"), Vec::new());
        assert_eq!(chosen(best_template_storage(&found, &templates)), "local");
        let nas = templates.entry("nas".parse().unwrap()).or_default();
        nas.insert(node("pve2"), vec!["nas:vztmpl/debian.tar.zst".to_owned()]);
        assert_eq!(chosen(best_template_storage(&found, &templates)), "nas");
    }

    #[test]
    fn equal_bridges_are_decided_by_name() {
        let seen = vec![
            (
                node("pve1"),
                vec![bridge("vmbr0", 1), bridge("vmbr1", 1), bridge("vmbr2", 1)],
            ),
            (
                node("pve2"),
                vec![bridge("vmbr0", 0), bridge("vmbr1", 1), bridge("vmbr2", 1)],
            ),
        ];
        let found = bridges(&seen);
        assert_eq!(best_bridge(&found).unwrap().name.as_str(), "vmbr1");
        assert_eq!(best_bridge(&found[..1]).unwrap().nodes, [node("pve1")]);
    }

    #[test]
    fn a_name_that_cannot_be_used_is_answered_with_those_that_can() {
        let seen = two_nodes();
        let usable = storages(&seen, Content::Template);
        let why =
            |name: &str| why_no_storage(&name.parse().unwrap(), &seen, Content::Template, &usable);
        assert_eq!(
            why("nosuch"),
            "there is no storage nosuch that the token may see on an online node; for container templates there are: local, nas"
        );
        assert!(
            why("fast").starts_with(
                "storage fast does not take container templates, only rootdir,images;"
            )
        );
        let roots = storages(&seen, Content::RootDir);
        let off = why_no_storage(&"off".parse().unwrap(), &seen, Content::RootDir, &roots);
        assert!(
            off.starts_with("storage off is not active on any online node;"),
            "{off}"
        );
        assert!(why_no_bridge(&"vmbr9".parse().unwrap(), &[], &[]).ends_with("there are: none"));
    }
}
