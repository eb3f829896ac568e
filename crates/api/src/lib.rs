//! Wire types and error codes of the REST API, and the HTTP client the CLI uses.
//!
//! Shapes here are promises to people's scripts: the CLI's `--json` prints exactly these types. Times are
//! RFC 3339 in UTC, memory is in MiB, disks are in GiB, ids are UUIDs unless a field says otherwise.
//!
//! **Architecture invariant:** this crate uses no other crate of ours. The server converts between these
//! types and the domain's, so that a rename inside cannot change what is on the wire.

pub mod accounts;
pub mod addresses;
pub mod adoption;
pub mod applies;
pub mod apps;
pub mod archive;
pub mod audit;
pub mod catalog;
pub mod catalog_sources;
pub mod client;
pub mod doctor;
pub mod error;
pub mod events;
pub mod export;
pub mod health;
pub mod helper;
pub mod hosts;
pub mod identity;
pub mod init;
pub mod inside;
pub mod labels;
pub mod logs;
pub mod node_loss;
pub mod nodes;
pub mod notices;
pub mod operations;
pub mod plans;
pub mod ports;
pub mod reconcile;
pub mod rejected;
pub mod resources;
pub mod rollback;
pub mod secret;
pub mod secrets;
pub mod sources;
pub mod stacks;
pub mod stats;
pub mod templates;
