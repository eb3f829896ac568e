//! A folder that is there for one run alone, and holds what nobody else may read.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The configuration that holds a token.
pub(super) const CONFIGURATION: &str = ".gitconfig";
/// A private key.
pub(super) const KEY: &str = "key";
const SECRETS: [&str; 2] = [CONFIGURATION, KEY];

/// The folder. It goes with this; what a crash leaves behind goes at the next start ([`clear`]).
#[derive(Debug)]
pub(super) struct RunFolder(PathBuf);

impl RunFolder {
    /// Makes it below `place`, which is made too.
    pub(super) fn make(place: &Path, name: &str) -> io::Result<Self> {
        let mut private = DirBuilder::new();
        private.mode(0o700);
        private.recursive(true).create(place)?;
        // It is named to programs that are started inside of it.
        let path = std::path::absolute(place)?.join(name);
        private.recursive(false).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file that only its owner reads.
    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.0.join(name))?;
        file.write_all(text.as_bytes())
    }
}

/// How often it is tried to remove a folder: a process that was just ended may have put something there meanwhile.
const TRIES: u32 = 10;

impl Drop for RunFolder {
    /// Keys and tokens go first: they are gone also where something else stays.
    fn drop(&mut self) {
        for secret in SECRETS {
            // Most runs have one of them, and none of the others.
            let _ = std::fs::remove_file(self.0.join(secret));
        }
        let mut left = clear(&self.0);
        for _ in 1..TRIES {
            if left.is_ok() {
                return;
            }
            std::thread::yield_now();
            left = clear(&self.0);
        }
        if let Err(e) = left {
            tracing::warn!(error = %e, "cannot remove what was fetched");
        }
    }
}

/// Removes what runs of before left behind.
pub(super) fn clear(place: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(place) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_its_owners_alone_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("sources");
        let run = RunFolder::make(&place, "one").unwrap();
        run.write("key", "hunter2").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(run.path()), 0o700);
        assert_eq!(mode(&run.path().join("key")), 0o600);
        assert!(RunFolder::make(&place, "one").is_err(), "it is somebody's");
        drop(run);
        assert!(!place.join("one").exists());
        std::mem::forget(RunFolder::make(&place, "two").unwrap());
        clear(&place).unwrap();
        clear(&place).unwrap();
        assert!(!place.exists());
    }
}
