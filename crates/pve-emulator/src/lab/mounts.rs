//! The lab's own mount namespace: LXC finds the lab's directory at its usual place, and the id ranges are the lab's.
//!
//! Guests run under shifted ids and must be able to enter every directory above theirs; a state directory below
//! `/root`, for example, would be closed to them. Seen from this namespace it is at `/var/lib/lxc`. The host's own
//! `/etc/subuid`, `/etc/subgid` and `/var/lib/lxc` stay as they are.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use super::error::LabError;
use super::program::{Program, SEARCH_PATH};
use super::template::{SHIFT, SHIFT_COUNT};
use crate::lxc::LXC_ROOT;

const SCRIPT: &str = "set -e\nmount --bind \"$1\" /var/lib/lxc\nmount --bind \"$2\" /etc/subuid\n\
mount --bind \"$2\" /etc/subgid\nshift 2\nexec \"$@\"\n";

/// Where the unpacked template is mounted below [`LXC_ROOT`].
const BASE: &str = "base";

/// Makes sure that this process is in the mount namespace of the lab at `state`: returns if it is, and otherwise
/// replaces the process by itself (same program, same arguments, same id) inside a new one.
///
/// # Errors
/// The namespace could not be made.
pub(crate) fn ensure_namespace(state: &Path) -> Result<(), LabError> {
    let guests = state.join("lxc");
    let open = |path: &Path, mode| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::create_dir_all(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
    };
    open(&guests, 0o755).map_err(LabError::io(format!("create {}", guests.display())))?;
    open(&guests.join(BASE), 0o755).map_err(LabError::io("create the template's mount point"))?;
    if same_directory(&guests, Path::new(LXC_ROOT)) {
        return Ok(());
    }
    let ranges = state.join("subid");
    std::fs::write(&ranges, format!("root:{SHIFT}:{SHIFT_COUNT}\n"))
        .map_err(LabError::io(format!("write {}", ranges.display())))?;
    let program = std::env::current_exe().map_err(LabError::io("find this program's file"))?;
    let failed = std::process::Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "slave",
            "sh",
            "-c",
            SCRIPT,
            "lab-mounts",
        ])
        .args([&guests, &ranges])
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env("PATH", SEARCH_PATH)
        .exec();
    Err(LabError::Io {
        what: "run unshare".to_owned(),
        source: failed,
    })
}

/// Mounts the template's tree, read-only, where the guests can reach it; gives back that path.
///
/// # Errors
/// `mount` refused.
pub(crate) async fn mount_base(base: &Path) -> Result<std::path::PathBuf, LabError> {
    let at = Path::new(LXC_ROOT).join(BASE);
    if !same_directory(base, &at) {
        Program::new("mount")
            .args(["--bind", "-o", "ro"])
            .args([base, at.as_path()])
            .succeed()
            .await?;
    }
    Ok(at)
}

fn same_directory(one: &Path, other: &Path) -> bool {
    match (std::fs::metadata(one), std::fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        (_, _) => false,
    }
}
