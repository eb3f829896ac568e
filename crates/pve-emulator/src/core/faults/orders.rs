//! What tests and the control socket ask of the faults.

use serde::Serialize;

use super::MAX_RULES;
use super::live::{HeldCall, Release};
use super::rule::{FaultId, FaultRule, FaultWish};
use crate::core::World;
use crate::core::checks;
use crate::core::request::RequestId;

/// A fault with what it holds at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultView<'a> {
    /// The rule and its counts.
    #[serde(flatten)]
    pub rule: &'a FaultRule,
    /// Calls that wait because of it.
    pub held: Vec<HeldCall>,
}

impl World {
    /// Breaks something from now on.
    ///
    /// # Errors
    /// Why it cannot be, as text.
    pub fn add_fault(&mut self, wish: FaultWish) -> Result<FaultId, String> {
        if self.faults.rules.len() >= MAX_RULES {
            return Err(format!("there are {MAX_RULES} faults; end some"));
        }
        wish.check(self)?;
        self.faults.last_id += 1;
        let id = FaultId(self.faults.last_id);
        self.faults.rules.push(FaultRule {
            id,
            wish,
            seen: 0,
            hits: 0,
        });
        Ok(id)
    }

    /// Faults, oldest first; also those that will not hit any more.
    pub fn faults(&self) -> impl Iterator<Item = FaultView<'_>> {
        self.faults.rules.iter().map(|rule| FaultView {
            rule,
            held: self.live.faults.held_by(rule.id),
        })
    }

    /// How many calls a fault has hit; none when there is no such fault.
    #[must_use]
    pub fn fault_hits(&self, id: FaultId) -> Option<u64> {
        let mut rules = self.faults.rules.iter();
        rules.find(|rule| rule.id == id).map(|rule| rule.hits)
    }

    /// Releases the calls that a fault holds now; how many. It goes on hitting others.
    pub fn release(&mut self, id: FaultId, how: Release) -> usize {
        self.live.faults.release(id, how)
    }

    /// Ends a fault: what it holds goes on, connections without an answer are cut. False when there is none.
    pub fn end_fault(&mut self, id: FaultId) -> bool {
        let before = self.faults.rules.len();
        self.faults.rules.retain(|rule| rule.id != id);
        self.live.faults.release(id, Release::GoOn);
        let swallowed = self.live.faults.swallowed.values_mut();
        swallowed
            .filter(|held| held.fault == id)
            .for_each(|held| held.until_ms = 0);
        self.faults.rules.len() < before
    }

    /// The sender of a call has gone away: nobody waits for its answer. What was asked for goes on, but for a call that no
    /// node has got.
    pub fn forget_caller(&mut self, id: RequestId) {
        if self.live.faults.swallowed.remove(&id).is_some() {
            checks::over(self, id);
        }
    }
}
