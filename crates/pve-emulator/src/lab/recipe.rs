//! What goes into the template, and what is changed in it after debootstrap.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::error::LabError;
use super::program::Program;
use super::template::blocking;

/// Debian's code name of the template.
pub(crate) const SUITE: &str = "bookworm";
/// Packages beyond debootstrap's minbase: what the standard template offers that apps and tests rely on.
pub(crate) const PACKAGES: &str = "systemd,systemd-sysv,dbus,openssh-server,ca-certificates,iproute2,ifupdown,\
iputils-ping,procps,curl,busybox";

/// Units that fail without the host's modules and debug file systems, which a guest never has.
const MASKED: [&str; 3] = [
    "sys-kernel-debug.mount",
    "sys-kernel-config.mount",
    "systemd-modules-load.service",
];
/// Trees nobody reads in a guest; dpkg is told to leave them out later as well.
const DROPPED: [&str; 5] = [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/lintian",
];
/// Where a host keeps authorities of its own (a company's proxy, for example).
const AUTHORITIES: &str = "usr/local/share/ca-certificates";

/// Fresh host keys at the first boot: a template must not give all guests the same ones.
const SSH_KEYS: &str = "[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\n\
ExecStartPre=/usr/sbin/sshd -t\n";
/// A guest of the lab is thrown away, so fsync per package only costs time.
const DPKG: &str = "force-unsafe-io\npath-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\n\
path-exclude=/usr/share/info/*\npath-exclude=/usr/share/locale/*\npath-exclude=/usr/share/lintian/*\n";
const APT: &str = "APT::Install-Recommends \"false\";\nAcquire::Languages \"none\";\n";

/// The whole recipe as text; its hash decides whether a cached template is still right.
pub(crate) fn text() -> String {
    format!("1\n{SUITE}\n{PACKAGES}\n{MASKED:?}\n{DROPPED:?}\n{SSH_KEYS}\n{DPKG}\n{APT}")
}

/// The host's own authorities as (file name, content), sorted.
pub(crate) fn host_authorities() -> Result<Vec<(String, Vec<u8>)>, LabError> {
    let directory = Path::new("/").join(AUTHORITIES);
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(&directory) else {
        return Ok(found);
    };
    for entry in entries {
        let path = entry
            .map_err(LabError::io(directory.display().to_string()))?
            .path();
        if path.extension().is_some_and(|extension| extension == "crt") {
            let bytes = std::fs::read(&path).map_err(LabError::io(path.display().to_string()))?;
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            found.push((name, bytes));
        }
    }
    found.sort();
    Ok(found)
}

/// Turns a fresh debootstrap tree into a template.
pub(crate) async fn configure(
    rootfs: &Path,
    authorities: &[(String, Vec<u8>)],
) -> Result<(), LabError> {
    for (name, bytes) in authorities {
        write(rootfs, &format!("{AUTHORITIES}/{name}"), bytes)?;
    }
    write(
        rootfs,
        "etc/systemd/system/ssh.service.d/keys.conf",
        SSH_KEYS.as_bytes(),
    )?;
    write(rootfs, "etc/dpkg/dpkg.cfg.d/lab", DPKG.as_bytes())?;
    write(rootfs, "etc/apt/apt.conf.d/90lab", APT.as_bytes())?;
    write(rootfs, "etc/machine-id", b"")?;
    copy_resolver(rootfs)?;
    chroot(
        rootfs,
        &["systemctl", "mask", MASKED[0], MASKED[1], MASKED[2]],
    )
    .await?;
    chroot(rootfs, &["update-ca-certificates"]).await?;
    let rootfs = rootfs.to_owned();
    blocking(move || drop_leftovers(&rootfs)).await
}

async fn chroot(rootfs: &Path, command: &[&str]) -> Result<(), LabError> {
    Program::new("chroot")
        .args([rootfs])
        .args(command)
        .succeed()
        .await
        .map(drop)
}

fn write(rootfs: &Path, path: &str, bytes: &[u8]) -> Result<(), LabError> {
    let path = rootfs.join(path);
    let what = || format!("write {}", path.display());
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(LabError::io(what()))?;
    }
    std::fs::write(&path, bytes).map_err(LabError::io(what()))?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).map_err(LabError::io(what()))
}

fn copy_resolver(rootfs: &Path) -> Result<(), LabError> {
    let text = std::fs::read("/etc/resolv.conf").unwrap_or_default();
    // debootstrap may have left a link to the host's resolver; a guest gets a file.
    remove(&rootfs.join("etc/resolv.conf"))?;
    write(rootfs, "etc/resolv.conf", &text)
}

fn drop_leftovers(rootfs: &Path) -> Result<(), LabError> {
    for path in DROPPED {
        remove(&rootfs.join(path))?;
    }
    for path in ["var/cache/apt", "var/lib/apt/lists", "dev"] {
        empty(&rootfs.join(path))?;
    }
    // debootstrap copies the host's name, and systemd prefers it over the one given at start.
    remove(&rootfs.join("etc/hostname"))?;
    let ssh = rootfs.join("etc/ssh");
    let Ok(entries) = std::fs::read_dir(&ssh) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry
            .map_err(LabError::io(ssh.display().to_string()))?
            .path();
        if path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .starts_with("ssh_host_")
        {
            remove(&path)?;
        }
    }
    Ok(())
}

fn empty(directory: &Path) -> Result<(), LabError> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Ok(());
    };
    for entry in entries {
        remove(
            &entry
                .map_err(LabError::io(directory.display().to_string()))?
                .path(),
        )?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), LabError> {
    let result = match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(LabError::Io {
            what: format!("remove {}", path.display()),
            source,
        }),
    }
}
