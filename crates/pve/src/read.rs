//! The client that can only read.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::answer;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::transport::Transport;

/// Reads from one PVE cluster. Its calls are beside the types they return.
///
/// There is no way in this type to change anything: reconcilers and janitors take it and nothing else.
#[derive(Debug, Clone)]
pub struct ReadClient {
    transport: Arc<dyn Transport>,
}

impl ReadClient {
    /// A client on a transport.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport }
    }

    pub(crate) fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Sends a read.
    pub(crate) async fn get<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        let name = call.name();
        debug_assert!(call.is_read(), "{name} is no read");
        match self.transport.send(call.into_read()).await {
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
        match self.transport.read_from(endpoint, call.into_read()).await {
            Ok(answer) => answer::read(&name, true, &answer),
            Err(e) => Err(Error::from_transport(&name, true, e)),
        }
    }
}
