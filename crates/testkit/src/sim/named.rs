//! The moments of operations at which a stranger takes a number (figure R12), by their names.

use super::act::{Act, Ask, AskAll, Hand};
use super::chance::Chance;
use super::scripts::Script;
use super::trap::{Moment, When};

/// A moment of one script.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    /// Its name.
    pub(super) name: &'static str,
    script: &'static str,
    is_in: fn(&Act) -> bool,
    is_at: fn(&Moment, When) -> bool,
}

const CREATE: &str = "POST /nodes/{node}/lxc";
const START: &str = "POST /nodes/{node}/lxc/{vmid}/status/start";
const SHUTDOWN: &str = "POST /nodes/{node}/lxc/{vmid}/status/shutdown";
const STOP: &str = "POST /nodes/{node}/lxc/{vmid}/status/stop";
const DESTROY: &str = "DELETE /nodes/{node}/lxc/{vmid}";

/// All of them.
pub(super) const POINTS: [Point; 18] = [
    Point::new("number-chosen", "life", deploys, |it, when| {
        it.change.is_none() && (leaves(it, when, CREATE) || reads_guest(it))
    }),
    Point::new("created", "life", deploys, |it, _| {
        follows(it, CREATE) && reads(it)
    }),
    Point::new("before-start", "life", any, |it, when| {
        leaves(it, when, START)
    }),
    Point::new("start-under-way", "life", any, |it, _| {
        follows(it, START) && reads(it)
    }),
    Point::new("before-stop", "life", any, |it, when| {
        leaves(it, when, SHUTDOWN)
    }),
    Point::new("stop-under-way", "life", any, |it, _| {
        follows(it, SHUTDOWN) && reads(it)
    }),
    Point::new("before-forced-stop", "force", any, |it, when| {
        leaves(it, when, STOP)
    }),
    Point::new("before-destroy", "life", removes, |it, when| {
        !follows(it, DESTROY) && (leaves(it, when, DESTROY) || reads_guest(it))
    }),
    Point::new("destroy-under-way", "life", removes, |it, _| {
        follows(it, DESTROY) && reads(it)
    }),
    Point::new("start-failed", "unwind", any, |it, _| {
        follows(it, START) && reads(it)
    }),
    Point::new("unwinding", "unwind", any, |it, when| {
        leaves(it, when, DESTROY) || (follows(it, DESTROY) && reads(it))
    }),
    Point::new("retry", "retry", retries, |it, _| touches(it)),
    Point::new("takeover", "killed", kills, |it, _| touches(it)),
    Point::new("adoption", "adopted", adopts, |it, _| reads(it)),
    Point::new("power-of-adopted", "adopted", powers, |it, _| touches(it)),
    Point::new("reidentification", "reidentify", reidentifies, |it, _| {
        touches(it)
    }),
    Point::new("deleted-by-hand", "vanished", vanishes, |it, _| reads(it)),
    Point::new("proof-of-absence", "vanished", reconciles, |it, _| {
        reads(it)
    }),
];

fn any(_: &Act) -> bool {
    true
}

fn deploys(act: &Act) -> bool {
    matches!(
        act,
        Act::Ask {
            ask: Ask::Deploy,
            ..
        }
    )
}

fn removes(act: &Act) -> bool {
    matches!(
        act,
        Act::Ask {
            ask: Ask::Remove { .. },
            ..
        }
    )
}

fn retries(act: &Act) -> bool {
    matches!(
        act,
        Act::Ask {
            ask: Ask::Retry,
            ..
        }
    )
}

fn kills(act: &Act) -> bool {
    matches!(act, Act::Kill { .. })
}

fn adopts(act: &Act) -> bool {
    matches!(
        act,
        Act::Ask {
            ask: Ask::Adopt,
            ..
        }
    )
}

fn powers(act: &Act) -> bool {
    let Act::Ask { ask, .. } = act else {
        return false;
    };
    matches!(ask, Ask::Start | Ask::Stop { .. } | Ask::Restart { .. })
}

fn reidentifies(act: &Act) -> bool {
    matches!(
        act,
        Act::Ask {
            ask: Ask::Reidentify,
            ..
        }
    )
}

fn vanishes(act: &Act) -> bool {
    matches!(
        act,
        Act::Hand {
            hand: Hand::Vanish,
            ..
        }
    )
}

fn reconciles(act: &Act) -> bool {
    matches!(act, Act::AskAll(AskAll::Reconcile))
}

/// It is about to leave.
fn leaves(moment: &Moment, when: When, call: &str) -> bool {
    when == When::Before && *moment.call == *call
}

/// It was the newest change before.
fn follows(moment: &Moment, call: &str) -> bool {
    moment.change.as_deref() == Some(call)
}

fn is_read(moment: &Moment) -> bool {
    moment.call.starts_with("GET ")
}

fn reads_guest(moment: &Moment) -> bool {
    is_read(moment) && moment.call.contains("{vmid}")
}

/// Reads what is about containers, their numbers, or tasks.
fn reads(moment: &Moment) -> bool {
    let about = ["{vmid}", "nextid", "permissions", "{upid}", "resources"];
    is_read(moment) && about.iter().any(|part| moment.call.contains(part))
}

/// Reads, or is about to change, a container.
fn touches(moment: &Moment) -> bool {
    reads(moment) || moment.call.contains("{vmid}")
}

impl Point {
    const fn new(
        name: &'static str,
        script: &'static str,
        is_in: fn(&Act) -> bool,
        is_at: fn(&Moment, When) -> bool,
    ) -> Self {
        Self {
            name,
            script,
            is_in,
            is_at,
        }
    }

    /// Those of a script.
    pub(super) fn of(script: &Script) -> impl Iterator<Item = Self> + use<> {
        let name = script.name;
        POINTS.into_iter().filter(move |point| point.script == name)
    }

    /// The calls of a play at which it is this moment, in an order that the seed draws.
    pub(super) fn drawn<'a>(
        self,
        script: &Script,
        calls: &'a [Moment],
        seed: u64,
    ) -> Vec<(&'a Moment, When)> {
        let acts = script.acts();
        let act_of = |moment: &Moment| acts.get(moment.acts.checked_sub(1)?);
        let during = calls
            .iter()
            .filter(|moment| act_of(moment).is_some_and(|timed| (self.is_in)(&timed.act)));
        let places = during.flat_map(|moment| [(moment, When::Before), (moment, When::After)]);
        let mut places: Vec<_> = places
            .filter(|(moment, when)| (self.is_at)(moment, *when))
            .collect();
        let mut chance = Chance::of(seed, self.name);
        for at in (1..places.len()).rev() {
            let bound = u64::try_from(at + 1).unwrap_or(1);
            let other = usize::try_from(chance.below(bound)).unwrap_or(0);
            places.swap(at, other);
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_has_a_name_of_its_own_and_a_script_that_there_is() {
        for (at, point) in POINTS.iter().enumerate() {
            assert!(Script::ALL.iter().any(|script| script.name == point.script));
            assert!(POINTS[..at].iter().all(|other| other.name != point.name));
        }
    }

    #[test]
    fn a_moment_is_known_by_the_change_before_it() {
        let script = Script::ALL[0];
        let after = |call: &str, change: Option<&str>| Moment {
            call: call.into(),
            nth: 1,
            acts: 1,
            change: change.map(Into::into),
        };
        let config = "GET /nodes/{node}/lxc/{vmid}/config";
        let calls = [after(config, None), after(config, Some(CREATE))];
        let named = |name: &str| POINTS.into_iter().find(|point| point.name == name).unwrap();
        let chosen = named("number-chosen").drawn(&script, &calls, 1);
        assert!(chosen.iter().all(|(moment, _)| moment.change.is_none()));
        assert_eq!(chosen.len(), 2);
        let created = named("created").drawn(&script, &calls, 1);
        assert!(created.iter().all(|(moment, _)| moment.change.is_some()));
        assert!(named("before-destroy").drawn(&script, &calls, 1).is_empty());
    }
}
