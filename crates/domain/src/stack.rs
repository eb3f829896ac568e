//! Stacks: apps that are started and stopped together, whatever needs others after them and before them. What comes next is decided from
//! what has come of each so far, so that nobody has to remember a run.

/// What is done with a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StackAct {
    /// Each app after those that it needs.
    Start,
    /// Each app after those that need it.
    Stop,
    /// All are stopped, then all are started.
    Restart,
}

impl StackAct {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Start, Self::Stop, Self::Restart];

    /// Stable text.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }

    /// Whether it stops apps.
    #[must_use]
    pub fn goes_down(self) -> bool {
        match self {
            Self::Stop | Self::Restart => true,
            Self::Start => false,
        }
    }

    /// Whether it starts apps.
    #[must_use]
    pub fn goes_up(self) -> bool {
        match self {
            Self::Start | Self::Restart => true,
            Self::Stop => false,
        }
    }
}

/// Which way an app goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// It is stopped.
    Down,
    /// It is started.
    Up,
}

impl Way {
    /// Stable text.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Down => "stop",
            Self::Up => "start",
        }
    }
}

/// How far one app is on one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Nothing was done.
    Open,
    /// It is being done.
    Going,
    /// It is so.
    Done,
    /// It is not to be done with this app.
    Left,
    /// It failed.
    Failed,
}

impl Part {
    /// Nobody has to wait for it.
    fn is_over(self) -> bool {
        match self {
            Self::Done | Self::Left => true,
            Self::Open | Self::Going | Self::Failed => false,
        }
    }
}

/// How far an app is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Parts {
    /// Being stopped; [`Part::Left`] where nothing is stopped.
    pub down: Part,
    /// Being started; [`Part::Left`] where nothing is started.
    pub up: Part,
}

impl Parts {
    fn all(self) -> [Part; 2] {
        [self.down, self.up]
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunState {
    /// Something is under way, or begins now.
    Going,
    /// All of it is done.
    Done,
    /// Something failed: nothing more is begun, and what was under way has ended.
    Failed,
}

impl RunState {
    /// Stable text.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Going => "going",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// What comes next of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextOfRun {
    /// How far it is.
    pub state: RunState,
    /// What is begun now: places of apps, each with its way.
    pub begin: Vec<(usize, Way)>,
}

/// Says what comes next, of apps that are so far. `needs[n]` are the places of those that the app at `n` needs; they go in no circle.
/// At most `most` apps are under way at the same time. Once something has failed nothing is begun any more, and an app is started
/// only when all that are to be stopped are.
#[must_use]
pub fn next(needs: &[Vec<usize>], parts: &[Parts], most: usize) -> NextOfRun {
    let all = || parts.iter().flat_map(|one| one.all());
    let going = all().filter(|part| *part == Part::Going).count();
    let has_failed = all().any(|part| part == Part::Failed);
    let room = if has_failed {
        0
    } else {
        most.saturating_sub(going)
    };
    let begin: Vec<(usize, Way)> = ripe(needs, parts).take(room).collect();
    let state = if going > 0 || !begin.is_empty() {
        RunState::Going
    } else if all().all(Part::is_over) {
        RunState::Done
    } else {
        RunState::Failed
    };
    NextOfRun { state, begin }
}

/// What waits for nothing any more, in order.
fn ripe<'a>(
    needs: &'a [Vec<usize>],
    parts: &'a [Parts],
) -> impl Iterator<Item = (usize, Way)> + 'a {
    let all_down = parts.iter().all(|one| one.down.is_over());
    parts.iter().enumerate().filter_map(move |(at, one)| {
        if one.down == Part::Open {
            let mut needed_by = needs
                .iter()
                .enumerate()
                .filter(|(_, its)| its.contains(&at))
                .filter_map(|(by, _)| parts.get(by));
            return needed_by
                .all(|by| by.down.is_over())
                .then_some((at, Way::Down));
        }
        let is_open = one.up == Part::Open && all_down;
        let mut its = needs.get(at).into_iter().flatten();
        let may = is_open && its.all(|need| parts.get(*need).is_none_or(|one| one.up.is_over()));
        may.then_some((at, Way::Up))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MANY: usize = 100;

    fn of(act: StackAct, many: usize) -> Vec<Parts> {
        let open = |goes: bool| if goes { Part::Open } else { Part::Left };
        let parts = Parts {
            down: open(act.goes_down()),
            up: open(act.goes_up()),
        };
        vec![parts; many]
    }

    /// Carries out whatever is begun, until nothing is; gives what was begun at the same time.
    fn carried_out(
        needs: &[Vec<usize>],
        mut parts: Vec<Parts>,
        most: usize,
    ) -> Vec<Vec<(usize, Way)>> {
        let mut turns = Vec::new();
        loop {
            let next = next(needs, &parts, most);
            if next.begin.is_empty() {
                assert_eq!(next.state, RunState::Done);
                return turns;
            }
            assert_eq!(next.state, RunState::Going);
            for (at, way) in &next.begin {
                match way {
                    Way::Down => parts[*at].down = Part::Done,
                    Way::Up => parts[*at].up = Part::Done,
                }
            }
            turns.push(next.begin);
        }
    }

    /// A page needs a database and a cache, which needs the database.
    fn shop() -> Vec<Vec<usize>> {
        vec![vec![1, 2], vec![], vec![1]]
    }

    #[test]
    fn each_is_started_after_what_it_needs_and_stopped_before() {
        let up = carried_out(&shop(), of(StackAct::Start, 3), MANY);
        assert_eq!(
            up,
            [[(1, Way::Up)], [(2, Way::Up)], [(0, Way::Up)]].map(Vec::from)
        );
        let down = carried_out(&shop(), of(StackAct::Stop, 3), MANY);
        assert_eq!(
            down,
            [[(0, Way::Down)], [(2, Way::Down)], [(1, Way::Down)]].map(Vec::from)
        );
        let both = carried_out(&shop(), of(StackAct::Restart, 3), MANY);
        assert_eq!(both, [down, up].concat());
    }

    #[test]
    fn no_more_are_under_way_than_may() {
        let needs = vec![Vec::new(); 5];
        let mut parts = of(StackAct::Start, 5);
        let first = next(&needs, &parts, 2);
        assert_eq!(first.begin, [(0, Way::Up), (1, Way::Up)]);
        parts[0].up = Part::Going;
        parts[1].up = Part::Going;
        let full = next(&needs, &parts, 2);
        assert_eq!((full.state, full.begin), (RunState::Going, Vec::new()));
        parts[0].up = Part::Done;
        assert_eq!(next(&needs, &parts, 2).begin, [(2, Way::Up)]);
    }

    #[test]
    fn after_a_failure_what_is_under_way_ends_and_nothing_is_begun() {
        let mut parts = of(StackAct::Stop, 4);
        parts[0].down = Part::Failed;
        parts[3].down = Part::Going;
        let needs = vec![Vec::new(); 4];
        let ends = next(&needs, &parts, MANY);
        assert_eq!((ends.state, ends.begin), (RunState::Going, Vec::new()));
        parts[3].down = Part::Done;
        let over = next(&needs, &parts, MANY);
        assert_eq!((over.state, over.begin), (RunState::Failed, Vec::new()));
        parts[0].down = Part::Done;
        let goes_on = next(&needs, &parts, MANY);
        assert_eq!(goes_on.begin, [(1, Way::Down), (2, Way::Down)]);
    }

    #[test]
    fn what_is_left_out_keeps_nobody_waiting() {
        let mut parts = of(StackAct::Start, 3);
        parts[1].up = Part::Left;
        assert_eq!(next(&shop(), &parts, MANY).begin, [(2, Way::Up)]);
        assert_eq!(next(&[], &[], MANY).state, RunState::Done);
    }

    proptest! {
        #[test]
        fn whatever_the_needs_all_of_it_is_done_in_order(
            wishes in prop::collection::vec(prop::collection::vec(0_usize..20, 0..3), 1..20),
            most in 1_usize..4,
        ) {
            let needs: Vec<Vec<usize>> = wishes
                .iter()
                .enumerate()
                .map(|(one, its)| its.iter().copied().filter(|need| *need < one).collect())
                .collect();
            let turns = carried_out(&needs, of(StackAct::Restart, needs.len()), most);
            prop_assert!(turns.iter().all(|turn| turn.len() <= most));
            let turn_of = |what: (usize, Way)| {
                turns.iter().position(|turn| turn.contains(&what)).unwrap()
            };
            for (one, its) in needs.iter().enumerate() {
                for need in its {
                    prop_assert!(turn_of((*need, Way::Up)) < turn_of((one, Way::Up)));
                    prop_assert!(turn_of((one, Way::Down)) < turn_of((*need, Way::Down)));
                }
            }
        }
    }
}
