//! Roles, users, tokens and grants of PVE's access control: what a person who logs in may change, and no token of ours.
//!
//! [`AccountClient`] is made from a person's login alone, so that the engine's ordinary client cannot change accounts. Users,
//! tokens, pools and roles are deleted only by the proof that they are ours ([`proximity_domain::accounts`]).

mod change;
mod look;

use std::sync::Arc;

use proximity_domain::ids::HostId;
use proximity_domain::time::Clock;

use crate::client::{Client, ReadClient};
use crate::error::Result;
use crate::transport::https::{ConfigError, EndpointConfig, HttpsTransport, Login};
use crate::transport::in_process::InProcess;
use crate::warrant::Warrant;

pub use change::GrantTo;
pub use look::{Grant, Holder, RoleRow, TokenRow, UserRow, realms};

/// Reads and changes the access control of one PVE cluster, as a person who logged in.
///
/// As with [`Client`] nothing is retried, and nothing is sent after the warrant's time.
#[derive(Debug)]
pub struct AccountClient {
    client: Client,
}

impl AccountClient {
    /// A client over HTTPS. The person is logged in when the first call is made; a ticket of PVE in place of the password is
    /// taken too.
    ///
    /// # Errors
    /// [`ConfigError`] if something in the configuration or the login cannot be used.
    pub fn log_in(
        endpoints: Vec<EndpointConfig>,
        login: Login,
        clock: Arc<dyn Clock>,
        host: HostId,
        warrant: Warrant,
    ) -> Result<Self, ConfigError> {
        let transport = Arc::new(HttpsTransport::new(endpoints, login)?);
        Ok(Self {
            client: Client::new(transport, clock, host, warrant),
        })
    }

    /// A client of a PVE inside this process: for tests and for the simulator.
    #[must_use]
    pub fn in_process(
        transport: InProcess,
        clock: Arc<dyn Clock>,
        host: HostId,
        warrant: Warrant,
    ) -> Self {
        Self {
            client: Client::new(Arc::new(transport), clock, host, warrant),
        }
    }

    /// The realms users log in by; see [`realms`].
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn realms(&self) -> Result<Vec<String>> {
        look::realms_by(self.read()).await
    }

    /// All that can be read of the cluster, as this person.
    #[must_use]
    pub fn read(&self) -> &ReadClient {
        self.client.read()
    }
}
