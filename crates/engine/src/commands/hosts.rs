//! Hosts: probing, adding, removing.

mod address;
mod change;
mod choice;
mod doctor;
mod helper;
mod identity;
mod init;
mod inventory;
mod learn;
mod look;
mod lost;
mod places;
mod public_key;
mod refusal;
mod rights;
mod ssh;
mod ssh_entry;
mod support;
mod trust;
mod wish;

use std::collections::BTreeMap;
use std::time::Duration;

use proximity_domain::ids::HostId;
use proximity_domain::names::{NodeName, StorageName};
use proximity_domain::time::Timestamp;
use proximity_store::error::StoreError;
use proximity_store::records::{Actor, HostPlacement, HostRecord, PurposeTokens, RequestKey};
use secrecy::SecretString;

pub use self::change::ChangeHost;
use self::choice::Candidate;
pub use self::doctor::{Code, Finding, Level, doctor_markdown};
pub use self::helper::{
    HelperOnNode, HelperProgram, HelperReport, HelperState, InstallHelper, NoProgram, RemoveHelper,
};
pub use self::init::{InitDone, InitHost, InitPlan, PersonLogin, UninitHost, UninitPlan};
use self::look::{Found, Look};
pub use self::lost::{AppLoss, Becomes, GiveUp, NodeLoss};
pub use self::ssh_entry::SshEntry;
pub use self::trust::{CertificateReport, EndpointCertificate, TrustCertificate};
use self::wish::{Given, Wish, invalid};
use crate::engine::Engine;
use crate::error::EngineError;

/// How long a look at a host may take altogether; the API gives a request 60 s.
const LOOK_S: u64 = 50;

/// A request to add a host (or to look at what adding it would store).
#[derive(Debug, Clone)]
pub struct AddHost {
    /// Name people use.
    pub label: String,
    /// e.g. `https://192.0.2.10:8006`.
    pub url: String,
    /// Pinned SHA-256 of the certificate, as PVE prints it.
    pub fingerprint: Option<String>,
    /// Or an authority, PEM. With neither, the system's authorities are asked.
    pub ca_pem: Option<String>,
    /// `user@realm!name`.
    pub token_id: String,
    /// Its secret.
    pub token_secret: SecretString,
    /// Tokens for single purposes beside it, if there are any.
    pub purpose_tokens: PurposeTokens,
    /// Pool new guests go into.
    pub pool: Option<String>,
    /// Storage of root file systems; probed when absent.
    pub storage: Option<String>,
    /// Storage of templates; probed when absent.
    pub template_storage: Option<String>,
    /// Bridge; probed when absent.
    pub bridge: Option<String>,
    /// Plain guest access, if wanted.
    pub ssh: Option<AddSsh>,
}

/// Plain guest access over SSH: root on the nodes.
#[derive(Debug, Clone)]
pub struct AddSsh {
    /// Account on the nodes, `root`.
    pub user: String,
    /// OpenSSH PEM; `None` = a key is made and its public part reported.
    pub private_key: Option<SecretString>,
    /// Node → `address[:port]`; nodes that are missing are reached at their cluster address, port 22.
    pub addresses: BTreeMap<String, String>,
    /// Node → host key; nodes that are missing are scanned and pinned.
    pub host_keys: BTreeMap<String, String>,
}

/// What was found at a host, and what would be stored.
///
/// With `fingerprint_trusted: false` nothing was asked and all but the fingerprint is empty: the token is not sent to a
/// server nobody vouches for. Compare the fingerprint, then probe again with it.
#[derive(Debug, Clone, Default)]
pub struct HostProbe {
    /// PVE's version.
    pub pve_version: String,
    /// Cluster name; `None` for a standalone node.
    pub cluster: Option<String>,
    /// Certificate's SHA-256 at the given URL.
    pub fingerprint: String,
    /// Whether it was judged by a pin, an authority, or only seen now.
    pub fingerprint_trusted: bool,
    /// Nodes.
    pub nodes: Vec<NodeProbe>,
    /// Storages for root file systems.
    pub storages: Vec<String>,
    /// Storages for templates.
    pub template_storages: Vec<String>,
    /// Templates found.
    pub templates: Vec<String>,
    /// Bridges.
    pub bridges: Vec<String>,
    /// What would be stored: storage.
    pub storage: Option<String>,
    /// What would be stored: template storage.
    pub template_storage: Option<String>,
    /// What would be stored: bridge.
    pub bridge: Option<String>,
    /// What would be stored: pool.
    pub pool: Option<String>,
    /// SSH per node.
    pub ssh: Vec<SshProbe>,
    /// Things worth knowing before saying yes.
    pub warnings: Vec<String>,
}

/// One node as found.
#[derive(Debug, Clone)]
pub struct NodeProbe {
    /// Name.
    pub node: String,
    /// Online.
    pub online: bool,
    /// Memory, MiB; 0 while PVE has no figures of the node.
    pub memory_mib: u64,
    /// CPU threads; 0 while PVE has no figures of the node.
    pub cpus: u32,
}

/// One node's SSH as found.
#[derive(Debug, Clone)]
pub struct SshProbe {
    /// Node.
    pub node: String,
    /// Where.
    pub address: String,
    /// Its host key.
    pub host_key: String,
    /// SHA-256 of the host key, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
}

impl Engine {
    /// Looks at a host; stores nothing.
    ///
    /// # Errors
    /// [`EngineError`] naming what is wrong: fingerprint, token, reachability, version, names, a label or cluster that
    /// is known already.
    pub async fn probe_host(&self, request: &AddHost) -> Result<HostProbe, EngineError> {
        let wish = Wish::read(request)?;
        let tokens = wish::given(request)?;
        match self.look_at(&wish, &tokens).await? {
            Look::Stranger(seen) => {
                let unknown = refusal::certificate_unknown(&wish.address, seen);
                Ok(HostProbe {
                    fingerprint: seen.to_string(),
                    pool: request.pool.clone(),
                    warnings: vec![format!("{unknown}; {}", unknown.hint())],
                    ..HostProbe::default()
                })
            }
            Look::Found(found) => Ok(probe(*found)),
        }
    }

    /// Probes, then stores the host in one commit. If no SSH key was given, one is made: its public part is in the
    /// record's `ssh.public_key`, for the nodes' `authorized_keys`.
    ///
    /// # Errors
    /// As [`Engine::probe_host`]; also when nobody vouches for the certificate, or when no storage, template storage or
    /// bridge is there. Nothing is stored then.
    pub async fn add_host(
        &self,
        actor: &Actor,
        request: AddHost,
    ) -> Result<HostRecord, EngineError> {
        self.add_host_once(actor, request, None).await
    }

    /// As [`Engine::add_host`]; the key is kept with the host.
    ///
    /// # Errors
    /// Those of [`Engine::add_host`], and a key that was used for another request.
    pub async fn add_host_once(
        &self,
        actor: &Actor,
        request: AddHost,
        key: Option<RequestKey>,
    ) -> Result<HostRecord, EngineError> {
        let wish = Wish::read(&request)?;
        let tokens = wish::given(&request)?;
        let found = match self.look_at(&wish, &tokens).await? {
            Look::Stranger(seen) => return Err(refusal::certificate_unknown(&wish.address, seen)),
            Look::Found(found) => *found,
        };
        let id = HostId(self.inner.parts.ids.uuid());
        let now = self.now();
        let host = record(id, wish, tokens, found, now)?;
        let stored = self
            .store()
            .add_host_once(host.clone(), key, actor, now)
            .await?;
        if stored != id {
            // The same request came twice at the same time, and the other was first.
            return self.named_host(&stored.to_string()).await;
        }
        tracing::info!(host = %host.label, cluster = %host.cluster_key, "host added");
        Ok(host)
    }

    /// Removes a host that has no apps, by label or id.
    ///
    /// # Errors
    /// Unknown, or still in use.
    pub async fn remove_host(&self, actor: &Actor, host: &str) -> Result<(), EngineError> {
        let host = self.named_host(host).await?;
        self.store().remove_host(host.id, actor, self.now()).await?;
        self.inner.clusters.forget(host.id).await;
        tracing::info!(host = %host.label, "host removed");
        Ok(())
    }

    async fn look_at(&self, wish: &Wish, tokens: &Given) -> Result<Look, EngineError> {
        let hosts = self.store().hosts().await?;
        if hosts.iter().any(|h| h.label == wish.label) {
            let id = wish.label.to_string();
            return Err(StoreError::Exists { what: "host", id }.into());
        }
        tokio::time::timeout(
            Duration::from_secs(LOOK_S),
            look::look(wish, tokens, &hosts),
        )
        .await
        .unwrap_or_else(|_| Err(refusal::too_slow(&wish.address, LOOK_S)))
    }
}

/// What was found, as the caller shows it.
fn probe(found: Found) -> HostProbe {
    let templates = look::templates_on(&found.survey);
    let survey = found.survey;
    let names = |all: Vec<Candidate<StorageName>>| all.into_iter().map(|c| c.name.into()).collect();
    let places = survey.places;
    HostProbe {
        pve_version: survey.version.to_string(),
        cluster: survey.cluster,
        fingerprint: found.fingerprint.to_string(),
        fingerprint_trusted: true,
        nodes: survey.nodes.into_iter().map(node_probe).collect(),
        storages: names(survey.options.roots),
        template_storages: names(survey.options.templates),
        templates,
        bridges: survey
            .options
            .bridges
            .into_iter()
            .map(|c| c.name.into())
            .collect(),
        storage: places.storage.map(Into::into),
        template_storage: places.template_storage.map(Into::into),
        bridge: places.bridge.map(Into::into),
        pool: places.pool.map(Into::into),
        ssh: found.ssh.into_iter().map(ssh_probe).collect(),
        warnings: survey.warnings.into_iter().chain(found.warnings).collect(),
    }
}

fn node_probe(node: inventory::NodeSeen) -> NodeProbe {
    NodeProbe {
        node: node.name.into(),
        online: node.online,
        memory_mib: node.memory_bytes.unwrap_or(0) >> 20,
        cpus: u32::try_from(node.cpus.unwrap_or(0)).unwrap_or(u32::MAX),
    }
}

fn ssh_probe(seen: ssh::SshSeen) -> SshProbe {
    SshProbe {
        node: seen.node.into(),
        address: seen.address.to_string(),
        fingerprint: seen.host_key.fingerprint(),
        host_key: seen.host_key.to_string(),
    }
}

/// The record to store.
fn record(
    id: HostId,
    wish: Wish,
    tokens: Given,
    found: Found,
    now: Timestamp,
) -> Result<HostRecord, EngineError> {
    let Found {
        survey,
        endpoints,
        ssh,
        ..
    } = found;
    let places = survey.places;
    let storage = places
        .storage
        .ok_or_else(|| invalid("storage", places::no_storage()))?;
    let template_storage = places
        .template_storage
        .ok_or_else(|| invalid("template_storage", places::no_template_storage()))?;
    let bridge = places
        .bridge
        .ok_or_else(|| invalid("bridge", places::no_bridge()))?;
    let ssh = wish
        .ssh
        .as_ref()
        .map(|asked| ssh::access(asked, &ssh))
        .transpose()?;
    let mut known_nodes: Vec<NodeName> = survey.nodes.iter().map(|n| n.name.clone()).collect();
    known_nodes.sort_unstable();
    Ok(HostRecord {
        id,
        label: wish.label,
        cluster_key: survey.cluster_key,
        endpoints,
        token_id: tokens.main.id,
        token_secret: tokens.main.secret,
        purpose_tokens: tokens.others,
        ssh,
        pool: places.pool,
        storage,
        template_storage,
        bridge,
        placement: HostPlacement::default(),
        known_nodes,
        pve_version: survey.version.to_string(),
        created_at: now,
    })
}

#[cfg(test)]
mod over_https;
#[cfg(test)]
mod tests;
