//! Who is at work on which app in this process: an operation, or a sweep. Never both.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use proximity_domain::ids::AppId;

/// The apps somebody is at work on.
#[derive(Debug, Clone, Default)]
pub(crate) struct AtWork {
    apps: Arc<Mutex<HashSet<AppId>>>,
}

/// Held while at work on an app.
#[derive(Debug)]
pub(crate) struct AtWorkGuard {
    apps: Arc<Mutex<HashSet<AppId>>>,
    app: AppId,
}

impl AtWork {
    /// The guard, unless somebody else is at work on this app.
    pub(crate) fn try_enter(&self, app: AppId) -> Option<AtWorkGuard> {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        apps.insert(app).then(|| AtWorkGuard {
            apps: self.apps.clone(),
            app,
        })
    }
}

impl Drop for AtWorkGuard {
    fn drop(&mut self) {
        self.apps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.app);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn one_at_a_time() {
        let at_work = AtWork::default();
        let app = AppId(Uuid::from_u128(1));
        let first = at_work.try_enter(app);
        assert!(first.is_some());
        assert!(at_work.try_enter(app).is_none());
        drop(first);
        assert!(at_work.try_enter(app).is_some());
    }
}
