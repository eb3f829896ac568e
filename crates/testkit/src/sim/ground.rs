//! The truth about guests that no party of the simulation can see: which life has a number, whose it is, and what the engine
//! was shown of it.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::ids::OperationId;

use super::shown::Shown;

/// One container from its birth to its end; a number can have many, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LifeId(u64);

/// Who made a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A call of the engine.
    Ours,
    /// Somebody else, before the engine came: it may be adopted.
    Found,
    /// Somebody else.
    Stranger,
}

/// A container that is there, or was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    /// Which.
    pub(super) id: LifeId,
    /// Whose.
    pub(super) origin: Origin,
    /// Somebody else changed what shows whose it is, moved, took or destroyed it.
    pub(super) altered: bool,
    /// Somebody else has a hand on it, which may do to it what we must not.
    pub(super) let_go: bool,
}

/// A configuration that the engine has read.
#[derive(Debug, Clone)]
struct Look {
    /// The process that read it.
    process: u32,
    /// The work of that process that read it: what another one read is not its own look.
    work: Option<tokio::task::Id>,
    /// The step that it was at: what an earlier one has read is not the look of a later one.
    step: Option<Step>,
    /// When the call left, virtual ms.
    at_ms: u64,
    /// Whose it was.
    life: LifeId,
    /// What it showed.
    shown: Shown,
}

/// A step: its operation, its place in the saga, and whether it is undone.
pub(super) type Step = (OperationId, u32, bool);

/// Who is about to change something, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doer {
    /// The process.
    pub(super) process: u32,
    /// Its work.
    pub(super) work: Option<tokio::task::Id>,
    /// The step that it is at.
    pub(super) step: Option<Step>,
    /// Virtual ms.
    pub(super) now_ms: u64,
}

impl Doer {
    /// Who runs now.
    pub(super) fn now(process: u32, now_ms: u64) -> Self {
        Self {
            process,
            work: tokio::task::try_id(),
            step: step_at_work(),
            now_ms,
        }
    }
}

/// The step of whoever runs now, in a build in which the engine tells that.
fn step_at_work() -> Option<Step> {
    #[cfg(feature = "bug-switches")]
    return proximity_engine::saga::step_at_work()
        .map(|step| (step.operation, step.index, step.undoes));
    #[cfg(not(feature = "bug-switches"))]
    None
}

/// What became of a change that is about to reach a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sight {
    /// It reaches the container that was looked at; this is what it showed.
    Seen(Shown),
    /// Another one has the number than the one that was looked at, which showed this. Nobody can exclude that: the rights of
    /// the token are what is left.
    Raced(Shown),
    /// There is no container of that number.
    Nobody,
    /// It was not looked at by this step of this work since the last change.
    Blind,
}

/// Lives and looks.
#[derive(Debug, Default)]
pub(super) struct Ground {
    next: u64,
    lives: BTreeMap<u32, Life>,
    /// The last one of each number that is over.
    ended: BTreeMap<u32, Life>,
    /// How many each number has had.
    births: BTreeMap<u32, u32>,
    /// The newest look of each work at each number: the sweep reads what an operation has read.
    looks: BTreeMap<u32, Vec<Look>>,
}

impl Ground {
    /// These numbers, in their order, are those that somebody has: nothing came and nothing went.
    #[must_use]
    pub(super) fn is_of(&self, there: impl Iterator<Item = u32>) -> bool {
        there.eq(self.lives.keys().copied())
    }

    /// The world shows these numbers: those that were not there are of this origin.
    pub(super) fn note_numbers(&mut self, there: &BTreeSet<u32>, origin: Origin) {
        let gone = self.lives.keys().filter(|vmid| !there.contains(vmid));
        let gone: Vec<u32> = gone.copied().collect();
        for vmid in gone {
            self.end(vmid);
        }
        for vmid in there {
            let (next, births) = (&mut self.next, &mut self.births);
            self.lives.entry(*vmid).or_insert_with(|| {
                *next += 1;
                *births.entry(*vmid).or_default() += 1;
                Life {
                    id: LifeId(*next),
                    origin,
                    altered: false,
                    let_go: false,
                }
            });
        }
    }

    fn end(&mut self, vmid: u32) {
        if let Some(life) = self.lives.remove(&vmid) {
            self.ended.insert(vmid, life);
        }
    }

    /// Somebody else ended whatever had the number.
    pub(super) fn over(&mut self, vmid: u32) {
        self.alter(vmid);
        self.end(vmid);
    }

    /// Somebody else changed what shows whose it is, or where it is.
    pub(super) fn alter(&mut self, vmid: u32) {
        if let Some(life) = self.lives.get_mut(&vmid) {
            life.altered = true;
        }
    }

    /// It was there before the engine came.
    pub(super) fn was_found(&mut self, vmid: u32) {
        if let Some(life) = self.lives.get_mut(&vmid) {
            life.origin = Origin::Found;
        }
    }

    /// A person looked at it and said that it is the container of an app of ours.
    pub(super) fn was_given(&mut self, vmid: u32) {
        if let Some(life) = self.lives.get_mut(&vmid) {
            life.origin = Origin::Ours;
        }
    }

    /// Somebody else does something to it by the API.
    pub(super) fn let_go(&mut self, vmid: u32) {
        if let Some(life) = self.lives.get_mut(&vmid) {
            life.let_go = true;
        }
    }

    /// Numbers of others' containers to which nothing may happen, in their order.
    pub(super) fn immortal(&self) -> impl Iterator<Item = u32> {
        let lives = self.lives.iter();
        let others = lives.filter(|(_, life)| life.origin != Origin::Ours && !life.let_go);
        others.map(|(vmid, _)| *vmid)
    }

    /// Who has the number now.
    #[must_use]
    pub(super) fn life(&self, vmid: u32) -> Option<Life> {
        self.lives.get(&vmid).copied()
    }

    /// All numbers that somebody has or had.
    #[must_use]
    pub(super) fn numbers(&self) -> BTreeSet<u32> {
        self.lives
            .keys()
            .chain(self.ended.keys())
            .copied()
            .collect()
    }

    /// Who had it before.
    #[must_use]
    pub(super) fn ended(&self, vmid: u32) -> Option<Life> {
        self.ended.get(&vmid).copied()
    }

    /// The only one that ever had this number is over, and nobody but us had a hand in that.
    pub(super) fn ended_by_us(&self, vmid: u32) -> bool {
        let once = self.births.get(&vmid) == Some(&1);
        once && self
            .ended(vmid)
            .is_some_and(|life| !life.altered && !life.let_go)
    }

    /// Numbers of ours that nobody has any more.
    pub(super) fn gone(&self) -> impl Iterator<Item = u32> {
        let ended = self.ended.iter();
        let ours = ended
            .filter(|(vmid, life)| life.origin == Origin::Ours && !self.lives.contains_key(vmid));
        ours.map(|(vmid, _)| *vmid)
    }

    /// All there are.
    pub(super) fn lives(&self) -> impl Iterator<Item = (u32, Life)> {
        self.lives.iter().map(|(vmid, life)| (*vmid, *life))
    }

    /// A process of ours read the configuration of this number, by a call that left then, and was shown this of that life.
    pub(super) fn note_look(&mut self, vmid: u32, doer: Doer, life: Life, shown: Shown) {
        let look = Look {
            process: doer.process,
            work: doer.work,
            step: doer.step,
            at_ms: doer.now_ms,
            life: life.id,
            shown,
        };
        let looks = self.looks.entry(vmid).or_default();
        looks.retain(|it| it.process != look.process || it.work != look.work);
        looks.push(look);
    }

    /// A change reaches this number now; `fresh_ms` is how old its look may be.
    pub(super) fn judge(&self, vmid: u32, doer: Doer, fresh_ms: u64) -> Sight {
        let Some(life) = self.lives.get(&vmid) else {
            return Sight::Nobody;
        };
        let own = |look: &&Look| {
            look.process == doer.process
                && look.work == doer.work
                && look.step == doer.step
                && doer.now_ms <= look.at_ms + fresh_ms
        };
        let mut looks = self.looks.get(&vmid).into_iter().flatten();
        match looks.find(own) {
            None => Sight::Blind,
            Some(look) if look.life != life.id => Sight::Raced(look.shown.clone()),
            Some(look) => Sight::Seen(look.shown.clone()),
        }
    }

    /// The next change needs a new look.
    pub(super) fn use_up(&mut self, vmid: u32) {
        self.looks.remove(&vmid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(numbers: &[u32]) -> BTreeSet<u32> {
        numbers.iter().copied().collect()
    }

    #[test]
    fn it_is_told_whether_anything_came_or_went_and_what_nothing_may_happen_to() {
        let mut ground = Ground::default();
        ground.note_numbers(&there(&[100]), Origin::Ours);
        ground.note_numbers(&there(&[100, 101, 102]), Origin::Stranger);
        assert!(ground.is_of([100, 101, 102].into_iter()));
        for other in [vec![100, 101], vec![100, 101, 103], vec![99, 100, 101, 102]] {
            assert!(!ground.is_of(other.iter().copied()), "{other:?}");
        }
        ground.let_go(102);
        assert_eq!(ground.immortal().collect::<Vec<_>>(), [101]);
    }

    #[test]
    fn a_look_is_good_for_what_it_showed_and_for_one_process_alone() {
        let mut ground = Ground::default();
        let (first, second) = (Doer::now(1, 0), Doer::now(2, 0));
        let later = |ms| Doer::now(1, ms);
        ground.note_numbers(&there(&[100]), Origin::Ours);
        assert_eq!(ground.judge(100, first, 5_000), Sight::Blind);
        let life = ground.life(100).unwrap();
        let shown = Shown::default();
        ground.note_look(100, first, life, shown.clone());
        let seen = Sight::Seen(shown.clone());
        assert_eq!(ground.judge(100, later(5_000), 5_000), seen);
        assert_eq!(ground.judge(100, later(5_001), 5_000), Sight::Blind);
        assert_eq!(ground.judge(100, second, 5_000), Sight::Blind);
        ground.over(100);
        assert!(ground.ended(100).unwrap().altered);
        assert_eq!(ground.judge(100, first, 5_000), Sight::Nobody);
        ground.note_numbers(&there(&[100]), Origin::Stranger);
        assert_eq!(ground.judge(100, first, 5_000), Sight::Raced(shown));
        ground.use_up(100);
        assert_eq!(ground.judge(100, first, 5_000), Sight::Blind);
    }

    #[test]
    fn a_look_of_one_step_is_none_of_the_next_nor_of_its_undo() {
        let mut ground = Ground::default();
        ground.note_numbers(&there(&[100]), Origin::Ours);
        let operation = OperationId(uuid::Uuid::from_u128(1));
        let at = |index, undoes| Doer {
            step: Some((operation, index, undoes)),
            ..Doer::now(1, 0)
        };
        let life = ground.life(100).unwrap();
        ground.note_look(100, at(2, false), life, Shown::default());
        let seen = Sight::Seen(Shown::default());
        assert_eq!(ground.judge(100, at(2, false), 5_000), seen);
        for other in [at(3, false), at(2, true), Doer::now(1, 0)] {
            assert_eq!(ground.judge(100, other, 5_000), Sight::Blind, "{other:?}");
        }
    }
}
