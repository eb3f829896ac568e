//! The API over HTTP, without a socket. Every answer is held against the OpenAPI document.
#![allow(clippy::unwrap_used)] // helpers of tests may fail the test

mod accounts;
mod archive;
mod contract;
mod events;
mod http;
mod let_in;
mod node_loss;
mod once;
mod openmetrics;
mod request_ids;
mod roles;
mod series;
mod support;
