//! Ways to clusters whose calls are counted.

use std::sync::Arc;

use async_trait::async_trait;
use proximity_domain::names::NodeName;
use proximity_engine::cluster::RealConnect;
use proximity_engine::seams::{Connect, Connection};
use proximity_pve::transport::{Method, RawResponse, Request, Transport, TransportError};
use proximity_server::Metrics;
use proximity_store::records::HostRecord;
use tokio::time::Instant;

/// The real way, observed.
#[derive(Debug)]
pub(crate) struct ObservedConnect(pub(crate) Metrics);

impl Connect for ObservedConnect {
    fn connect(&self, host: &HostRecord) -> Result<Connection, String> {
        let real = RealConnect.connect(host)?;
        Ok(Connection {
            transport: Arc::new(Observed {
                inner: real.transport,
                host: host.label.to_string(),
                metrics: self.0.clone(),
            }),
            guest_access: real.guest_access,
        })
    }
}

#[derive(Debug)]
struct Observed {
    inner: Arc<dyn Transport>,
    host: String,
    metrics: Metrics,
}

#[async_trait]
impl Transport for Observed {
    async fn send(&self, request: Request) -> Result<RawResponse, TransportError> {
        let method = request.method;
        let begun = Instant::now();
        let answer = self.inner.send(request).await;
        self.count(method, begun, &answer);
        answer
    }

    fn endpoints(&self) -> usize {
        self.inner.endpoints()
    }

    async fn read_from(
        &self,
        endpoint: usize,
        request: Request,
    ) -> Result<RawResponse, TransportError> {
        let method = request.method;
        let begun = Instant::now();
        let answer = self.inner.read_from(endpoint, request).await;
        self.count(method, begun, &answer);
        answer
    }

    fn moves(&self) -> u64 {
        self.inner.moves()
    }

    fn first(&self) -> usize {
        self.inner.first()
    }

    fn prefer(&self, endpoint: usize) {
        self.inner.prefer(endpoint);
    }

    fn heard(&self, node: &NodeName) -> Option<Instant> {
        self.inner.heard(node)
    }

    fn rest(&self) {
        self.inner.rest();
    }

    fn is_near(&self) -> bool {
        self.inner.is_near()
    }
}

impl Observed {
    fn count(&self, method: Method, begun: Instant, answer: &Result<RawResponse, TransportError>) {
        let status = match answer {
            Ok(answer) => answer.status.to_string(),
            Err(TransportError::NotSent(_)) => "not_sent".to_owned(),
            Err(TransportError::Untrusted { .. }) => "untrusted".to_owned(),
            Err(TransportError::LoginRefused(_)) => "login_refused".to_owned(),
            Err(TransportError::SecondFactor(_)) => "second_factor".to_owned(),
            Err(TransportError::MaybeApplied(_)) => "maybe_applied".to_owned(),
        };
        self.metrics
            .pve_call(&self.host, method.as_str(), &status, begun.elapsed());
    }
}
