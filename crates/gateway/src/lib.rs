//! Ingress: leads each app's public and internal port to its guest.
//!
//! The gateway is a process role of its own. It knows nothing but its route file; the control plane
//! tells it over a Unix socket what to change, and may be stopped or upgraded without a connection
//! being lost.
//!
//! **Architecture invariant:** this crate uses no other crate of ours, and no database.
//!
//! **Architecture invariant:** a change is in the route file, on disk, before it is acknowledged and
//! before it is applied; what is acknowledged survives `kill -9` and power loss.

pub mod client;
mod clock;
mod control;
mod error;
mod gateway;
mod held;
mod ingress;
mod lines;
mod options;
pub mod protocol;
mod refusal;
mod route;
mod route_file;
mod table;

pub use error::GatewayError;
pub use gateway::Gateway;
pub use held::Held;
pub use options::{GatewayOptions, Limits};
pub use refusal::{Refusal, RefusalCode};
pub use route::{AppId, Endpoint, Generation, InvalidAppId, OwnerId, Route};
