//! How tasks end that a fault is for.

use serde::{Deserialize, Serialize};

use super::rule::FaultKind;
use crate::core::upid::Upid;
use crate::core::world::World;

/// How a task ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    /// It fails before its work, or behind it.
    Error { message: String, after_effect: bool },
    /// It ends well with these warnings.
    Warnings(Vec<String>),
    /// Its process dies at its work.
    Killed,
    /// Nothing knows of it.
    Forgotten,
}

impl End {
    /// What a fault makes of a task.
    pub(super) fn of(kind: &FaultKind) -> Option<Self> {
        match kind.clone() {
            FaultKind::TaskError {
                message,
                after_effect,
            } => Some(Self::Error {
                message,
                after_effect,
            }),
            FaultKind::TaskWarnings { lines } => Some(Self::Warnings(lines)),
            FaultKind::TaskLost { forgotten: true } => Some(Self::Forgotten),
            FaultKind::TaskLost { forgotten: false } => Some(Self::Killed),
            _ => None,
        }
    }
}

/// What becomes of a task that holds its lock now.
pub(crate) fn at_begin(world: &World, upid: &Upid) -> Option<End> {
    match world.faults.tasks.get(upid)? {
        End::Error {
            after_effect: true, ..
        }
        | End::Warnings(_)
        | End::Forgotten => None,
        end => Some(end.clone()),
    }
}

/// What is said of a task whose work is done.
pub(crate) fn at_end(world: &World, upid: &Upid) -> Option<End> {
    match world.faults.tasks.get(upid)? {
        End::Error {
            after_effect: false,
            ..
        }
        | End::Killed
        | End::Forgotten => None,
        end => Some(end.clone()),
    }
}

/// Whether nobody is told of a task.
pub(crate) fn is_forgotten(world: &World, upid: &Upid) -> bool {
    matches!(world.faults.tasks.get(upid), Some(End::Forgotten))
}

/// Keeps no end of a task that is no longer remembered.
pub(crate) fn forget_ended(world: &mut World) {
    let tasks = &world.tasks;
    let known = |upid: &Upid| tasks.iter().any(|task| task.upid == *upid);
    world.faults.tasks.retain(|upid, _| known(upid));
}
