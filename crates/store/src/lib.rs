//! Durable state of Proximity: migrations, queries, transactions, operation queue, leases and the event log.
