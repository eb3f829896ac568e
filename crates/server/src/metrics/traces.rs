//! Figures of what becomes of spans, where the server traces.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::labels::Passed;

/// What became of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanFate {
    /// The collector took it.
    Sent,
    /// It was sent, and not taken; or nobody knows.
    Failed,
    /// Too many waited to be sent.
    Dropped,
}

impl SpanFate {
    const ALL: [Self; 3] = [Self::Sent, Self::Failed, Self::Dropped];

    fn label(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// They begin with the process.
#[derive(Debug, Default)]
pub(super) struct TraceMetrics {
    spans: Family<Passed, Counter>,
}

impl TraceMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "trace_spans",
            "Spans for the collector of traces: sent, failed (it did not take them), dropped (too many waited)",
            self.spans.clone(),
        );
    }

    /// So many came to this.
    pub(super) fn spans(&self, fate: SpanFate, count: u64) {
        let result = fate.label();
        self.spans.get_or_create(&Passed { result }).inc_by(count);
    }

    /// One series of each: what has not happened yet is 0, so that the first time is a rise.
    pub(super) fn show_all(&self) {
        for fate in SpanFate::ALL {
            self.spans(fate, 0);
        }
    }
}
