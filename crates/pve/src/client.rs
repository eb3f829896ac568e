//! The client that changes things. Its calls are beside the types they take.

use std::sync::Arc;

use proximity_domain::ids::HostId;
use proximity_domain::time::{Clock, Monotonic};
use serde::de::DeserializeOwned;

use crate::answer;
use crate::call::Call;
use crate::error::{Error, Result};
pub use crate::read::ReadClient;
use crate::traced::traced;
use crate::transport::Transport;
use crate::warrant::{self, Warrant};

/// Reads and changes one PVE cluster.
///
/// There is no generic request: what is not a method here cannot be sent. Nothing is retried: after
/// [`Error::MaybeApplied`] one must look. A client is made for one warrant: when its time is over, it sends nothing.
#[derive(Debug, Clone)]
pub struct Client {
    read: ReadClient,
    clock: Arc<dyn Clock>,
    host: HostId,
    warrant: Warrant,
    of_adopted: bool,
}

impl Client {
    /// A client of the cluster `host`, for changes under `warrant`. The clock is the one the permits and the warrant were
    /// made with.
    #[must_use]
    pub fn new(
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        host: HostId,
        warrant: Warrant,
    ) -> Self {
        Self {
            read: ReadClient::new(transport),
            clock,
            host,
            warrant,
            of_adopted: false,
        }
    }

    /// The same client for changes of adopted guests: with the token that is made for those, if the host has one.
    #[must_use]
    pub fn of_adopted(self) -> Self {
        Self {
            of_adopted: true,
            ..self
        }
    }

    /// The same client under another warrant.
    #[must_use]
    pub fn under(self, warrant: Warrant) -> Self {
        Self { warrant, ..self }
    }

    /// The reading half.
    #[must_use]
    pub fn read(&self) -> &ReadClient {
        &self.read
    }

    fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// Sends a change, once, as long as the warrant allows.
    pub(crate) async fn change<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        self.change_by(call, self.warrant.send_by).await
    }

    /// Sends what needed a permit, once, as long as both the permit and the warrant allow, and to the permit's cluster only.
    pub(crate) async fn permitted<T: DeserializeOwned>(
        &self,
        call: Call,
        host: HostId,
        expires: Monotonic,
    ) -> Result<T> {
        if host != self.host {
            let why = format!("the permit is for host {host}, this is {}", self.host);
            return Err(Error::NotSent {
                call: call.name(),
                why,
            });
        }
        if self.clock().monotonic() >= expires {
            return Err(Error::PermitExpired);
        }
        match self.change_by(call, expires).await {
            Err(Error::NotSent { .. }) if self.clock().monotonic() >= expires => {
                Err(Error::PermitExpired)
            }
            other => other,
        }
    }

    /// The same as [`Client::change`] with a moment of its own, if that is earlier than the warrant's.
    async fn change_by<T: DeserializeOwned>(&self, call: Call, send_by: Monotonic) -> Result<T> {
        let name = call.name();
        let send_by = send_by.min(self.warrant.send_by);
        let Some(send_before) = warrant::send_before(send_by, self.clock()) else {
            return Err(Error::NotSent {
                call: name,
                why: "the time in which it might be sent is over".to_owned(),
            });
        };
        let request = call.into_change(send_before, &self.warrant.reference, self.of_adopted);
        let sent = traced(&name, self.read.transport().send(request)).await;
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
