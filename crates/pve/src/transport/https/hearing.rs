//! Whether an answer is on its way: who sends one is not silent, however long it is.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// When something of the answer to one copy of a call came last.
#[derive(Debug, Clone, Default)]
pub(super) struct Hearing(Arc<Mutex<Option<Instant>>>);

impl Hearing {
    /// Something of it came now.
    pub(super) fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// When something came last; `None` as long as nothing has.
    pub(super) fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
