//! Figures of the running server, for Prometheus: `GET /metrics`.
//!
//! Labels come from closed lists, route templates and host labels, so that their number stays bounded. Counters begin with
//! the process. What happens to operations is counted from their events, so it cannot differ from what is told.

mod labels;
mod operations;
mod page;
mod process;

pub(crate) use operations::OperationMetrics;
pub use page::metrics_markdown;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use proximity_store::{Reader, StoreError};

use self::labels::{Build, Call, CallTime, Host, Request, Route};

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

    pub(crate) fn operations(&self) -> &OperationMetrics {
        &self.0.operations
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
