//! The firewall's configuration, as files of the cluster: kept, read and checked as Proxmox VE does it (pve-firewall,
//! `Firewall.pm`). Nothing is filtered by it.

mod format;
mod macros;
mod parse;
mod parse_rule;
mod row;
mod verify;

use std::collections::BTreeMap;

pub(crate) use parse::is_zero_prefix;
pub(crate) use row::{Row, digest_of};
pub(crate) use verify::{Fault, verify};

/// Files below `/etc/pve` by their names.
pub(crate) type Files = BTreeMap<String, String>;

/// Whose configuration it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// The whole cluster.
    Cluster,
    /// A security group, which stands in the cluster's file.
    Group(String),
    /// One node.
    Node(String),
    /// A container, or a number that is none.
    Guest(u32),
}

impl Place {
    /// Where its configuration lies.
    fn file(&self) -> String {
        match self {
            Self::Cluster | Self::Group(_) => "firewall/cluster.fw".into(),
            Self::Node(node) => format!("nodes/{node}/host.fw"),
            Self::Guest(vmid) => format!("firewall/{vmid}.fw"),
        }
    }

    /// The cluster's lock on it.
    pub(crate) fn lock(&self) -> String {
        match self {
            Self::Cluster | Self::Group(_) => "firewall-cluster".into(),
            Self::Node(node) => format!("firewall-host-{node}"),
            Self::Guest(vmid) => format!("firewall-vm-{vmid}"),
        }
    }

    /// What rules may say here.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Cluster => Kind::Cluster,
            Self::Group(_) => Kind::Group,
            Self::Node(_) => Kind::Host,
            Self::Guest(_) => Kind::Guest,
        }
    }
}

/// What rules may say depends on where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Cluster,
    Group,
    Host,
    Guest,
}

impl Kind {
    /// As Proxmox VE names it in refusals.
    fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Group => "group",
            Self::Host => "host",
            Self::Guest => "ct",
        }
    }

    /// Types of rules.
    fn types(self) -> &'static [&'static str] {
        match self {
            Self::Cluster | Self::Host => &["in", "out", "forward", "group"],
            Self::Group => &["in", "out", "forward"],
            Self::Guest => &["in", "out", "group"],
        }
    }
}

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Config {
    /// By name.
    pub(crate) options: BTreeMap<String, String>,
    /// By name in small letters.
    pub(crate) aliases: BTreeMap<String, Row>,
    /// Members of sets by name.
    pub(crate) sets: BTreeMap<String, Vec<Row>>,
    pub(crate) set_comments: BTreeMap<String, String>,
    /// In their order; nothing if there is no file.
    pub(crate) rules: Option<Vec<Row>>,
    /// Rules of security groups by name.
    pub(crate) groups: BTreeMap<String, Vec<Row>>,
    pub(crate) group_comments: BTreeMap<String, String>,
}

/// A configuration, and the cluster's if it is another one.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) cluster: Option<Config>,
    pub(crate) own: Config,
}

impl Loaded {
    /// What its rules can speak of.
    pub(crate) fn sight(&self) -> Sight<'_> {
        Sight {
            cluster: self.cluster.as_ref(),
            own: Some(&self.own),
        }
    }
}

/// Whose aliases and sets a rule can speak of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) cluster: Option<&'a Config>,
    pub(crate) own: Option<&'a Config>,
}

impl Sight<'_> {
    /// An alias by where it is looked for (`dc/`, `guest/` or nothing) and its name.
    pub(crate) fn alias(&self, scope: &str, name: &str) -> Option<&Row> {
        let name = name.to_lowercase();
        let in_own = self.own.filter(|_| scope != "dc/");
        let in_cluster = self.cluster.filter(|_| scope != "guest/");
        let mut places = in_own.into_iter().chain(in_cluster);
        places.find_map(|config| config.aliases.get(&name))
    }

    fn has_alias(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let mut places = self.own.into_iter().chain(self.cluster);
        places.any(|config| config.aliases.contains_key(&name))
    }

    fn has_set(&self, name: &str) -> bool {
        let mut places = self.own.into_iter().chain(self.cluster);
        places.any(|config| config.sets.contains_key(name))
    }
}

/// Reads a configuration.
pub(crate) fn load(files: &Files, place: &Place, now_s: u64) -> Loaded {
    let cluster = read(files, &Place::Cluster, None, now_s);
    match place {
        Place::Cluster | Place::Group(_) => Loaded {
            cluster: None,
            own: cluster,
        },
        Place::Node(_) | Place::Guest(_) => Loaded {
            own: read(files, place, Some(&cluster), now_s),
            cluster: Some(cluster),
        },
    }
}

fn read(files: &Files, place: &Place, cluster: Option<&Config>, now_s: u64) -> Config {
    match files.get(&place.file()) {
        Some(text) => parse::parse(text, place.kind(), cluster, now_s),
        None => Config::default(),
    }
}

/// Writes a configuration; what says nothing has no file.
pub(crate) fn save(files: &mut Files, place: &Place, config: &Config) {
    let text = format::format(config);
    if text.is_empty() {
        files.remove(&place.file());
    } else {
        files.insert(place.file(), text);
    }
}

/// A container's file.
pub(crate) fn text_of(files: &Files, vmid: u32) -> Option<String> {
    files.get(&Place::Guest(vmid).file()).cloned()
}

/// Puts a container's file back.
pub(crate) fn restore(files: &mut Files, vmid: u32, text: String) {
    files.insert(Place::Guest(vmid).file(), text);
}

/// A container is gone.
pub(crate) fn forget(files: &mut Files, vmid: u32) {
    let file = Place::Guest(vmid).file();
    if files.contains_key(&file) {
        files.remove(&file);
    }
}

/// A container is copied, and what filters it with it.
pub(crate) fn copy(files: &mut Files, vmid: u32, new: u32) {
    match text_of(files, vmid) {
        Some(text) => restore(files, new, text),
        None => forget(files, new),
    }
}
