//! The directory of a trial: what lies where, and who has it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use proximity_api::error::ExitCode;
use rustix::fs::{FlockOperation, flock};

use crate::cli::TryArgs;
use crate::config::env;
use crate::failed::Failed;
use crate::roles::{private_file, shipped_helper};

/// Where everything of one trial lies.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    /// This program's own file, as people know it.
    pub(crate) program: PathBuf,
    /// The same file under a name that no build replaces: the lab starts itself by its path later on.
    pub(crate) kept_program: PathBuf,
    /// The lab's state.
    pub(crate) lab: PathBuf,
    /// The server's data directory.
    pub(crate) data: PathBuf,
    /// The configuration of server, gateway and commands.
    pub(crate) config: PathBuf,
    /// Socket between server and gateway. Not below `data`: paths of sockets must be short.
    pub(crate) socket: PathBuf,
    /// Which processes this trial started.
    pub(crate) record: PathBuf,
    pub(crate) template_cache: PathBuf,
    _lock: File,
}

impl Place {
    /// Makes the directory if need be, and takes it.
    ///
    /// # Errors
    /// Another trial has it, or it cannot be used.
    pub(crate) fn take(args: &TryArgs) -> Result<Self, Failed> {
        let dir = args.dir.clone().map_or_else(default_dir, Ok)?;
        private_file::make_dir(&dir).map_err(|e| unusable(&dir, &e))?;
        let dir = dir.canonicalize().map_err(|e| unusable(&dir, &e))?;
        let lock = lock(&dir)?;
        let program = std::env::current_exe().map_err(|e| unusable(&dir, &e))?;
        let kept_program = dir.join("proximity");
        keep(&program, "/proc/self/exe".as_ref(), &kept_program)
            .map_err(|e| unusable(&kept_program, &e))?;
        let helper = program.with_file_name(shipped_helper::NAME);
        if helper.is_file() {
            let kept = dir.join(shipped_helper::NAME);
            keep(&helper, &helper, &kept).map_err(|e| unusable(&kept, &e))?;
        }
        let template_cache = args
            .template_cache
            .clone()
            .unwrap_or_else(|| dir.join("templates"));
        private_file::make_dir(&template_cache).map_err(|e| unusable(&template_cache, &e))?;
        Ok(Self {
            program,
            kept_program,
            lab: dir.join("lab"),
            data: dir.join("data"),
            config: dir.join("config.yaml"),
            socket: dir.join("gateway.sock"),
            record: dir.join("processes.json"),
            template_cache,
            dir,
            _lock: lock,
        })
    }

    /// The log of one of the processes.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }

    /// Takes away what one run leaves: data, configuration, the lab's state. Templates and logs stay.
    ///
    /// # Errors
    /// The first thing that could not be removed.
    pub(crate) fn empty(&self) -> Result<(), Failed> {
        for dir in [&self.data, &self.lab] {
            gone(dir, std::fs::remove_dir_all(dir))?;
        }
        for file in [&self.config, &self.socket, &self.record] {
            gone(file, std::fs::remove_file(file))?;
        }
        Ok(())
    }
}

/// A second name for a file; a copy of what it is now where that cannot be.
fn keep(program: &Path, now: &Path, kept: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(kept) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    if std::fs::hard_link(program, kept).is_ok() {
        return Ok(());
    }
    std::fs::copy(now, kept).map(drop)
}

fn gone(path: &Path, removed: std::io::Result<()>) -> Result<(), Failed> {
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(unusable(path, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// `$XDG_STATE_HOME/proximity/try`, or the same below `~/.local/state`.
fn default_dir() -> Result<PathBuf, Failed> {
    env::directory("XDG_STATE_HOME")
        .or_else(|| env::directory("HOME").map(|home| home.join(".local").join("state")))
        .map(|state| state.join("proximity").join("try"))
        .ok_or_else(|| {
            Failed::usage(
                "there is no home directory to keep its files in",
                "give --dir DIR",
            )
        })
}

fn lock(dir: &Path) -> Result<File, Failed> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|e| unusable(&path, &e))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Failed::new(
            ExitCode::Busy,
            "already_running",
            format!("another `proximity try` uses {}", dir.display()),
            "end that one first, or give this one a directory of its own with --dir",
        )),
        Err(errno) => Err(unusable(&path, &errno.into())),
    }
}

pub(super) fn unusable(path: &Path, error: &std::io::Error) -> Failed {
    let message = format!("cannot use {}: {error}", path.display());
    Failed::config("try_dir", message, "give another directory with --dir")
}
