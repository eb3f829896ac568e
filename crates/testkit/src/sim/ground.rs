//! The truth about guests that no party of the simulation can see: which life has a number, whose it is, and what the engine
//! was shown of it.

use std::collections::{BTreeMap, BTreeSet};

/// One container from its birth to its end; a number can have many, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LifeId(u64);

/// Who made a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A call of the engine.
    Ours,
    /// Somebody else.
    Stranger,
}

/// A container that is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    /// Which.
    pub(super) id: LifeId,
    /// Whose.
    pub(super) origin: Origin,
    /// Somebody else turned it on or off, or its node was without power.
    pub(super) handled: bool,
    /// Somebody else changed what shows whose it is, moved or destroyed it.
    pub(super) altered: bool,
}

/// A configuration that the engine has read.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// The process that read it.
    process: u32,
    /// When the call left, virtual ms.
    at_ms: u64,
    showed: LifeId,
    ours: bool,
}

/// What became of a change that is about to reach a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// It reaches the container that was looked at, and that is ours.
    True,
    /// It was looked at and ours then; another one has the number since. Nobody can exclude that: the rights of the token are
    /// what is left.
    Raced,
    /// There is no container of that number.
    Nobody,
    /// It was not looked at in this process since the last change.
    Blind,
    /// What was looked at was not ours.
    Stranger,
}

/// Lives and looks.
#[derive(Debug, Default)]
pub(super) struct Ground {
    next: u64,
    lives: BTreeMap<u32, Life>,
    looks: BTreeMap<u32, Look>,
}

impl Ground {
    /// The world shows these numbers: those that were not there are of this origin.
    pub(super) fn note_numbers(&mut self, there: &BTreeSet<u32>, origin: Origin) {
        self.lives.retain(|vmid, _| there.contains(vmid));
        for vmid in there {
            let next = &mut self.next;
            self.lives.entry(*vmid).or_insert_with(|| {
                *next += 1;
                Life {
                    id: LifeId(*next),
                    origin,
                    handled: false,
                    altered: false,
                }
            });
        }
    }

    /// Whatever had the number is over.
    pub(super) fn over(&mut self, vmid: u32) {
        self.lives.remove(&vmid);
    }

    /// Somebody else had a hand on it; `alters`: on what shows whose it is, or where.
    pub(super) fn touch(&mut self, vmid: u32, alters: bool) {
        if let Some(life) = self.lives.get_mut(&vmid) {
            life.handled = true;
            life.altered |= alters;
        }
    }

    /// A node lost its power, and what ran there stopped.
    pub(super) fn power_lost(&mut self) {
        self.lives.values_mut().for_each(|life| life.handled = true);
    }

    /// Who has the number now.
    #[must_use]
    pub(super) fn life(&self, vmid: u32) -> Option<Life> {
        self.lives.get(&vmid).copied()
    }

    /// All there are.
    pub(super) fn lives(&self) -> impl Iterator<Item = (u32, Life)> {
        self.lives.iter().map(|(vmid, life)| (*vmid, *life))
    }

    /// A process of ours read the configuration of this number, by a call that left at `at_ms`, and saw this life.
    pub(super) fn note_look(&mut self, vmid: u32, process: u32, at_ms: u64, showed: Life) {
        let look = Look {
            process,
            at_ms,
            showed: showed.id,
            ours: showed.origin == Origin::Ours,
        };
        self.looks.insert(vmid, look);
    }

    /// A change of a process reaches this number now; `fresh_ms` is how old its look may be. The look is used up if the call
    /// is one of those before which one has to look again.
    pub(super) fn judge(&mut self, vmid: u32, process: u32, now_ms: u64, fresh_ms: u64) -> Sight {
        let Some(life) = self.lives.get(&vmid) else {
            return Sight::Nobody;
        };
        let look = self.looks.get(&vmid);
        let look = look.filter(|look| look.process == process && now_ms <= look.at_ms + fresh_ms);
        match look {
            None => Sight::Blind,
            Some(look) if !look.ours => Sight::Stranger,
            Some(look) if look.showed != life.id => Sight::Raced,
            Some(_) => Sight::True,
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
    fn a_look_is_good_for_what_it_showed_and_for_one_process_alone() {
        let mut ground = Ground::default();
        ground.note_numbers(&there(&[100]), Origin::Ours);
        assert_eq!(ground.judge(100, 1, 0, 5_000), Sight::Blind);
        let life = ground.life(100).unwrap();
        ground.note_look(100, 1, 0, life);
        assert_eq!(ground.judge(100, 1, 5_000, 5_000), Sight::True);
        assert_eq!(ground.judge(100, 1, 5_001, 5_000), Sight::Blind);
        assert_eq!(ground.judge(100, 2, 0, 5_000), Sight::Blind);
        ground.over(100);
        assert_eq!(ground.judge(100, 1, 0, 5_000), Sight::Nobody);
        ground.note_numbers(&there(&[100]), Origin::Stranger);
        assert_eq!(ground.judge(100, 1, 0, 5_000), Sight::Raced);
        let stranger = ground.life(100).unwrap();
        ground.note_look(100, 1, 0, stranger);
        assert_eq!(ground.judge(100, 1, 0, 5_000), Sight::Stranger);
        ground.use_up(100);
        assert_eq!(ground.judge(100, 1, 0, 5_000), Sight::Blind);
    }
}
