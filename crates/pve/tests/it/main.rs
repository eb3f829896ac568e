//! Tests of the PVE client against recordings, PVE's schema, a real TLS server and a real SSH server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)] // Helpers of tests are no `#[test]` themselves.

mod accounts;
mod calls;
mod details;
mod endpoints;
mod helped;
mod helper;
mod https;
mod injection;
mod login;
mod payloads;
mod permit;
mod privileges;
mod quoting;
mod recordings;
mod replay;
mod schema;
mod ssh;
mod sshd;
mod streams;
mod tls_server;
mod unreadable;
mod watcher;
mod world;
