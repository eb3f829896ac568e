//! Traps: what happens at one certain call of the engine, so that every moment of an operation can be tried in turn.

use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// The cluster lists its guests for so many rounds as it did last; so does this node alone, or each.
    OldList {
        /// Which node.
        node: Option<u8>,
        /// Rounds.
        cycles: u64,
    },
    /// The call gets no answer, and does nothing; so does every further one of its kind for some seconds: whoever asks for the
    /// same once more is told no more.
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
    /// The process that sends it stands still, as by SIGSTOP, and goes on later: before its transport looks at the clock for the
    /// last time, or before it takes the answer.
    Stall {
        /// Milliseconds.
        ms: u64,
    },
}

/// A call that came past, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Its kind, as [`kind_of`] names it.
    pub(super) call: Arc<str>,
    /// The how-manieth of its kind; the first one is 1.
    pub(super) nth: u32,
    /// How many acts had begun.
    pub(super) acts: usize,
    /// The newest change before it, since the newest act began.
    pub(super) change: Option<Arc<str>>,
}

/// The traps that are set, and what came past.
#[derive(Debug, Clone, Default)]
pub(super) struct Traps {
    set: Vec<Trap>,
    counted: BTreeMap<Arc<str>, u32>,
    passed: Vec<Moment>,
    acts: usize,
    change: Option<Arc<str>>,
    unanswered: BTreeMap<Arc<str>, u64>,
    sprung: u32,
}

/// How long a call stays without an answer, milliseconds: longer than a look waits, and shorter than what a step waits in all its attempts (two
/// pauses, some six seconds), which then ends as if nothing had been.
const UNANSWERED_MS: u64 = 4_000;

/// A call that comes past.
#[derive(Debug, Clone)]
pub(super) struct Passing {
    call: Arc<str>,
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

    /// The act of this number begins; the first one is 1.
    pub(super) fn act(&mut self, number: usize) {
        self.acts = number;
        self.change = None;
    }

    /// A call comes past.
    pub(super) fn pass(&mut self, request: &Request) -> Passing {
        let kind = kind_of(request);
        let call = match self.counted.get_key_value(kind.as_str()) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::from(kind),
        };
        let counted = self.counted.entry(Arc::clone(&call)).or_default();
        *counted += 1;
        let number = *counted;
        self.passed.push(Moment {
            call: Arc::clone(&call),
            nth: number,
            acts: self.acts,
            change: self.change.clone(),
        });
        if !request.method.is_read() {
            self.change = Some(Arc::clone(&call));
        }
        Passing { call, number }
    }

    /// What happens to it now.
    pub(super) fn spring(&mut self, passing: &Passing, when: When) -> Vec<Snare> {
        let hit = |trap: &&Trap| {
            trap.when == when && trap.nth == passing.number && trap.call == *passing.call
        };
        let hit: Vec<Snare> = self.set.iter().filter(hit).map(|trap| trap.does).collect();
        self.sprung += u32::try_from(hit.len()).unwrap_or(0);
        hit
    }

    /// Calls of this kind get no answer for a while.
    pub(super) fn stop_answering(&mut self, passing: &Passing, now_ms: u64) {
        let call = Arc::clone(&passing.call);
        self.unanswered.insert(call, now_ms + UNANSWERED_MS);
    }

    /// It gets none.
    pub(super) fn is_unanswered(&self, passing: &Passing, now_ms: u64) -> bool {
        let until = self.unanswered.get(&passing.call);
        until.is_some_and(|until| now_ms < *until)
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
    pub(super) fn counted(&self) -> BTreeMap<String, u32> {
        let counted = self.counted.iter();
        counted
            .map(|(call, count)| (call.to_string(), *count))
            .collect()
    }

    /// What came past, in its order.
    pub(super) fn passed(&self) -> &[Moment] {
        &self.passed
    }
}

/// The kind of a call: its method and path, with names and numbers left out.
pub(super) fn kind_of(request: &Request) -> String {
    let mut kind = format!("{} ", request.method);
    for (place, part) in request.path.split('/').enumerate() {
        if place > 0 {
            kind.push('/');
        }
        kind.push_str(if NODES.contains(&part) {
            "{node}"
        } else if part.starts_with("UPID") {
            "{upid}"
        } else if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            "{vmid}"
        } else {
            part
        });
    }
    kind
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
        let nths = traps.passed().iter().map(|moment| moment.nth);
        assert_eq!(
            (traps.sprung(), nths.collect::<Vec<_>>()),
            (1, vec![1, 2, 3])
        );
    }
}
