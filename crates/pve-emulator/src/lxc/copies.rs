//! Copies of a guest's disk: as a tree beside it, and packed. Owners, extended attributes and the overlay's marks of
//! what was removed are kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::lab::{LabError, Program, Ran};

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
    ready(&part, false).await?;
    let copied = Program::new("cp")
        .args([
            "-dR",
            "--preserve=mode,ownership,timestamps,links,xattr",
            "--reflink=auto",
            "-T",
        ])
        .args([from, &part])
        .limit(LIMIT)
        .succeed()
        .await;
    put(copied, part, to).await
}

/// Packs a tree into an archive, packed as the end of its name says.
///
/// # Errors
/// As text; there is no archive then.
pub(super) async fn pack(tree: &Path, archive: &Path) -> Result<(), String> {
    let part = part_of(archive);
    ready(&part, false).await?;
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
    put(packed, part, archive).await
}

/// Unpacks an archive into a place that is replaced as a whole.
///
/// # Errors
/// As text; what was at the place before still is.
pub(super) async fn unpack(archive: &Path, to: &Path) -> Result<(), String> {
    let part = part_of(to);
    ready(&part, true).await?;
    let unpacked = Program::new("tar")
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
        .await;
    put(unpacked, part, to).await
}

/// Removes what an earlier attempt left, and makes the directory above, or the place itself.
async fn ready(part: &Path, itself: bool) -> Result<(), String> {
    let part = part.to_owned();
    on_files(move || {
        clear(&part)?;
        make_parent(&part)?;
        match itself {
            true => std::fs::create_dir(&part).map_err(failed("create", &part)),
            false => Ok(()),
        }
    })
    .await
}

/// Puts what is finished in its place; what is not is removed.
async fn put(made: Result<Ran, LabError>, part: PathBuf, to: &Path) -> Result<(), String> {
    let to = to.to_owned();
    on_files(move || match made {
        Ok(_) => {
            clear(&to)?;
            rename(&part, &to)
        }
        Err(error) => {
            // The error says more than a file that cannot be removed.
            let _ = clear(&part);
            Err(error.to_string())
        }
    })
    .await
}

async fn on_files(
    work: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> Result<(), String> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|error| Err(error.to_string()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_cannot_be_finished_leaves_neither_a_part_nor_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let [from, to, archive, none] =
            ["from", "to", "archive.tar", "none"].map(|name| directory.path().join(name));
        std::fs::create_dir(&to).unwrap();
        std::fs::write(to.join("old"), "old").unwrap();
        std::fs::write(&from, "no archive").unwrap();
        assert!(unpack(&from, &to).await.is_err());
        assert!(copy(&none, &to).await.is_err());
        assert!(pack(&none, &archive).await.is_err());
        let entries = std::fs::read_dir(directory.path()).unwrap();
        let mut left: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["from", "to"]);
        assert_eq!(std::fs::read_to_string(to.join("old")).unwrap(), "old");
    }
}
