//! Who sends the changes of an operation, and what it has made: one process under each claim, none under a claim that was taken
//! over, and one container.

use std::collections::BTreeMap;

use proximity_domain::ids::{Epoch, OperationId};

use super::ground::{Ground, Origin};
use super::watch::Wrong;

/// Changes that have left, as far as the next ones are judged by them.
#[derive(Debug, Default)]
pub(super) struct Writers {
    /// The newest claim of each operation under which one has left, and the process that sent it.
    newest: BTreeMap<OperationId, (Epoch, u32)>,
    /// Whose create has left last, for each number.
    makers: BTreeMap<u32, OperationId>,
}

impl Writers {
    /// A change leaves under this claim, sent by this process; what is wrong with that.
    pub(super) fn leaves(
        &mut self,
        (operation, epoch): (OperationId, Epoch),
        process: u32,
        call: &str,
    ) -> Option<Wrong> {
        let newest = self.newest.entry(operation).or_insert((epoch, process));
        let (last, sender) = *newest;
        if epoch > last {
            *newest = (epoch, process);
            return None;
        }
        let what = if epoch < last {
            format!(
                "{call}: process {process} under epoch {}, and process {sender} has sent under {}",
                epoch.0, last.0
            )
        } else if process != sender {
            format!(
                "{call}: processes {sender} and {process}, both under epoch {}",
                epoch.0
            )
        } else {
            return None;
        };
        Some(("I7-two-writers", what))
    }

    /// A create of this number leaves for an operation; what is wrong if a container that it made under another number is
    /// there, and nobody else had a hand on it.
    pub(super) fn makes(
        &mut self,
        operation: OperationId,
        vmid: u32,
        ground: &Ground,
    ) -> Option<Wrong> {
        let is_there = |number: u32| {
            let life = ground.life(number);
            life.is_some_and(|life| life.origin == Origin::Ours && !life.altered && !life.let_go)
        };
        let mut before = self.makers.iter();
        let made = before
            .find(|(number, maker)| **maker == operation && **number != vmid && is_there(**number));
        let made = made.map(|(number, _)| *number);
        self.makers.insert(vmid, operation);
        made.map(|number| {
            let what = format!("{operation} makes {vmid}, and {number} is there that it made");
            ("I6-made-twice", what)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use uuid::Uuid;

    use super::*;

    fn operation(number: u128) -> OperationId {
        OperationId(Uuid::from_u128(number))
    }

    #[test]
    fn each_claim_has_one_sender_and_none_sends_under_one_that_was_taken_over() {
        let mut writers = Writers::default();
        let mut is_wrong = |of: u128, epoch: i64, process: u32| {
            let claim = (operation(of), Epoch(epoch));
            let wrong = writers.leaves(claim, process, "PUT /x");
            wrong.is_some_and(|(rule, _)| rule == "I7-two-writers")
        };
        assert!(!is_wrong(1, 1, 1));
        assert!(!is_wrong(1, 1, 1), "it sends once more");
        assert!(!is_wrong(2, 1, 2), "another operation");
        assert!(is_wrong(1, 1, 2), "two hold the same claim");
        assert!(!is_wrong(1, 2, 2), "it was taken over");
        assert!(is_wrong(1, 1, 1), "and the first one goes on");
        assert!(!is_wrong(1, 2, 2));
        assert!(!is_wrong(1, 3, 2), "claimed anew");
    }

    #[test]
    fn an_operation_makes_one_container_unless_somebody_took_it() {
        let mut ground = Ground::default();
        let mut writers = Writers::default();
        let there = |numbers: &[u32]| numbers.iter().copied().collect::<BTreeSet<u32>>();
        assert!(writers.makes(operation(1), 100, &ground).is_none());
        // The same number once more makes no second one.
        assert!(writers.makes(operation(1), 100, &ground).is_none());
        ground.note_numbers(&there(&[100]), Origin::Ours);
        assert!(writers.makes(operation(2), 101, &ground).is_none());
        let twice = writers.makes(operation(1), 102, &ground);
        assert_eq!(twice.map(|(rule, _)| rule), Some("I6-made-twice"));
        ground.over(100);
        ground.note_numbers(&there(&[100]), Origin::Stranger);
        assert!(writers.makes(operation(1), 103, &ground).is_none());
    }
}
