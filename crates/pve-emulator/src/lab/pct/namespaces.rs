//! Entering a guest's namespaces, so that no link in its tree can lead out of it.

use std::fs::File;
use std::os::fd::AsFd;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::Died;

/// The namespaces of a running guest, opened before any is entered.
pub(super) struct Namespaces {
    mount: File,
    user: File,
}

impl Namespaces {
    /// Opens those of the process `pid`.
    ///
    /// # Errors
    /// The process is gone.
    pub(super) fn open(pid: u32) -> Result<Self, Died> {
        let open = |name: &str, what: &str| {
            File::open(format!("/proc/{pid}/ns/{name}"))
                .map_err(|_| Died::new(format!("failed to open the container's {what} namespace")))
        };
        Ok(Self {
            mount: open("mnt", "mount")?,
            user: open("user", "user")?,
        })
    }

    /// Sees the guest's files from now on, as the machine's root.
    ///
    /// # Errors
    /// The process has more than one thread, or the guest is gone.
    pub(super) fn enter_mounts(&self) -> Result<(), Died> {
        move_into_link_name_space(self.mount.as_fd(), Some(LinkNameSpaceType::Mount))
            .map_err(|_| Died::new("failed to enter the container's mount namespace"))?;
        std::env::set_current_dir("/")
            .map_err(|_| Died::new("failed to change to container root directory"))
    }

    /// Is the guest's root from now on.
    ///
    /// # Errors
    /// The process has more than one thread, or the guest is gone.
    pub(super) fn become_root(&self) -> Result<(), Died> {
        move_into_link_name_space(self.user.as_fd(), Some(LinkNameSpaceType::User))
            .map_err(|_| Died::new("failed to enter the container's user namespace"))?;
        rustix::thread::set_thread_gid(rustix::process::Gid::ROOT)
            .map_err(|error| Died::new(format!("setgid failed: {error}")))?;
        rustix::thread::set_thread_uid(rustix::process::Uid::ROOT)
            .map_err(|error| Died::new(format!("setuid failed: {error}")))
    }
}
