//! The client that changes things. Its calls are beside the types they take.

use std::sync::Arc;

use proximity_domain::ids::HostId;
use proximity_domain::time::Clock;
use serde::de::DeserializeOwned;

use crate::answer;
use crate::call::Call;
use crate::error::{Error, Result};
pub use crate::read::ReadClient;
use crate::transport::Transport;

/// Reads and changes one PVE cluster.
///
/// There is no generic request: what is not a method here cannot be sent. Nothing is retried: after
/// [`Error::MaybeApplied`] one must look.
#[derive(Debug, Clone)]
pub struct Client {
    read: ReadClient,
    clock: Arc<dyn Clock>,
    host: HostId,
}

impl Client {
    /// A client of the cluster `host`. The clock is the one the permits were made with.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>, host: HostId) -> Self {
        Self {
            read: ReadClient::new(transport),
            clock,
            host,
        }
    }

    /// The reading half.
    #[must_use]
    pub fn read(&self) -> &ReadClient {
        &self.read
    }

    pub(crate) fn host(&self) -> HostId {
        self.host
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// Sends a change, once. `send_within_ms`: no byte may be sent later than that from now.
    pub(crate) async fn change<T: DeserializeOwned>(
        &self,
        call: Call,
        send_within_ms: Option<u64>,
    ) -> Result<T> {
        let name = call.name();
        let sent = self
            .read
            .transport()
            .send(call.into_request(send_within_ms))
            .await;
        let outcome = match sent {
            Ok(answer) => answer::read(&name, false, &answer),
            Err(e) => Err(Error::from_transport(&name, false, e)),
        };
        match &outcome {
            Ok(_) => tracing::debug!(call = name, "PVE accepted a change"),
            Err(error) => tracing::debug!(call = name, %error, "a change was not accepted by PVE"),
        }
        outcome
    }
}
