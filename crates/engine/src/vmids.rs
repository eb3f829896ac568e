//! Numbers for new guests that are chosen and not committed yet: no two operations of one process choose the same.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use proximity_domain::ids::Vmid;

/// The numbers in choice on one cluster. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct InChoice(Arc<Mutex<HashSet<Vmid>>>);

/// A number for one operation alone, until this is dropped.
#[derive(Debug)]
pub(crate) struct Chosen {
    vmid: Vmid,
    among: InChoice,
}

impl InChoice {
    /// The number, unless another operation has it in choice.
    pub(crate) fn choose(&self, vmid: Vmid) -> Option<Chosen> {
        let new = self.with(|chosen| chosen.insert(vmid));
        new.then(|| Chosen {
            vmid,
            among: self.clone(),
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashSet<Vmid>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Chosen {
    pub(crate) fn vmid(&self) -> Vmid {
        self.vmid
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.among.with(|chosen| chosen.remove(&self.vmid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_in_one_choice_at_a_time() {
        let vmids = InChoice::default();
        let number = Vmid::try_from(100).unwrap();
        let first = vmids.choose(number);
        assert!(first.is_some() && vmids.clone().choose(number).is_none());
        drop(first);
        assert!(vmids.choose(number).is_some());
    }
}
