//! Guests as real LXC containers: unprivileged, on overlay clones of the template, with limits and an own address.
//!
//! [`LxcDriver`] carries out [`GuestCommand`](crate::core::guest::GuestCommand)s. Each guest has a directory
//! `ROOT/NODE/VMID` with its LXC configuration and its overlay; LXC's own command socket (named after that path)
//! says whether it runs, so a new driver finds the guests an earlier one started.

mod changes;
mod config;
mod copies;
mod disk;
mod driver;
mod hotplug;
mod lease;
pub(crate) mod locks;
mod look;
mod place;
mod power;
mod terminal;

pub use driver::{DriverSetup, LxcDriver};
pub use lease::Leases;
pub use place::Place;

pub(crate) use place::LXC_ROOT;
pub(crate) use power::kill;

#[cfg(test)]
pub(crate) use disk::delta;
