//! How many calls are in flight.
//!
//! A call is at a node from its arrival until it would have been answered: also while a proxy holds its answer back, when its
//! work goes on though the proxy gave it up, and when nobody waits for it any longer.

use std::collections::BTreeMap;

use super::settings::{Check, Violation};
use crate::core::request::{ApiRequest, RequestId, Response};
use crate::core::world::World;

/// Calls at nodes.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight {
    calls: BTreeMap<RequestId, Flight>,
}

#[derive(Debug, Clone)]
struct Flight {
    /// The node it is about.
    node: String,
    /// Its answer is there and is held back until then, Unix ms.
    until_ms: Option<u64>,
}

pub(super) fn name(request: &ApiRequest) -> String {
    format!("{} {}", request.method, request.path)
}

/// A call arrived that is about this node.
pub(crate) fn arrived(world: &mut World, request: &ApiRequest, node: &str, now_ms: u64) {
    let Some(most) = world.checks.settings.calls_per_node else {
        return;
    };
    let calls = &mut world.live.in_flight.calls;
    calls.retain(|_, flight| flight.until_ms.is_none_or(|at_ms| at_ms > now_ms));
    let flight = Flight {
        node: node.to_owned(),
        until_ms: None,
    };
    calls.insert(request.id, flight);
    let count = calls.values().filter(|flight| flight.node == node).count();
    if count > usize::try_from(most).unwrap_or(usize::MAX) {
        world.checks.note(Violation {
            check: Check::CallsInFlight,
            at_ms: now_ms,
            call: Some(name(request)),
            vmid: None,
            node: Some(node.to_owned()),
            what: format!("{count} calls are in flight, {most} allowed"),
        });
    }
}

/// A call was answered, or its connection cut. One that the proxy gave up is still at work.
pub(crate) fn answered(world: &mut World, response: &Response, now_ms: u64) {
    let id = response.request;
    if world.live.parked.contains_key(&id) {
        return;
    }
    let calls = &mut world.live.in_flight.calls;
    if response.hold_ms == 0 {
        calls.remove(&id);
    } else if let Some(flight) = calls.get_mut(&id) {
        flight.until_ms = Some(now_ms + response.hold_ms);
    }
}

/// A call is over whose answer goes nowhere.
pub(crate) fn over(world: &mut World, id: RequestId) {
    world.live.in_flight.calls.remove(&id);
}

/// A call is still under way, under another id.
pub(crate) fn goes_on_as(world: &mut World, id: RequestId, other: RequestId) {
    let calls = &mut world.live.in_flight.calls;
    if let Some(flight) = calls.remove(&id) {
        calls.insert(other, flight);
    }
}
