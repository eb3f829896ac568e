//! One lock around the state: a write keeps what it changed when it is whole, and takes it back when it is not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::MemoryOptions;
use super::state::State;
use crate::error::StoreError;

/// The state that all clones of a store share.
#[derive(Clone)]
pub(crate) struct Model(Arc<Mutex<State>>);

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Model")
    }
}

impl Model {
    pub(crate) fn new(options: &MemoryOptions) -> Self {
        Self(Arc::new(Mutex::new(State::new(options))))
    }

    /// Looks at the state.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// Changes the state whole, or not at all when `change` fails.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut unless_kept = TakeBack(self.lock());
        let value = change(&mut unless_kept.0)?;
        unless_kept.0.keep();
        Ok(value)
    }

    /// A write that panicked has been taken back on its way out: the state is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes back what was changed and not kept, whichever way the write is left.
struct TakeBack<'a>(MutexGuard<'a, State>);

impl Drop for TakeBack<'_> {
    fn drop(&mut self) {
        self.0.take_back();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use proximity_domain::event::EventKind;
    use proximity_domain::ids::InstallationId;
    use proximity_domain::ports::PortRange;
    use proximity_domain::time::Timestamp;

    use super::*;
    use crate::effects::NewEvent;

    fn model() -> Model {
        Model::new(&MemoryOptions {
            installation: InstallationId(uuid::Uuid::nil()),
            public: PortRange::PUBLIC,
            internal: PortRange::INTERNAL,
            rest_ms: 0,
        })
    }

    fn say(state: &mut State) {
        let event = NewEvent {
            kind: EventKind::PortsFreed,
            body: serde_json::json!({}),
        };
        state.add_event(&event, None, None, Timestamp(1));
    }

    fn events(model: &Model) -> usize {
        model.read(|state| state.events.len())
    }

    #[test]
    fn a_change_that_fails_leaves_no_trace() {
        let model = model();
        let failed = model.write(|state| -> Result<(), StoreError> {
            say(state);
            let what = "no".to_owned();
            Err(StoreError::IllegalTransition { what })
        });
        assert!(failed.is_err());
        assert_eq!(events(&model), 0);
    }

    #[test]
    fn a_change_that_panics_leaves_no_trace_and_a_model_that_works() {
        let model = model();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            model.write(|state| -> Result<(), StoreError> {
                say(state);
                panic!("in the middle");
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(events(&model), 0);
        let written = model.write(|state| {
            say(state);
            Ok(())
        });
        written.unwrap();
        assert_eq!(events(&model), 1);
    }
}
