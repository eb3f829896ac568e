//! Who changes the world.

use crate::core::request::ApiRequest;
use crate::core::task::Task;
use crate::core::world::World;

/// A call, a task, or high availability.
#[derive(Debug, Clone)]
pub(crate) struct Doer {
    /// Verb and path of the call it came of, or the task if no call began that.
    pub(super) call: Option<String>,
    /// Where it acts.
    pub(super) node: String,
    /// It writes configurations down as it is told, marks included.
    pub(super) configures: bool,
}

impl Doer {
    /// A call, done by a node.
    pub(crate) fn call(request: &ApiRequest, node: &str) -> Self {
        Self {
            call: Some(super::calls::name(request)),
            node: node.to_owned(),
            configures: request.method == "PUT",
        }
    }

    /// A task, on its node.
    pub(crate) fn task(task: &Task) -> Self {
        Self {
            call: Some(task.by.clone().unwrap_or_else(|| task.upid.to_string())),
            node: task.upid.node.clone(),
            configures: false,
        }
    }

    /// High availability, which acts by its master node.
    pub(crate) fn high_availability(node: &str) -> Self {
        Self {
            call: None,
            node: node.to_owned(),
            configures: false,
        }
    }

    /// What a task that it begins comes of.
    pub(crate) fn name(&self) -> Option<&str> {
        self.call.as_deref()
    }
}

/// What is to be said of who acts now.
pub(super) fn call(world: &World) -> Option<String> {
    world.live.doer.as_ref()?.call.clone()
}
