//! The control of each figure: a guard of the engine that is taken off.

use anyhow::Result;
use proximity_engine::saga::Guard;

/// Takes it off for every engine of this thread; puts all on again when it goes.
#[derive(Debug)]
pub(super) struct Off(());

impl Off {
    /// # Errors
    /// This build has no guards that can be taken off.
    #[cfg(feature = "bug-switches")]
    pub(super) fn take(guard: Guard) -> Result<Self> {
        proximity_engine::saga::take_off(Some(guard));
        Ok(Self(()))
    }

    #[cfg(not(feature = "bug-switches"))]
    pub(super) fn take(guard: Guard) -> Result<Self> {
        anyhow::bail!(
            "the control takes the guard {} off: build with the feature bug-switches",
            guard.label()
        )
    }

    /// In a control alone.
    pub(super) fn if_control(is_control: bool, guard: Guard) -> Result<Option<Self>> {
        is_control.then(|| Self::take(guard)).transpose()
    }
}

#[cfg(feature = "bug-switches")]
impl Drop for Off {
    fn drop(&mut self) {
        proximity_engine::saga::take_off(None);
    }
}
