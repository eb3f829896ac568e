//! Faults on purpose: calls that are refused, cut off, slow or hang, tasks that end badly, guests that do not boot.
//!
//! A fault is a rule, plain data in the world: which calls it is for, which of them it hits, and what a client then
//! sees. Its effect on one call lives and dies with the call's connection; the rules with their counts, calls that take
//! effect later and ends of tasks outlive the emulator.

mod arrive;
mod guests;
mod live;
mod orders;
mod rule;
mod tasks;

pub use guests::{GuestFaults, StrangerLook};
pub use live::{HeldCall, Release};
pub use orders::FaultView;
pub use rule::{Calls, FaultId, FaultKind, FaultRule, FaultWish};

pub(crate) use arrive::{advance, arrive, depart, due_ms, unheard};
pub(crate) use live::LiveFaults;
pub(crate) use tasks::{End, at_begin, at_end, forget_ended, is_forgotten};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::access::Caller;
use super::guest::GuestCommand;
use super::request::{ApiRequest, RequestId};
use super::upid::Upid;

/// Rules at a time.
const MAX_RULES: usize = 256;

/// What is broken on purpose, as far as it outlives the emulator.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Faults {
    /// Rules made so far.
    last_id: u64,
    /// Oldest first.
    rules: Vec<FaultRule>,
    /// Calls whose connection is gone and that take effect later.
    late: Vec<Late>,
    /// Late calls so far.
    last_late: u64,
    /// How these tasks end.
    tasks: BTreeMap<Upid, End>,
    /// What is broken around guests.
    guests: BTreeMap<u32, GuestFaults>,
    /// Commands that follow from changes made behind the API's back; given one after the other.
    owed: Vec<GuestCommand>,
}

/// A call under way whose sender hears nothing of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Late {
    /// Unix ms.
    at_ms: u64,
    /// Without its credentials: they were looked at when it arrived.
    request: ApiRequest,
    /// Whose it is.
    caller: Caller,
}

impl Faults {
    /// Whether a rule may be for this call, as far as is known before it was looked at.
    fn may_concern(&self, request: &ApiRequest) -> bool {
        let mut rules = self.rules.iter();
        rules.any(|rule| rule.wish.calls.may_have(request))
    }

    /// An id that no call of a connection has.
    fn late_id(&mut self) -> RequestId {
        self.last_late += 1;
        RequestId(u64::MAX - self.last_late)
    }
}
