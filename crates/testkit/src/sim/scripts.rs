//! Sequences that are played with a trap at each of their calls in turn.

use super::act::{APPS, Act, Ask, AskAll, Hand, Timed};
use super::fault::{Fault, Harm};

/// A sequence of acts, in which every operation has the time to end.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    /// Its name.
    pub name: &'static str,
    acts: fn() -> Vec<Timed>,
    /// It leaves so much time that a process can stand still, and be taken over from, in every operation.
    pub(super) is_slow: bool,
}

impl Script {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::new("life", life),
        Self::new("force", force),
        Self::new("unwind", unwind),
        Self::new("retry", retry),
        Self::new("killed", killed),
        Self::new("leased", leased),
        Self::new("adopted", adopted),
        Self::new("restored", restored),
        Self::new("updated", updated),
        Self::new("reidentify", reidentify),
        Self::new("vanished", vanished),
        Self::new("powered", powered),
        Self::new("diagnosed", diagnosed),
        Self::slow("slow", slow),
    ];

    const fn new(name: &'static str, acts: fn() -> Vec<Timed>) -> Self {
        Self {
            name,
            acts,
            is_slow: false,
        }
    }

    const fn slow(name: &'static str, acts: fn() -> Vec<Timed>) -> Self {
        Self {
            is_slow: true,
            ..Self::new(name, acts)
        }
    }

    /// What happens in it; and time for what was asked for last.
    #[must_use]
    pub fn acts(&self) -> Vec<Timed> {
        let mut acts = (self.acts)();
        acts.push(after(LAST_S, Act::AskAll(AskAll::Janitor)));
        acts
    }
}

/// The app that scripts deploy, and the one that they adopt.
const APP: u8 = 0;
const OLD: u8 = APPS;

/// Seconds in which every operation has ended, also one that tries again and takes back what it did.
const LAST_S: u64 = 240;
/// Seconds in which one has ended whose process stands still in it, and from which another one takes over.
const SLOW_S: u64 = 480;

fn after(seconds: u64, act: Act) -> Timed {
    Timed {
        after_ms: seconds * 1_000,
        act,
    }
}

fn ask(seconds: u64, ask: Ask) -> Timed {
    after(seconds, Act::Ask { app: APP, ask })
}

fn ask_old(seconds: u64, ask: Ask) -> Timed {
    after(seconds, Act::Ask { app: OLD, ask })
}

fn hand(seconds: u64, hand: Hand) -> Timed {
    after(seconds, Act::Hand { app: APP, hand })
}

/// From the deploy to the removal.
fn life() -> Vec<Timed> {
    vec![
        ask(1, Ask::Deploy),
        ask(60, Ask::Stop { force: false }),
        ask(40, Ask::Start),
        ask(40, Ask::Restart { force: false }),
        ask(40, Ask::Remove { force: false }),
    ]
}

/// The same, with time for a standstill in each of them.
fn slow() -> Vec<Timed> {
    vec![
        ask(1, Ask::Deploy),
        ask(SLOW_S, Ask::Stop { force: false }),
        ask(SLOW_S, Ask::Start),
        ask(SLOW_S, Ask::Restart { force: false }),
        ask(SLOW_S, Ask::Remove { force: false }),
    ]
}

/// A container that does not shut down when it is told to.
fn force() -> Vec<Timed> {
    vec![
        ask(1, Ask::Deploy),
        hand(60, Hand::IgnoreShutdown),
        ask(1, Ask::Stop { force: true }),
        ask(100, Ask::Start),
        hand(40, Hand::IgnoreShutdown),
        ask(1, Ask::Remove { force: true }),
    ]
}

/// Starts that fail, so often that the deploy takes back what it made.
fn unwind() -> Vec<Timed> {
    vec![after(0, no_starts(9)), ask(1, Ask::Deploy)]
}

/// A start that fails once, and a stop whose task is lost.
fn retry() -> Vec<Timed> {
    let lost = Fault::of(
        "POST",
        "/nodes/{node}/lxc/{vmid}/status/shutdown",
        Harm::TaskLost { forgotten: true },
        1,
    );
    vec![
        ask(1, Ask::Deploy),
        ask(60, Ask::Stop { force: false }),
        after(40, no_starts(9)),
        ask(1, Ask::Start),
        ask(60, Ask::Retry),
        ask(60, Ask::Retry),
        after(60, Act::Break(lost)),
        ask(1, Ask::Restart { force: false }),
        ask(60, Ask::Retry),
        ask(60, Ask::Resolve),
        ask(10, Ask::Remove { force: false }),
    ]
}

fn no_starts(times: u64) -> Act {
    Act::Break(Fault::of(
        "POST",
        "/nodes/{node}/lxc/{vmid}/status/start",
        Harm::TaskFails {
            after_effect: false,
        },
        times,
    ))
}

/// A process that dies in the deploy and in the removal.
fn killed() -> Vec<Timed> {
    let kill = |milliseconds| Timed {
        after_ms: milliseconds,
        act: Act::Kill { exclusive: true },
    };
    vec![
        ask(1, Ask::Deploy),
        kill(60),
        kill(400),
        kill(2_500),
        ask(60, Ask::Remove { force: false }),
        kill(60),
        kill(900),
    ]
}

/// A process that dies in the deploy, in a stop and in the removal, and who comes next does not know that it is dead.
fn leased() -> Vec<Timed> {
    let kill = |milliseconds| Timed {
        after_ms: milliseconds,
        act: Act::Kill { exclusive: false },
    };
    vec![
        ask(1, Ask::Deploy),
        kill(4_000),
        ask(120, Ask::Stop { force: false }),
        kill(700),
        ask(120, Ask::Remove { force: false }),
        kill(1_500),
    ]
}

/// From the adoption until it is given back.
fn adopted() -> Vec<Timed> {
    vec![
        ask_old(1, Ask::Adopt),
        ask_old(20, Ask::Expose { open: true }),
        ask_old(20, Ask::Stop { force: false }),
        ask_old(40, Ask::Start),
        ask_old(40, Ask::Restart { force: false }),
        ask_old(40, Ask::Remove { force: false }),
    ]
}

/// Somebody changes an adopted container's cores, and a person has them put back.
fn restored() -> Vec<Timed> {
    let resize = Act::Hand {
        app: OLD,
        hand: Hand::Resize,
    };
    vec![
        ask_old(1, Ask::Adopt),
        after(40, resize),
        ask_old(20, Ask::RestoreKeys),
        ask_old(40, Ask::Remove { force: false }),
    ]
}

/// An app is changed in place, and asked for the same once more.
fn updated() -> Vec<Timed> {
    vec![
        ask(1, Ask::Deploy),
        ask(60, Ask::Update),
        ask(60, Ask::Update),
        ask(60, Ask::Remove { force: false }),
    ]
}

/// Somebody changes the MAC, and a person says that it is the same all the same.
fn reidentify() -> Vec<Timed> {
    vec![
        ask(1, Ask::Deploy),
        hand(60, Hand::ChangeMac),
        ask(150, Ask::Reidentify),
        ask(20, Ask::Stop { force: false }),
        ask(40, Ask::Remove { force: false }),
    ]
}

/// Somebody destroys it, and its absence is proven.
fn vanished() -> Vec<Timed> {
    vec![
        ask(1, Ask::Deploy),
        hand(60, Hand::Vanish),
        after(60, Act::AskAll(AskAll::Reconcile)),
        after(60, Act::AskAll(AskAll::Reconcile)),
    ]
}

/// The janitor looks again and again while a deploy and a removal are under way.
fn diagnosed() -> Vec<Timed> {
    let look = || Timed {
        after_ms: 300,
        act: Act::AskAll(AskAll::Janitor),
    };
    let mut acts = vec![ask(1, Ask::Deploy)];
    acts.extend((0..20).map(|_| look()));
    acts.push(ask(60, Ask::Remove { force: false }));
    acts.extend((0..20).map(|_| look()));
    acts
}

/// Somebody stops it and starts it again.
fn powered() -> Vec<Timed> {
    vec![
        ask(1, Ask::Deploy),
        hand(60, Hand::Power { on: false }),
        hand(60, Hand::Power { on: true }),
        ask(60, Ask::Stop { force: false }),
    ]
}
