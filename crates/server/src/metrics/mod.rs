//! Figures of the running server, for Prometheus: `GET /metrics`.
//!
//! Labels come from closed lists, route templates and host labels, so that their number stays bounded. Counters begin with
//! the process. What happens to operations is counted from their events, so it cannot differ from what is told.
//!
//! Three registries make an answer: what the process does; what happens to all apps, for who may see them all; and what was
//! counted for this very answer.

mod journals;
mod labels;
mod operations;
mod page;
mod process;
mod scrape;
mod store;
mod templates;
mod traces;
mod work;

use journals::JournalMetrics;
pub(crate) use labels::method;
use operations::OperationMetrics;
pub use page::metrics_markdown;
pub(crate) use scrape::Scrape;
use store::StoreMetrics;
use templates::TemplateMetrics;
pub use traces::SpanFate;
use traces::TraceMetrics;
use work::WorkMetrics;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use proximity_api::events::Event;
use proximity_domain::event::EventKind;
use proximity_engine::engine::Engine;
use proximity_store::views::AppCount;
use proximity_store::{Reader, StoreError};

use self::labels::{Build, Call, CallTime, Request, Route, Told};

/// What the answer says it is.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What all names of ours begin with.
const PREFIX: &str = "proximity";

/// All figures. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// What this process does.
    process: Registry,
    /// What happens to apps, whosever they are.
    everybody: Registry,
    requests: Family<Request, Counter>,
    request_times: Family<Route, Histogram, fn() -> Histogram>,
    calls: Family<Call, Counter>,
    call_times: Family<CallTime, Histogram, fn() -> Histogram>,
    streams: Gauge,
    newest_event: Gauge,
    resident_bytes: Gauge,
    open_files: Gauge,
    cpu_seconds: Counter<f64, AtomicU64>,
    commits: Histogram,
    store: StoreMetrics,
    work: WorkMetrics,
    traces: TraceMetrics,
    told: Family<Told, Counter>,
    operations: OperationMetrics,
    journals: JournalMetrics,
    templates: TemplateMetrics,
}

impl Metrics {
    /// Figures that are all zero.
    #[must_use]
    pub fn new(version: &str) -> Self {
        let mut inner = Inner {
            process: Registry::default(),
            everybody: Registry::default(),
            requests: Family::default(),
            request_times: Family::new_with_constructor(seconds),
            calls: Family::default(),
            call_times: Family::new_with_constructor(seconds),
            streams: Gauge::default(),
            newest_event: Gauge::default(),
            resident_bytes: Gauge::default(),
            open_files: Gauge::default(),
            cpu_seconds: Counter::default(),
            commits: seconds(),
            store: StoreMetrics::default(),
            work: WorkMetrics::default(),
            traces: TraceMetrics::default(),
            told: Family::default(),
            operations: OperationMetrics::default(),
            journals: JournalMetrics::default(),
            templates: TemplateMetrics::default(),
        };
        inner.register(version);
        inner.work.show_all();
        Self(Arc::new(inner))
    }

    /// From now on what this engine and its store do is counted here, unless it is counted elsewhere already.
    pub(crate) fn follow(&self, engine: &Engine) {
        let reader = engine.reader();
        let metrics = self.clone();
        reader.observe_calls(move |end| metrics.0.store.call(&end));
        let metrics = self.clone();
        reader.observe_snapshots(move |written| metrics.0.store.snapshot(written));
        let metrics = self.clone();
        engine.observe_plans(move |took| metrics.0.work.plan(took));
        let metrics = self.clone();
        engine.observe_changes(move |state| metrics.0.work.change(state));
        let metrics = self.clone();
        let reconciler = engine.reconciler();
        reconciler.observe_passes(move |end| metrics.0.work.pass(end));
    }

    /// A call to a cluster has ended. `status` is the HTTP status, or a word for why there is none.
    pub fn pve_call(&self, host: &str, method: &'static str, status: &str, took: Duration) {
        let (host, status) = (host.to_owned(), status.to_owned());
        let time = CallTime {
            host: host.clone(),
            method,
        };
        let call = Call {
            host,
            method,
            status,
        };
        self.0.calls.get_or_create(&call).inc();
        let times = self.0.call_times.get_or_create(&time);
        times.observe(took.as_secs_f64());
    }

    /// A change was committed.
    pub fn commit(&self, took: Duration) {
        self.0.commits.observe(took.as_secs_f64());
    }

    /// The server traces: what becomes of spans is told from now on, if nothing has yet.
    pub fn trace_spans_begin(&self) {
        self.0.traces.show_all();
    }

    /// So many spans came to this.
    pub fn trace_spans(&self, fate: SpanFate, count: u64) {
        self.0.traces.spans(fate, count);
    }

    /// An event was told, each once.
    pub(crate) fn told(&self, kind: EventKind, event: &Event) {
        let kind_label = Told { kind: kind.label() };
        self.0.told.get_or_create(&kind_label).inc();
        self.0.operations.take(kind, event);
    }

    /// A request was answered. `route` is its template.
    pub(crate) fn request(&self, route: &str, method: &str, status: u16, took_ms: u64) {
        let route = route.to_owned();
        let request = Request {
            route: route.clone(),
            method: labels::method(method),
            status,
        };
        self.0.requests.get_or_create(&request).inc();
        let times = self.0.request_times.get_or_create(&Route { route });
        times.observe(Duration::from_millis(took_ms).as_secs_f64());
    }

    /// One series of each figure: without any a figure is not told.
    fn show_all(&self) {
        drop(self.0.told.get_or_create(&Told { kind: "" }));
        self.0.operations.show_all();
        self.0.journals.show_all();
        self.0.templates.show_all();
        self.0.store.show_all();
        self.0.traces.show_all();
    }

    /// The text of the figures as they are now, for who asks.
    pub(crate) async fn text(
        &self,
        reader: &Reader,
        scrape: &Scrape<'_>,
    ) -> Result<String, StoreError> {
        let inner = &*self.0;
        if scrape.sees_only.is_none() {
            inner.operations.look(reader).await?;
            inner.journals.look(reader).await?;
            inner.templates.look(reader).await?;
        }
        let counts = reader.app_counts(scrape.sees_only).await?;
        let streams = i64::try_from(scrape.streams).unwrap_or(i64::MAX);
        inner.streams.set(streams);
        inner.newest_event.set(scrape.newest_event);
        inner.resident_bytes.set(process::resident_bytes());
        inner.open_files.set(process::open_files());
        let spent = process::cpu_seconds().to_bits();
        inner.cpu_seconds.inner().store(spent, Ordering::Relaxed);
        inner.store.show(&reader.usage().await?);
        Ok(self.written(scrape, &counts))
    }

    fn written(&self, scrape: &Scrape<'_>, counts: &[AppCount]) -> String {
        let counted = scrape.registry(counts);
        let everybody = scrape.sees_only.is_none().then_some(&self.0.everybody);
        let mut text = String::new();
        for registry in [Some(&self.0.process), everybody, Some(&counted)]
            .into_iter()
            .flatten()
        {
            // Writing to a String cannot fail; half a text would lack the end that a reader looks for.
            let _ = encode_registry(&mut text, registry);
        }
        // As above.
        let _ = encode_eof(&mut text);
        text
    }
}

impl Inner {
    fn register(&mut self, version: &str) {
        let registry = &mut self.process;
        registry.register(
            "process_resident_memory_bytes",
            "Memory that is held",
            self.resident_bytes.clone(),
        );
        registry.register(
            "process_open_fds",
            "Files that are open",
            self.open_files.clone(),
        );
        registry.register(
            "process_cpu_seconds",
            "Time that processors spent on the process",
            self.cpu_seconds.clone(),
        );
        let registry = registry.sub_registry_with_prefix(PREFIX);
        let version = version.to_owned();
        registry.register("build", "The running version", Info::new(Build { version }));
        registry.register(
            "http_requests",
            "Requests by route, method and status",
            self.requests.clone(),
        );
        registry.register(
            "http_request_seconds",
            "How long requests took",
            self.request_times.clone(),
        );
        registry.register(
            "pve_calls",
            "Calls to clusters by method and status",
            self.calls.clone(),
        );
        registry.register(
            "pve_call_seconds",
            "How long calls to clusters took",
            self.call_times.clone(),
        );
        registry.register(
            "event_streams",
            "Clients that follow events",
            self.streams.clone(),
        );
        registry.register(
            "newest_event",
            "Number of the newest event",
            self.newest_event.clone(),
        );
        registry.register(
            "commit_seconds",
            "How long commits took, waiting for their turn included",
            self.commits.clone(),
        );
        self.store.register(registry);
        self.work.register(registry);
        self.traces.register(registry);
        self.register_everybodys();
    }

    fn register_everybodys(&mut self) {
        let registry = self.everybody.sub_registry_with_prefix(PREFIX);
        registry.register(
            "events",
            "What was told, by the kind of event: orphans, conflicts, stuck apps, the mass brake and all others",
            self.told.clone(),
        );
        self.operations.register(registry);
        self.journals.register(registry);
        self.templates.register(registry);
        self.store.register_snapshots(registry);
        self.work.register_changes(registry);
    }
}

/// From a millisecond to a minute.
fn seconds() -> Histogram {
    Histogram::new([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything, with nothing counted.
    fn text(metrics: &Metrics) -> String {
        metrics.written(&Scrape::default(), &[])
    }

    #[test]
    fn what_is_told_is_counted_by_its_kind_for_who_may_see_all() {
        let metrics = Metrics::new("1");
        let event = Event {
            seq: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
            kind: EventKind::AnomalousOrphanDetected.label().to_owned(),
            app_id: None,
            operation_id: None,
            body: serde_json::json!({}),
        };
        metrics.told(EventKind::AnomalousOrphanDetected, &event);
        metrics.told(EventKind::AnomalousOrphanDetected, &event);
        let line = "proximity_events_total{kind=\"AnomalousOrphanDetected\"} 2";
        assert!(text(&metrics).contains(line), "{}", text(&metrics));
        let own = Scrape {
            sees_only: Some("robot"),
            ..Scrape::default()
        };
        let own = metrics.written(&own, &[]);
        assert!(!own.contains("proximity_events"), "{own}");
        assert!(!own.contains("proximity_operations"), "{own}");
        assert!(own.contains("proximity_build_info{"), "{own}");
        assert!(own.ends_with("# EOF\n"));
    }

    #[test]
    fn a_made_up_method_and_many_statuses_make_no_new_series_of_their_own() {
        let metrics = Metrics::new("1");
        for method in ["GET", "BREW", "STEEP"] {
            metrics.request("/api/apps/{app}", method, 200, 3);
        }
        let text = text(&metrics);
        let series: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("proximity_http_requests_total"))
            .collect();
        assert_eq!(series.len(), 2, "{text}");
        assert!(text.contains("route=\"/api/apps/{app}\",method=\"other\",status=\"200\"} 2"));
        assert!(text.ends_with("# EOF\n"));
    }
}
