//! What is there: on record, and in the clusters.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{Namesake, Obstacle};
use crate::app::{AppClass, StatusLabel};
use crate::create::Resources;
use crate::ids::{AppId, HostId, OperationId, Vmid};
use crate::made_with::MadeWith;
use crate::manifest::WantedPower;
use crate::names::{BridgeName, CatalogId, HostLabel, Hostname, NodeName, SecretName};
use crate::network::Network;
use crate::site::Site;

/// An app on record, as far as a plan looks at it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recorded {
    /// Its id.
    pub id: AppId,
    /// Its host name.
    pub name: Hostname,
    /// Whether its container was made or found.
    pub class: AppClass,
    /// Whoever asks may plan for it.
    pub is_own: bool,
    /// Its status.
    pub status: StatusLabel,
    /// The operation that is at work on it.
    pub busy: Option<OperationId>,
    /// What is installed, or what it was taken for.
    pub catalog_id: CatalogId,
    /// The host entry.
    pub host: HostId,
    /// The node it was last seen on.
    pub node: NodeName,
    /// Its container; none before one is made.
    pub vmid: Option<Vmid>,
    /// What its container was given.
    pub resources: Resources,
    /// Its settings; what is secret is `null`.
    pub settings: BTreeMap<String, Value>,
    /// Where it listens.
    pub port: u16,
    /// The gateway leads to it.
    pub exposed: bool,
    /// Its drift is told.
    pub guarded: bool,
    /// What its container was made with, and which apps it is kept apart from.
    pub made_with: MadeWith,
    /// The bridge of its host entry, which is meant where none is named.
    pub bridge: Option<BridgeName>,
    /// Under which host name it is led to.
    pub site: Option<Site>,
    /// The apps it depends on, by what was applied last.
    pub depends_on: Vec<Hostname>,
    /// The secrets that were put in then, with their versions; 0 = not known which.
    pub secrets: BTreeMap<SecretName, i64>,
}

impl Recorded {
    /// A network as it is meant for this app: where it names no bridge, with that of the host entry.
    #[must_use]
    pub fn meant(&self, network: &Network) -> Network {
        let bridge = network.bridge.clone();
        Network {
            bridge: bridge.or_else(|| self.bridge.clone()),
            ..network.clone()
        }
    }
}

/// A figure that was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// It was not told.
    #[default]
    Unknown,
    /// There is no such key.
    Absent,
    /// It is this.
    Is(u64),
}

/// Where it was seen what a container is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SeenBy {
    /// In the cluster's list: as far as the list tells.
    List,
    /// In its configuration.
    Configuration,
}

/// A container as it is now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Observed {
    /// Where that was seen.
    pub by: SeenBy,
    /// Where it is.
    pub node: NodeName,
    /// Whether it runs; `None` if the cluster does not know.
    pub power: Option<WantedPower>,
    /// Memory limit, MiB.
    pub memory_mib: Figure,
    /// CPU cores; absent = all of the node.
    pub cores: Figure,
    /// Root file system, bytes; unknown where only the list was seen.
    pub disk_bytes: Figure,
    /// The same by the list, which tells how large the file system inside is while it runs: somewhat less, and no name of a state.
    #[serde(skip)]
    pub listed_disk_bytes: Option<u64>,
    /// The state of its configuration, if that was read.
    pub digest: Option<String>,
    /// What would be destroyed with it; `None` if its configuration was not read.
    pub volumes: Option<Vec<String>>,
    /// What was seen that keeps it from being changed, taken over or told to be as wanted.
    pub obstacles: Vec<Obstacle>,
}

/// What was seen of a container.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sight<'a> {
    /// This.
    Seen(&'a Observed),
    /// It is not there: the cluster was seen whole.
    Absent,
    /// That was not read: why.
    Unread(&'a Obstacle),
}

/// A host entry, and whether its cluster was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct HostSight {
    /// Its label.
    pub label: HostLabel,
    /// Why its cluster was not read; `None` if it was.
    pub unread: Option<Obstacle>,
}

/// All that is there.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// All live apps.
    pub recorded: Vec<Recorded>,
    /// All host entries.
    pub hosts: BTreeMap<HostId, HostSight>,
    /// Containers of the clusters that were read.
    pub containers: BTreeMap<(HostId, Vmid), Observed>,
    /// Containers without a record that are called like an app for which one would be made.
    pub namesakes: BTreeMap<Hostname, Vec<Namesake>>,
    /// All secrets, with their versions.
    pub secrets: BTreeMap<SecretName, i64>,
    /// What documents wanted of the resources of an app when they were applied last, by the catalog as it is now. Of apps of which others may
    /// change some; none of one that was never applied.
    pub said: BTreeMap<AppId, Resources>,
}

impl State {
    /// What was seen of a container; `None` if there is no such host entry.
    #[must_use]
    pub fn sight(&self, host: HostId, vmid: Vmid) -> Option<Sight<'_>> {
        let entry = self.hosts.get(&host)?;
        Some(match (&entry.unread, self.containers.get(&(host, vmid))) {
            (Some(why), _) => Sight::Unread(why),
            (None, Some(seen)) => Sight::Seen(seen),
            (None, None) => Sight::Absent,
        })
    }

    /// Containers of this name that no record has, on this host or on any.
    pub(super) fn of_name(
        &self,
        name: &Hostname,
        host: Option<HostId>,
    ) -> impl Iterator<Item = &Namesake> {
        let all = self.namesakes.get(name).into_iter().flatten();
        all.filter(move |one| host.is_none_or(|host| host == one.host))
    }
}
