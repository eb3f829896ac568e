//! The client that can only read.

use std::sync::Arc;
use std::time::Duration;

use proximity_domain::names::NodeName;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::answer;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::traced::traced;
use crate::transport::{Request, Transport};

/// Reads from one PVE cluster. Its calls are beside the types they return.
///
/// There is no way in this type to change anything: reconcilers and janitors take it and nothing else.
#[derive(Debug, Clone)]
pub struct ReadClient {
    transport: Arc<dyn Transport>,
    answer_ms: Option<u64>,
    /// The one endpoint that is asked; whichever answers without.
    only: Option<usize>,
}

impl ReadClient {
    /// A client on a transport.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self {
            transport,
            answer_ms: None,
            only: None,
        }
    }

    /// The same, of which each call fails when it is without an answer for so long. What it waits for its turn does not
    /// count: that is the time of the calls before it. It does where all of those were given up: then the node is silent.
    #[must_use]
    pub fn patient(&self, patience: Duration) -> Self {
        Self {
            answer_ms: Some(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX)),
            ..self.clone()
        }
    }

    /// A client for each endpoint, in their order: what it reads is read there and nowhere else, save where a method says that it
    /// asks several.
    #[must_use]
    pub fn each(&self) -> Vec<Self> {
        let of_one = |endpoint| Self {
            only: Some(endpoint),
            ..self.clone()
        };
        (0..self.transport.endpoints()).map(of_one).collect()
    }

    /// When this node last answered a call of any client on the same transport, as far as that is kept track of.
    #[must_use]
    pub fn heard(&self, node: &NodeName) -> Option<Instant> {
        self.transport.heard(node)
    }

    /// Nothing is about to be asked: connections that are kept for the next read are hung up, rather than heard of again when
    /// PVE closes them. A read that comes all the same makes one anew.
    pub fn rest(&self) {
        self.transport.rest();
    }

    /// Whether it answers so soon, by what was found before the last [`ReadClient::rest`], that several reads cost less one after the
    /// other, over one connection, than side by side. Never of what nothing is known of.
    #[must_use]
    pub fn is_near(&self) -> bool {
        self.transport.is_near()
    }

    fn request(&self, call: Call) -> Request {
        Request {
            answer_ms: self.answer_ms,
            ..call.into_read()
        }
    }

    pub(crate) fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// How often another endpoint was put first. What is asked of the cluster while it stays the same was answered by one of them:
    /// whoever answers in the place of the first is put first.
    #[must_use]
    pub fn moves(&self) -> u64 {
        self.transport.moves()
    }

    /// The endpoint that is asked first now, counted from zero; of a client of one endpoint that one.
    #[must_use]
    pub fn first(&self) -> usize {
        self.only.unwrap_or_else(|| self.transport.first())
    }

    /// Sends a read.
    pub(crate) async fn get<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        let name = call.name();
        debug_assert!(call.is_read(), "{name} is no read");
        if let Some(endpoint) = self.only {
            return self.get_from(endpoint, call).await;
        }
        match traced(&name, self.transport.send(self.request(call))).await {
            Ok(answer) => answer::read(&name, true, &answer),
            Err(e) => Err(Error::from_transport(&name, true, e)),
        }
    }

    /// Sends a read to one endpoint and to no other.
    pub(crate) async fn get_from<T: DeserializeOwned>(
        &self,
        endpoint: usize,
        call: Call,
    ) -> Result<T> {
        let name = call.name();
        debug_assert!(call.is_read(), "{name} is no read");
        let sent = self.transport.read_from(endpoint, self.request(call));
        match traced(&name, sent).await {
            Ok(answer) => answer::read(&name, true, &answer),
            Err(e) => Err(Error::from_transport(&name, true, e)),
        }
    }
}
