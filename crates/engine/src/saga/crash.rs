//! Places at which a crash-point build kills itself, so that every state a crash can leave is reached on purpose.
//!
//! In a build without the feature `crash-points` nothing of this exists but an empty function.

use proximity_domain::time::Monotonic;

#[cfg(any(feature = "crash-points", feature = "bug-switches"))]
use super::guards::{Guard, is_off};
use super::step::Calls;
use crate::sagas;

/// Places of a step, by what it changes outside of our records.
fn places(calls: Calls) -> &'static [&'static str] {
    match calls {
        Calls::Nothing => &[
            "before_intent",
            "after_intent",
            "after_effect",
            "after_record",
        ],
        Calls::Call => &[
            "before_intent",
            "after_intent",
            "before_call",
            "after_call",
            "after_effect",
            "after_record",
        ],
        Calls::Task => &[
            "before_intent",
            "after_intent",
            "before_call",
            "after_call",
            "after_upid",
            "after_effect",
            "after_record",
        ],
    }
}

/// All places: `saga/step/place`, from the step tables; and those of the loop that carries applies out, as `apply/write/place`.
#[must_use]
pub fn crash_points() -> Vec<String> {
    let mut all: Vec<String> = crate::apply::crash_points().collect();
    for (saga, steps) in sagas::tables() {
        for row in steps {
            for place in places(row.calls) {
                all.push(format!("{saga}/{}/{place}", row.name));
            }
        }
    }
    all
}

#[cfg(feature = "crash-points")]
static TARGET: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Chooses the place (`saga/step/place`) at which this process dies, once.
#[cfg(feature = "crash-points")]
pub fn set_crash_point(place: String) {
    let _already_set = TARGET.set(place);
}

/// Chooses nothing: this build has no crash points.
#[cfg(not(feature = "crash-points"))]
pub fn set_crash_point(_place: String) {}

#[cfg(feature = "crash-points")]
static FORGETS_CREATES: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Takes a guard off, for the control of figure R1: after a restart a create is sent without a look at what is there
/// already, and under another VMID than the recorded one.
#[cfg(feature = "crash-points")]
pub fn forget_creates() {
    FORGETS_CREATES.store(true, std::sync::atomic::Ordering::Relaxed);
}

#[cfg(feature = "crash-points")]
pub(crate) fn forgets_creates() -> bool {
    FORGETS_CREATES.load(std::sync::atomic::Ordering::Relaxed) || is_off(Guard::Create)
}

#[cfg(all(feature = "bug-switches", not(feature = "crash-points")))]
pub(crate) fn forgets_creates() -> bool {
    is_off(Guard::Create)
}

#[cfg(feature = "crash-points")]
static STOPS: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Chooses the place at which this process stops itself, once, until it is told to go on: a process that is suspended
/// between its look at the record and the call.
#[cfg(feature = "crash-points")]
pub fn stop_at_crash_point(place: String) {
    let _already_set = STOPS.set(place);
}

#[cfg(feature = "crash-points")]
static SENDS_LATE: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Takes a guard off, for the control of figure R20: changes are sent however late it is, and work whose lease is lost is
/// not cut off.
#[cfg(feature = "crash-points")]
pub fn ignore_send_deadlines() {
    SENDS_LATE.store(true, std::sync::atomic::Ordering::Relaxed);
}

#[cfg(feature = "crash-points")]
fn sends_late() -> bool {
    SENDS_LATE.load(std::sync::atomic::Ordering::Relaxed) || is_off(Guard::Lease)
}

#[cfg(all(feature = "bug-switches", not(feature = "crash-points")))]
fn sends_late() -> bool {
    is_off(Guard::Lease)
}

#[cfg(not(any(feature = "crash-points", feature = "bug-switches")))]
fn sends_late() -> bool {
    false
}

/// Until when a change may be sent under a lease that is good until then: not later, unless that is taken off.
pub(crate) fn send_by(good_until: Monotonic) -> Monotonic {
    if sends_late() {
        Monotonic(u64::MAX)
    } else {
        good_until
    }
}

/// Whether work whose lease is lost is cut off: always, unless that is taken off.
pub(crate) fn cuts_off_lost_work() -> bool {
    !sends_late()
}

#[cfg(feature = "crash-points")]
fn stop_once(here: &str) {
    static STOPPED: std::sync::Once = std::sync::Once::new();
    if STOPS.get().is_some_and(|place| place == here) {
        STOPPED.call_once(|| {
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::STOP,
            );
        });
    }
}

#[cfg(feature = "crash-points")]
pub(crate) fn point(saga: &str, step: &str, place: &str) {
    #[cfg(feature = "bug-switches")]
    super::deaths::pass(saga, step, place);
    let here = format!("{saga}/{step}/{place}");
    stop_once(&here);
    if TARGET.get().is_some_and(|target| *target == here) {
        // SIGKILL to ourselves: no destructor, no flush, as a power cut of the process would be.
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        loop {
            std::hint::spin_loop();
        }
    }
}

#[cfg(all(feature = "bug-switches", not(feature = "crash-points")))]
pub(crate) fn point(saga: &str, step: &str, place: &str) {
    super::deaths::pass(saga, step, place);
}

#[cfg(not(any(feature = "crash-points", feature = "bug-switches")))]
pub(crate) fn point(_saga: &str, _step: &str, _place: &str) {}
