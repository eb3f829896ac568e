//! Durable state of Proximity: migrations, queries, transactions, operation queue, leases and the event log.
//!
//! [`Store`] writes, [`Reader`] reads; every method is one transaction, named after what it commits.

mod adoptions;
pub mod alarms;
mod apply;
mod apps;
mod archive;
mod audit_chain;
mod calls;
pub mod clearing;
mod counts;
mod create;
pub mod diagnosis;
pub mod effects;
pub mod error;
pub mod exposure;
pub mod guards;
mod guests;
mod host_acts;
mod host_tokens;
mod hosts;
pub mod identities;
pub mod interfaces;
mod invariants;
mod journal;
mod kept;
#[cfg(test)]
mod kept_tests;
mod key;
pub mod lost;
mod memory;
mod migrate;
#[cfg(test)]
mod migration_tests;
pub mod notices;
pub mod observation;
mod open;
mod open_postgres;
mod operations;
mod options;
pub mod orphans;
mod outputs;
pub mod plans;
mod ports;
pub mod power;
mod queue;
pub mod records;
mod request_keys;
mod requests;
pub mod resources;
pub mod routed;
mod row;
mod seal;
pub mod snapshots;
mod sql;
mod steps;
mod store;
mod tokens;
mod trouble;
mod turns;
mod undo;
mod usage;
pub mod views;

pub use calls::{CallEnd, SnapshotWritten};
pub use error::StoreError;
pub use journal::{LOG_LINE_CHARS, LOG_LINES_PER_OPERATION};
pub use kept::KeptRecord;
pub use memory::MemoryOptions;
pub use operations::QUEUED_OPERATIONS;
pub use options::{PostgresOptions, StoreOptions};
pub use outputs::StepOutput;
pub use sql::DatabaseError;
pub use sql::postgres::leaves_encryption_open;
pub use store::{Alone, Reader, Store};
pub use trouble::Trouble;
pub use usage::StoreUsage;
