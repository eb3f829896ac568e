//! Faults of calls: which call is hit, and what becomes of it.

use std::collections::BTreeMap;

use proximity_pve_emulator::core::{Calls, FaultKind, FaultWish};
use serde::{Deserialize, Serialize};

use super::chance::Chance;

/// Calls the engine makes: verb, and path of PVE's schema.
const CALLS: [(&str, &str); 13] = [
    ("POST", "/nodes/{node}/lxc"),
    ("POST", "/nodes/{node}/lxc/{vmid}/status/start"),
    ("POST", "/nodes/{node}/lxc/{vmid}/status/shutdown"),
    ("POST", "/nodes/{node}/lxc/{vmid}/status/stop"),
    ("DELETE", "/nodes/{node}/lxc/{vmid}"),
    ("PUT", "/nodes/{node}/lxc/{vmid}/config"),
    ("GET", "/nodes/{node}/lxc/{vmid}/config"),
    ("GET", "/nodes/{node}/lxc/{vmid}/status/current"),
    ("GET", "/nodes/{node}/lxc/{vmid}/interfaces"),
    ("GET", "/cluster/resources"),
    ("GET", "/cluster/status"),
    ("GET", "/cluster/tasks"),
    ("GET", "/nodes/{node}/tasks/{upid}/status"),
];
/// Those of them that start a task: the first ones.
const TASKS: u64 = 5;
/// Those of them that change something: the first ones.
const CHANGES: u64 = 6;

/// What a refusal, a server that is broken, a task that fails and one that warns say.
pub(super) const WORDS: [&str; 4] = [
    "the simulation refuses this",
    "got no worker upid - start worker failed",
    "command 'simulated' failed: exit code 1",
    "the simulation warns of this",
];

/// What becomes of a call that is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names are the documentation
pub enum Harm {
    Refused,
    Unauthorized,
    Forbidden,
    Broken,
    Unreachable,
    Silent,
    CutBefore,
    CutAfter,
    Late { ms: u64 },
    Slow { ms: u64 },
    TaskFails { after_effect: bool },
    TaskLost { forgotten: bool },
    TaskWarns,
}

/// A fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    verb: String,
    path: String,
    times: u64,
    harm: Harm,
}

impl Fault {
    /// This one.
    pub(super) fn of(verb: &str, path: &str, harm: Harm, times: u64) -> Self {
        Self {
            verb: verb.to_owned(),
            path: path.to_owned(),
            times,
            harm,
        }
    }

    /// Draws one.
    pub(super) fn draw(chance: &mut Chance) -> Self {
        let for_task = chance.one_in(4);
        // Half of them hit calls that change something: those are the ones after which it matters what is known.
        let count = match (for_task, chance.one_in(2)) {
            (true, _) => TASKS,
            (false, true) => CHANGES,
            (false, false) => u64::try_from(CALLS.len()).unwrap_or(CHANGES),
        };
        let at = usize::try_from(chance.below(count)).unwrap_or(0);
        let (verb, path) = CALLS[at];
        let harm = if for_task {
            match chance.below(4) {
                0 => Harm::TaskFails {
                    after_effect: false,
                },
                1 => Harm::TaskFails { after_effect: true },
                2 => Harm::TaskLost { forgotten: true },
                _ => Harm::TaskLost { forgotten: false },
            }
        } else {
            Self::harm_of_a_call(chance)
        };
        Self {
            verb: verb.to_owned(),
            path: path.to_owned(),
            times: chance.within(1..=4),
            harm,
        }
    }

    fn harm_of_a_call(chance: &mut Chance) -> Harm {
        match chance.below(12) {
            0 => Harm::Refused,
            1 => Harm::Unauthorized,
            2 => Harm::Forbidden,
            3 => Harm::Broken,
            4 => Harm::Unreachable,
            5 => Harm::Silent,
            6 => Harm::CutBefore,
            7 | 8 => Harm::CutAfter,
            9 | 10 => Harm::Late {
                ms: chance.within(1..=25_000),
            },
            _ => Harm::Slow {
                ms: chance.within(1..=20_000),
            },
        }
    }

    /// As the emulated world takes it.
    pub(super) fn wish(&self) -> FaultWish {
        FaultWish {
            calls: Calls {
                verb: Some(self.verb.clone()),
                path: Some(self.path.clone()),
                ..Calls::default()
            },
            nth: 1,
            times: Some(self.times),
            kind: self.kind(),
        }
    }

    fn kind(&self) -> FaultKind {
        match self.harm {
            Harm::Refused => FaultKind::Refused {
                errors: BTreeMap::new(),
                message: Some(WORDS[0].to_owned()),
            },
            Harm::Unauthorized => FaultKind::Unauthorized {},
            Harm::Forbidden => FaultKind::Forbidden { missing: None },
            Harm::Broken => FaultKind::Broken {
                message: WORDS[1].to_owned(),
            },
            Harm::Unreachable => FaultKind::Unreachable { no_route: false },
            Harm::Silent => FaultKind::Timeout {},
            Harm::CutBefore => FaultKind::Cut { effect: false },
            Harm::CutAfter => FaultKind::Cut { effect: true },
            Harm::Late { ms } => FaultKind::Late { ms },
            Harm::Slow { ms } => FaultKind::Slow { ms },
            Harm::TaskFails { after_effect } => FaultKind::TaskError {
                message: WORDS[2].to_owned(),
                after_effect,
            },
            Harm::TaskLost { forgotten } => FaultKind::TaskLost { forgotten },
            Harm::TaskWarns => FaultKind::TaskWarnings {
                lines: vec![WORDS[3].to_owned()],
            },
        }
    }
}
