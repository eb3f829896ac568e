//! Containers: what is read of them and what is done to them.

mod clone;
mod config;
mod create;
mod destroy;
mod disk;
mod feature;
mod guest_snapshot;
mod interfaces;
mod pending;
mod power;
mod restore;
mod status;

pub use clone::{CloneLxc, CloneOf, CloneShape};
pub use config::{ConfigDigest, LxcConfig, NotADigest, Rootfs};
pub use create::{CreateLxc, NewMount, NewNet};
pub use disk::{Growth, VolumeKey};
pub use feature::Feature;
pub use guest_snapshot::GuestSnapshot;
pub use interfaces::Interface;
pub use pending::PendingKey;
pub use restore::{Addresses, RestoreLxc};
pub use status::{LxcRow, LxcStatus};

use proximity_domain::ids::Vmid;

/// A VMID as a path segment.
fn segment(vmid: Vmid) -> String {
    vmid.to_string()
}
