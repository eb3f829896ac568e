//! Which step is at work, for a simulation that judges each call by the step that made it.
//!
//! In a build without the feature `bug-switches` nobody asks, and nothing is noted.

#[cfg(feature = "bug-switches")]
use proximity_domain::ids::OperationId;

use super::context::Cx;

/// A step at work.
#[cfg(feature = "bug-switches")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtStep {
    /// The operation.
    pub operation: OperationId,
    /// The step's place in its saga, from 0.
    pub index: u32,
    /// It is on its way back.
    pub undoes: bool,
}

#[cfg(feature = "bug-switches")]
tokio::task_local! {
    static STEP: AtStep;
}

/// The step that whatever runs now belongs to; `None` outside of steps.
#[cfg(feature = "bug-switches")]
#[must_use]
pub fn step_at_work() -> Option<AtStep> {
    STEP.try_with(|step| *step).ok()
}

/// Carries out the step that is at work, or undoes it.
#[cfg(feature = "bug-switches")]
pub(super) async fn within<T>(cx: &Cx, undoes: bool, work: impl Future<Output = T>) -> T {
    let step = AtStep {
        operation: cx.op.id,
        index: cx.step_index(),
        undoes,
    };
    STEP.scope(step, work).await
}

/// Carries out the step that is at work, or undoes it.
#[cfg(not(feature = "bug-switches"))]
pub(super) async fn within<T>(_cx: &Cx, _undoes: bool, work: impl Future<Output = T>) -> T {
    work.await
}
