//! The client's calls against the emulator, over HTTPS.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests may fail the test

mod backups;
mod copies;
mod lab;
mod logins;
mod prepared;
mod second_factors;
