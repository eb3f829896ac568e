//! Figures of the journals: how much of each there is, and how much was cleared away.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use proximity_store::clearing::{Journal, JournalCount};
use proximity_store::{Reader, StoreError};

use super::labels::OfJournal;

/// Read from the record, so that they go on where a process before left off.
#[derive(Debug, Default)]
pub(super) struct JournalMetrics {
    kept: Family<OfJournal, Gauge>,
    cleared: Family<OfJournal, Gauge>,
}

impl JournalMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "journal_kept",
            "What is kept: events, log lines, and operations that have ended and have their steps and log lines",
            self.kept.clone(),
        );
        registry.register(
            "journal_cleared",
            "What was cleared away so far, as `retention` says: events, log lines, and operations without theirs",
            self.cleared.clone(),
        );
    }

    /// Counts them.
    pub(super) async fn look(&self, reader: &Reader) -> Result<(), StoreError> {
        for count in reader.journal_counts().await? {
            self.show(&count);
        }
        Ok(())
    }

    /// One series of each figure: without any a figure is not told.
    pub(super) fn show_all(&self) {
        for journal in Journal::ALL {
            self.show(&JournalCount {
                journal,
                kept: 0,
                cleared: 0,
            });
        }
    }

    fn show(&self, count: &JournalCount) {
        let labels = OfJournal {
            journal: count.journal.label(),
        };
        let whole = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
        self.kept.get_or_create(&labels).set(whole(count.kept));
        let cleared = self.cleared.get_or_create(&labels);
        cleared.set(whole(count.cleared));
    }
}
