//! Which cluster it is, whether it is known already, and which other ways lead to it.

use proximity_domain::names::NodeName;
use proximity_pve::transport::https::Fingerprint;
use proximity_store::records::{Endpoint, HostRecord, TlsTrust};

use super::address::{API_PORT, Address};
use super::inventory::NodeSeen;

/// What tells one cluster from another: `cluster:NAME:NODES` or, for a standalone node, `node:NAME:FINGERPRINT`.
///
/// `seen` is the fingerprint of the certificate at the URL; a standalone node's own is used if PVE tells it, for
/// a proxy in between would show another one.
pub(super) fn cluster_key(cluster: Option<&str>, nodes: &[NodeSeen], seen: Fingerprint) -> String {
    match cluster {
        Some(name) => {
            let mut names: Vec<&str> = nodes.iter().map(|n| n.name.as_str()).collect();
            names.sort_unstable();
            format!("cluster:{name}:{}", names.join(","))
        }
        None => {
            let node = nodes.iter().find(|n| n.local).or(nodes.first());
            let name = node.map_or("", |n| n.name.as_str());
            let own = node.and_then(|n| n.fingerprint).unwrap_or(seen);
            format!("node:{name}:{own}")
        }
    }
}

/// The host entry that is this cluster, under whatever label.
///
/// Beside the key, two signs count: the same URL; and, for a cluster of the same name (nodes may have come and gone
/// since), a node of the same name with the same certificate. A certificate alone does not: one for a whole domain may
/// serve many nodes.
pub(super) fn known<'a>(
    hosts: &'a [HostRecord],
    key: &str,
    cluster: Option<&str>,
    nodes: &[NodeSeen],
    address: &Address,
) -> Option<&'a HostRecord> {
    let url = address.url();
    hosts.iter().find(|host| {
        host.cluster_key == key
            || host.endpoints.iter().any(|e| e.url == url)
            || cluster.is_some_and(|name| {
                host.cluster_key.starts_with(&format!("cluster:{name}:"))
                    && host
                        .endpoints
                        .iter()
                        .any(|e| nodes.iter().any(|n| is_endpoint_of(e, n)))
            })
    })
}

fn is_endpoint_of(endpoint: &Endpoint, node: &NodeSeen) -> bool {
    let TlsTrust::Fingerprint { sha256 } = &endpoint.trust else {
        return false;
    };
    let pinned: Option<Fingerprint> = sha256.parse().ok();
    endpoint.node.as_ref() == Some(&node.name) && pinned.is_some() && pinned == node.fingerprint
}

/// Another way to the cluster, still to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OtherWay {
    pub(super) node: NodeName,
    pub(super) address: Address,
    pub(super) fingerprint: Fingerprint,
}

/// The ways through the other nodes: at their cluster address and PVE's port, pinned to the certificate PVE tells.
/// And the nodes that have none, as warnings.
pub(super) fn other_ways(nodes: &[NodeSeen], given: &Address) -> (Vec<OtherWay>, Vec<String>) {
    let mut ways: Vec<OtherWay> = Vec::new();
    let mut warnings = Vec::new();
    for node in nodes.iter().filter(|n| !n.local) {
        let name = &node.name;
        let without = |why: &str| {
            format!(
                "{}; if the node at {} fails, {name} cannot stand in for it",
                why,
                given.url()
            )
        };
        if !node.online {
            warnings.push(without(&format!(
                "node {name} is off, so its API could not be tried"
            )));
            continue;
        }
        let ip = node
            .ip
            .as_deref()
            .filter(|ip| ip.parse::<std::net::IpAddr>().is_ok());
        let address = ip.and_then(|ip| Address::from_place(ip, API_PORT).ok());
        match (address, node.fingerprint) {
            (None, _) => warnings.push(without(&format!(
                "the cluster tells no address of node {name}"
            ))),
            (Some(_), None) => {
                warnings.push(without(&format!(
                    "PVE tells no certificate fingerprint of node {name}"
                )));
            }
            (Some(address), Some(_))
                if address == *given || ways.iter().any(|w| w.address == address) =>
            {
                warnings.push(without(&format!("node {name} has no address of its own")));
            }
            (Some(address), Some(fingerprint)) => {
                ways.push(OtherWay {
                    node: name.clone(),
                    address,
                    fingerprint,
                });
            }
        }
    }
    (ways, warnings)
}

#[cfg(test)]
pub(super) mod tests {
    use proximity_domain::ids::HostId;
    use proximity_domain::time::Timestamp;
    use proximity_store::records::{HostPlacement, PurposeTokens};
    use secrecy::SecretString;
    use uuid::Uuid;

    use super::*;

    pub(crate) fn seen(name: &str, local: bool, print: u8) -> NodeSeen {
        NodeSeen {
            name: name.parse().unwrap(),
            online: true,
            local,
            ip: Some(format!("192.0.2.{print}")),
            memory_bytes: Some(1 << 33),
            cpus: Some(4),
            fingerprint: Some(Fingerprint([print; 32])),
        }
    }

    pub(crate) fn entry(label: &str, key: &str, endpoints: Vec<Endpoint>) -> HostRecord {
        HostRecord {
            id: HostId(Uuid::from_u128(1)),
            label: label.parse().unwrap(),
            cluster_key: key.to_owned(),
            endpoints,
            token_id: "root@pam!proximity".to_owned(),
            token_secret: SecretString::from("x"),
            purpose_tokens: PurposeTokens::default(),
            ssh: None,
            pool: None,
            storage: "local".parse().unwrap(),
            template_storage: "local".parse().unwrap(),
            bridge: "vmbr0".parse().unwrap(),
            placement: HostPlacement::default(),
            known_nodes: Vec::new(),
            pve_version: "9.2.11".to_owned(),
            created_at: Timestamp(0),
        }
    }

    fn endpoint(url: &str, node: &str, print: u8) -> Endpoint {
        Endpoint {
            url: url.to_owned(),
            node: Some(node.parse().unwrap()),
            trust: TlsTrust::Fingerprint {
                sha256: Fingerprint([print; 32]).to_string(),
            },
        }
    }

    #[test]
    fn the_key_does_not_depend_on_the_order_of_the_nodes() {
        let nodes = [seen("pve2", false, 2), seen("pve1", true, 1)];
        assert_eq!(
            cluster_key(Some("lab"), &nodes, Fingerprint([9; 32])),
            "cluster:lab:pve1,pve2"
        );
    }

    #[test]
    fn a_standalone_node_is_known_by_its_own_certificate() {
        let mut node = seen("solo", true, 7);
        let own = Fingerprint([7; 32]);
        assert_eq!(
            cluster_key(None, &[node.clone()], Fingerprint([9; 32])),
            format!("node:solo:{own}")
        );
        node.fingerprint = None;
        let shown = Fingerprint([9; 32]);
        assert_eq!(
            cluster_key(None, &[node], shown),
            format!("node:solo:{shown}")
        );
    }

    #[test]
    fn the_same_cluster_is_found_under_another_label() {
        let nodes = [
            seen("pve1", true, 1),
            seen("pve2", false, 2),
            seen("pve3", false, 3),
        ];
        let given = Address::from_url("https://192.0.2.1").unwrap();
        let key = cluster_key(Some("lab"), &nodes, Fingerprint([1; 32]));
        let find = |entry: HostRecord| known(&[entry], &key, Some("lab"), &nodes, &given).is_some();
        assert!(find(entry("a", &key, vec![])), "same key");
        assert!(
            find(entry(
                "a",
                "x",
                vec![endpoint("https://192.0.2.1:8006", "z", 9)]
            )),
            "same URL"
        );
        let smaller = "cluster:lab:pve1,pve2";
        let other = "https://192.0.2.99:8006";
        assert!(
            find(entry("a", smaller, vec![endpoint(other, "pve2", 2)])),
            "before pve3 joined"
        );
        assert!(
            !find(entry("a", smaller, vec![endpoint(other, "pve2", 9)])),
            "a namesake"
        );
        assert!(
            !find(entry("a", smaller, vec![endpoint(other, "pve9", 2)])),
            "a shared certificate"
        );
        assert!(!find(entry(
            "a",
            "cluster:barn:pve1,pve2",
            vec![endpoint(other, "pve2", 2)]
        )));
    }

    #[test]
    fn other_nodes_are_ways_only_with_address_and_fingerprint() {
        let given = Address::from_url("https://192.0.2.1").unwrap();
        let mut nodes: Vec<NodeSeen> = (1..=6)
            .map(|i| seen(&format!("pve{i}"), i == 1, i))
            .collect();
        nodes[2].ip = None;
        nodes[3].fingerprint = None;
        nodes[4].online = false;
        nodes[5].ip = Some("192.0.2.1".to_owned());
        let (ways, warnings) = other_ways(&nodes, &given);
        let urls: Vec<String> = ways.iter().map(|w| w.address.url()).collect();
        assert_eq!(urls, ["https://192.0.2.2:8006"]);
        assert_eq!(ways[0].fingerprint, Fingerprint([2; 32]));
        assert_eq!(warnings.len(), 4, "{warnings:?}");
        for (warning, node) in warnings.iter().zip(["pve3", "pve4", "pve5", "pve6"]) {
            assert!(warning.contains(node), "{warning}");
        }
    }

    #[test]
    fn ipv6_addresses_get_brackets() {
        let given = Address::from_url("https://[fd00::1]").unwrap();
        let mut node = seen("pve2", false, 2);
        node.ip = Some("fd00::2".to_owned());
        let (ways, _) = other_ways(&[node], &given);
        assert_eq!(ways[0].address.url(), "https://[fd00::2]:8006");
    }
}
