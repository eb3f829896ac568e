//! Figures of the store: its calls, the snapshots it wrote, and what it takes of the machine.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use proximity_store::{CallEnd, SnapshotWritten, StoreUsage};

use super::labels::{Connections, StoreCall, StoreCallError, Written};

/// Calls and snapshots begin with the process; the rest is as it is now.
#[derive(Debug)]
pub(super) struct StoreMetrics {
    calls: Family<StoreCall, Histogram, fn() -> Histogram>,
    errors: Family<StoreCallError, Counter>,
    snapshots: Family<Written, Counter>,
    snapshot_bytes: Histogram,
    bytes: Gauge,
    connections: Family<Connections, Gauge>,
    writes: Gauge,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        Self {
            calls: Family::new_with_constructor(call_seconds),
            errors: Family::default(),
            snapshots: Family::default(),
            snapshot_bytes: state_bytes(),
            bytes: Gauge::default(),
            connections: Family::default(),
            writes: Gauge::default(),
        }
    }
}

impl StoreMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "store_calls_seconds",
            "How long calls of the store took, by its method, waiting for a turn included; a method may be several calls",
            self.calls.clone(),
        );
        registry.register(
            "store_call_errors",
            "Calls of the store that ended with an error, refusals included, by its method and the kind of error",
            self.errors.clone(),
        );
        registry.register(
            "store_bytes",
            "Size of the database, its log included",
            self.bytes.clone(),
        );
        registry.register(
            "store_connections",
            "Open connections to the database, busy and idle; the one that writes on SQLite is not among them",
            self.connections.clone(),
        );
        registry.register(
            "store_writes_under_way",
            "Writes that wait for their turn, or are at work",
            self.writes.clone(),
        );
    }

    /// Those that tell of what the clusters have.
    pub(super) fn register_snapshots(&self, registry: &mut Registry) {
        registry.register(
            "snapshots_written",
            "Snapshots of resources that were written, by what was told of",
            self.snapshots.clone(),
        );
        registry.register(
            "snapshot_bytes",
            "Bytes of the state in each snapshot that was written",
            self.snapshot_bytes.clone(),
        );
    }

    /// A call has ended.
    pub(super) fn call(&self, end: &CallEnd) {
        let times = self.calls.get_or_create(&StoreCall { call: end.call });
        times.observe(end.took.as_secs_f64());
        if let Some(error) = end.error {
            let call = end.call;
            let errors = self.errors.get_or_create(&StoreCallError { call, error });
            errors.inc();
        }
    }

    /// A snapshot is committed.
    pub(super) fn snapshot(&self, written: SnapshotWritten) {
        let change = written.change.label();
        self.snapshots.get_or_create(&Written { change }).inc();
        let bytes = u32::try_from(written.bytes).unwrap_or(u32::MAX);
        self.snapshot_bytes.observe(f64::from(bytes));
    }

    /// What the store takes now.
    pub(super) fn show(&self, usage: &StoreUsage) {
        let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.bytes.set(whole(usage.bytes));
        self.writes.set(whole(usage.writes));
        for (state, count) in [("busy", usage.busy), ("idle", usage.idle)] {
            let connections = self.connections.get_or_create(&Connections { state });
            connections.set(whole(count));
        }
    }

    /// One series of each figure: without any a figure is not told.
    pub(super) fn show_all(&self) {
        drop(self.calls.get_or_create(&StoreCall { call: "" }));
        let none = StoreCallError {
            call: "",
            error: "",
        };
        drop(self.errors.get_or_create(&none));
        drop(self.snapshots.get_or_create(&Written { change: "" }));
        self.show(&StoreUsage::default());
    }
}

/// From a tenth of a millisecond to ten seconds, in few steps: there is one series of each for every method.
fn call_seconds() -> Histogram {
    Histogram::new([0.0001, 0.001, 0.01, 0.1, 1.0, 10.0])
}

/// A state is some hundred bytes as lists show it, and some thousand with a configuration.
fn state_bytes() -> Histogram {
    Histogram::new([
        256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0, 65536.0,
    ])
}
