//! Figures of the running server, for Prometheus: `GET /metrics`.
//!
//! Labels come from closed lists, route templates and host labels, so that their number stays bounded. Counters begin with
//! the process. What happens to operations is counted from their events, so it cannot differ from what is told.

mod labels;
mod operations;
mod page;
mod process;

use operations::OperationMetrics;
pub use page::metrics_markdown;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use proximity_api::events::Event;
use proximity_domain::event::EventKind;
use proximity_store::views::AppCount;
use proximity_store::{Reader, StoreError};

use self::labels::{Apps, Build, Call, CallTime, Host, Request, Route, Told};

/// What the answer says it is.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All figures. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    requests: Family<Request, Counter>,
    request_times: Family<Route, Histogram, fn() -> Histogram>,
    calls: Family<Call, Counter>,
    call_times: Family<CallTime, Histogram, fn() -> Histogram>,
    streams: Gauge,
    newest_event: Gauge,
    resident_bytes: Gauge,
    open_files: Gauge,
    commits: Histogram,
    seen_whole: Family<Host, Gauge>,
    unmanaged: Family<Host, Gauge>,
    told: Family<Told, Counter>,
    apps: Family<Apps, Gauge>,
    operations: OperationMetrics,
}

impl Metrics {
    /// Figures that are all zero.
    #[must_use]
    pub fn new(version: &str) -> Self {
        let mut inner = Inner {
            registry: Registry::default(),
            requests: Family::default(),
            request_times: Family::new_with_constructor(seconds),
            calls: Family::default(),
            call_times: Family::new_with_constructor(seconds),
            streams: Gauge::default(),
            newest_event: Gauge::default(),
            resident_bytes: Gauge::default(),
            open_files: Gauge::default(),
            commits: seconds(),
            seen_whole: Family::default(),
            unmanaged: Family::default(),
            told: Family::default(),
            apps: Family::default(),
            operations: OperationMetrics::default(),
        };
        inner.register(version);
        Self(Arc::new(inner))
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

    /// What the newest pass of the reconciler saw, by host label; hosts that are not among them have no figure any more.
    pub(crate) fn seen_whole(&self, clusters: Vec<(String, bool)>) {
        self.0.seen_whole.clear();
        for (host, whole) in clusters {
            let figure = self.0.seen_whole.get_or_create_owned(&Host { host });
            figure.set(i64::from(whole));
        }
    }

    /// Containers that are on no record, by host label; hosts that are not among them were not seen whole.
    pub(crate) fn unmanaged(&self, counts: BTreeMap<String, u64>) {
        self.0.unmanaged.clear();
        for (host, count) in counts {
            let figure = self.0.unmanaged.get_or_create_owned(&Host { host });
            figure.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Live apps, counted anew.
    pub(crate) fn apps(&self, counts: &[AppCount]) {
        let mut sums: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for count in counts {
            *sums.entry((&count.class, &count.status)).or_default() += count.apps;
        }
        self.0.apps.clear();
        for ((kind, status), sum) in sums {
            let (kind, status) = (kind.to_owned(), status.to_owned());
            let figure = self.0.apps.get_or_create_owned(&Apps { kind, status });
            figure.set(i64::try_from(sum).unwrap_or(i64::MAX));
        }
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
        let (kind, status) = (String::new(), String::new());
        drop(self.0.apps.get_or_create(&Apps { kind, status }));
        self.0.operations.show_all();
    }

    /// The text of all figures as they are now.
    pub(crate) async fn text(
        &self,
        reader: &Reader,
        streams: usize,
        newest_event: i64,
    ) -> Result<String, StoreError> {
        let inner = &*self.0;
        inner.operations.look(reader).await?;
        self.apps(&reader.app_counts(None).await?);
        inner
            .streams
            .set(i64::try_from(streams).unwrap_or(i64::MAX));
        inner.newest_event.set(newest_event);
        inner.resident_bytes.set(process::resident_bytes());
        inner.open_files.set(process::open_files());
        let mut text = String::new();
        // Writing to a String cannot fail; half a text would lack the end that a reader looks for.
        let _ = encode(&mut text, &inner.registry);
        Ok(text)
    }
}

impl Inner {
    fn register(&mut self, version: &str) {
        let registry = &mut self.registry;
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
        let registry = registry.sub_registry_with_prefix("proximity");
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
        registry.register(
            "cluster_seen_whole",
            "1 if the newest look at the cluster saw it whole, 0 if not: what is missing there is found by nobody then",
            self.seen_whole.clone(),
        );
        registry.register(
            "cluster_unmanaged_containers",
            "Containers that no app has, as the newest look showed that saw the cluster whole",
            self.unmanaged.clone(),
        );
        registry.register(
            "events",
            "What was told, by the kind of event: orphans, conflicts, stuck apps, the mass brake and all others",
            self.told.clone(),
        );
        registry.register("apps", "Live apps, by kind and status", self.apps.clone());
        self.operations.register(registry);
    }
}

/// From a millisecond to a minute.
fn seconds() -> Histogram {
    Histogram::new([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_is_no_more_has_no_figure() {
        let metrics = Metrics::new("1");
        metrics.seen_whole(vec![("lab".to_owned(), true), ("attic".to_owned(), true)]);
        metrics.seen_whole(vec![("lab".to_owned(), false)]);
        let mut text = String::new();
        encode(&mut text, &metrics.0.registry).unwrap();
        assert!(text.contains("proximity_cluster_seen_whole{host=\"lab\"} 0"));
        assert!(!text.contains("attic"), "{text}");
    }

    #[test]
    fn what_is_told_is_counted_by_its_kind_and_apps_by_their_status() {
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
        let count = |node: &str, status: &str| AppCount {
            class: "adopted".to_owned(),
            status: status.to_owned(),
            host: "lab".to_owned(),
            node: node.to_owned(),
            catalog_id: "generic".to_owned(),
            exposed: false,
            apps: 2,
        };
        metrics.apps(&[
            count("a", "running"),
            count("b", "running"),
            count("a", "error"),
        ]);
        metrics.apps(&[count("a", "running"), count("b", "running")]);
        metrics.unmanaged(BTreeMap::from([("lab".to_owned(), 7)]));
        let mut text = String::new();
        encode(&mut text, &metrics.0.registry).unwrap();
        for line in [
            "proximity_events_total{kind=\"AnomalousOrphanDetected\"} 2",
            "proximity_apps{kind=\"adopted\",status=\"running\"} 4",
            "proximity_cluster_unmanaged_containers{host=\"lab\"} 7",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        assert!(!text.contains("status=\"error\""), "{text}");
    }

    #[test]
    fn a_made_up_method_and_many_statuses_make_no_new_series_of_their_own() {
        let metrics = Metrics::new("1");
        for method in ["GET", "BREW", "STEEP"] {
            metrics.request("/api/apps/{app}", method, 200, 3);
        }
        let mut text = String::new();
        encode(&mut text, &metrics.0.registry).unwrap();
        let series: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("proximity_http_requests_total"))
            .collect();
        assert_eq!(series.len(), 2, "{text}");
        assert!(text.contains("route=\"/api/apps/{app}\",method=\"other\",status=\"200\"} 2"));
        assert!(text.ends_with("# EOF\n"));
    }
}
