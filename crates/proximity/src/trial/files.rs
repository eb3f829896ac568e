//! The files below a folder, to see whether anything of them changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// So much of a file is read; what is behind it is not compared.
const MAX_BYTES: u64 = 4 << 20;
/// So many names are looked at.
const MAX_NAMES: usize = 20_000;

/// What one name shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// Kind and permission bits.
    mode: u32,
    user: u32,
    group: u32,
    /// A sum of what is in a file, or of where a link leads to.
    content: u64,
}

/// All below a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Files(BTreeMap<PathBuf, Seen>);

impl Files {
    /// Looks at everything below a folder; links are not followed. None where there is no such folder.
    ///
    /// # Errors
    /// Something cannot be read, or there is too much.
    pub(crate) fn below(folder: &Path) -> io::Result<Self> {
        let mut files = Self::default();
        let mut open = vec![folder.to_owned()];
        while let Some(dir) = open.pop() {
            let entries = match std::fs::read_dir(&dir) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let path = entry?.path();
                let seen = match look(&path) {
                    // It went while we looked.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    seen => seen?,
                };
                if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
                    open.push(path.clone());
                }
                let name = path.strip_prefix(folder).unwrap_or(&path).to_owned();
                files.0.insert(name, seen);
                if files.0.len() > MAX_NAMES {
                    return Err(io::Error::other(format!("more than {MAX_NAMES} names")));
                }
            }
        }
        Ok(files)
    }

    /// The names that are not the same in both, ordered.
    pub(crate) fn differing(&self, other: &Self) -> Vec<String> {
        let names: BTreeSet<&PathBuf> = self.0.keys().chain(other.0.keys()).collect();
        let differing = names
            .into_iter()
            .filter(|name| self.0.get(*name) != other.0.get(*name));
        differing.map(|name| name.display().to_string()).collect()
    }
}

fn look(path: &Path) -> io::Result<Seen> {
    let meta = path.symlink_metadata()?;
    let mut sum = DefaultHasher::new();
    if meta.is_symlink() {
        sum.write(std::fs::read_link(path)?.as_os_str().as_bytes());
    } else if meta.is_file() {
        let mut content = Vec::new();
        let file = File::open(path)?;
        file.take(MAX_BYTES).read_to_end(&mut content)?;
        sum.write(&content);
        sum.write_u64(meta.len());
    }
    Ok(Seen {
        mode: meta.mode(),
        user: meta.uid(),
        group: meta.gid(),
        content: sum.finish(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn what_changed_below_a_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("a")).unwrap();
        for name in ["a/same", "a/text", "a/mode", "a/gone"] {
            std::fs::write(at(name), "one").unwrap();
        }
        symlink("somewhere", at("link")).unwrap();
        let before = Files::below(folder.path()).unwrap();
        assert_eq!(
            before
                .differing(&Files::below(folder.path()).unwrap())
                .len(),
            0
        );

        std::fs::write(at("a/text"), "two").unwrap();
        // Written anew as it was.
        std::fs::write(at("a/same"), "one").unwrap();
        std::fs::set_permissions(at("a/mode"), Permissions::from_mode(0o600)).unwrap();
        std::fs::remove_file(at("a/gone")).unwrap();
        std::fs::write(at("new"), "").unwrap();
        std::fs::remove_file(at("link")).unwrap();
        symlink("elsewhere", at("link")).unwrap();
        let after = Files::below(folder.path()).unwrap();
        let differing = before.differing(&after);
        assert_eq!(differing, ["a/gone", "a/mode", "a/text", "link", "new"]);
    }

    #[test]
    fn a_folder_that_is_not_there_has_nothing_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let none = Files::below(&folder.path().join("none")).unwrap();
        assert_eq!(none, Files::default());
    }
}
