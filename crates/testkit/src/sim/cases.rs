//! Which traps are set in a script, one case after the other: from what a play without any trap called.

use std::collections::{BTreeMap, BTreeSet};

use super::chance::Chance;
use super::named;
use super::run::{Outcome, Play, Rehearsal};
use super::scripts::Script;
use super::trap::{Moment, Snare, Trap, When};

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
    /// Of two processes the one at work stands still.
    Stalled,
}

impl Plan {
    const ALL: [Self; 6] = [
        Self::Taken,
        Self::Stale,
        Self::Skipped,
        Self::Jumps,
        Self::Twice,
        Self::Stalled,
    ];

    /// The one of this name on command lines.
    ///
    /// # Errors
    /// The names there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|plan| plan.name() == name);
        found.ok_or_else(|| format!("the plans are {}", Self::ALL.map(Self::name).join(", ")))
    }

    /// Its name on command lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Stale => "stale",
            Self::Skipped => "skipped",
            Self::Jumps => "jumps",
            Self::Twice => "twice",
            Self::Stalled => "stalled",
        }
    }

    /// There is something to try in this script.
    pub(super) fn is_about(self, script: &Script) -> bool {
        match self {
            Self::Taken => named::Point::of(script).next().is_some(),
            Self::Stalled => script.is_slow,
            Self::Stale | Self::Skipped | Self::Jumps | Self::Twice => !script.is_slow,
        }
    }

    /// Who is refused something, because a look was not answered, asks again; what is stuck for the same reason is told to go on.
    pub(super) fn insists(self) -> bool {
        self == Self::Skipped
    }

    /// The engine's token has the rights its calls need, and no more.
    pub(super) fn is_narrow(self) -> bool {
        self == Self::Taken
    }

    /// A second process works over the same record.
    pub(super) fn has_second(self) -> bool {
        self == Self::Stalled
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
    /// The name of the moment, if it has one.
    pub(super) name: Option<&'static str>,
    /// What is played.
    pub(super) play: Play,
    /// What is played if nothing could happen in that, one after the other until something does.
    pub(super) instead: Vec<Play>,
    /// What it is compared with, if not with the script itself.
    pub(super) beside: Option<Play>,
}

/// So many calls of one kind are tried at most.
const OF_A_KIND: u32 = 10;
/// So many other calls of a moment are tried where nothing could happen at the first: PVE was at work on the container.
const DRAWS: usize = 6;
/// Rounds for which old lists are served.
const LAGS: [u64; 10] = [1, 2, 3, 5, 8, 12, 16, 20, 25, 30];
/// How long a look is held back, milliseconds: what it was to see is over then.
const HELD_MS: u64 = 20_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Jumps of the wall clock, in each direction.
const JUMPS: [i64; 3] = [HOUR_MS, DAY_MS, 3_650 * DAY_MS];
/// For how long a process stands still, milliseconds: another one takes over after a lease of silence, which is 30 s.
const STALLS_MS: [u64; 3] = [45_000, 90_000, 180_000];
/// Of all pairs of looks one in so many is tried with each seed.
const PAIRS_ONE_IN: u64 = 24;

/// The cases of a plan in this play of a script, of which is known how it went.
pub(super) fn cases(plan: Plan, script: &Script, plain: &Play, alone: &Outcome) -> Vec<Case> {
    let mut calls = BTreeMap::new();
    for Moment { call, .. } in &alone.calls {
        *calls.entry(call.to_string()).or_default() += 1;
    }
    match plan {
        Plan::Taken => taken(script, plain, alone),
        Plan::Stale => stale(plain, &calls),
        Plan::Skipped => skipped(plain, &calls),
        Plan::Jumps => jumps(plain, &calls),
        Plan::Twice => twice(plain, &alone.rehearsed),
        Plan::Stalled => stalled(plain, &calls),
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
        name: None,
        play: Play {
            traps,
            ..plain.clone()
        },
        instead: Vec::new(),
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

/// At one call of each moment that has a name, which the seed draws.
fn taken(script: &Script, plain: &Play, alone: &Outcome) -> Vec<Case> {
    let mut all = Vec::new();
    for (turn, point) in (plain.seed..).zip(named::Point::of(script)) {
        // What the stranger's container shows of the one before differs from case to case. All but one factor shows also what
        // somebody has moved to another volume, or given another MAC: that is learned, but for the tasks that a stranger leaves.
        let (mark, mac) = match turn % 3 {
            0 => (true, true),
            1 => (true, false),
            _ => (false, true),
        };
        let does = Snare::Take { mark, mac };
        let places = point.drawn(script, &alone.calls, plain.seed);
        let mut drawn = places.into_iter().map(|(moment, when)| {
            let trap = trap(&moment.call, moment.nth, when, does);
            trapped(plain, vec![trap])
        });
        if let Some(first) = drawn.next() {
            all.push(Case {
                name: Some(point.name),
                instead: drawn.take(DRAWS).map(|case| case.play).collect(),
                ..first
            });
        }
    }
    all
}

/// From each change on the power of containers is old, as one node, or each, told it last; and the whole list is, of before it.
fn stale(plain: &Play, calls: &BTreeMap<String, u32>) -> Vec<Case> {
    let mut all = Vec::new();
    let mut turn = usize::try_from(plain.seed).unwrap_or(0);
    for (call, nth) in tried(calls, is_change) {
        for node in [None, Some(0), Some(1), Some(2)] {
            turn += 1;
            // Another seed tries the next two.
            for lag in [0, 5] {
                let cycles = LAGS[(turn + lag) % LAGS.len()];
                let old_view = (When::After, Snare::OldView { node, cycles });
                let old_list = (When::Before, Snare::OldList { node, cycles });
                for (when, does) in [old_view, old_list] {
                    let mut case = trapped(plain, vec![trap(call, nth, when, does)]);
                    case.point = format!("{} {does:?}", case.point);
                    all.push(case);
                }
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

/// Around each change the process that sends it stands still: between its audit and the call, and before it takes the answer.
fn stalled(plain: &Play, calls: &BTreeMap<String, u32>) -> Vec<Case> {
    let mut all = Vec::new();
    let mut turn = usize::try_from(plain.seed).unwrap_or(0);
    for (call, nth) in tried(calls, is_change) {
        for when in [When::Before, When::After] {
            turn += 1;
            let ms = STALLS_MS[turn % STALLS_MS.len()];
            let mut case = trapped(plain, vec![trap(call, nth, when, Snare::Stall { ms })]);
            case.point = format!("{} for {ms} ms", case.point);
            all.push(case);
        }
    }
    all
}

/// Every step twice; and, with each step in turn left out that the script comes to, the way back from there.
fn twice(plain: &Play, rehearsed: &BTreeSet<String>) -> Vec<Case> {
    let with = |twice: bool, never: Option<&str>| Play {
        rehearsal: Rehearsal {
            twice,
            never: never.map(str::to_owned),
        },
        ..plain.clone()
    };
    let mut all = vec![Case {
        point: "every step twice".to_owned(),
        name: None,
        instead: Vec::new(),
        play: with(true, None),
        beside: None,
    }];
    let steps = rehearsed.iter().filter_map(|it| it.strip_prefix("act "));
    for step in steps {
        all.push(Case {
            point: format!("{step} left out"),
            name: None,
            instead: Vec::new(),
            play: with(true, Some(step)),
            beside: Some(with(false, Some(step))),
        });
    }
    all
}
