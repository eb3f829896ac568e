//! Calls: how many are in flight, and what each of them changed.

use std::collections::BTreeMap;

use super::quorum;
use super::settings::{Check, Checks, Violation};
use crate::core::request::{ApiRequest, RequestId, Response};
use crate::core::world::World;

/// Calls that were not answered yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight {
    /// With the node each is about.
    calls: BTreeMap<RequestId, String>,
    /// Changing calls that ran for the input at hand.
    pub(super) acting: Vec<String>,
}

fn name(request: &ApiRequest) -> String {
    format!("{} {}", request.method, request.path)
}

/// A call arrived that is about this node.
pub(crate) fn arrived(world: &mut World, request: &ApiRequest, node: &str, now_ms: u64) {
    let Some(most) = world.checks.settings.calls_per_node else {
        return;
    };
    let calls = &mut world.live.in_flight.calls;
    calls.insert(request.id, node.to_owned());
    let count = calls.values().filter(|at| *at == node).count();
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

/// A call was answered, or its connection cut.
pub(crate) fn answered(world: &mut World, response: &Response) {
    world.live.in_flight.calls.remove(&response.request);
}

impl Checks {
    /// Nobody waits for the answer of a call.
    pub(crate) fn caller_gone(calls: &mut InFlight, id: RequestId) {
        calls.calls.remove(&id);
    }
}

/// What a call is compared with.
pub(crate) struct Before {
    tasks: usize,
    /// Only where some node has no quorum.
    files: Option<String>,
}

/// To be called before a call runs, or runs on.
pub(crate) fn before_call(world: &World, request: &ApiRequest, now_ms: u64) -> Before {
    let torn = request.method != "GET" && quorum::is_torn(world, now_ms);
    Before {
        tasks: world.tasks.len(),
        files: torn.then(|| quorum::other_files(world)),
    }
}

/// To be called when it has run as far as it gets.
pub(crate) fn after_call(world: &mut World, request: &ApiRequest, before: Before, now_ms: u64) {
    if request.method == "GET" {
        return;
    }
    let call = name(request);
    for at in before.tasks..world.tasks.len() {
        let task = &mut world.tasks[at];
        task.by.get_or_insert_with(|| call.clone());
    }
    let changed = before
        .files
        .is_some_and(|files| files != quorum::other_files(world));
    // These files belong to no guest: what counts is the part of the cluster that took the call.
    if changed && !world.is_quorate(&request.via, now_ms) {
        world.checks.note(Violation {
            check: Check::Quorum,
            at_ms: now_ms,
            call: Some(call.clone()),
            vmid: None,
            node: Some(request.via.clone()),
            what: "a file of the cluster was written without quorum".to_owned(),
        });
    }
    world.live.in_flight.acting.push(call);
}
