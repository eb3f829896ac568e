//! Keeps host entries true to their clusters: nodes that joined, ways to reach them, certificates that were renewed.
//!
//! Level-triggered: no input but the cluster; what is unchanged writes nothing. Nodes are only ever added: that one has left
//! for good a person says (`hosts forget-node`).

use std::time::Duration;

use futures::{StreamExt, stream};
use proximity_domain::event::EventKind;
use proximity_domain::ids::HostId;
use proximity_pve::cluster::Version;
use proximity_pve::transport::https::Fingerprint;
use proximity_store::records::{Actor, Endpoint, HostRecord, TlsTrust};
use tokio_util::sync::CancellationToken;

use super::address::{API_PORT, Address};
use super::identity;
use super::inventory::{self, NodeSeen};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::view::{Gap, is_word_of, status};

/// How often each cluster is looked at.
const EVERY: Duration = Duration::from_secs(60);
/// Endpoints tried at the same time.
const TRIED: usize = 4;

/// What a cluster says of itself.
struct Told {
    name: Option<String>,
    nodes: Vec<NodeSeen>,
    version: Version,
}

impl Engine {
    /// Looks at all hosts every minute until `shutdown`.
    pub async fn keep_hosts_true(self, shutdown: CancellationToken) {
        loop {
            let hosts = self.store().hosts().await.unwrap_or_else(|e| {
                tracing::warn!(error = %e, "hosts could not be read");
                Vec::new()
            });
            for host in hosts {
                let learning = self.learn_host(host.id);
                let learned = tokio::select! {
                    biased;
                    learned = learning => learned,
                    () = shutdown.cancelled() => return,
                };
                if let Err(e) = learned {
                    tracing::warn!(host = %host.label, error = %e, code = e.code(), "a host could not be looked at");
                }
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep(EVERY) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Looks at one host's cluster and records what is new. True if something was.
    ///
    /// A new address or certificate counts only if PVE tells of it through a connection that is trusted already, and the
    /// server at that address shows that very certificate.
    ///
    /// # Errors
    /// The cluster cannot be asked; nothing was changed then.
    pub async fn learn_host(&self, id: HostId) -> Result<bool, EngineError> {
        let Some(told) = self.ask_cluster(id).await? else {
            return Ok(false);
        };
        let Some(record) = self.store().host(id).await? else {
            return Ok(false);
        };
        let tried = candidates(&record, &told.nodes);
        if tried.is_empty() && same(&record, &learned(record.clone(), told, Vec::new())) {
            return Ok(false);
        }
        let shown = self.try_endpoints(tried).await;
        let _one_at_a_time = self.inner.host_changes.lock().await;
        // Asked again: a node may have been forgotten since, and must not come back by an answer from before.
        let Some(told) = self.ask_cluster(id).await? else {
            return Ok(false);
        };
        let Some(record) = self.store().host(id).await? else {
            return Ok(false);
        };
        let still = candidates(&record, &told.nodes);
        let shown = shown.into_iter().filter(|e| still.contains(e)).collect();
        let learned = learned(record.clone(), told, shown);
        if same(&record, &learned) {
            return Ok(false);
        }
        tracing::info!(host = %learned.label, nodes = learned.known_nodes.len(), endpoints = learned.endpoints.len(), "a host's cluster has changed");
        let system = Actor {
            account: "system".to_owned(),
            token: None,
            request: None,
        };
        self.store()
            .change_host(
                learned,
                EventKind::HostLearned,
                "host.learn",
                &system,
                self.now(),
            )
            .await?;
        self.inner.clusters.forget(id).await;
        Ok(true)
    }

    /// What the cluster says of itself; `None` from a node without quorum, for that may be old, and from one that is in
    /// another cluster by now: its nodes and addresses are not this entry's.
    async fn ask_cluster(&self, id: HostId) -> Result<Option<Told>, EngineError> {
        let cluster = self.inner.clusters.get(id).await?;
        let upstream = |e| crate::commands::upstream(cluster.label(), &e);
        let status = status(&cluster).await.map_err(upstream)?;
        let Some(record) = self.store().host(id).await? else {
            return Ok(None);
        };
        match is_word_of(&record, &status) {
            Ok(()) => {}
            Err(Gap::NoQuorum) => return Ok(None),
            Err(gap @ (Gap::OtherCluster { .. } | Gap::Unlisted(_))) => {
                let why = gap.text(cluster.label());
                tracing::warn!(host = %cluster.label(), "nothing is learned from this host: {why}");
                return Ok(None);
            }
        }
        let rows = cluster.read().nodes().await.map_err(upstream)?;
        Ok(Some(Told {
            nodes: inventory::join(&status, &rows),
            name: status.name,
            version: cluster.read().version().await.map_err(upstream)?,
        }))
    }

    /// Those that show the certificate PVE tells of.
    async fn try_endpoints(&self, candidates: Vec<Endpoint>) -> Vec<Endpoint> {
        let tried = stream::iter(candidates).map(|endpoint| async move {
            let shown = self.inner.parts.connect.fingerprint(&endpoint.url).await;
            let same = shown.is_ok_and(|shown| Some(shown) == pin(&endpoint));
            same.then_some(endpoint)
        });
        let tried: Vec<Option<Endpoint>> = tried.buffered(TRIED).collect().await;
        tried.into_iter().flatten().collect()
    }
}

fn pin(endpoint: &Endpoint) -> Option<Fingerprint> {
    match &endpoint.trust {
        TlsTrust::Fingerprint { sha256 } => sha256.parse().ok(),
        TlsTrust::Ca { .. } | TlsTrust::System => None,
    }
}

/// Endpoints that the entry does not have yet: of nodes without one, and of nodes whose pinned certificate is another one
/// by now.
fn candidates(host: &HostRecord, nodes: &[NodeSeen]) -> Vec<Endpoint> {
    let of_node = |node: &NodeSeen| {
        let fingerprint = node.fingerprint?;
        let existing = host
            .endpoints
            .iter()
            .find(|e| e.node.as_ref() == Some(&node.name));
        let url = match existing {
            Some(known) => {
                let pinned = pin(known)?;
                if pinned == fingerprint {
                    return None;
                }
                known.url.clone()
            }
            None => {
                let ip = node.ip.as_deref()?;
                ip.parse::<std::net::IpAddr>().ok()?;
                let url = Address::from_place(ip, API_PORT).ok()?.url();
                if host.endpoints.iter().any(|e| e.url == url) {
                    return None;
                }
                url
            }
        };
        Some(Endpoint {
            url,
            node: Some(node.name.clone()),
            trust: TlsTrust::Fingerprint {
                sha256: fingerprint.to_string(),
            },
        })
    };
    let online = nodes.iter().filter(|n| n.online);
    online.filter_map(of_node).collect()
}

/// The entry with what was learned: endpoints in `shown` were seen to be who PVE says they are.
fn learned(mut host: HostRecord, told: Told, shown: Vec<Endpoint>) -> HostRecord {
    for endpoint in shown {
        match host.endpoints.iter_mut().find(|e| e.url == endpoint.url) {
            Some(known) => *known = endpoint,
            None => host.endpoints.push(endpoint),
        }
    }
    for node in &told.nodes {
        if !host.known_nodes.contains(&node.name) {
            host.known_nodes.push(node.name.clone());
        }
    }
    host.known_nodes.sort_unstable();
    if let (Some(name), Some(own)) = (&told.name, told.nodes.iter().find_map(|n| n.fingerprint)) {
        host.cluster_key = identity::cluster_key(Some(name), &told.nodes, own);
    }
    host.pve_version = told.version.to_string();
    host
}

fn same(a: &HostRecord, b: &HostRecord) -> bool {
    a.endpoints == b.endpoints
        && a.known_nodes == b.known_nodes
        && a.cluster_key == b.cluster_key
        && a.pve_version == b.pve_version
}

#[cfg(test)]
mod tests {
    use super::super::identity::tests::{entry, seen};
    use super::*;

    fn endpoint(url: &str, node: &str, print: u8) -> Endpoint {
        Endpoint {
            url: url.to_owned(),
            node: Some(node.parse().unwrap()),
            trust: TlsTrust::Fingerprint {
                sha256: Fingerprint([print; 32]).to_string(),
            },
        }
    }

    fn told(nodes: Vec<NodeSeen>) -> Told {
        Told {
            name: Some("lab".to_owned()),
            nodes,
            version: Version {
                version: "9.2.12".to_owned(),
                release: "9.2".to_owned(),
            },
        }
    }

    #[test]
    fn nodes_without_an_endpoint_and_renewed_certificates_are_tried() {
        let ways = vec![
            endpoint("https://192.0.2.1:8006", "pve1", 1),
            endpoint("https://192.0.2.2:8006", "pve2", 9),
        ];
        let host = entry("home", "cluster:lab:pve1,pve2", ways);
        let mut nodes = vec![
            seen("pve1", true, 1),
            seen("pve2", false, 2),
            seen("pve3", false, 3),
        ];
        let tried = candidates(&host, &nodes);
        assert_eq!(
            tried,
            [
                endpoint("https://192.0.2.2:8006", "pve2", 2),
                endpoint("https://192.0.2.3:8006", "pve3", 3),
            ]
        );
        let learned = learned(host.clone(), told(nodes.clone()), tried);
        assert_eq!(learned.endpoints.len(), 3);
        assert_eq!(
            learned.endpoints[1],
            endpoint("https://192.0.2.2:8006", "pve2", 2)
        );
        assert_eq!(learned.cluster_key, "cluster:lab:pve1,pve2,pve3");
        assert_eq!(learned.pve_version, "9.2.12");
        assert!(!same(&host, &learned));
        assert!(
            candidates(&learned, &nodes).is_empty(),
            "nothing is left to learn"
        );

        nodes.truncate(1);
        let later = super::learned(learned.clone(), told(nodes), Vec::new());
        assert_eq!(later.known_nodes.len(), 3, "nodes are never taken away");
        assert_eq!(later.endpoints, learned.endpoints);
    }

    #[test]
    fn nothing_is_tried_that_was_vouched_for_by_an_authority_or_is_off() {
        let by_ca = Endpoint {
            trust: TlsTrust::System,
            ..endpoint("https://pve1.example:8006", "pve1", 1)
        };
        let host = entry("home", "cluster:lab:pve1,pve2", vec![by_ca]);
        let mut off = seen("pve2", false, 2);
        off.online = false;
        assert!(candidates(&host, &[seen("pve1", true, 1), off]).is_empty());
    }
}
