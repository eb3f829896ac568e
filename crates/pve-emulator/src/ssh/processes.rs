//! The process groups of running commands, so that a lab that ends leaves none.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};

/// The groups of commands that were started and not yet waited for.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    groups: Mutex<BTreeSet<i32>>,
}

impl Processes {
    /// Notes a command's group (its first process has the same number).
    pub(crate) fn started(&self, pid: Pid) {
        self.groups
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(pid.as_raw_nonzero().get());
    }

    /// Forgets a group whose first process was waited for: its number may be used again.
    pub(crate) fn ended(&self, pid: Pid) {
        self.groups
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&pid.as_raw_nonzero().get());
    }

    /// Sends a signal to one group that is still noted.
    pub(crate) fn signal(&self, pid: Pid, signal: Signal) {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if groups.contains(&pid.as_raw_nonzero().get()) {
            // It may just have ended, which is what a signal is for.
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Ends all that are still there.
    pub(crate) fn kill_all(&self) {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        for pid in groups.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}
