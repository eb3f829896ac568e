//! The store: its contract on every backend, what holds on one of them alone, and all of them side by side.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod contract_memory;
mod contract_postgres;
mod contract_sqlite;
mod cut;
mod differential;
#[path = "../../../testkit/src/postgres.rs"]
mod postgres;
mod sqlite_files;
mod suite;
