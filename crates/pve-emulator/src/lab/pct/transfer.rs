//! `pct push` and `pct pull`.
//!
//! As with the real tool, the copy runs as a task of its own whose failure is told on standard error only: the exit
//! code is 0 all the same, and bytes that could not be written go unnoticed. A caller that needs certainty looks.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::namespaces::Namespaces;
use super::owner::{Ownership, Resolved};
use super::{Call, Died, inside};
use crate::lab::SEARCH_PATH;

/// Copies a file of the node into the guest.
///
/// # Errors
/// The guest does not run, or is not of this node.
pub(super) fn push(call: Call) -> Result<u8, Died> {
    if !call.is_running() {
        return Err(Died::new("can only push files to a running CT"));
    }
    call.load_config()?;
    as_task(|| {
        let (file, destination) = (path(&call, "file"), path(&call, "destination"));
        let open = || {
            File::open(&file)
                .map_err(|_| Died::new(format!("failed to open {} for reading", file.display())))
        };
        if call.is_simulated() {
            let wish = Ownership::of(&call.parsed).unresolved()?;
            return inside::push(&call, open()?, &destination, wish);
        }
        let namespaces = Namespaces::open(init_pid(&call)?)?;
        let source = open()?;
        namespaces.enter_mounts()?;
        namespaces.become_root()?;
        let target = create(&destination, Ownership::of(&call.parsed).resolve()?)?;
        copy(source, target);
        Ok(())
    })
}

/// Copies a file of the guest to the node.
///
/// # Errors
/// The guest does not run.
pub(super) fn pull(call: Call) -> Result<u8, Died> {
    if !call.is_running() {
        return Err(Died::new("can only pull files from a running VM"));
    }
    as_task(|| {
        let (file, destination) = (path(&call, "path"), path(&call, "destination"));
        if call.is_simulated() {
            let mut target = create(&destination, Ownership::of(&call.parsed).resolve()?)?;
            let bytes = inside::pull(&call, &file)?;
            // As below: a copy that breaks off goes unnoticed.
            drop(target.write_all(&bytes));
            return Ok(());
        }
        let namespaces = Namespaces::open(init_pid(&call)?)?;
        let target = create(&destination, Ownership::of(&call.parsed).resolve()?)?;
        namespaces.enter_mounts()?;
        let source = File::open(&file).map_err(|error| {
            Died::new(format!(
                "failed to open {}: {}",
                file.display(),
                os_text(&error)
            ))
        })?;
        copy(source, target);
        Ok(())
    })
}

fn path(call: &Call, name: &str) -> PathBuf {
    call.parsed
        .value(name)
        .map(PathBuf::from)
        .unwrap_or_default()
}

/// Runs what the real tool runs as a worker task: its failure is shown and forgotten.
fn as_task(work: impl FnOnce() -> Result<(), Died>) -> Result<u8, Died> {
    if let Err(died) = work() {
        // A closed standard error loses the message, as it does there.
        drop(writeln!(std::io::stderr(), "{}", died.text));
    }
    Ok(0)
}

fn init_pid(call: &Call) -> Result<u32, Died> {
    let output = Command::new("lxc-info")
        .arg("-P")
        .arg(call.site.place.lxcpath(&call.guest.node))
        .args(["-n", &call.guest.vmid.to_string(), "-p", "-H"])
        .env("PATH", SEARCH_PATH)
        .output()
        .map_err(|error| Died::new(format!("lxc-info: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| {
        Died::new(format!(
            "unable to get PID for CT {} (not running?)",
            call.guest.vmid
        ))
    })
}

/// Makes the file or empties the one there; an explicit mode is not subject to the umask.
fn create(path: &Path, owner: Resolved) -> Result<File, Died> {
    let failed = |error: std::io::Error| {
        Died::new(format!(
            "failed to create file: {}: {}",
            path.display(),
            os_text(&error)
        ))
    };
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o000)
        .open(path);
    let (file, default_mode) = match made {
        Ok(file) => (file, Some(0o666 & !umask())),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let open = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .open(path);
            (open.map_err(failed)?, None)
        }
        Err(error) => return Err(failed(error)),
    };
    if let Some(mode) = owner.mode.or(default_mode) {
        // Not checked by the real tool either; a mode that did not take is seen by who looks.
        drop(file.set_permissions(Permissions::from_mode(mode)));
    }
    if owner.user.is_some() || owner.group.is_some() {
        let changed = |error: std::io::Error| {
            Died::new(format!("failed to change file owner: {}", os_text(&error)))
        };
        let meta = file.metadata().map_err(changed)?;
        let (user, group) = (
            owner.user.unwrap_or(meta.uid()),
            owner.group.unwrap_or(meta.gid()),
        );
        fchown(&file, Some(user), Some(group)).map_err(changed)?;
    }
    Ok(file)
}

fn umask() -> u32 {
    let old = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(old);
    old.bits()
}

fn copy(mut source: File, mut target: File) {
    // The real tool ignores a copy that breaks off, a full disk for example.
    drop(std::io::copy(&mut source, &mut target));
}

/// The system's words for an error, without the number Rust adds.
fn os_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Resolved = Resolved {
        user: None,
        group: None,
        mode: None,
    };

    #[test]
    fn a_mode_is_exact_and_an_old_files_mode_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
        create(
            &path,
            Resolved {
                mode: Some(0o4711),
                ..NOTHING
            },
        )
        .unwrap();
        assert_eq!(mode(&path), 0o4711);
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        create(&path, NOTHING).unwrap();
        assert_eq!(
            (mode(&path), std::fs::read(&path).unwrap()),
            (0o600, vec![])
        );
    }

    #[test]
    fn errors_read_as_the_real_ones() {
        let died = create(Path::new("/nonexistent/f"), NOTHING).unwrap_err();
        assert_eq!(
            died.text,
            "failed to create file: /nonexistent/f: No such file or directory"
        );
    }
}
