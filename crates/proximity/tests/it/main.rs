//! The program as its users start it: the built binary, its server and its commands.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests may fail the test

mod commands;
mod desired;
mod doctrine;
mod door;
mod followers;
mod helper;
mod init;
mod inside;
mod lab;
mod postgres;
mod program;
mod shutdown;
mod standing;
#[cfg(feature = "otel")]
mod traces;
