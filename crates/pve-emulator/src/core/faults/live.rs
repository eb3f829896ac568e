//! What faults do to calls that have not been answered.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::request::{ApiRequest, RequestId, Response};
use super::rule::FaultId;

/// Dies with the emulator, as the connections do.
#[derive(Debug, Clone, Default)]
pub(crate) struct LiveFaults {
    /// What is to become of the answers of these calls.
    pub(super) marks: BTreeMap<RequestId, Mark>,
    /// Calls that are not let in.
    pub(super) hanging: BTreeMap<RequestId, Hanging>,
    /// Answers that are not let out.
    pub(super) holding: BTreeMap<RequestId, Holding>,
    /// Calls that are never answered.
    pub(super) swallowed: BTreeMap<RequestId, Swallowed>,
    /// Answers that leave later.
    pub(super) leaving: Vec<Leaving>,
    /// The driver works on the first command that is owed.
    pub(super) owed_given: bool,
}

/// What becomes of an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Mark {
    pub(super) then: Option<Then>,
    pub(super) slow_ms: u64,
    /// For lists.
    pub(super) call: String,
    /// Faults for the task it starts, if it starts one.
    pub(super) tasks: Vec<FaultId>,
    /// Another fault has the call already: those for its task only count it.
    pub(super) taken: bool,
}

/// What a fault makes of an answer.
#[derive(Debug, Clone)]
pub(super) enum Then {
    /// Cut without a byte.
    Cut,
    /// The proxy has given up.
    GivenUp,
    /// Kept back until released.
    Hold(FaultId),
}

/// A call that is not let in.
#[derive(Debug, Clone)]
pub(super) struct Hanging {
    pub(super) fault: FaultId,
    pub(super) request: ApiRequest,
    pub(super) mark: Mark,
    pub(super) released: Option<Release>,
}

/// An answer that is not let out.
#[derive(Debug, Clone)]
pub(super) struct Holding {
    pub(super) fault: FaultId,
    pub(super) response: Response,
    pub(super) call: String,
    pub(super) released: Option<Release>,
}

/// How a call is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// It goes on.
    GoOn,
    /// Its connection is cut: one that was not let in never happens.
    Cut,
}

/// A call that is never answered.
#[derive(Debug, Clone)]
pub(super) struct Swallowed {
    pub(super) fault: FaultId,
    pub(super) call: String,
    /// Its connection ends then, Unix ms.
    pub(super) until_ms: u64,
}

/// An answer that leaves later.
#[derive(Debug, Clone)]
pub(super) struct Leaving {
    /// Unix ms.
    pub(super) at_ms: u64,
    pub(super) response: Response,
}

/// A call that waits because of a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldCall {
    /// Verb and path.
    pub call: String,
    /// `hanging` before its effect, `holding` its answer, `unanswered` for good.
    pub state: &'static str,
}

impl LiveFaults {
    /// Calls that wait because of a rule, in the order they arrived.
    pub(super) fn held_by(&self, fault: FaultId) -> Vec<HeldCall> {
        let row = |call: &String, state| HeldCall {
            call: call.clone(),
            state,
        };
        let hanging = self.hanging.values().filter(|held| held.fault == fault);
        let holding = self.holding.values().filter(|held| held.fault == fault);
        let swallowed = self.swallowed.values().filter(|held| held.fault == fault);
        hanging
            .map(|held| row(&held.mark.call, "hanging"))
            .chain(holding.map(|held| row(&held.call, "holding")))
            .chain(swallowed.map(|held| row(&held.call, "unanswered")))
            .collect()
    }

    /// Releases what a rule holds; how many calls that are.
    pub(super) fn release(&mut self, fault: FaultId, how: Release) -> usize {
        let hanging = self.hanging.values_mut().filter(|held| held.fault == fault);
        let hanging = hanging.map(|held| &mut held.released);
        let holding = self.holding.values_mut().filter(|held| held.fault == fault);
        let holding = holding.map(|held| &mut held.released);
        let mut count = 0;
        for released in hanging.chain(holding) {
            count += usize::from(released.replace(how).is_none());
        }
        count
    }

    /// Something was released and has not gone on yet.
    pub(super) fn any_released(&self) -> bool {
        let hanging = self.hanging.values().any(|held| held.released.is_some());
        hanging || self.holding.values().any(|held| held.released.is_some())
    }
}
