//! Durable state of Proximity: migrations, queries, transactions, operation queue, leases and the event log.

pub mod effects;
pub mod error;
pub mod records;
