//! The collector as it is configured, and which spans it gets.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider,
};
use proximity_engine::notify::Place;
use proximity_engine::seams::IdSource;
use proximity_server::{Metrics, RequestEnd, RequestTraces};
use secrecy::{ExposeSecret, SecretString};
use tracing::{Metadata, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};

use super::TraceLayer;
use super::sending::{Bounded, Fate, Header, QUEUE, ToCollector};
use crate::config::OtlpSettings;
use crate::config::env;
use crate::config::notify::{SecretPlace, SecretScheme};
use crate::failed::Failed;
use crate::roles::ids::SystemIds;
use crate::secret_input;

/// Spans in one message.
const BATCH: usize = 512;
/// How long the end of the server waits for the last spans to be sent.
const FLUSH: Duration = Duration::from_secs(2);

/// The spans that leave this machine, by name: what their fields are is known. Events do not: they may say what anybody said.
const SPANS: [&str; 5] = [
    "request",
    "operation",
    "reconcile_pass",
    "pve_call",
    "store_call",
];

/// Traces that are sent to a collector.
#[derive(Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Begins to wait for spans, on a thread of its own. To be called within the runtime that sends them.
    ///
    /// # Errors
    /// The collector's place cannot be used, or a header is not where it is said to be.
    pub(crate) fn new(
        endpoint: &str,
        settings: &OtlpSettings,
        metrics: &Metrics,
    ) -> Result<Self, Failed> {
        let place = place(endpoint, settings)?;
        let fate = Arc::new(Fate::new(metrics.clone()));
        let exporter = ToCollector::new(place, headers(settings)?, Arc::clone(&fate));
        // A span waits for others for 5 s, or as long as `OTEL_BSP_SCHEDULE_DELAY` says.
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .build();
        let processor = BatchSpanProcessor::builder(exporter)
            .with_batch_config(batches)
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Bounded::new(processor, fate))
            // By the number of the trace alone: what a client says of it decides nothing.
            .with_sampler(Sampler::TraceIdRatioBased(settings.sample_ratio))
            .with_resource(resource())
            .build();
        Ok(Self { provider })
    }

    /// What hears of spans, below the log.
    pub(crate) fn layer(&self) -> TraceLayer {
        tracing_opentelemetry::layer::<Registry>()
            .with_tracer(self.provider.tracer("proximity"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(is_traced))
            .boxed()
    }

    /// What is told of requests.
    pub(crate) fn of_requests(&self) -> RequestTraces {
        RequestTraces { begun, answered }
    }

    /// Sends what waits, and ends; a collector that does not answer is waited for as long as [`FLUSH`] says.
    pub(crate) async fn end(self) {
        let provider = self.provider;
        let flush = move || provider.shutdown_with_timeout(FLUSH);
        let flushed = tokio::task::spawn_blocking(flush).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("the collector of traces did not take the last spans in time");
        }
    }
}

fn is_traced(metadata: &Metadata<'_>) -> bool {
    metadata.is_span()
        && metadata.target().starts_with("proximity_")
        && SPANS.contains(&metadata.name())
}

/// Who sends. The instance is this process; what the environment adds in `OTEL_RESOURCE_ATTRIBUTES` is sent as well.
fn resource() -> Resource {
    Resource::builder()
        .with_service_name("proximity")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new(
            "service.instance.id",
            SystemIds.uuid().to_string(),
        ))
        .build()
}

/// The trace that a request is a part of, by its header.
struct Parent<'a>(&'a str);

impl Extractor for Parent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

fn begun(span: &Span, parent: Option<&str>) {
    let Some(parent) = parent else { return };
    let propagator = TraceContextPropagator::new();
    let context = propagator.extract_with_context(&Context::new(), &Parent(parent));
    // One that cannot be understood is no parent.
    let _ = span.set_parent(context);
}

fn answered(span: &Span, end: &RequestEnd<'_>) {
    span.set_attribute("http.request.method", end.method);
    span.set_attribute("http.route", end.route.to_owned());
    span.set_attribute("http.response.status_code", i64::from(end.status));
    if let Some(operation) = end.operation {
        span.set_attribute("operation", operation.to_string());
    }
}

fn place(endpoint: &str, settings: &OtlpSettings) -> Result<Place, Failed> {
    let ca = settings.ca_file.as_deref();
    let ca = ca.map(|file| secret_input::whole_file(file, "the certificates of the authorities"));
    let ca = ca.transpose()?;
    let pem = ca.as_ref().map(|pem| pem.expose_secret().as_bytes());
    let url = SecretString::from(endpoint);
    let base = Place::new(&url, pem, settings.insecure_http).map_err(|why| {
        bad(
            format!("otlp.endpoint cannot be used: {why}"),
            "correct otlp.endpoint or otlp.ca_file, or accept plain HTTP with otlp.insecure_http: true",
        )
    })?;
    Ok(base.below("v1/traces"))
}

fn headers(settings: &OtlpSettings) -> Result<Vec<Header>, Failed> {
    let mut headers = Vec::with_capacity(settings.headers.len());
    for (name, place) in &settings.headers {
        headers.push((name.clone(), value(name, place)?));
    }
    Ok(headers)
}

fn value(name: &str, place: &SecretPlace) -> Result<SecretString, Failed> {
    let hint = "correct otlp.headers in the configuration; nothing was started";
    match place.parts() {
        Some((SecretScheme::File, path)) => {
            secret_input::first_line_of_file(Path::new(path), "a header of otlp.headers")
        }
        Some((SecretScheme::Variable, variable)) => {
            let value = env::variable(variable).filter(|value| !value.is_empty());
            let missing = || {
                let why = format!("otlp.headers.{name}: the variable {variable} is not set");
                bad(why, hint)
            };
            Ok(value.ok_or_else(missing)?.into())
        }
        None => Err(bad(
            format!("otlp.headers.{name} is named in no known way"),
            hint,
        )),
    }
}

fn bad(message: String, hint: &str) -> Failed {
    Failed::config("bad_config", message, hint)
}
