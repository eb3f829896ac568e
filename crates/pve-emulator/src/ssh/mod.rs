//! A node's SSH server: what arrives goes to a real `/bin/sh` on the lab's machine, in which `pct` reaches the guests.
//!
//! So a command line that would be taken apart wrongly by a node's shell is taken apart wrongly here. Only root, only
//! public keys, no terminals, no forwarding, no subsystems.

mod authorized;
mod connection;
mod host_key;
mod processes;
mod session;
mod spool;

pub(crate) use authorized::is_authorized_key;
pub use connection::NodeSsh;
pub use host_key::{HostKey, KeyError};
pub use session::NodeShell;

#[cfg(test)]
mod tests;
