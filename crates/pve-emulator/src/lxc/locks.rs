//! The lock directories LXC leaves in `/run/lxc`, one per container path.

use std::path::Path;

use super::place::LXC_ROOT;

const LOCKS: &str = "/run/lxc/lock";

/// Removes those of the lab `id`; its guests must have ended.
pub(crate) fn remove(id: &str) {
    let root = LXC_ROOT.trim_start_matches('/');
    // Empty directories in a file system that ends with the boot: not being able to is no harm.
    let _ = std::fs::remove_dir_all(Path::new(LOCKS).join(root).join(id));
}

/// Removes the directories above, as far as they are empty. Only for when no lab is about to start a guest.
pub(crate) fn prune() {
    let mut path = Some(Path::new(LOCKS).join(LXC_ROOT.trim_start_matches('/')));
    while let Some(directory) = path.filter(|path| path.starts_with("/run/lxc")) {
        if std::fs::remove_dir(&directory).is_err() && directory.exists() {
            return;
        }
        path = directory.parent().map(Path::to_owned);
    }
}
