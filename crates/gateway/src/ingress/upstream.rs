//! Where one route leads, and what is counted about it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::connection::ConnectionSlots;
use crate::clock;
use crate::protocol::{DialFailure, Totals};
use crate::route::AppId;

/// Shared by the listeners and connections of one route.
#[derive(Debug)]
pub(crate) struct Upstream {
    app_id: AppId,
    /// The pointer that a change of target flips.
    target: watch::Sender<Target>,
    slots: ConnectionSlots,
    last_dial_failure: watch::Sender<Option<DialFailure>>,
    pub(super) counters: Counters,
}

#[derive(Debug, Clone, Copy, Default)]
struct Target {
    address: Option<SocketAddr>,
    /// Dial failures since it is the target.
    dial_failures: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    connections: AtomicU64,
    refused_at_limit: AtomicU64,
    dial_failures: AtomicU64,
    pub(super) bytes_to_guest: AtomicU64,
    pub(super) bytes_to_clients: AtomicU64,
}

impl Upstream {
    pub(super) fn new(app_id: AppId, max_connections: usize) -> Self {
        Self {
            app_id,
            target: watch::Sender::new(Target::default()),
            slots: ConnectionSlots::new(max_connections),
            last_dial_failure: watch::Sender::new(None),
            counters: Counters::default(),
        }
    }

    pub(super) fn app_id(&self) -> &AppId {
        &self.app_id
    }

    /// New connections go here from now on; open ones stay where they are.
    pub(super) fn lead_to(&self, address: Option<SocketAddr>) {
        self.target.send_if_modified(|target| {
            let changed = target.address != address;
            if changed {
                *target = Target {
                    address,
                    dial_failures: 0,
                };
            }
            changed
        });
    }

    pub(super) fn target(&self) -> Option<SocketAddr> {
        self.target.borrow().address
    }

    pub(super) fn target_dial_failures(&self) -> u64 {
        self.target.borrow().dial_failures
    }

    pub(super) fn slots(&self) -> &ConnectionSlots {
        &self.slots
    }

    pub(super) fn open(&self) -> u64 {
        self.slots.open()
    }

    pub(super) fn count_connection(&self) {
        self.counters.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_refused(&self) {
        self.counters
            .refused_at_limit
            .fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn dial_failed(&self, target: SocketAddr, error: String) {
        self.counters.dial_failures.fetch_add(1, Ordering::Relaxed);
        self.target.send_if_modified(|now| {
            // A dial that began before a flip says nothing about the new target.
            let same = now.address == Some(target);
            now.dial_failures += u64::from(same);
            same
        });
        let failure = DialFailure {
            at_unix_ms: clock::unix_ms(),
            target,
            error,
        };
        self.last_dial_failure.send_replace(Some(failure));
    }

    pub(super) fn last_dial_failure(&self) -> Option<DialFailure> {
        self.last_dial_failure.borrow().clone()
    }

    pub(super) fn totals(&self) -> Totals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            connections: read(&self.counters.connections),
            refused_at_limit: read(&self.counters.refused_at_limit),
            dial_failures: read(&self.counters.dial_failures),
            bytes_to_guest: read(&self.counters.bytes_to_guest),
            bytes_to_clients: read(&self.counters.bytes_to_clients),
        }
    }
}
