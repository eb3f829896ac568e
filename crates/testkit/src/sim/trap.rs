//! Traps: what happens at one certain call of the engine, so that every moment of an operation can be tried in turn.

use std::collections::BTreeMap;

use proximity_pve::transport::Request;
use serde::{Deserialize, Serialize};

use super::act::NODES;

/// What happens at the call of this kind and number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trap {
    /// The kind of call, as [`kind_of`] names it.
    pub call: String,
    /// The first one is 1.
    pub nth: u32,
    /// When.
    pub when: When,
    /// What.
    pub does: Snare,
}

/// At which end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Right before it reaches its node.
    Before,
    /// Right after its node took it, while the answer is on its way.
    After,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Snare {
    /// A stranger has the number that the call is about; of a call about no number, that of the first container of ours.
    Take {
        /// It shows the mark of the one before.
        mark: bool,
        /// It has the MAC of the one before.
        mac: bool,
    },
    /// The cluster goes on seeing for so many rounds what this node told last; without a number, what each of them did.
    OldView {
        /// Which node.
        node: Option<u8>,
        /// Rounds.
        cycles: u64,
    },
    /// The call gets no answer, and does nothing.
    Miss,
    /// It waits so long before it reaches its node.
    Hold {
        /// Milliseconds.
        ms: u64,
    },
    /// The wall clock of the engine's machine jumps.
    Jump {
        /// By so much.
        ms: i64,
    },
}

/// The traps that are set, and how often each kind of call came past.
#[derive(Debug, Clone, Default)]
pub(super) struct Traps {
    set: Vec<Trap>,
    passed: BTreeMap<String, u32>,
    sprung: u32,
}

/// A call that comes past.
#[derive(Debug, Clone)]
pub(super) struct Passing {
    call: String,
    number: u32,
}

impl Traps {
    /// These.
    pub(super) fn of(set: Vec<Trap>) -> Self {
        Self {
            set,
            ..Self::default()
        }
    }

    /// A call comes past.
    pub(super) fn pass(&mut self, request: &Request) -> Passing {
        let call = kind_of(request);
        let passed = self.passed.entry(call.clone()).or_default();
        *passed += 1;
        let number = *passed;
        Passing { call, number }
    }

    /// What happens to it now.
    pub(super) fn spring(&mut self, passing: &Passing, when: When) -> Vec<Snare> {
        let hit = |trap: &&Trap| {
            trap.when == when && trap.nth == passing.number && trap.call == passing.call
        };
        let hit: Vec<Snare> = self.set.iter().filter(hit).map(|trap| trap.does).collect();
        self.sprung += u32::try_from(hit.len()).unwrap_or(0);
        hit
    }

    /// One that was sprung could do nothing.
    pub(super) fn missed(&mut self) {
        self.sprung = self.sprung.saturating_sub(1);
    }

    /// How many were sprung.
    pub(super) fn sprung(&self) -> u32 {
        self.sprung
    }

    /// How many calls of each kind came past.
    pub(super) fn passed(&self) -> BTreeMap<String, u32> {
        self.passed.clone()
    }
}

/// The kind of a call: its method and path, with names and numbers left out.
pub(super) fn kind_of(request: &Request) -> String {
    let part = |part: &str| {
        if NODES.contains(&part) {
            "{node}".to_owned()
        } else if part.starts_with("UPID") {
            "{upid}".to_owned()
        } else if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            "{vmid}".to_owned()
        } else {
            part.to_owned()
        }
    };
    let path: Vec<String> = request.path.split('/').map(part).collect();
    format!("{} {}", request.method, path.join("/"))
}

#[cfg(test)]
mod tests {
    use proximity_pve::transport::Method;

    use super::*;
    use crate::pve::request;

    #[test]
    fn the_nth_call_of_its_kind_springs_it_once() {
        let call = request(Method::Get, "/nodes/pve2/lxc/100/config", &[]);
        let kind = "GET /nodes/{node}/lxc/{vmid}/config";
        assert_eq!(kind_of(&call), kind);
        let trap = Trap {
            call: kind.to_owned(),
            nth: 2,
            when: When::Before,
            does: Snare::Miss,
        };
        let mut traps = Traps::of(vec![trap]);
        let springs = |traps: &mut Traps, when| {
            let passing = traps.pass(&call);
            traps.spring(&passing, when).len()
        };
        assert_eq!(springs(&mut traps, When::Before), 0);
        let passing = traps.pass(&call);
        assert!(traps.spring(&passing, When::After).is_empty());
        assert_eq!(traps.spring(&passing, When::Before), vec![Snare::Miss]);
        assert_eq!(springs(&mut traps, When::Before), 0);
        assert_eq!((traps.sprung(), traps.passed()[kind]), (1, 3));
    }
}
