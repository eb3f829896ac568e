//! What is tried: where the server is killed during one app's deploy and remove.
//!
//! At a place of its own making only the build with crash points can be killed; at a call, and at a moment, the shipped one.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::calls::{self, Call};
use super::life::Calls;
use crate::seed::Draws;

/// Kills of the plain binary at random moments, two in each case.
const RANDOM_CASES: usize = 100;
const DEPLOY: &str = "deploy/";
const REMOVE: &str = "remove/";
/// The loop that carries applies out: an app is deployed by one where the server dies there.
const APPLY: &str = "apply/";
/// Of its writes so many are in the quick plan, which has a minute.
const QUICK_WRITES: usize = 2;

/// One app's life with two kills at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Case {
    /// Its place in the plan, from 0.
    pub(super) number: usize,
    pub(super) deploy: Kill,
    pub(super) remove: Kill,
}

/// When the server is killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kill {
    Never,
    /// By itself, at this place (`saga/step/place`).
    At(String),
    /// From outside, while it waits for the answer of this call.
    AtCall(Call),
    /// From outside, when this many thousandths of the time an undisturbed run takes are over.
    AfterPermille(u16),
}

impl Case {
    /// Whether nobody disturbs it.
    pub(super) fn is_calm(&self) -> bool {
        self.deploy == Kill::Never && self.remove == Kill::Never
    }

    /// Whether it needs the build that can be made to crash; the others' kills are of the plain one.
    pub(super) fn needs_crash_build(&self) -> bool {
        [&self.deploy, &self.remove]
            .into_iter()
            .any(|kill| matches!(kill, Kill::At(_)))
    }
}

impl Kill {
    /// It is in the loop that carries applies out.
    pub(super) fn is_in_an_apply(&self) -> bool {
        self.place().is_some_and(|place| place.starts_with(APPLY))
    }

    /// The place at which the process is told to die.
    pub(super) fn place(&self) -> Option<&str> {
        match self {
            Self::At(place) => Some(place),
            Self::Never | Self::AtCall(_) | Self::AfterPermille(_) => None,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} ({}, {})", self.number, self.deploy, self.remove)
    }
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("no kill"),
            Self::At(place) => f.write_str(place),
            Self::AtCall(call) => call.fmt(f),
            Self::AfterPermille(share) => write!(f, "killed after {share} ‰"),
        }
    }
}

/// A life that nobody disturbs: it shows the calls that there are.
pub(super) fn calm() -> Case {
    Case {
        number: 0,
        deploy: Kill::Never,
        remove: Kill::Never,
    }
}

/// The plan: every place of both sagas and of the loop of applies, the calls of both that were `seen`, and random kills; when
/// quick, one place of each step and of two writes of the loop, and fewer calls. Numbers begin at 1.
///
/// # Errors
/// A name is not of the form `saga/step/place`, a saga has no place, or no call was seen: nothing would be shown.
pub(super) fn plan(
    names: &[String],
    seen: &Calls,
    quick: bool,
    draws: &mut Draws,
) -> Result<Vec<Case>> {
    let at = |places: Vec<String>| places.into_iter().map(Kill::At).collect();
    let mut deploys = of_saga(names, DEPLOY)?;
    let writes = shuffled(of_saga(names, APPLY)?, draws);
    let most = if quick { QUICK_WRITES } else { writes.len() };
    deploys.extend(writes.into_iter().take(most));
    let deploys = at(chosen(deploys, quick, draws));
    let removes = at(chosen(of_saga(names, REMOVE)?, quick, draws));
    let mut pairs = paired(deploys, shuffled(removes, draws));
    let deploys = calls::kills(&seen.deploy, quick, draws)?;
    let removes = calls::kills(&seen.remove, quick, draws)?;
    pairs.extend(paired(deploys, shuffled(removes, draws)));
    if !quick {
        let mut moment = || Kill::AfterPermille(u16::try_from(draws.below(1000)).unwrap_or(0));
        pairs.extend((0..RANDOM_CASES).map(|_| (moment(), moment())));
    }
    let cases = pairs.into_iter().enumerate();
    Ok(cases
        .map(|(number, (deploy, remove))| Case {
            number: number + 1,
            deploy,
            remove,
        })
        .collect())
}

/// The places of a saga by step, in the order of its table.
fn of_saga(names: &[String], saga: &str) -> Result<Vec<Vec<String>>> {
    let mut order = Vec::new();
    let mut steps: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for name in names.iter().filter(|name| name.starts_with(saga)) {
        let Some((step, _)) = name.rsplit_once('/').filter(|(step, _)| step.contains('/')) else {
            bail!("{name:?} is not of the form saga/step/place");
        };
        if !steps.contains_key(step) {
            order.push(step);
        }
        steps.entry(step).or_default().push(name.clone());
    }
    if order.is_empty() {
        bail!("the build names no crash point of {saga}: nothing would be shown");
    }
    Ok(order
        .into_iter()
        .filter_map(|step| steps.remove(step))
        .collect())
}

fn chosen(steps: Vec<Vec<String>>, quick: bool, draws: &mut Draws) -> Vec<String> {
    let one = |mut places: Vec<String>, draws: &mut Draws| {
        let at = draws.below(places.len());
        vec![places.swap_remove(at)]
    };
    steps
        .into_iter()
        .flat_map(|places| if quick { one(places, draws) } else { places })
        .collect()
}

/// The first with the first and so on, until both are used up.
fn paired(deploys: Vec<Kill>, removes: Vec<Kill>) -> Vec<(Kill, Kill)> {
    let length = deploys.len().max(removes.len());
    let padded = |kills: Vec<Kill>| {
        let calm = std::iter::repeat(Kill::Never);
        kills.into_iter().chain(calm).take(length)
    };
    padded(deploys).zip(padded(removes)).collect()
}

fn shuffled<T>(mut rest: Vec<T>, draws: &mut Draws) -> Vec<T> {
    let mut out = Vec::new();
    while !rest.is_empty() {
        out.push(rest.swap_remove(draws.below(rest.len())));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn draws() -> Draws {
        "3".parse::<Seed>().unwrap().draws()
    }

    fn names() -> Vec<String> {
        let steps = [
            "apply/turn",
            "deploy/start",
            "deploy/install",
            "remove/start",
            "stop/down",
        ];
        let places = ["before_intent", "after_call", "after_record"];
        let names = steps
            .iter()
            .flat_map(|step| places.map(|place| format!("{step}/{place}")));
        names.collect()
    }

    fn seen() -> Calls {
        let counts = |method: &str| [(method.to_owned(), 1)].into();
        Calls {
            deploy: counts("POST /nodes/{node}/lxc"),
            remove: counts("DELETE /nodes/{node}/lxc/{vmid}"),
        }
    }

    fn killed_at(cases: &[Case]) -> Vec<&str> {
        let kills = cases.iter().flat_map(|case| [&case.deploy, &case.remove]);
        kills.filter_map(Kill::place).collect()
    }

    #[test]
    fn the_full_plan_has_every_place_of_both_sagas_once_all_fates_of_the_calls_and_two_hundred_random_kills()
     {
        let cases = plan(&names(), &seen(), false, &mut draws()).unwrap();
        let mut at = killed_at(&cases);
        at.sort_unstable();
        let mut all = names();
        all.retain(|name| !name.starts_with("stop/"));
        all.sort();
        assert_eq!(at, all);
        let random = cases.iter().flat_map(|case| [&case.deploy, &case.remove]);
        let random =
            random.filter(|kill| matches!(kill, Kill::AfterPermille(share) if *share < 1000));
        assert_eq!(random.count(), 200);
        assert_eq!(cases.len(), 9 + 3 + RANDOM_CASES);
        assert!(
            cases
                .iter()
                .enumerate()
                .all(|(at, case)| case.number == at + 1)
        );
        assert_eq!(cases, plan(&names(), &seen(), false, &mut draws()).unwrap());
    }

    #[test]
    fn the_quick_plan_has_each_step_and_each_call_once() {
        let cases = plan(&names(), &seen(), true, &mut draws()).unwrap();
        let mut steps: Vec<&str> = killed_at(&cases)
            .into_iter()
            .map(|name| name.rsplit_once('/').unwrap().0)
            .collect();
        steps.sort_unstable();
        let each = [
            "apply/turn",
            "deploy/install",
            "deploy/start",
            "remove/start",
        ];
        assert_eq!(steps, each);
        let (places, calls): (Vec<&Case>, Vec<&Case>) =
            cases.iter().partition(|case| case.needs_crash_build());
        assert_eq!((places.len(), calls.len()), (3, 1));
    }

    #[test]
    fn a_build_that_names_nothing_is_refused() {
        assert!(plan(&[], &seen(), true, &mut draws()).is_err());
        let one_saga = ["deploy/start/after_call".to_owned()];
        let mut no_loop = names();
        no_loop.retain(|name| !name.starts_with(APPLY));
        assert!(plan(&no_loop, &seen(), true, &mut draws()).is_err());
        assert!(plan(&names(), &Calls::default(), true, &mut draws()).is_err());
        assert!(plan(&one_saga, &seen(), true, &mut draws()).is_err());
        let odd = ["deploy/start".to_owned(), "remove/a/b".to_owned()];
        assert!(plan(&odd, &seen(), true, &mut draws()).is_err());
    }
}
