//! Containers: what is read of them and what is done to them.

mod config;
mod create;
mod destroy;
mod interfaces;
mod power;
mod status;

pub use config::{LxcConfig, Rootfs};
pub use create::{CreateLxc, NewNet};
pub use interfaces::Interface;
pub use status::{LxcRow, LxcStatus};

use proximity_domain::ids::Vmid;

/// A VMID as a path segment.
fn segment(vmid: Vmid) -> String {
    vmid.to_string()
}
