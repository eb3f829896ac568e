//! Records that applies end, as the mass brake counts them: those that ended, and those that are about to.

use proximity_domain::apply::ChangeState;
use proximity_domain::observe::{Brake, Tally};
use proximity_domain::plan::{Act, Plan};
use proximity_domain::time::Timestamp;

use crate::applies::{ApplyChange, ApplyRecord};
use crate::error::StoreError;
use crate::row::damaged;
use crate::sql::{On, query_scalar};
use crate::store::Reader;

/// What the mass brake is judged by where an apply begins, beside what applies end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrakeBasis {
    /// Records that are live.
    pub live: u64,
    /// Records that ended since `from` by something else than an apply.
    pub done: u64,
    /// Since when what ended counts.
    pub from: Timestamp,
}

/// A change that is replaced may have ended its record though another one was not made. Which applies are meant is asked first: they are
/// few, and only their changes are read, by the key.
const COUNT: &str = "SELECT COUNT(*) FROM apply_changes c \
     WHERE c.apply_id IN (SELECT id FROM applies WHERE ended_at IS NULL OR ended_at > $1) \
     AND c.act IN ('replace', 'forget', 'destroy') \
     AND (c.state IN ('waiting', 'started') OR (c.state = 'done' AND c.ended_at > $1) \
     OR (c.state = 'failed' AND c.ended_at > $1 AND c.act = 'replace' AND c.operation_id IS NOT NULL))";

impl Reader {
    /// How many records were ended by applies after this moment, with those that applies which are not over have yet to end.
    ///
    /// # Errors
    /// The database's.
    pub async fn removals_after(&self, moment: Timestamp) -> Result<u64, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.removals_after(moment)));
        }
        after(self.named("removals_after"), moment).await
    }
}

/// The same, on whatever it is asked on.
pub(crate) async fn after(on: impl On, moment: Timestamp) -> Result<u64, StoreError> {
    let count: i64 = query_scalar(COUNT).bind(moment.0).fetch_one(on).await?;
    u64::try_from(count).map_err(|e| damaged("count", e.to_string()))
}

/// That the mass brake lets a plan end its records, when applies ended so many or are about to.
///
/// # Errors
/// [`StoreError::BrakeStops`].
pub(crate) fn let_go(basis: &BrakeBasis, by_applies: u64, plan: &Plan) -> Result<(), StoreError> {
    let tally = Tally {
        live: basis.live,
        done: basis.done.saturating_add(by_applies),
    };
    match Brake::judge(tally, plan.removed()) {
        Brake::Free => Ok(()),
        Brake::Stops {
            missing,
            done,
            limit,
        } => Err(StoreError::BrakeStops {
            removed: missing,
            done,
            limit,
        }),
    }
}

/// Whether a change counts: its record has ended after that moment, or is about to.
pub(crate) fn counts(apply: &ApplyRecord, change: &ApplyChange, moment: Timestamp) -> bool {
    let reaches = apply.ended_at.is_none_or(|at| at > moment);
    let removes = match change.act {
        Act::Replace | Act::Forget | Act::Destroy => true,
        Act::Create | Act::Update | Act::Adopt | Act::NoOp => false,
    };
    let is_late = change.ended_at.is_some_and(|at| at > moment);
    let ends = match change.state {
        ChangeState::Waiting | ChangeState::Started => true,
        ChangeState::Done => is_late,
        ChangeState::Failed => is_late && change.act == Act::Replace && change.operation.is_some(),
        ChangeState::HeldUp | ChangeState::NotStarted | ChangeState::Quiet => false,
    };
    reaches && removes && ends
}
