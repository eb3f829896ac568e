//! Which changes come next.

use std::collections::BTreeMap;

use super::{ApplyState, ChangeState, ended};
use crate::names::Hostname;

/// Which changes of an apply wait for which. Changes are told apart by their positions, from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What each needs, by position.
    needs: Vec<Vec<usize>>,
}

/// What has to be written next, before anything is done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Next {
    /// These are started now.
    pub start: Vec<usize>,
    /// These are held up, each by the other one: a change it depends on that failed, or is held up itself.
    pub held_up: Vec<(usize, usize)>,
    /// These are not started any more.
    pub not_started: Vec<usize>,
    /// With that nothing is left to do, and so it ended.
    pub end: Option<ApplyState>,
}

impl Next {
    /// Nothing has to be written: what was started has to end first.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.start.is_empty()
            && self.held_up.is_empty()
            && self.not_started.is_empty()
            && self.end.is_none()
    }
}

impl Order {
    /// The order of changes, each given by its name and by the names of those it depends on. A name that is none of theirs counts for
    /// nothing.
    pub fn of<'a>(changes: impl IntoIterator<Item = (&'a Hostname, &'a [Hostname])>) -> Self {
        let changes: Vec<(&Hostname, &[Hostname])> = changes.into_iter().collect();
        let places = changes
            .iter()
            .enumerate()
            .map(|(at, (name, _))| (*name, at));
        let places: BTreeMap<&Hostname, usize> = places.collect();
        let needs = changes.iter().map(|(_, needs)| {
            let known = needs.iter().filter_map(|need| places.get(need).copied());
            known.collect()
        });
        Self {
            needs: needs.collect(),
        }
    }

    /// What comes next for changes in these states, at most `parallel` of them (1 at least) at the same time.
    ///
    /// A change is started once all that it depends on are done. One that failed holds up what depends on it, directly or through
    /// others, and nothing else. Changes that wait for each other in a circle, which no plan has, are held up by each other.
    #[must_use]
    pub fn next(&self, states: &[ChangeState], parallel: u32, stopping: bool) -> Next {
        let (mut states, mut next) = (states.to_vec(), Next::default());
        self.hold_up(&mut states, &mut next);
        if stopping {
            let left = waiting(&states);
            next.not_started = turn(&mut states, &left, ChangeState::NotStarted);
        } else {
            self.start(&mut states, parallel, &mut next);
        }
        next.end = ended(states);
        next
    }

    fn hold_up(&self, states: &mut [ChangeState], next: &mut Next) {
        loop {
            let before = next.held_up.len();
            for at in waiting(states) {
                let state_of = |need: &usize| states.get(*need).copied();
                let mut needs = self.needs_of(at).iter();
                let by = needs.find(|need| state_of(need).is_some_and(ChangeState::holds_up));
                if let Some(by) = by.copied() {
                    turn(states, &[at], ChangeState::HeldUp);
                    next.held_up.push((at, by));
                }
            }
            if next.held_up.len() == before {
                return;
            }
        }
    }

    fn start(&self, states: &mut [ChangeState], parallel: u32, next: &mut Next) {
        let is_started = |state: &&ChangeState| **state == ChangeState::Started;
        let started = states.iter().filter(is_started).count();
        let most = usize::try_from(parallel.max(1)).unwrap_or(usize::MAX);
        let ripe = waiting(states).into_iter();
        let ripe = ripe.filter(|at| self.needs_of(*at).iter().all(|need| lets_on(states, *need)));
        let ripe: Vec<usize> = ripe.take(most.saturating_sub(started)).collect();
        next.start = turn(states, &ripe, ChangeState::Started);
        if !next.start.is_empty() || started > 0 {
            return;
        }
        // Nothing is under way and nothing can be: each that waits, waits for another that does.
        let left = waiting(states);
        for at in &left {
            let mut needs = self.needs_of(*at).iter();
            let by = needs.find(|need| !lets_on(states, **need));
            next.held_up.extend(by.map(|by| (*at, *by)));
        }
        turn(states, &left, ChangeState::HeldUp);
    }

    fn needs_of(&self, at: usize) -> &[usize] {
        self.needs.get(at).map_or(&[], Vec::as_slice)
    }
}

/// What waits for this one may begin.
fn lets_on(states: &[ChangeState], need: usize) -> bool {
    states.get(need).is_none_or(|state| state.lets_on())
}

fn waiting(states: &[ChangeState]) -> Vec<usize> {
    let each = states.iter().enumerate();
    let waiting = each.filter(|(_, state)| **state == ChangeState::Waiting);
    waiting.map(|(at, _)| at).collect()
}

/// Puts these into a state, and gives them back.
fn turn(states: &mut [ChangeState], these: &[usize], to: ChangeState) -> Vec<usize> {
    for at in these {
        if let Some(state) = states.get_mut(*at) {
            *state = to;
        }
    }
    these.to_vec()
}
