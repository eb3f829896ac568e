//! The emulated PVE by its core and over TLS.
// Helpers of tests are tests too, though the lint sees only functions marked as such.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub
)]

mod breadth;
mod consoles_https;
mod core_broken_world;
mod core_checks;
mod core_cluster;
mod core_containers;
mod core_faults;
mod core_ha;
mod core_login;
mod faults_https;
mod https;
mod kill;
mod random_requests;
mod support;
mod supported;
