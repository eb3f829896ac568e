//! An HTTP server that behaves like Proxmox VE, with real LXC containers as guests.
//!
//! - [`core`] decides: pure data in, answers and guest commands out.
//! - [`schema`] knows which methods PVE has and what it accepts.
//! - [`shell`] acts: HTTPS listeners, commits, clock; runs guest commands on a driver.
//! - [`persist`] keeps the world on disk.

pub mod core;
pub mod lab;
pub mod lxc;
mod oci;
pub mod persist;
pub mod schema;
pub mod shell;
pub mod sim;
pub mod ssh;
