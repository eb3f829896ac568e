//! A guest's directory: overlay, the files written before each start, and its removal.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use crate::core::guest::GuestLogin;
use crate::lab::SHIFT;

/// Makes the directories of a new guest below `directory`, which must not exist.
///
/// # Errors
/// As text, with the path.
pub(crate) fn make(directory: &Path) -> Result<(), String> {
    for part in ["", "rootfs", "overlay", "overlay/delta", "overlay/work"] {
        let path = directory.join(part);
        create(&path, 0o755)?;
    }
    for part in ["rootfs", "overlay/delta", "overlay/work"] {
        give(&directory.join(part))?;
    }
    Ok(())
}

/// The same in place of whatever is there, with the directories above it.
///
/// # Errors
/// As text, with the path.
pub(crate) fn make_anew(directory: &Path) -> Result<(), String> {
    remove(directory)?;
    std::fs::create_dir_all(directory.parent().unwrap_or(directory))
        .map_err(|error| format!("create the node's directory: {error}"))?;
    make(directory)
}

/// Lets a guest ask for logins at its terminals: the unit as Debian has it wants a machine's `/dev/tty0`.
const LOGINS: &str = "[Unit]\nConditionPathExists=\nConditionPathExists=/dev/%I\n";

/// Writes the files that Proxmox writes into a guest before it boots: name, hosts, resolver, logins.
///
/// # Errors
/// As text, with the path.
pub(crate) fn write_identity(
    directory: &Path,
    hostname: &str,
    resolver: &str,
) -> Result<(), String> {
    let etc = directory.join("overlay/delta/etc");
    create(&etc, 0o755)?;
    give(&etc)?;
    let hosts = format!("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {hostname}\n");
    let files = [("hostname", format!("{hostname}\n")), ("hosts", hosts)];
    for (name, text) in files.iter().chain(&[("resolv.conf", resolver.to_owned())]) {
        place(&etc.join(name), text)?;
    }
    let mut folder = etc;
    for part in ["systemd", "system", "getty@.service.d"] {
        folder.push(part);
        create(&folder, 0o755)?;
        give(&folder)?;
    }
    place(&folder.join("terminals.conf"), LOGINS)
}

/// Writes who may log in as root: keys, and a password beside the template's other accounts.
///
/// # Errors
/// As text, with the path.
pub(crate) fn write_login(directory: &Path, base: &Path, login: &GuestLogin) -> Result<(), String> {
    let delta = delta(directory);
    if let Some(keys) = &login.ssh_keys {
        for part in ["root", "root/.ssh"] {
            let folder = delta.join(part);
            create(&folder, 0o700)?;
            give(&folder)?;
        }
        let file = delta.join("root/.ssh/authorized_keys");
        place(&file, keys)?;
        restrict(&file, 0o600)?;
    }
    let old = std::fs::read_to_string(base.join("etc/shadow")).unwrap_or_default();
    if let Some(shadow) = login.shadow(&old) {
        let etc = delta.join("etc");
        create(&etc, 0o755)?;
        give(&etc)?;
        let file = etc.join("shadow");
        place(&file, &shadow)?;
        restrict(&file, 0o600)?;
    }
    Ok(())
}

fn restrict(path: &Path, mode: u32) -> Result<(), String> {
    std::fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(|error| format!("change the mode of {}: {error}", path.display()))
}

/// Replaces a file in the guest's tree. The guest's root owns the directory, so what stands there may be a link to
/// anywhere: it is removed, never followed, and the new file is made exclusively.
fn place(path: &Path, text: &str) -> Result<(), String> {
    use std::io::Write as _;
    let failed = |error: std::io::Error| format!("write {}: {error}", path.display());
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.set_permissions(Permissions::from_mode(0o644))
        .map_err(failed)?;
    give(path)
}

/// What a guest has on its disk that its template has not.
pub(crate) fn delta(directory: &Path) -> PathBuf {
    directory.join("overlay/delta")
}

/// Removes a guest's directory with everything in it; one that is not there is fine.
///
/// # Errors
/// As text, with the path.
pub(crate) fn remove(directory: &Path) -> Result<(), String> {
    match std::fs::remove_dir_all(directory) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("remove {}: {error}", directory.display())),
    }
}

fn create(path: &Path, mode: u32) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("create {}: {error}", path.display());
    match std::fs::create_dir(path) {
        Ok(()) => std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && is_real_directory(path) => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

fn is_real_directory(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

/// Hands a file to the guests' root.
fn give(path: &Path) -> Result<(), String> {
    lchown(path, Some(SHIFT), Some(SHIFT))
        .map_err(|error| format!("change the owner of {}: {error}", path.display()))
}
