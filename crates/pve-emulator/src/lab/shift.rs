//! Moving a tree's owners into a user namespace's range of ids.

use std::fs::{Metadata, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

use super::error::LabError;

/// Adds `first` to owner and group of everything below and including `root` (ids outside `0..count` stay).
///
/// Running it twice changes nothing more: an id that is shifted already is outside the range. Hard links are
/// therefore safe too. Changing an owner drops set-uid bits, so modes are put back.
///
/// # Errors
/// Any file that cannot be read or changed.
pub(crate) fn shift_owners(root: &Path, first: u32, count: u32) -> Result<(), LabError> {
    let meta = std::fs::symlink_metadata(root).map_err(LabError::io(root.display().to_string()))?;
    shift_one(root, &meta, first, count)?;
    if !meta.is_dir() {
        return Ok(());
    }
    let entries = std::fs::read_dir(root).map_err(LabError::io(root.display().to_string()))?;
    for entry in entries {
        let entry = entry.map_err(LabError::io(root.display().to_string()))?;
        shift_owners(&entry.path(), first, count)?;
    }
    Ok(())
}

fn shift_one(path: &Path, meta: &Metadata, first: u32, count: u32) -> Result<(), LabError> {
    let shifted = |id: u32| if id < count { Some(first + id) } else { None };
    let (user, group) = (shifted(meta.uid()), shifted(meta.gid()));
    if user.is_none() && group.is_none() {
        return Ok(());
    }
    let what = || format!("change the owner of {}", path.display());
    lchown(path, user, group).map_err(LabError::io(what()))?;
    if meta.file_type().is_symlink() {
        return Ok(());
    }
    std::fs::set_permissions(path, Permissions::from_mode(meta.mode() & 0o7777))
        .map_err(LabError::io(what()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_move_once_and_modes_stay() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("su");
        std::fs::write(&file, "x").unwrap();
        if std::os::unix::fs::chown(&file, Some(0), Some(5)).is_err() {
            println!("SKIPPED: owners_move_once_and_modes_stay needs root");
            return;
        }
        std::fs::set_permissions(&file, Permissions::from_mode(0o4755)).unwrap();
        std::os::unix::fs::symlink("/nowhere", dir.path().join("link")).unwrap();
        std::fs::hard_link(&file, dir.path().join("twin")).unwrap();
        shift_owners(dir.path(), 100_000, 65_536).unwrap();
        shift_owners(dir.path(), 100_000, 65_536).unwrap();
        let meta = std::fs::metadata(&file).unwrap();
        assert_eq!(
            (meta.uid(), meta.gid(), meta.mode() & 0o7777),
            (100_000, 100_005, 0o4755)
        );
        let link = std::fs::symlink_metadata(dir.path().join("link")).unwrap();
        assert_eq!(link.uid(), 100_000);
    }
}
