//! Who is at work on which app in this process: an operation, or a sweep. Never both. And which operations those are.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proximity_domain::ids::{AppId, HostId, OperationId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The apps somebody is at work on.
#[derive(Debug, Clone, Default)]
pub(crate) struct AtWork {
    apps: Arc<Mutex<Apps>>,
}

#[derive(Debug, Default)]
struct Apps {
    at_work: HashSet<AppId>,
    /// Those on which somebody was, since that was asked last.
    left: HashSet<AppId>,
}

/// Held while at work on an app.
#[derive(Debug)]
pub(crate) struct AtWorkGuard {
    apps: Arc<Mutex<Apps>>,
    app: AppId,
    /// It only writes down what was seen: nothing about the app's container is another thing afterwards.
    only_notes: bool,
}

impl AtWorkGuard {
    /// What it did was to write down what a list showed: the lists that come are of after that.
    pub(crate) fn only_noted(&mut self) {
        self.only_notes = true;
    }
}

impl AtWork {
    fn lock(&self) -> MutexGuard<'_, Apps> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guard, unless somebody else is at work on this app.
    pub(crate) fn try_enter(&self, app: AppId) -> Option<AtWorkGuard> {
        self.lock().at_work.insert(app).then(|| AtWorkGuard {
            apps: self.apps.clone(),
            app,
            only_notes: false,
        })
    }

    /// The guard for writing down what a list showed of this app, unless somebody is at work on it, or was since
    /// [`AtWork::take_left`].
    pub(crate) fn try_note(&self, app: AppId) -> Option<AtWorkGuard> {
        let mut apps = self.lock();
        let free = !apps.left.contains(&app) && apps.at_work.insert(app);
        free.then(|| AtWorkGuard {
            apps: self.apps.clone(),
            app,
            only_notes: true,
        })
    }

    /// Whether somebody was at work on this app, and is no more, since [`AtWork::take_left`].
    pub(crate) fn was_left(&self, app: AppId) -> bool {
        self.lock().left.contains(&app)
    }

    /// The apps on which somebody was at work, and is no more, since this was asked last.
    pub(crate) fn take_left(&self) -> HashSet<AppId> {
        std::mem::take(&mut self.lock().left)
    }
}

impl Drop for AtWorkGuard {
    fn drop(&mut self) {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        apps.at_work.remove(&self.app);
        if !self.only_notes {
            apps.left.insert(self.app);
        }
    }
}

/// The operations this process is at work on: at most as many as its limits allow.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight {
    operations: Arc<Mutex<HashMap<OperationId, Flight>>>,
    /// Rung when one ends that was claimed.
    landed: Arc<Notify>,
}

#[derive(Debug)]
struct Flight {
    host: HostId,
    cancel: CancellationToken,
}

/// Held while an operation is being claimed, and while at work on it.
#[derive(Debug)]
pub(crate) struct InFlightGuard {
    all: InFlight,
    id: OperationId,
    claimed: bool,
    /// Fired when a person cancels it in this process.
    pub(crate) cancel: CancellationToken,
}

impl InFlight {
    fn lock(&self) -> MutexGuard<'_, HashMap<OperationId, Flight>> {
        self.operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that it is about to be claimed and worked on.
    pub(crate) fn enter(&self, id: OperationId, host: HostId) -> InFlightGuard {
        let cancel = CancellationToken::new();
        let flight = Flight {
            host,
            cancel: cancel.clone(),
        };
        self.lock().insert(id, flight);
        InFlightGuard {
            all: self.clone(),
            id,
            claimed: false,
            cancel,
        }
    }

    /// Tells whoever is at work on it that a person cancelled it.
    pub(crate) fn cancel(&self, id: OperationId) {
        if let Some(flight) = self.lock().get(&id) {
            flight.cancel.cancel();
        }
    }

    /// Whether it is one of them.
    pub(crate) fn has(&self, id: OperationId) -> bool {
        self.lock().contains_key(&id)
    }

    /// All of them, with their hosts.
    pub(crate) fn hosts(&self) -> HashMap<OperationId, HostId> {
        self.lock().iter().map(|(id, f)| (*id, f.host)).collect()
    }

    /// Returns when one that was claimed has ended since this was asked last.
    pub(crate) async fn landed(&self) {
        self.landed.notified().await;
    }
}

impl InFlightGuard {
    /// It is claimed. One that could not be claimed leaves no slot that another was kept from, so its end rings for nobody:
    /// whoever waits would try the same claim again at once.
    pub(crate) fn claimed(mut self) -> Self {
        self.claimed = true;
        self
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.all.lock().remove(&self.id);
        if self.claimed {
            self.all.landed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
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

    #[test]
    fn what_was_worked_on_is_not_noted_from_an_older_list() {
        let at_work = AtWork::default();
        let app = AppId(Uuid::from_u128(1));
        assert!(at_work.try_note(app).is_some());
        assert_eq!(at_work.take_left(), HashSet::new(), "a note is no work");
        let work = at_work.try_enter(app);
        assert!(at_work.try_note(app).is_none(), "somebody is at work");
        drop(work);
        assert!(at_work.try_note(app).is_none(), "somebody was");
        assert_eq!(at_work.take_left(), HashSet::from([app]));
        let note = at_work.try_note(app);
        assert!(note.is_some());
        assert!(at_work.try_enter(app).is_none(), "one at a time");
    }

    #[tokio::test]
    async fn an_operation_is_in_flight_as_long_as_its_guard_lives() {
        let all = InFlight::default();
        let (id, host) = (OperationId(Uuid::from_u128(1)), HostId(Uuid::from_u128(2)));
        let guard = all.enter(id, host);
        drop(guard);
        assert!(all.landed().now_or_never().is_none(), "it was not claimed");
        let guard = all.enter(id, host).claimed();
        assert_eq!(all.hosts(), HashMap::from([(id, host)]));
        assert!(!guard.cancel.is_cancelled());
        all.cancel(id);
        assert!(guard.cancel.is_cancelled());
        drop(guard);
        all.landed().await;
        assert!(all.hosts().is_empty());
    }
}
