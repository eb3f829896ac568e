//! The three sides of an app: from its record, from what is wanted of it, and from its container.

use serde_json::{Value, json};

use super::{Fields, Merged, Verdict, merge};
use crate::app::AppClass;
use crate::create::Resources;
use crate::desired::DesiredSpec;
use crate::manifest::{ResourceWish, WantedPower};
use crate::names::NodeName;
use crate::plan::size_text;

const GIB: u64 = 1 << 30;

/// What was applied last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// What the container was given; `None` of one that was taken over, which was given nothing.
    pub resources: Option<Resources>,
    /// How it was switched last by an operation of ours; `None`: none of those that are on record did.
    pub power: Option<WantedPower>,
}

/// A container as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actual {
    /// Memory limit, MiB.
    pub memory_mib: u64,
    /// CPU cores; `None` = all of the node.
    pub cores: Option<u64>,
    /// Root file system, bytes; `None` = its configuration does not say.
    pub disk_bytes: Option<u64>,
    /// Where it is.
    pub node: NodeName,
    /// Whether it runs; `None` = not known.
    pub power: Option<WantedPower>,
}

/// One field from all sides, as far as they are known.
#[derive(Default)]
struct Sides {
    last: Fields,
    wanted: Fields,
    now: Fields,
}

impl Sides {
    fn put(&mut self, path: &str, last: Value, wanted: Value, now: Option<Value>) {
        self.last.insert(path.to_owned(), last);
        self.wanted.insert(path.to_owned(), wanted);
        if let Some(now) = now {
            self.now.insert(path.to_owned(), now);
        }
    }
}

/// What differs between the three sides, but for what only the container's inside shows. Without documents the container is wanted as it
/// was applied; so is what they leave out. What they say that somebody else may change is there with its verdict, and is no drift: they were
/// applied when they said so, so that whatever differs of it by now is not their doing.
#[must_use]
pub fn sides(applied: &Applied, wanted: Option<&DesiredSpec>, actual: &Actual) -> Vec<Merged> {
    let mut sides = Sides::default();
    let (wish, node, power) = match wanted {
        Some(DesiredSpec::App(spec)) => (spec.resources, spec.node.as_ref(), spec.power),
        Some(DesiredSpec::AdoptedApp(spec)) => (ResourceWish::default(), None, spec.power),
        None => (ResourceWish::default(), None, None),
    };
    if let Some(given) = applied.resources {
        let memory = wish.memory_mib.unwrap_or(given.memory_mib);
        let now = Some(json!(actual.memory_mib));
        sides.put("memory", json!(given.memory_mib), json!(memory), now);
        let cores = wish.cores.unwrap_or(given.cores);
        let now = actual.cores.map(|cores| json!(cores));
        sides.put("cores", json!(given.cores), json!(cores), now);
        if let Some(bytes) = actual.disk_bytes {
            let size = |gib: u32| json!(size_text(u64::from(gib) * GIB));
            let disk = wish.disk_gib.unwrap_or(given.disk_gib);
            let now = Some(json!(size_text(bytes)));
            sides.put("rootfs", size(given.disk_gib), size(disk), now);
        }
    }
    // Where it was made is not on record: it is taken to have been where it is wanted.
    if let Some(node) = node {
        sides.put("node", json!(node), json!(node), Some(json!(actual.node)));
    }
    if let (Some(power), Some(now)) = (power, actual.power) {
        let before = applied.power.unwrap_or(power);
        sides.put("power", json!(before), json!(power), Some(json!(now)));
    }
    let mut all = merge(&sides.last, &sides.wanted, &sides.now);
    if let Some(DesiredSpec::App(spec)) = wanted {
        for field in &mut all {
            if spec.ignore.means(AppClass::Native, &field.path) {
                field.verdict = field.verdict.ignoring();
            }
        }
    }
    all.retain(|field| field.verdict != Verdict::Unchanged);
    all
}
