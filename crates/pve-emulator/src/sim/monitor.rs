//! The sign of a running guest that programs on a node look for: LXC's monitor listens on an abstract socket that is named
//! after the guest's place, and so does a simulated guest while it runs. Nobody is answered there.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;

use crate::core::guest::GuestKey;

/// The sign while it is given, or none.
#[derive(Debug, Default)]
pub(super) struct Monitor(Option<UnixListener>);

impl Monitor {
    /// Gives the sign, or takes it back; the kernel takes it back when the lab dies. A sign that is to stay is not taken back
    /// for a moment.
    pub(super) fn set(&mut self, running: bool, lxc_path: &Path, guest: &GuestKey) {
        if !running {
            self.0 = None;
        } else if self.0.is_none() {
            self.0 = listen(lxc_path, guest)
                .inspect_err(|error| {
                    tracing::warn!(%error, vmid = guest.vmid, "programs on the node will not see that a guest runs");
                })
                .ok();
        }
    }
}

fn listen(lxc_path: &Path, guest: &GuestKey) -> std::io::Result<UnixListener> {
    let GuestKey { node, vmid } = guest;
    let name = format!("{}/{node}/{vmid}/command", lxc_path.display());
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)
}
