//! The notifier: on virtual time against receivers that fail, and over real sockets.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod endpoint;
mod over_http;
mod over_time;
mod real_ntfy;
mod real_smtp;
mod receiver;
mod site;
