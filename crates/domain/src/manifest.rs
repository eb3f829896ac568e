//! Desired state: what documents say once their values are put in. How they are read is not known here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Vmid;
use crate::ignore::Ignored;
use crate::names::{
    CatalogId, HostLabel, Hostname, ManifestName, NodeName, SecretName, SettingName, ValueName,
};
use crate::network::NetworkWish;
use crate::site::{CertificateFiles, NameWish};

/// What every document begins with; another form of documents gets another one.
pub const API_VERSION: &str = "proximity/v1";

/// What a document is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An app whose container we make.
    App,
    /// A container that is there and is taken over.
    AdoptedApp,
    /// Apps that belong together.
    Stack,
    /// Values that other documents name.
    Values,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::App, Self::AdoptedApp, Self::Stack, Self::Values];

    /// As documents write it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::App => "App",
            Self::AdoptedApp => "AdoptedApp",
            Self::Stack => "Stack",
            Self::Values => "Values",
        }
    }

    /// The kind of this label, letter by letter.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == label)
    }
}

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manifest {
    /// An app whose container we make.
    App {
        /// Its host name, which the record knows it by.
        name: Hostname,
        /// How it is to be.
        spec: AppSpec,
    },
    /// A container that is there and is taken over.
    AdoptedApp {
        /// What it is called here.
        name: Hostname,
        /// Which one it is, and what is to be done with it.
        spec: AdoptedSpec,
    },
    /// Apps that belong together.
    Stack {
        /// What others depend on.
        name: ManifestName,
        /// The apps.
        spec: StackSpec,
    },
    /// Values that other documents name.
    Values {
        /// For people.
        name: ManifestName,
        /// The values.
        spec: BTreeMap<ValueName, GivenValue>,
    },
}

impl Manifest {
    /// What it is about.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::App { .. } => Kind::App,
            Self::AdoptedApp { .. } => Kind::AdoptedApp,
            Self::Stack { .. } => Kind::Stack,
            Self::Values { .. } => Kind::Values,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::App { name, .. } | Self::AdoptedApp { name, .. } => name.as_str(),
            Self::Stack { name, .. } | Self::Values { name, .. } => name.as_str(),
        }
    }
}

/// How an app is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSpec {
    /// What is installed.
    pub catalog_id: CatalogId,
    /// The host entry; without one the best node of all hosts is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostLabel>,
    /// The node; without one the best of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// What the container gets.
    #[serde(default, skip_serializing_if = "ResourceWish::is_empty")]
    pub resources: ResourceWish,
    /// Settings of the catalog entry.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<SettingName, SettingSource>,
    /// How its container is attached to the network. Without it that is left as it is, as all that follows here; a new one is attached by
    /// DHCP to the host entry's bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Box<NetworkWish>>,
    /// How root of its container is let in; a new one has no way in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_access: Option<RootMode>,
    /// The public keys, where that is by keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub root_keys: Vec<String>,
    /// Under which host name it is led to; a new one under none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_name: Option<NameWish>,
    /// The certificate for that name; without one the ingress gets one by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Box<CertificateFiles>>,
    /// Apps that it is kept apart from when a node is chosen; a new one from none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apart_from: Option<Vec<Hostname>>,
    /// A catalog entry that fetches what is held against no SHA-256 is taken all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_unpinned: bool,
    /// Whether it runs; without it that is left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<WantedPower>,
    /// What a difference made by somebody else leads to.
    #[serde(default, skip_serializing_if = "Policy::is_default")]
    pub policy: Policy,
    /// Keys of its container's configuration that somebody else may change.
    #[serde(default, skip_serializing_if = "Ignored::is_empty")]
    pub ignore: Ignored,
    /// Apps and stacks that have to be there before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<ManifestName>,
    /// The stack that it is started and stopped with; of an app in a document of a stack, that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<ManifestName>,
}

/// What a container gets; what is left out comes from the catalog entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceWish {
    /// Memory limit, MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// CPU cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// Root file system, GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_gib: Option<u32>,
}

impl ResourceWish {
    /// Nothing is wished for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where a setting's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SettingSource {
    /// Yes or no.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// One line of text.
    Text(String),
    /// A secret, by its name alone.
    Secret(SecretReference),
}

/// A secret that is kept elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretReference {
    /// Its name.
    pub secret: SecretName,
}

/// How root of a container is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootMode {
    /// Not at all, but through the node.
    None,
    /// By public keys.
    Keys,
    /// By a password that is made for it, and shown once.
    Password,
}

impl RootMode {
    /// All, as documents write them.
    pub const LABELS: &'static [&'static str] = &["none", "keys", "password"];
}

/// Whether an app is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WantedPower {
    /// It runs.
    Running,
    /// It is shut down.
    Stopped,
}

impl WantedPower {
    /// Both, as documents write them.
    pub const LABELS: &'static [&'static str] = &["running", "stopped"];
}

/// What a difference leads to that somebody else made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// It is told.
    #[default]
    Warn,
    /// It is undone.
    Revert,
    /// It is taken as what is wanted from now on.
    Accept,
}

impl Policy {
    /// All, as documents write them.
    pub const LABELS: &'static [&'static str] = &["warn", "revert", "accept"];

    /// As documents write it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Revert => "revert",
            Self::Accept => "accept",
        }
    }

    #[allow(clippy::trivially_copy_pass_by_ref)] // as serde asks
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Which container is taken over, and what is done with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptedSpec {
    /// The host entry.
    pub host: HostLabel,
    /// Proxmox VE's number of the container.
    pub vmid: Vmid,
    /// What it is; without one it is taken from its name and tags.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub taken_for: Option<CatalogId>,
    /// The port its app listens on; without one the usual one of its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The gateway leads its ports to it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub expose: bool,
    /// It is told when it is configured otherwise than on the day of its adoption.
    #[serde(default, skip_serializing_if = "is_false")]
    pub guard: bool,
    /// Whether it runs; without it that is left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<WantedPower>,
    /// What a difference made by somebody else leads to.
    #[serde(default, skip_serializing_if = "Policy::is_default")]
    pub policy: Policy,
    /// Keys of its container's configuration that somebody else may change.
    #[serde(default, skip_serializing_if = "Ignored::is_empty")]
    pub ignore: Ignored,
    /// Apps and stacks that have to be there before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<ManifestName>,
    /// The stack that it is started and stopped with; of an app in a document of a stack, that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<ManifestName>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde asks
fn is_false(value: &bool) -> bool {
    !value
}

/// Apps that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackSpec {
    /// The apps.
    pub apps: Vec<StackApp>,
    /// Values for these apps alone; they go before those of documents of values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<ValueName, GivenValue>,
    /// Apps and stacks that have to be there before any of these apps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<ManifestName>,
}

/// One app of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackApp {
    /// Its host name.
    pub name: Hostname,
    /// How it is to be.
    #[serde(flatten)]
    pub spec: AppSpec,
}

/// A value that documents name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum GivenValue {
    /// Yes or no.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Text.
    Text(String),
    /// Several.
    List(Vec<GivenValue>),
    /// Values under one name.
    Tree(BTreeMap<ValueName, GivenValue>),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_is_known_by_its_label_alone() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.label()), Some(kind));
        }
        assert_eq!(Kind::parse("app"), None);
    }

    #[test]
    fn what_is_left_out_is_not_written() {
        let spec: AppSpec = serde_json::from_value(json!({"catalog_id": "nginx"})).unwrap();
        assert_eq!(spec.policy, Policy::Warn);
        assert_eq!(
            serde_json::to_value(&spec).unwrap(),
            json!({"catalog_id": "nginx"})
        );
    }

    #[test]
    fn a_setting_is_what_it_is_written_as() {
        let read = |value| serde_json::from_value::<SettingSource>(value).ok();
        assert_eq!(read(json!(true)), Some(SettingSource::Boolean(true)));
        assert_eq!(read(json!(7)), Some(SettingSource::Integer(7)));
        assert_eq!(read(json!("7")), Some(SettingSource::Text("7".to_owned())));
        let secret = SecretReference {
            secret: "db".parse().unwrap(),
        };
        assert_eq!(
            read(json!({"secret": "db"})),
            Some(SettingSource::Secret(secret))
        );
        assert_eq!(read(json!(1.5)), None);
        assert_eq!(read(json!({"secret": "Not A Name"})), None);
    }

    #[test]
    fn the_labels_are_those_that_are_read() {
        for label in WantedPower::LABELS {
            assert!(serde_json::from_value::<WantedPower>(json!(label)).is_ok());
        }
        for label in RootMode::LABELS {
            assert!(serde_json::from_value::<RootMode>(json!(label)).is_ok());
        }
        for label in Policy::LABELS {
            assert!(serde_json::from_value::<Policy>(json!(label)).is_ok());
        }
    }
}
