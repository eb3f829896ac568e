//! Clusters as the engine reaches them: one client, one task watcher and one way into guests per host entry.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use proximity_domain::guest::{ContainerRef, ObservedContainer};
use proximity_domain::ids::{HostId, Vmid};
use proximity_domain::mark::Mark;
use proximity_domain::names::NodeName;
use proximity_domain::time::Clock;
use proximity_pve::Warrant;
use proximity_pve::client::{Client, ReadClient};
use proximity_pve::error::Error as PveError;
use proximity_pve::guest::GuestAccess;
use proximity_pve::guest::ssh::{BadKey, NodeAddress, NodeHelper, PlainSsh};
use proximity_pve::lxc::LxcConfig;
use proximity_pve::task::{TaskFilter, TaskSource, TaskWatcher};
use proximity_pve::transport::Transport;
use proximity_pve::transport::https::{ApiToken, EndpointConfig, HttpsTransport, Trust};
use proximity_pve::transport::tokens::Tokens;
use proximity_pve::upid::Upid;
use proximity_store::Store;
use proximity_store::records::{HostRecord, PurposeTokens, SshAccess, SshKind, SshNode, TlsTrust};
use tokio::sync::Mutex;

use crate::error::EngineError;
use crate::nodes::Looks;
use crate::reconcile::{Site, Sites};
use crate::seams::{Connect, Connection};
use crate::vmids::InChoice;

/// One cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    host: HostRecord,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    read: ReadClient,
    watcher: TaskWatcher,
    guest_access: Option<Arc<dyn GuestAccess>>,
    vmids: InChoice,
    looks: Looks,
}

impl Cluster {
    /// Builds client, watcher and guest access from the record. Connects lazily.
    fn new(
        host: HostRecord,
        connect: &dyn Connect,
        clock: Arc<dyn Clock>,
        vmids: InChoice,
    ) -> Result<Self, EngineError> {
        let connection = connect
            .connect(&host)
            .map_err(|why| EngineError::Upstream {
                code: "host_unusable",
                message: format!("host {}: {why}", host.label),
                hint: "remove the host and add it again".to_owned(),
            })?;
        let read = ReadClient::new(connection.transport.clone());
        let watcher = TaskWatcher::new(read.clone(), clock.clone());
        Ok(Self {
            host,
            transport: connection.transport,
            clock,
            read,
            watcher,
            guest_access: connection.guest_access,
            vmids,
            looks: Looks::default(),
        })
    }

    pub(crate) fn label(&self) -> &str {
        self.host.label.as_str()
    }

    /// The numbers that operations of this process are about to commit.
    pub(crate) fn vmids(&self) -> &InChoice {
        &self.vmids
    }

    /// Looks at its nodes that are under way.
    pub(crate) fn looks(&self) -> &Looks {
        &self.looks
    }

    pub(crate) fn host(&self) -> &HostRecord {
        &self.host
    }

    /// Its API is reached over loopback, all of it: an emulated cluster on this machine (or a tunnel).
    pub(crate) fn is_on_this_machine(&self) -> bool {
        let endpoints = &self.host.endpoints;
        all_loopback(endpoints.iter().map(|endpoint| endpoint.url.as_str()))
    }

    /// What changes things, as long as the warrant allows.
    pub(crate) fn client(&self, warrant: Warrant) -> Client {
        Client::new(
            self.transport.clone(),
            self.clock.clone(),
            self.host.id,
            warrant,
        )
    }

    pub(crate) fn read(&self) -> &ReadClient {
        &self.read
    }

    pub(crate) fn watcher(&self) -> &TaskWatcher {
        &self.watcher
    }

    pub(crate) fn guest_access(&self) -> Option<&Arc<dyn GuestAccess>> {
        self.guest_access.as_ref()
    }

    /// Tasks that run now on a node for one VMID.
    pub(crate) async fn running_tasks(
        &self,
        node: &NodeName,
        vmid: Vmid,
    ) -> Result<Vec<Upid>, PveError> {
        let filter = TaskFilter {
            vmid: Some(vmid),
            source: TaskSource::Active,
            ..TaskFilter::default()
        };
        let tasks = self.read().node_tasks(node, &filter).await?;
        Ok(tasks
            .into_iter()
            .filter(|t| t.is_running())
            .map(|t| t.upid)
            .collect())
    }
}

/// Whether there is a URL, and each one names a loopback address.
fn all_loopback<'a>(urls: impl Iterator<Item = &'a str>) -> bool {
    let mut urls = urls.peekable();
    urls.peek().is_some() && urls.all(is_loopback)
}

/// Whether a URL names a loopback address; names are never taken for one.
fn is_loopback(url: &str) -> bool {
    let authority = url.split("://").nth(1).unwrap_or(url);
    let authority = authority.split('/').next().unwrap_or_default();
    let ip = match authority.parse::<std::net::SocketAddr>() {
        Ok(address) => Some(address.ip()),
        Err(_) => authority.trim_matches(['[', ']']).parse().ok(),
    };
    ip.is_some_and(|ip: std::net::IpAddr| ip.to_canonical().is_loopback())
}

/// HTTPS to the API, SSH into guests where it is switched on.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealConnect;

impl Connect for RealConnect {
    fn connect(&self, host: &HostRecord) -> Result<Connection, String> {
        let transport =
            HttpsTransport::new(endpoints(host)?, tokens(host)).map_err(|e| e.to_string())?;
        let transport = transport.at_nodes(host.endpoints.iter().map(|e| e.node.clone()));
        let guest_access = host.ssh.as_ref().map(guest_access).transpose()?;
        Ok(Connection {
            transport: Arc::new(transport),
            guest_access,
        })
    }
}

/// A host's tokens, as its calls choose among them.
#[must_use]
pub fn tokens(host: &HostRecord) -> Tokens {
    let main = ApiToken {
        id: host.token_id.clone(),
        secret: host.token_secret.clone(),
    };
    joined(main, &host.purpose_tokens)
}

/// The main token and those for single purposes.
pub(crate) fn joined(main: ApiToken, others: &PurposeTokens) -> Tokens {
    others
        .iter()
        .fold(Tokens::one(main), |tokens, (purpose, token)| {
            let token = ApiToken {
                id: token.id.clone(),
                secret: token.secret.clone(),
            };
            tokens.with(purpose, token)
        })
}

fn guest_access(ssh: &SshAccess) -> Result<Arc<dyn GuestAccess>, String> {
    let nodes = addresses(&ssh.nodes)?;
    let (user, key) = (&ssh.user, &ssh.private_key);
    let bad = |e: BadKey| e.to_string();
    Ok(match ssh.kind {
        SshKind::Plain => Arc::new(PlainSsh::new(user, key, nodes).map_err(bad)?),
        SshKind::Helper => Arc::new(NodeHelper::new(user, key, nodes).map_err(bad)?),
    })
}

/// Where nodes are and which keys they have to show.
///
/// # Errors
/// A host key that cannot be read; the text says whose.
pub(crate) fn addresses(nodes: &[SshNode]) -> Result<Vec<(NodeName, NodeAddress)>, String> {
    nodes
        .iter()
        .map(|n| {
            let host_key = n
                .host_key
                .parse()
                .map_err(|e| format!("the SSH host key of {}: {e}", n.node))?;
            Ok((
                n.node.clone(),
                NodeAddress {
                    address: n.address.clone(),
                    host_key,
                },
            ))
        })
        .collect()
}

/// The ways to a host, as recorded.
///
/// # Errors
/// One that cannot be used.
pub(crate) fn endpoints(host: &HostRecord) -> Result<Vec<EndpointConfig>, String> {
    host.endpoints
        .iter()
        .map(|e| {
            let trust = match &e.trust {
                TlsTrust::Fingerprint { sha256 } => Trust::Fingerprint(
                    sha256
                        .parse()
                        .map_err(|err| format!("the fingerprint of {}: {err}", e.url))?,
                ),
                TlsTrust::Ca { pem } => Trust::CaPem(pem.clone()),
                TlsTrust::System => Trust::System,
            };
            Ok(EndpointConfig {
                url: e.url.clone(),
                trust,
            })
        })
        .collect()
}

/// A configuration as the domain sees it.
pub(crate) fn observed(
    place: ContainerRef,
    config: &LxcConfig,
    ha_managed: bool,
) -> ObservedContainer {
    ObservedContainer {
        place,
        mark: config.description.as_deref().and_then(Mark::find),
        net0_mac: config.net0.as_ref().and_then(|n| n.hwaddr),
        rootfs_volid: config.rootfs.as_ref().map(|r| r.volid.clone()),
        lock: config.lock.clone(),
        protection: config.protection,
        digest: config
            .digest
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        ha_managed,
        replicated: false,
    }
}

/// The clusters in use, built from their records when first asked for.
#[derive(Debug)]
pub(crate) struct Clusters {
    store: Store,
    connect: Arc<dyn Connect>,
    clock: Arc<dyn Clock>,
    built: Mutex<HashMap<HostId, Arc<Cluster>>>,
    /// Kept when a cluster is forgotten: whoever chose a number before goes on with the cluster that was built before.
    vmids: Mutex<HashMap<HostId, InChoice>>,
}

impl Clusters {
    pub(crate) fn new(store: Store, connect: Arc<dyn Connect>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            connect,
            clock,
            built: Mutex::default(),
            vmids: Mutex::default(),
        }
    }

    /// The cluster of this host entry.
    pub(crate) async fn get(&self, id: HostId) -> Result<Arc<Cluster>, EngineError> {
        let mut built = self.built.lock().await;
        if let Some(cluster) = built.get(&id) {
            return Ok(cluster.clone());
        }
        let host = self
            .store
            .host(id)
            .await?
            .ok_or_else(|| EngineError::NotFound {
                what: "host",
                name: id.to_string(),
            })?;
        let cluster = Arc::new(Cluster::new(
            host,
            self.connect.as_ref(),
            self.clock.clone(),
            self.vmids.lock().await.entry(id).or_default().clone(),
        )?);
        built.insert(id, cluster.clone());
        Ok(cluster)
    }

    /// Forgets what was built; the next use reads the record again. Numbers in choice stay in choice.
    pub(crate) async fn forget(&self, id: HostId) {
        self.built.lock().await.remove(&id);
    }
}

/// The reconciler gets the half of a cluster that reads.
#[async_trait]
impl Sites for Clusters {
    async fn site(&self, host: HostId) -> Result<Site, EngineError> {
        let cluster = self.get(host).await?;
        Ok(Site {
            host: cluster.host.clone(),
            read: cluster.read.clone(),
            on_this_machine: cluster.is_on_this_machine(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proximity_domain::ids::InstallationId;
    use proximity_domain::ports::PortRange;
    use proximity_domain::time::{Monotonic, Timestamp};
    use proximity_store::MemoryOptions;
    use proximity_store::records::{Actor, Endpoint, HostPlacement, PurposeTokens};
    use uuid::Uuid;

    use super::*;

    #[derive(Debug)]
    struct NoTime;

    impl Clock for NoTime {
        fn now(&self) -> Timestamp {
            Timestamp(0)
        }

        fn monotonic(&self) -> Monotonic {
            Monotonic(0)
        }
    }

    fn host() -> HostRecord {
        HostRecord {
            id: HostId(Uuid::from_u128(2)),
            label: "lab".parse().unwrap(),
            cluster_key: "node:pve1".to_owned(),
            endpoints: vec![Endpoint {
                url: "https://192.0.2.1:8006".to_owned(),
                node: None,
                trust: TlsTrust::System,
            }],
            token_id: "root@pam!proximity".to_owned(),
            token_secret: "secret".to_owned().into(),
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

    #[tokio::test]
    async fn a_number_stays_in_choice_when_its_cluster_is_forgotten() {
        let ports = |first| PortRange {
            first,
            last: first + 1,
        };
        let store = Store::in_memory(&MemoryOptions {
            installation: InstallationId(Uuid::from_u128(1)),
            public: ports(8100),
            internal: ports(9100),
            rest_ms: 0,
        });
        let actor = Actor {
            account: "admin".to_owned(),
            token: None,
            request: None,
        };
        let host = host();
        let id = host.id;
        store.add_host(host, &actor, Timestamp(0)).await.unwrap();
        let clusters = Clusters::new(store, Arc::new(RealConnect), Arc::new(NoTime));
        let number = Vmid::try_from(100).unwrap();
        let before = clusters.get(id).await.unwrap();
        let chosen = before.vmids().choose(number);
        assert!(chosen.is_some());
        clusters.forget(id).await;
        let after = clusters.get(id).await.unwrap();
        assert!(!Arc::ptr_eq(&before, &after), "it was built anew");
        assert!(after.vmids().choose(number).is_none());
        drop(chosen);
        assert!(after.vmids().choose(number).is_some());
    }

    #[test]
    fn a_cluster_is_on_this_machine_only_if_every_way_to_it_is_a_loopback_address() {
        let here = |urls: &[&str]| all_loopback(urls.iter().copied());
        for url in [
            "https://127.0.0.1:8006",
            "https://127.3.2.1",
            "https://[::1]:8006",
            "https://[::1]",
            "https://[::ffff:127.0.0.1]:8006",
            "https://127.0.0.1:8006/api2/json",
        ] {
            assert!(here(&[url]), "{url}");
        }
        for url in [
            "https://192.0.2.1:8006",
            "https://localhost:8006",
            "https://127.0.0.1.example.com:8006",
            "https://pve.example/127.0.0.1",
            "https://[::ffff:192.0.2.1]:8006",
            "https://[fd00::1]:8006",
            "",
        ] {
            assert!(!here(&[url]), "{url}");
        }
        assert!(!here(&[]));
        assert!(!here(&["https://127.0.0.1:8006", "https://192.0.2.1:8006"]));
        assert!(here(&["https://127.0.0.1:8006", "https://127.0.0.1:8007"]));
    }
}
