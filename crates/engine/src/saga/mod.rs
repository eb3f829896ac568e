//! The saga machinery: step tables, the executor that walks them, and what a step may use.

mod absence;
mod again;
mod arrival;
mod at_step;
mod bare;
mod clones;
mod context;
mod crash;
mod cut;
mod deaths;
mod executor;
mod fetch;
mod guards;
mod late_destroy;
mod look;
mod options;
mod power_off;
mod pve_calls;
mod rehearsal;
mod reins;
mod sent;
mod standstill;
mod step;

pub(crate) use absence::{absent_by_every_word, absent_everywhere, nobody_has_it, unlisted};
pub(crate) use again::panicked;
pub(crate) use arrival::FreeWay;
#[cfg(feature = "bug-switches")]
pub use at_step::{AtStep, step_at_work};
pub(crate) use bare::{BARE, HAD_LIFTED, PUT_BACK, taken_back, with_bare};
pub(crate) use context::Cx;
#[cfg(any(feature = "crash-points", feature = "bug-switches"))]
pub(crate) use crash::forgets_creates;
pub use crash::{crash_points, set_crash_point};
pub(crate) use crash::{cuts_off_lost_work, point};
#[cfg(feature = "crash-points")]
pub use crash::{forget_creates, ignore_send_deadlines, stop_at_crash_point};
pub(crate) use cut::Cuts;
#[cfg(feature = "bug-switches")]
pub use deaths::Mortal;
pub(crate) use deaths::rest_if_dead;
pub(crate) use executor::{crowded, drive};
pub use guards::Guard;
pub(crate) use guards::is_off;
#[cfg(feature = "bug-switches")]
pub use guards::take_off;
pub(crate) use late_destroy::DESTROY_TASK;
pub(crate) use look::{Look, as_far_as_compared, confirm, runs};
pub(crate) use options::OptionsCall;
pub(crate) use power_off::Before;
pub(crate) use pve_calls::pve_failure;
#[cfg(any(feature = "crash-points", feature = "bug-switches"))]
pub(crate) use rehearsal::is_twice;
#[cfg(feature = "bug-switches")]
pub use rehearsal::{rehearse, rehearsed};
pub(crate) use reins::{LeaseTime, Reins};
pub(crate) use sent::{Change, Sent, may_have_destroyed};
#[cfg(feature = "bug-switches")]
pub use standstill::Scheduling;
pub(crate) use standstill::along;
pub(crate) use step::{
    Calls, Done, Ending, Halt, Intent, Row, Saga, StepAction, StepError, StepResult,
};
