//! The data directory, held by one server at a time.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use proximity_api::error::ExitCode;
use rustix::fs::{FlockOperation, flock};

use super::private_file;
use crate::failed::Failed;

/// The directory and its lock. The kernel gives the lock back when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DataDir {
    _lock: File,
}

impl DataDir {
    /// Makes the directory if need be, and takes its lock.
    ///
    /// # Errors
    /// Another process has the lock (exit code 5, its number is told), or the directory cannot be used.
    pub(crate) fn hold(path: &Path) -> Result<Self, Failed> {
        private_file::make_dir(path).map_err(|e| unusable(path, &e))?;
        let lock = path.join("serve.lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock)
            .map_err(|e| unusable(&lock, &e))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(held(path, &mut file)),
            Err(errno) => return Err(unusable(&lock, &errno.into())),
        }
        write_pid(&mut file).map_err(|e| unusable(&lock, &e))?;
        Ok(Self { _lock: file })
    }
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    file.flush()
}

fn held(path: &Path, file: &mut File) -> Failed {
    let mut text = String::new();
    // The number is a help for people; without it the message is still true.
    let read = file.take(32).read_to_string(&mut text);
    let pid = match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => format!("process {pid}"),
        (Ok(_) | Err(_), _) => "a process".to_owned(),
    };
    Failed::new(
        ExitCode::Busy,
        "already_running",
        format!("another server ({pid}) already works on {}", path.display()),
        "stop it first, or give this one a data directory of its own (data_dir, PROXIMITY_DATA_DIR)",
    )
}

fn unusable(path: &Path, error: &std::io::Error) -> Failed {
    Failed::config(
        "data_dir",
        format!("cannot use {}: {error}", path.display()),
        "make it writable for this account, or choose another with data_dir or PROXIMITY_DATA_DIR",
    )
}

/// Makes the directory a file goes into.
pub(crate) fn make_parent(file: &Path) -> Result<(), Failed> {
    match file.parent().map(PathBuf::from) {
        Some(dir) => private_file::make_dir(&dir).map_err(|e| unusable(&dir, &e)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_at_a_time_and_the_second_learns_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let first = DataDir::hold(&path).unwrap();
        let second = DataDir::hold(&path).unwrap_err();
        assert_eq!(second.exit, ExitCode::Busy);
        let expected = format!(
            "another server (process {}) already works",
            std::process::id()
        );
        assert!(
            second.body.message.starts_with(&expected),
            "{}",
            second.body.message
        );
        drop(first);
        assert!(DataDir::hold(&path).is_ok());
    }

    #[test]
    fn a_path_that_is_no_directory_is_an_error_of_the_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(
            DataDir::hold(&file).unwrap_err().exit,
            ExitCode::ConfigOrNotFound
        );
    }
}
