//! The nodes of a cluster as they are right now, and what deploys under way have been promised there.
//!
//! Nothing here is kept for later: a decision about placement reads again, or shares a reading that began after it. PVE's
//! own list of nodes lags up to 10 s behind, so each node that is online is asked itself; which ones are, only a node with
//! quorum knows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, stream};
use proximity_domain::ids::HostId;
use proximity_domain::image::takes_images;
use proximity_domain::names::{BridgeName, NodeName};
use proximity_domain::place::{Figures, NodeCapacity, NodeState, StorageState};
use proximity_domain::template::{by_version, newest};
use proximity_pve::client::ReadClient;
use proximity_pve::cluster::ClusterNode;
use proximity_pve::error::Error as PveError;
use proximity_pve::storage::{Content, Storage};
use proximity_pve::transport::apart_from_sent;
use proximity_store::Store;
use proximity_store::error::StoreError;
use proximity_store::records::{HostRecord, HostToken};
use tokio::sync::watch;

use crate::catalog::Base;
use crate::cluster::Cluster;
use crate::commands::upstream;
use crate::error::EngineError;
use crate::patience::unless_silent;
use crate::together::Together;
use crate::view::{Gap, is_word_of, status};

/// Nodes of one cluster asked at the same time: PVE's proxy has three workers, and others need them too.
const QUESTIONS: usize = 3;
const GIB: u64 = 1 << 30;

/// One node as seen now.
#[derive(Debug, Clone)]
pub(crate) struct NodeLook {
    pub(crate) node: NodeName,
    pub(crate) online: bool,
    /// What it told, or why it did not; nothing if it is off.
    pub(crate) told: Option<Result<Told, String>>,
}

/// What an online node told of itself.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// e.g. `9.2.11`.
    pub(crate) pve_version: Option<String>,
    pub(crate) memory_bytes: u64,
    pub(crate) memory_used_bytes: u64,
    pub(crate) cpus: u32,
    /// Fraction of its CPUs in use; from PVE's list, up to 10 s old. Placement does not ask for it.
    pub(crate) cpu: Option<f64>,
    /// The host entry's storage, if the node has it for containers.
    pub(crate) storage: Option<Storage>,
    /// Bridges that are up.
    pub(crate) bridges: Vec<BridgeName>,
    /// Templates on the host entry's template storage that match; all of them if none was asked for.
    pub(crate) templates: Vec<String>,
    /// There is none that matches, and the node can bring this file.
    pub(crate) offer: Option<String>,
    /// An image is looked for, and this version makes no containers of images.
    pub(crate) too_old: Option<String>,
}

/// What is asked of a cluster's nodes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'q> {
    /// Which template or image is looked for; all templates without.
    pub(crate) base: Option<&'q Base>,
    /// The one node that is asked; all of them without.
    pub(crate) node: Option<&'q str>,
    /// How long one node is waited for.
    pub(crate) patience: Duration,
}

/// Looks at a cluster. What one gave is for those who asked for it at the same time; nobody who comes later is given it.
#[derive(Debug, Default)]
pub(crate) struct Looks(Mutex<HashMap<Key, Arc<Look>>>);

/// Name of the template, name of the node.
type Key = (Option<String>, Option<String>);

type Look = Together<Result<Vec<NodeLook>, LookError>>;

/// A cluster could not be looked at.
#[derive(Debug, Clone)]
pub(crate) enum LookError {
    /// It was not asked, or its answer is none.
    Pve(PveError),
    /// No endpoint gives the word of the entry's cluster: what one without quorum says of the others is old, and by it they
    /// would all be off.
    NotItsWord(Gap),
}

impl LookError {
    /// For whoever asked about this host entry.
    pub(crate) fn of_host(&self, label: &str) -> EngineError {
        let (code, message, hint) = match self {
            Self::Pve(error) => return upstream(label, error),
            Self::NotItsWord(gap @ Gap::NoQuorum) => (
                "no_quorum",
                gap.text(label),
                "no node that could be asked has quorum; bring the cluster back to it first (pvecm status on a node)"
                    .to_owned(),
            ),
            Self::NotItsWord(gap @ (Gap::OtherCluster { .. } | Gap::Unlisted(_))) => (
                "view_incomplete",
                gap.text(label),
                format!("if the node has left its cluster: proximity hosts forget-node {label} NODE"),
            ),
        };
        EngineError::Upstream {
            code,
            message: format!("host {label}: {message}"),
            hint,
        }
    }
}

impl Looks {
    /// The look at this node, or at all; there are as many as the catalog names templates and the cluster has nodes.
    fn with(&self, key: Key) -> Arc<Look> {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looks.entry(key).or_default().clone()
    }
}

/// Asks the cluster for its nodes, and each online one for what it has. Many who ask at the same time share the answers: a
/// crowd of deploys does not become a crowd of questions.
///
/// # Errors
/// The list of nodes could not be read. A node that does not answer is in the list, with the reason.
pub(crate) async fn look(
    cluster: &Arc<Cluster>,
    question: Question<'_>,
) -> Result<Vec<NodeLook>, LookError> {
    let base = question.base.cloned();
    let node = question.node.map(str::to_owned);
    let patience = question.patience;
    let known = |name: &String| {
        cluster
            .host()
            .known_nodes
            .iter()
            .any(|n| n.as_str() == name)
    };
    let shared = node.as_ref().is_none_or(known);
    let key = (
        base.as_ref().map(|base| match base {
            Base::Template(template) => template.to_string(),
            Base::Image(image) => image.file(),
        }),
        node.clone(),
    );
    let asked = Arc::clone(cluster);
    let put = || async move {
        let question = Question {
            base: base.as_ref(),
            node: node.as_deref(),
            patience,
        };
        look_now(&asked, question).await
    };
    if shared {
        cluster.looks().with(key).ask(put).await
    } else {
        put().await
    }
}

async fn look_now(cluster: &Cluster, question: Question<'_>) -> Result<Vec<NodeLook>, LookError> {
    let status = status(cluster).await.map_err(LookError::Pve)?;
    is_word_of(cluster.host(), &status).map_err(LookError::NotItsWord)?;
    let mut rows = status.nodes;
    rows.retain(|row| {
        question
            .node
            .is_none_or(|wanted| row.name.as_str() == wanted)
    });
    let told = watch::Sender::new(false);
    let mut looks: Vec<NodeLook> = stream::iter(rows)
        .map(|row| look_at(cluster, row, question, &told))
        .buffer_unordered(QUESTIONS)
        .collect()
        .await;
    looks.sort_by(|a, b| a.node.cmp(&b.node));
    if question.base.is_none() {
        add_cpu(cluster, &mut looks).await.map_err(LookError::Pve)?;
    }
    Ok(looks)
}

async fn add_cpu(cluster: &Cluster, looks: &mut [NodeLook]) -> Result<(), PveError> {
    for row in cluster.read().nodes().await? {
        let same = looks.iter_mut().find(|look| look.node == row.node);
        if let Some(Ok(told)) = same.and_then(|look| look.told.as_mut()) {
            told.cpu = row.cpu;
        }
    }
    Ok(())
}

/// One node. For one that hangs the others do not wait long: PVE itself would say so only after half a minute. What our own
/// calls there take is not held against it.
async fn look_at(
    cluster: &Cluster,
    row: ClusterNode,
    question: Question<'_>,
    another_told: &watch::Sender<bool>,
) -> NodeLook {
    let told = if row.online {
        let patience = question.patience;
        let read = cluster.read().patient(patience);
        let under_way = UnderWay::default();
        let asking = ask(&read, cluster.host(), &row.name, question.base, &under_way);
        let heard = || read.heard(&row.name);
        Some(
            match unless_silent(asking, patience, heard, another_told.subscribe()).await {
                Some(answer) => answer.map_err(|e| why_untold(&e)),
                None => Err(format!(
                    "{}: it has not answered within {} s",
                    under_way.call(&row.name),
                    patience.as_secs_f32()
                )),
            },
        )
    } else {
        None
    };
    if let Some(Ok(_)) = told {
        another_told.send_replace(true);
    }
    NodeLook {
        node: row.name,
        online: row.online,
        told,
    }
}

/// The call, and why it told nothing. A question changes nothing: whether it was sent is no matter, and which of the call and
/// the look at its node ran out of patience first is none either: both say the same.
fn why_untold(error: &PveError) -> String {
    match error {
        PveError::NotSent { call, why } => format!("{call}: {}", apart_from_sent(why)),
        other => other.to_string(),
    }
}

/// The call to a node that is waited for: what comes after the node in its path.
#[derive(Debug, Default)]
struct UnderWay(Mutex<String>);

impl UnderWay {
    fn begins(&self, what: &str) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        what.clone_into(&mut asked);
    }

    /// As the client names its calls.
    fn call(&self, node: &NodeName) -> String {
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        format!("GET /nodes/{node}/{asked}")
    }
}

async fn ask(
    read: &ReadClient,
    host: &HostRecord,
    node: &NodeName,
    base: Option<&Base>,
    under_way: &UnderWay,
) -> Result<Told, PveError> {
    under_way.begins("status");
    let status = read.node_status(node).await?;
    under_way.begins("storage");
    let storages = read.storages(node).await?;
    under_way.begins("network");
    let bridges = read.bridges(node).await?;
    let version = status.pve_version.as_deref().map(short_version);
    let too_old = too_old(base, version.as_deref());
    let templates = match base {
        Some(wanted) => {
            under_way.begins(&format!("storage/{}/content", host.template_storage));
            templates(read, host, node, wanted).await?
        }
        None => Vec::new(),
    };
    let offer = match base {
        Some(wanted) if templates.is_empty() && too_old.is_none() => {
            under_way.begins("aplinfo");
            offer(read, host, node, wanted).await?
        }
        Some(_) | None => None,
    };
    Ok(Told {
        pve_version: version,
        memory_bytes: status.memory.total_bytes,
        memory_used_bytes: status.memory.used_bytes,
        cpus: u32::try_from(status.cpus.threads).unwrap_or(u32::MAX),
        cpu: None,
        storage: storages
            .into_iter()
            .find(|s| s.name == host.storage && s.holds(Content::RootDir)),
        bridges: bridges
            .into_iter()
            .filter(|b| b.active)
            .map(|b| b.name)
            .collect(),
        templates,
        offer,
        too_old,
    })
}

/// The version of a node that makes no containers of images, where one is wanted.
fn too_old(base: Option<&Base>, version: Option<&str>) -> Option<String> {
    base?.image()?;
    let version = version.unwrap_or("of a version that is not known");
    (!takes_images(version)).then(|| version.to_owned())
}

/// The newest template of this name that PVE offers the node, or the file that an image is pulled into, if the host entry and the
/// rights of its token let a deploy bring it. Whether a registry has the image is not asked.
pub(crate) async fn offer(
    read: &ReadClient,
    host: &HostRecord,
    node: &NodeName,
    base: &Base,
) -> Result<Option<String>, PveError> {
    if host.placement.templates_by_hand {
        return Ok(None);
    }
    let file = match base {
        Base::Template(template) => {
            let offered = read.appliances(node).await?.into_iter();
            let files = offered.map(|appliance| appliance.template);
            newest(files.filter(|file| template.matches(file)))
        }
        Base::Image(image) => Some(image.file()),
    };
    let Some(file) = file else {
        return Ok(None);
    };
    match may_bring(read, host, node, base).await {
        Ok(may) => Ok(may.then_some(file)),
        // A token that is not told what another one may do is no reason to know nothing of the node.
        Err(e) if e.is_permission_denied() => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether the token that fetches templates may put one onto the host entry's storage for them, and, of an image, let the node ask
/// its registry.
async fn may_bring(
    read: &ReadClient,
    host: &HostRecord,
    node: &NodeName,
    base: &Base,
) -> Result<bool, PveError> {
    let storage = format!("/storage/{}", host.template_storage);
    let may_keep = fetcher_holds(read, host, &storage, "Datastore.AllocateTemplate").await?;
    match base {
        Base::Image(_) if may_keep => {
            fetcher_holds(read, host, &format!("/nodes/{node}"), "Sys.AccessNetwork").await
        }
        Base::Image(_) | Base::Template(_) => Ok(may_keep),
    }
}

/// Whether the token that fetches templates holds this privilege on this path.
async fn fetcher_holds(
    read: &ReadClient,
    host: &HostRecord,
    path: &str,
    privilege: &str,
) -> Result<bool, PveError> {
    let id = |token: &Option<HostToken>| token.as_ref().map(|token| token.id.clone());
    let tokens = &host.purpose_tokens;
    let fetches = id(&tokens.images).unwrap_or_else(|| host.token_id.clone());
    let looks = id(&tokens.observe).unwrap_or_else(|| host.token_id.clone());
    let told = match fetches == looks {
        true => read.permissions(Some(path)).await?,
        false => read.permissions_of(&fetches, Some(path)).await?,
    };
    let held = told.get(path);
    Ok(held.is_some_and(|held| held.contains(privilege)))
}

/// `pve-manager/9.2.11/14a22df` → `9.2.11`.
fn short_version(text: &str) -> String {
    let mut parts = text.split('/');
    match (parts.next(), parts.next()) {
        (Some("pve-manager"), Some(version)) => version.to_owned(),
        _ => text.to_owned(),
    }
}

/// Matching templates on the host entry's template storage of one node, the newest last; or the file of the image.
pub(crate) async fn templates(
    read: &ReadClient,
    host: &HostRecord,
    node: &NodeName,
    base: &Base,
) -> Result<Vec<String>, PveError> {
    let storage = &host.template_storage;
    let rows = read
        .storage_content(node, storage, Content::Template)
        .await?;
    let mut found: Vec<String> = rows
        .into_iter()
        .map(|row| row.volid.to_string())
        .filter(|volid| base.matches(volid))
        .collect();
    found.sort_by(|a, b| by_version(a, b));
    Ok(found)
}

impl NodeLook {
    /// The newest of the templates that were looked for: the one that a container would be made from.
    pub(crate) fn newest_template(&self) -> Option<String> {
        match &self.told {
            Some(Ok(told)) => told.templates.last().cloned(),
            Some(Err(_)) | None => None,
        }
    }

    /// What would be downloaded first where there is none.
    pub(crate) fn offer(&self) -> Option<String> {
        match &self.told {
            Some(Ok(told)) => told.offer.clone(),
            Some(Err(_)) | None => None,
        }
    }

    /// As the rule of placement takes it, for a container on this bridge.
    pub(crate) fn capacity(
        &self,
        host: &HostRecord,
        promised: &Promises,
        bridge: &BridgeName,
    ) -> NodeCapacity {
        let state = match &self.told {
            None => NodeState::Offline,
            Some(Err(why)) => NodeState::Silent(why.clone()),
            Some(Ok(told)) => NodeState::Up(told.figures(bridge)),
        };
        let shared = match &self.told {
            Some(Ok(told)) => told.storage.as_ref().is_some_and(|s| s.shared),
            Some(Err(_)) | None => false,
        };
        NodeCapacity {
            host: host.label.clone(),
            node: self.node.clone(),
            state,
            excluded: host.placement.excluded_nodes.contains(&self.node),
            shut: host
                .ssh
                .as_ref()
                .is_some_and(|ssh| ssh.nodes.iter().all(|known| known.node != self.node)),
            promised_memory_mib: promised.memory_mib(host.id, &self.node),
            promised_disk_gib: promised.disk_gib(host.id, (!shared).then_some(&self.node)),
        }
    }
}

impl Told {
    fn figures(&self, bridge: &BridgeName) -> Figures {
        let mib = |bytes: u64| bytes >> 20;
        Figures {
            memory_mib: mib(self.memory_bytes),
            free_memory_mib: mib(self.memory_bytes.saturating_sub(self.memory_used_bytes)),
            cpus: self.cpus,
            storage: match &self.storage {
                None => StorageState::Absent,
                Some(s) if !s.active || !s.enabled => StorageState::Inactive,
                Some(s) => StorageState::Usable {
                    free_gib: s.available_bytes.unwrap_or(0) / GIB,
                },
            },
            has_bridge: self.bridges.contains(bridge),
            has_template: !self.templates.is_empty(),
            offers_template: self.offer.is_some(),
            too_old: self.too_old.clone(),
        }
    }
}

/// What deploys under way take when they are done, and PVE does not show yet.
#[derive(Debug, Default)]
pub(crate) struct Promises(HashMap<(HostId, NodeName), Sums>);

#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    memory_mib: u64,
    disk_gib: u64,
}

impl Promises {
    /// Reads the apps that are being deployed.
    pub(crate) async fn read(store: &Store) -> Result<Self, StoreError> {
        let promised = store.promised().await?;
        let by_place = promised.into_iter().map(|there| {
            let sums = Sums {
                memory_mib: there.memory_mib,
                disk_gib: there.disk_gib,
            };
            ((there.host, there.node), sums)
        });
        Ok(Self(by_place.collect()))
    }

    pub(crate) fn memory_mib(&self, host: HostId, node: &NodeName) -> u64 {
        let there = self.0.get(&(host, node.clone()));
        there.map_or(0, |p| p.memory_mib)
    }

    /// On one node, or on all of a cluster: a shared storage is the same for all its nodes.
    fn disk_gib(&self, host: HostId, node: Option<&NodeName>) -> u64 {
        let counts = |place: &(HostId, NodeName)| {
            place.0 == host && node.is_none_or(|node| place.1 == *node)
        };
        let there = self.0.iter().filter(|(place, _)| counts(place));
        there.map(|(_, p)| p.disk_gib).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_cut_out_of_the_packages_name() {
        assert_eq!(
            short_version("pve-manager/9.2.11/14a22df35955d97d"),
            "9.2.11"
        );
        assert_eq!(short_version("something else"), "something else");
    }

    /// Which of the questions it was says what to look at on the node.
    #[test]
    fn what_told_nothing_is_named_with_its_call() {
        let failed = |why: &str| PveError::NotSent {
            call: "GET /nodes/pve1/storage".to_owned(),
            why: why.to_owned(),
        };
        let said = "GET /nodes/pve1/storage: no route";
        for why in ["no route", "no answer after the request was sent: no route"] {
            assert_eq!(why_untold(&failed(why)), said);
        }
        let under_way = UnderWay::default();
        for asked in ["status", "storage"] {
            under_way.begins(asked);
        }
        let node = "pve1".parse().unwrap();
        assert_eq!(under_way.call(&node), "GET /nodes/pve1/storage");
    }
}
