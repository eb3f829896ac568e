//! Which traps are set in a script, one case after the other: from what a play without any trap called.

use std::collections::BTreeMap;

use super::chance::Chance;
use super::run::{Play, Rehearsal};
use super::trap::{Snare, Trap, When};

/// What is tried at each call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// A stranger takes the number.
    Taken,
    /// From a change on, old lists are served.
    Stale,
    /// A look, or two, see nothing.
    Skipped,
    /// The wall clock jumps.
    Jumps,
    /// Steps are carried out twice.
    Twice,
}

impl Plan {
    /// Its name on command lines.
    ///
    /// # Errors
    /// The names there are.
    pub fn named(name: &str) -> Result<Self, String> {
        match name {
            "taken" => Ok(Self::Taken),
            "stale" => Ok(Self::Stale),
            "skipped" => Ok(Self::Skipped),
            "jumps" => Ok(Self::Jumps),
            "twice" => Ok(Self::Twice),
            _ => Err("the plans are taken, stale, skipped, jumps and twice".to_owned()),
        }
    }

    /// The engine's token has the rights its calls need, and no more.
    pub(super) fn is_narrow(self) -> bool {
        self == Self::Taken
    }

    /// The state at the end has to be that of the play without traps.
    pub(super) fn compares(self) -> bool {
        self != Self::Taken
    }
}

/// One case: where it is, and what is played.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// The place, the same for every seed.
    pub(super) point: String,
    /// What is played.
    pub(super) play: Play,
    /// What it is compared with, if not with the script itself.
    pub(super) beside: Option<Play>,
}

/// So many calls of one kind are tried at most.
const OF_A_KIND: u32 = 10;
/// Rounds for which old lists are served.
const LAGS: [u64; 10] = [1, 2, 3, 5, 8, 12, 16, 20, 25, 30];
/// How long a look is held back, milliseconds: what it was to see is over then.
const HELD_MS: u64 = 20_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Jumps of the wall clock, in each direction.
const JUMPS: [i64; 3] = [HOUR_MS, DAY_MS, 3_650 * DAY_MS];
/// Of all pairs of looks one in so many is tried with each seed.
const PAIRS_ONE_IN: u64 = 24;

/// The cases of a plan in this play, of which the calls are known.
pub(super) fn cases(plan: Plan, plain: &Play, calls: &BTreeMap<String, u32>) -> Vec<Case> {
    match plan {
        Plan::Taken => taken(plain, calls),
        Plan::Stale => stale(plain, calls),
        Plan::Skipped => skipped(plain, calls),
        Plan::Jumps => jumps(plain, calls),
        Plan::Twice => twice(plain),
    }
}

/// The calls of the kinds that are meant, each kind up to its bound.
fn tried(
    calls: &BTreeMap<String, u32>,
    is_meant: impl Fn(&str) -> bool,
) -> impl Iterator<Item = (&str, u32)> {
    let meant = calls.iter().filter(move |(call, _)| is_meant(call));
    meant.flat_map(|(call, count)| {
        (1..=(*count).min(OF_A_KIND)).map(move |nth| (call.as_str(), nth))
    })
}

fn is_change(call: &str) -> bool {
    !call.starts_with("GET ")
}

fn trapped(plain: &Play, traps: Vec<Trap>) -> Case {
    let places = traps.iter().map(|trap| {
        let Trap {
            call, nth, when, ..
        } = trap;
        format!("{when:?} {call} #{nth}")
    });
    Case {
        point: places.collect::<Vec<_>>().join(" and "),
        play: Play {
            traps,
            ..plain.clone()
        },
        beside: None,
    }
}

fn trap(call: &str, nth: u32, when: When, does: Snare) -> Trap {
    Trap {
        call: call.to_owned(),
        nth,
        when,
        does,
    }
}

/// Before and after each call that is about a container, a number, or a task.
fn taken(plain: &Play, calls: &BTreeMap<String, u32>) -> Vec<Case> {
    let about = |call: &str| {
        [
            "{vmid}",
            "/lxc",
            "nextid",
            "permissions",
            "{upid}",
            "resources",
        ]
        .iter()
        .any(|part| call.contains(part))
    };
    let mut all = Vec::new();
    let mut turn = plain.seed;
    for (call, nth) in tried(calls, about) {
        for when in [When::Before, When::After] {
            turn += 1;
            // What the stranger's container shows of the one before differs from case to case.
            let (mark, mac) = (turn % 4 >= 2, turn % 2 == 1);
            let does = Snare::Take { mark, mac };
            all.push(trapped(plain, vec![trap(call, nth, when, does)]));
        }
    }
    all
}

/// From each change on, of each node and of all.
fn stale(plain: &Play, calls: &BTreeMap<String, u32>) -> Vec<Case> {
    let mut all = Vec::new();
    let mut turn = usize::try_from(plain.seed).unwrap_or(0);
    for (call, nth) in tried(calls, is_change) {
        for node in [None, Some(0), Some(1), Some(2)] {
            turn += 1;
            // Another seed tries the next two.
            for lag in [0, 5] {
                let cycles = LAGS[(turn + lag) % LAGS.len()];
                let does = Snare::OldView { node, cycles };
                let mut case = trapped(plain, vec![trap(call, nth, When::After, does)]);
                case.point = format!("{} {node:?} {cycles}", case.point);
                all.push(case);
            }
        }
    }
    all
}

/// Each look alone, and pairs of them.
fn skipped(plain: &Play, calls: &BTreeMap<String, u32>) -> Vec<Case> {
    let looks: Vec<(&str, u32)> = tried(calls, |call| !is_change(call)).collect();
    let miss = |(call, nth): (&str, u32)| trap(call, nth, When::Before, Snare::Miss);
    let hold = |(call, nth): (&str, u32)| {
        let does = Snare::Hold { ms: HELD_MS };
        trap(call, nth, When::Before, does)
    };
    let mut all = Vec::new();
    let mut chance = Chance::of(plain.seed, "pairs");
    for (at, look) in looks.iter().enumerate() {
        all.push(trapped(plain, vec![miss(*look)]));
        all.push(trapped(plain, vec![hold(*look)]));
        for other in looks.iter().skip(at + 1) {
            if chance.one_in(PAIRS_ONE_IN) {
                let both = if chance.one_in(2) {
                    vec![miss(*look), miss(*other)]
                } else {
                    vec![hold(*look), hold(*other)]
                };
                all.push(trapped(plain, both));
            }
        }
    }
    all
}

/// At each call, there and back.
fn jumps(plain: &Play, calls: &BTreeMap<String, u32>) -> Vec<Case> {
    let mut all = Vec::new();
    let mut turn = usize::try_from(plain.seed).unwrap_or(0);
    for (call, nth) in tried(calls, |_| true) {
        turn += 1;
        for direction in [1, -1] {
            let ms = direction * JUMPS[turn % JUMPS.len()];
            let mut case = trapped(
                plain,
                vec![trap(call, nth, When::After, Snare::Jump { ms })],
            );
            case.point = format!("{} by {ms} ms", case.point);
            all.push(case);
        }
    }
    all
}

/// Every step twice; and, with each step in turn left out, the way back from there.
fn twice(plain: &Play) -> Vec<Case> {
    let with = |twice: bool, never: Option<&String>| Play {
        rehearsal: Rehearsal {
            twice,
            never: never.cloned(),
        },
        ..plain.clone()
    };
    let mut all = vec![Case {
        point: "every step twice".to_owned(),
        play: with(true, None),
        beside: None,
    }];
    for step in steps() {
        all.push(Case {
            point: format!("{step} left out"),
            play: with(true, Some(&step)),
            beside: Some(with(false, Some(&step))),
        });
    }
    all
}

/// `operation/step` of every saga.
fn steps() -> Vec<String> {
    let points = proximity_engine::saga::crash_points();
    let steps = points
        .iter()
        .filter_map(|point| point.strip_suffix("/after_intent"));
    steps.map(str::to_owned).collect()
}
