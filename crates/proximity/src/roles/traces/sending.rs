//! How spans reach the collector: in a queue with an end, in messages of OTLP, each tried once. Nobody who makes spans waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::SpanId;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor};
use prost::Message;
use proximity_engine::notify::Place;
use proximity_server::{Metrics, SpanFate};
use secrecy::SecretString;
use tokio::runtime::Handle;

/// Spans that wait at most; what comes beyond that is lost, and counted.
pub(super) const QUEUE: usize = 2_048;
/// One message and its answer.
const EXCHANGE: Duration = Duration::from_secs(5);

/// What becomes of spans.
#[derive(Debug)]
pub(super) struct Fate {
    metrics: Metrics,
    waiting: AtomicUsize,
    is_away: AtomicBool,
}

impl Fate {
    pub(super) fn new(metrics: Metrics) -> Self {
        metrics.trace_spans_begin();
        Self {
            metrics,
            waiting: AtomicUsize::new(0),
            is_away: AtomicBool::new(false),
        }
    }

    /// Whether there is room for one more.
    fn takes_in(&self) -> bool {
        if self.waiting.fetch_add(1, Ordering::AcqRel) < QUEUE {
            return true;
        }
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        self.metrics.trace_spans(SpanFate::Dropped, 1);
        false
    }

    /// So many wait no longer.
    fn takes_out(&self, count: usize) {
        self.waiting.fetch_sub(count, Ordering::AcqRel);
    }

    /// So many came to this. A collector that is away is told of once, and once that it is back.
    fn ended(&self, count: usize, sent: &Result<(), String>) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        match sent {
            Ok(()) => {
                self.metrics.trace_spans(SpanFate::Sent, count);
                if self.is_away.swap(false, Ordering::AcqRel) {
                    tracing::info!("the collector of traces takes spans again");
                }
            }
            Err(why) => {
                self.metrics.trace_spans(SpanFate::Failed, count);
                if !self.is_away.swap(true, Ordering::AcqRel) {
                    tracing::warn!(
                        why,
                        "the collector of traces does not take spans; they are lost until it does, and counted in proximity_trace_spans_total"
                    );
                }
            }
        }
    }
}

/// Spans in batches, no more of them than [`QUEUE`].
#[derive(Debug)]
pub(super) struct Bounded {
    batches: BatchSpanProcessor,
    fate: Arc<Fate>,
}

impl Bounded {
    pub(super) fn new(batches: BatchSpanProcessor, fate: Arc<Fate>) -> Self {
        Self { batches, fate }
    }
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if !is_look(&span) && self.fate.takes_in() {
            self.batches.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// A call of the store on nobody's behalf: loops look there several times a second for what there is to do.
fn is_look(span: &SpanData) -> bool {
    span.parent_span_id == SpanId::INVALID && span.name == "store_call"
}

/// A name, and a value that is the collector's alone.
pub(super) type Header = (String, SecretString);

/// Posts spans. The thread that asks for it is none of the runtime's, the exchange is.
#[derive(Debug)]
pub(super) struct ToCollector {
    place: Place,
    headers: Arc<[Header]>,
    runtime: Handle,
    resource: ResourceAttributesWithSchema,
    fate: Arc<Fate>,
}

impl ToCollector {
    /// To be made within the runtime that sends.
    pub(super) fn new(place: Place, headers: Vec<Header>, fate: Arc<Fate>) -> Self {
        Self {
            place,
            headers: headers.into(),
            runtime: Handle::current(),
            resource: ResourceAttributesWithSchema::default(),
            fate,
        }
    }

    async fn send(&self, body: Vec<u8>) -> Result<(), String> {
        let (place, headers) = (self.place.clone(), Arc::clone(&self.headers));
        let exchange = self.runtime.spawn(async move {
            let posted = place.hand_over("application/x-protobuf", &headers, body);
            match tokio::time::timeout(EXCHANGE, posted).await {
                Ok(answered) => answered.map_err(|error| error.to_string()),
                Err(_) => Err(format!(
                    "{} has not answered within {} s",
                    place.shown(),
                    EXCHANGE.as_secs()
                )),
            }
        });
        match exchange.await {
            Ok(sent) => sent,
            Err(_) => Err("the server has ended meanwhile".to_owned()),
        }
    }
}

impl SpanExporter for ToCollector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        self.fate.takes_out(count);
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let sent = self.send(body).await;
        self.fate.ended(count, &sent);
        sent.map_err(OTelSdkError::InternalFailure)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_spans_wait_than_there_is_room_for() {
        let fate = Fate::new(Metrics::new("test"));
        assert!((0..QUEUE).all(|_| fate.takes_in()));
        assert!(!fate.takes_in());
        fate.takes_out(1);
        assert!(fate.takes_in());
        assert!(!fate.takes_in());
    }
}
