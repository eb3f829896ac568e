//! Who is at work on which app in this process: an operation, or a sweep. Never both. And which operations those are.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proximity_domain::ids::{AppId, HostId, OperationId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

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
