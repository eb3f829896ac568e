//! The pre-flight of a deploy: everything that decides whether an app can be made, held against what it needs, in numbers.
//!
//! Pure: whoever asks brings what was read just now. The rules of placement are those of [`crate::place`], so that a
//! pre-flight and a deploy cannot judge the same nodes differently. What could not be read is said so; it is never counted.

mod nodes;

use std::fmt;
use std::net::IpAddr;

use crate::ids::Vmid;
use crate::names::{Hostname, SiteName};
use crate::network::{Conflict, Network};
use crate::place::{Need, NoPlace, NodeCapacity, is_apart, place};
use crate::ports::PortRange;

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// The host name: whether it is free.
    Name,
    /// Where the app would go.
    Place,
    /// A host entry as a whole.
    Host,
    /// A node as a whole.
    Node,
    /// Memory of a node.
    Memory,
    /// CPU threads of a node.
    Cores,
    /// Room on the storage for root file systems.
    Storage,
    /// The OS template.
    Template,
    /// The bridge.
    Bridge,
    /// The way into containers of a node.
    Ssh,
    /// Public ports that are free.
    PublicPorts,
    /// Internal ports that are free.
    InternalPorts,
    /// Privileges of the host's tokens.
    Rights,
    /// Name servers that the container is given.
    NameServers,
    /// An address that is given by hand.
    Address,
    /// Whether it is kept apart from the apps that were named.
    Apart,
    /// The host name that it is to be led to under from outside: whether it is free.
    Site,
}

impl What {
    /// Every one there is.
    pub const ALL: [Self; 17] = [
        Self::Name,
        Self::Place,
        Self::Host,
        Self::Node,
        Self::Memory,
        Self::Cores,
        Self::Storage,
        Self::Template,
        Self::Bridge,
        Self::Ssh,
        Self::PublicPorts,
        Self::InternalPorts,
        Self::Rights,
        Self::NameServers,
        Self::Address,
        Self::Apart,
        Self::Site,
    ];

    /// As it is told, `snake_case`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Place => "place",
            Self::Host => "host",
            Self::Node => "node",
            Self::Memory => "memory",
            Self::Cores => "cores",
            Self::Storage => "storage",
            Self::Template => "template",
            Self::Bridge => "bridge",
            Self::Ssh => "ssh",
            Self::PublicPorts => "public_ports",
            Self::InternalPorts => "internal_ports",
            Self::Rights => "rights",
            Self::NameServers => "name_servers",
            Self::Address => "address",
            Self::Apart => "apart",
            Self::Site => "site",
        }
    }
}

/// What a line comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It is enough.
    Ok,
    /// It is not, or not known, and the deploy goes on all the same.
    Warn,
    /// A deploy would be refused.
    Stop,
}

impl Verdict {
    /// As it is told.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Stop => "stop",
        }
    }
}

/// A figure, or a name where there is nothing to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amount {
    /// So many of the line's unit.
    Number(u64),
    /// A name, or a state in one word.
    Text(String),
}

impl Amount {
    fn text(text: impl fmt::Display) -> Self {
        Self::Text(text.to_string())
    }

    fn count(count: usize) -> Self {
        Self::Number(u64::try_from(count).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is about.
    pub what: What,
    /// `host/node` or a host entry; `None` = the installation.
    pub place: Option<String>,
    /// As read just now; `None` = not read, and `note` says why.
    pub has: Option<Amount>,
    /// What the app needs of it.
    pub wants: Option<Amount>,
    /// Of the numbers, e.g. `MiB`.
    pub unit: Option<&'static str>,
    /// What it comes to.
    pub verdict: Verdict,
    /// The code that a deploy is refused with for it.
    pub code: Option<&'static str>,
    /// What is to be said of it, one sentence; empty if the figures say it all.
    pub note: String,
}

impl Line {
    fn new(what: What, verdict: Verdict) -> Self {
        Self {
            what,
            place: None,
            has: None,
            wants: None,
            unit: None,
            verdict,
            code: None,
            note: String::new(),
        }
    }
}

/// What was read, or why it was not.
pub type Reading<T> = Result<T, String>;

/// A node as placement sees it, with the names of what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// What placement judges.
    pub capacity: NodeCapacity,
    /// The newest template of the name that is wanted, as a volume.
    pub template: Option<String>,
    /// There is none, and a deploy would first download this file.
    pub offer: Option<String>,
    /// The prepared template that a deploy would clone.
    pub prepared: Option<Vmid>,
    /// The storage that was looked for.
    pub storage: String,
    /// The bridge that was looked for.
    pub bridge: String,
}

/// A host entry that could not be asked at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unasked {
    /// Its label.
    pub host: String,
    /// Stable code of what went wrong.
    pub code: &'static str,
    /// What went wrong.
    pub why: String,
}

/// The ports of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortFacts {
    /// From, to.
    pub range: PortRange,
    /// To give out now.
    pub free: usize,
    /// Of apps that are gone, not given out yet.
    pub resting: usize,
}

/// What the tokens hold of what making a container needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RightsFacts {
    /// How many privileges, each on its path, are needed.
    pub needed: usize,
    /// `privilege on path` of those that are not held.
    pub lacks: Vec<String>,
}

/// What was read at the place that would be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceFacts {
    /// What the tokens of its host may do.
    pub rights: Reading<RightsFacts>,
    /// Its name servers, in order: Proxmox VE writes them into a container that has none of its own.
    pub name_servers: Reading<Vec<String>>,
    /// Which of the addresses that are given another app of the host has.
    pub conflict: Option<Conflict>,
}

/// Everything a pre-flight judges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The host name that is asked for.
    pub hostname: Hostname,
    /// Another live app has it.
    pub taken: bool,
    /// The host name that the app is to be led to under from outside, if there is to be one, and whether another live app has it.
    pub site: Option<(SiteName, bool)>,
    /// What the app needs of a node.
    pub need: Need,
    /// The container's network.
    pub network: Network,
    /// The nodes that are in question, in the order of placement.
    pub nodes: Vec<NodeFacts>,
    /// Hosts that are passed over because they could not be asked.
    pub unasked: Vec<Unasked>,
    /// Public ports.
    pub public: PortFacts,
    /// Internal ports.
    pub internal: PortFacts,
    /// Of the place that [`Facts::chosen`] gives; `None` if there is none.
    pub at_place: Option<PlaceFacts>,
}

impl Facts {
    /// The place in `nodes` of the one that a deploy would take now.
    ///
    /// # Errors
    /// [`NoPlace`], with what each node lacks.
    pub fn chosen(&self) -> Result<usize, NoPlace> {
        let nodes = self.nodes.iter();
        let capacities: Vec<NodeCapacity> = nodes.map(|node| node.capacity.clone()).collect();
        place(&capacities, &self.need)
    }
}

/// What a pre-flight comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Everything that was looked at: what concerns the app, then each node, then the place that would be chosen.
    pub lines: Vec<Line>,
}

impl Judgement {
    /// Nothing that was read speaks against a deploy.
    #[must_use]
    pub fn is_deployable(&self) -> bool {
        self.lines.iter().all(|line| line.verdict != Verdict::Stop)
    }
}

/// Judges what was read.
#[must_use]
pub fn judge(facts: &Facts) -> Judgement {
    let chosen = facts.chosen();
    let mut lines = vec![name(facts)];
    lines.extend(facts.site.as_ref().map(|(name, taken)| site(name, *taken)));
    lines.push(ports(What::PublicPorts, facts.public));
    lines.push(ports(What::InternalPorts, facts.internal));
    lines.push(where_to(facts, &chosen));
    // What one node lacks stops nothing while another one has it all.
    let lacking = match &chosen {
        Ok(_) => Verdict::Warn,
        Err(_) => Verdict::Stop,
    };
    for host in &facts.unasked {
        lines.push(Line {
            place: Some(host.host.clone()),
            code: Some(host.code),
            note: format!("could not be asked: {}", host.why),
            ..Line::new(What::Host, lacking)
        });
    }
    for node in &facts.nodes {
        lines.extend(nodes::lines(node, &facts.need, lacking));
    }
    if let Some(chosen) = chosen.as_ref().ok().and_then(|at| facts.nodes.get(*at)) {
        lines.extend(apart(chosen, &facts.need));
    }
    if let (Ok(chosen), Some(at_place)) = (&chosen, &facts.at_place) {
        let place = facts.nodes.get(*chosen).map(nodes::place_of);
        lines.push(rights(place.clone(), &at_place.rights));
        lines.push(match facts.network.dns.as_slice() {
            [] => name_servers(place.clone(), &at_place.name_servers),
            given => given_servers(given),
        });
        let given = facts.network.given();
        let conflict = at_place.conflict.as_ref();
        lines.extend(
            given
                .iter()
                .map(|given| address(place.clone(), given, conflict)),
        );
    }
    Judgement { lines }
}

fn name(facts: &Facts) -> Line {
    let hostname = &facts.hostname;
    let wants = Some(Amount::text(hostname));
    match facts.taken {
        true => Line {
            has: Some(Amount::text("taken")),
            wants,
            code: Some("hostname_taken"),
            note: format!("the host name {hostname} is taken by another app"),
            ..Line::new(What::Name, Verdict::Stop)
        },
        false => Line {
            has: Some(Amount::text("free")),
            wants,
            ..Line::new(What::Name, Verdict::Ok)
        },
    }
}

/// What the DNS says of it is not asked: it may be set later.
fn site(name: &SiteName, taken: bool) -> Line {
    let wants = Some(Amount::text(name));
    match taken {
        true => Line {
            has: Some(Amount::text("taken")),
            wants,
            code: Some("exists"),
            note: format!("another app is led to under {name}"),
            ..Line::new(What::Site, Verdict::Stop)
        },
        false => Line {
            has: Some(Amount::text("no app's")),
            wants,
            note: "whether it leads here is not asked".to_owned(),
            ..Line::new(What::Site, Verdict::Ok)
        },
    }
}

fn ports(what: What, facts: PortFacts) -> Line {
    let PortRange { first, last } = facts.range;
    let resting = match facts.resting {
        0 => String::new(),
        resting => format!(", {resting} more rest"),
    };
    let is_out = facts.free == 0;
    let verdict = if is_out { Verdict::Stop } else { Verdict::Ok };
    Line {
        has: Some(Amount::count(facts.free)),
        wants: Some(Amount::Number(1)),
        unit: Some("ports"),
        code: is_out.then_some("ports_exhausted"),
        note: format!("of {first} to {last}{resting}"),
        ..Line::new(what, verdict)
    }
}

fn where_to(facts: &Facts, chosen: &Result<usize, NoPlace>) -> Line {
    let wants = Some(Amount::text("a node that has it all"));
    match chosen {
        Ok(at) => Line {
            has: facts.nodes.get(*at).map(nodes::place_of).map(Amount::Text),
            wants,
            note: "the best of those that have it all".to_owned(),
            ..Line::new(What::Place, Verdict::Ok)
        },
        Err(none) => {
            let unasked = facts.unasked.first().filter(|_| facts.nodes.is_empty());
            Line {
                has: Some(Amount::text("none")),
                wants,
                code: Some(unasked.map_or_else(|| none.code(), |host| host.code)),
                note: unasked.map_or_else(|| none.to_string(), |host| host.why.clone()),
                ..Line::new(What::Place, Verdict::Stop)
            }
        }
    }
}

fn rights(place: Option<String>, read: &Reading<RightsFacts>) -> Line {
    let line = match read {
        Err(why) => unread(What::Rights, why),
        Ok(rights) => {
            let lacks = rights.lacks.len();
            let is_short = lacks > 0;
            let verdict = if is_short { Verdict::Stop } else { Verdict::Ok };
            Line {
                has: Some(Amount::count(rights.needed.saturating_sub(lacks))),
                wants: Some(Amount::count(rights.needed)),
                code: is_short.then_some("token_too_narrow"),
                note: match is_short {
                    true => format!("lacks {}", rights.lacks.join(", ")),
                    false => String::new(),
                },
                ..Line::new(What::Rights, verdict)
            }
        }
    };
    Line {
        place,
        unit: Some("privileges"),
        ..line
    }
}

/// Said only of who is to be kept apart from somebody. A node that has such an app is taken when no other one fits.
fn apart(chosen: &NodeFacts, need: &Need) -> Option<Line> {
    if need.apart_from.is_empty() {
        return None;
    }
    let (has, note, verdict) = match is_apart(&chosen.capacity, need) {
        true => ("another node", String::new(), Verdict::Ok),
        false => (
            "the same node",
            "no other node fits, and an app it was to be kept apart from is there".to_owned(),
            Verdict::Warn,
        ),
    };
    Some(Line {
        place: Some(nodes::place_of(chosen)),
        has: Some(Amount::text(has)),
        wants: Some(Amount::text("another node")),
        note,
        ..Line::new(What::Apart, verdict)
    })
}

/// Those that are given take the place of the node's. Whether they answer is not asked.
fn given_servers(given: &[IpAddr]) -> Line {
    let texts: Vec<String> = given.iter().map(ToString::to_string).collect();
    Line {
        has: Some(Amount::count(given.len())),
        wants: Some(Amount::Number(1)),
        unit: Some("servers"),
        note: format!("given: {}", texts.join(", ")),
        ..Line::new(What::NameServers, Verdict::Ok)
    }
}

/// Of others than apps nothing is known: that is said, and no address is called free.
fn address(place: Option<String>, given: &IpAddr, conflict: Option<&Conflict>) -> Line {
    let line = match conflict.filter(|conflict| conflict.address == *given) {
        Some(conflict) => Line {
            has: Some(Amount::text("taken")),
            code: Some("address_taken"),
            note: conflict.to_string(),
            ..Line::new(What::Address, Verdict::Stop)
        },
        None => Line {
            has: Some(Amount::text("no app's")),
            note: "of what else may have it nothing is known".to_owned(),
            ..Line::new(What::Address, Verdict::Ok)
        },
    };
    Line {
        place,
        wants: Some(Amount::text(given)),
        ..line
    }
}

/// A container without name servers finds no packages. One that is told to ask itself neither: the node's loopback address is
/// its own inside.
fn name_servers(place: Option<String>, read: &Reading<Vec<String>>) -> Line {
    let is_itself = |server: &String| {
        let address = server.parse::<IpAddr>();
        address.is_ok_and(|address| address.is_loopback())
    };
    let line = match read {
        Err(why) => unread(What::NameServers, why),
        Ok(servers) => {
            let useful = servers.iter().filter(|server| !is_itself(server)).count();
            let note = match (servers.is_empty(), useful) {
                (true, _) => "the node has no name servers to hand on".to_owned(),
                (false, 0) => format!(
                    "the node asks itself ({}), which leads a container to its own loopback address",
                    servers.join(", ")
                ),
                (false, _) => servers.join(", "),
            };
            let verdict = match useful {
                0 => Verdict::Warn,
                _ => Verdict::Ok,
            };
            Line {
                has: Some(Amount::count(useful)),
                wants: Some(Amount::Number(1)),
                note,
                ..Line::new(What::NameServers, verdict)
            }
        }
    };
    Line {
        place,
        unit: Some("servers"),
        ..line
    }
}

/// Nothing was read, and so nothing is known.
fn unread(what: What, why: &str) -> Line {
    Line {
        note: format!("could not be read: {why}"),
        ..Line::new(what, Verdict::Warn)
    }
}

#[cfg(test)]
mod tests;
