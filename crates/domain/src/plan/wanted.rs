//! What is wanted of each app, with what the catalog says put in.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::create::Resources;
use crate::ids::{HostId, Vmid};
use crate::ignore::Ignored;
use crate::made_with::RootAccess;
use crate::manifest::WantedPower;
use crate::names::{CatalogId, Hostname, NodeName, SecretName};
use crate::network::Network;
use crate::site::Site;

/// One app that is wanted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wanted {
    /// What the record is to know it by.
    pub name: Hostname,
    /// Its place in the order, from 0. It follows from what depends on what.
    #[serde(skip)]
    pub layer: u32,
    /// The apps that have to be there before it, by their names.
    pub depends_on: Vec<Hostname>,
    /// What is wanted.
    pub kind: WantedKind,
}

/// What is wanted of an app.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WantedKind {
    /// A container is made for it.
    App(WantedApp),
    /// A container that is there is taken over.
    Adopted(WantedAdopted),
}

/// How an app is to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WantedApp {
    /// What is installed.
    pub catalog_id: CatalogId,
    /// Where; without one the best of all is taken, and any is right.
    pub host: Option<HostId>,
    /// On which node, likewise.
    pub node: Option<NodeName>,
    /// What the container gets, from the catalog where the documents say nothing.
    pub resources: Resources,
    /// All settings of the catalog entry by the name that is recorded.
    pub settings: BTreeMap<String, WantedSetting>,
    /// Whether it runs; without it that is left as it is.
    pub power: Option<WantedPower>,
    /// What of its container somebody else may change.
    #[serde(skip_serializing_if = "Ignored::is_empty")]
    pub ignore: Ignored,
    /// How its container is attached to the network; without it that is left as it is, as all that follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Box<Network>>,
    /// How root is let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<RootAccess>,
    /// Under which host name it is led to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<Box<WantedSite>>,
    /// Which apps it is kept apart from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apart_from: Option<BTreeSet<Hostname>>,
}

/// Under which host name an app is to be led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WantedSite {
    /// Under none.
    Nobody,
    /// Under this one.
    Led(Site),
}

impl WantedSite {
    /// The site, if there is to be one.
    #[must_use]
    pub fn site(&self) -> Option<&Site> {
        match self {
            Self::Nobody => None,
            Self::Led(site) => Some(site),
        }
    }
}

impl WantedApp {
    /// The secrets that settings stand for.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        let settings = self.settings.values();
        settings.filter_map(|setting| match setting {
            WantedSetting::Secret(name) => Some(name),
            WantedSetting::Open(_) => None,
        })
    }
}

/// What a setting is to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WantedSetting {
    /// This value.
    Open(Value),
    /// What is kept under this name; no plan knows it.
    Secret(SecretName),
}

impl WantedSetting {
    /// As a plan shows it.
    #[must_use]
    pub fn shown(&self) -> Value {
        match self {
            Self::Open(value) => value.clone(),
            Self::Secret(name) => serde_json::json!({ "secret": name }),
        }
    }
}

/// Which container is taken over, and how it is to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WantedAdopted {
    /// The host entry.
    pub host: HostId,
    /// The container.
    pub vmid: Vmid,
    /// What it is; without one that is left as it is.
    pub taken_for: Option<CatalogId>,
    /// Where its app listens, likewise.
    pub port: Option<u16>,
    /// The gateway leads to it.
    pub expose: bool,
    /// Its drift is told.
    pub guard: bool,
    /// Whether it runs; without it that is left as it is.
    pub power: Option<WantedPower>,
}
