//! Copies of a guest's disk: as a tree beside it, and packed. Owners, extended attributes and the overlay's marks of
//! what was removed are kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::lab::Program;

/// Longest time one copy may take.
const LIMIT: Duration = Duration::from_secs(600);
/// What is not finished has this in front of its name, which no snapshot's name begins with.
const PART: &str = ".part-";

/// Copies a tree to a place that is replaced as a whole.
///
/// # Errors
/// As text; what was at the place before still is, unless it was just being replaced.
pub(super) async fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let part = part_of(to);
    clear(&part)?;
    make_parent(to)?;
    Program::new("cp")
        .args([
            "-dR",
            "--preserve=mode,ownership,timestamps,links,xattr",
            "--reflink=auto",
            "-T",
        ])
        .args([from, &part])
        .limit(LIMIT)
        .succeed()
        .await
        .map_err(|error| error.to_string())?;
    clear(to)?;
    rename(&part, to)
}

/// Packs a tree into an archive, packed as the end of its name says.
///
/// # Errors
/// As text; there is no archive then.
pub(super) async fn pack(tree: &Path, archive: &Path) -> Result<(), String> {
    let part = part_of(archive);
    make_parent(archive)?;
    let packed = Program::new("tar")
        .args([
            "--create",
            "--auto-compress",
            "--numeric-owner",
            "--xattrs",
            "--xattrs-include=*",
            "--sparse",
            "--file",
        ])
        .args([part.as_os_str(), "-C".as_ref(), tree.as_os_str()])
        .args(["."])
        .limit(LIMIT)
        .succeed()
        .await;
    match packed {
        Ok(_) => rename(&part, archive),
        Err(error) => {
            // The error says more than a file that cannot be removed.
            let _ = clear(&part);
            Err(error.to_string())
        }
    }
}

/// Unpacks an archive into a place that is replaced as a whole.
///
/// # Errors
/// As text; what was at the place before still is.
pub(super) async fn unpack(archive: &Path, to: &Path) -> Result<(), String> {
    let part = part_of(to);
    clear(&part)?;
    std::fs::create_dir_all(&part).map_err(failed("create", &part))?;
    Program::new("tar")
        .args([
            "--extract",
            "--numeric-owner",
            "--same-owner",
            "--same-permissions",
            "--xattrs",
            "--xattrs-include=*",
            "--file",
        ])
        .args([archive.as_os_str(), "-C".as_ref(), part.as_os_str()])
        .limit(LIMIT)
        .succeed()
        .await
        .map_err(|error| error.to_string())?;
    clear(to)?;
    rename(&part, to)
}

/// Removes a tree or a file; nothing there is fine.
///
/// # Errors
/// As text, with the path.
pub(super) fn clear(path: &Path) -> Result<(), String> {
    let removed = match path.symlink_metadata() {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(failed("remove", path)),
    }
}

/// Renames within the lab's directory.
///
/// # Errors
/// As text, with the path.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), String> {
    std::fs::rename(from, to).map_err(failed("rename to", to))
}

/// Makes the directory a path is in.
///
/// # Errors
/// As text, with the path.
pub(super) fn make_parent(path: &Path) -> Result<(), String> {
    match path.parent() {
        Some(parent) => std::fs::create_dir_all(parent).map_err(failed("create", parent)),
        None => Ok(()),
    }
}

fn part_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{PART}{name}"))
}

fn failed(what: &str, path: &Path) -> impl Fn(std::io::Error) -> String {
    let text = format!("{what} {}", path.display());
    move |error| format!("{text}: {error}")
}
