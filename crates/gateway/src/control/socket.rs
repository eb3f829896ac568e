//! The socket file: never half open, never somebody else's.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use crate::error::GatewayError;

/// The right to have the socket at a path, and the file itself once it is open.
///
/// Dropping it takes the file away, if it is still ours.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    path: PathBuf,
    /// Device and inode of the file we made.
    made: Option<(u64, u64)>,
    /// Held as long as the socket is ours.
    _lock: File,
}

impl ControlSocket {
    /// Claims the path. A socket that a dead process left there is no obstacle.
    pub(crate) fn claim(path: &Path) -> Result<Self, GatewayError> {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder).map_err(GatewayError::file("create", folder))?;
        }
        let lock = lock(path)?;
        match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(GatewayError::file("look at", path)(error)),
            Ok(found) if !found.file_type().is_socket() => {
                return Err(GatewayError::NotASocket {
                    path: path.to_owned(),
                });
            }
            Ok(_) => refuse_if_answered(path)?,
        }
        Ok(Self {
            path: path.to_owned(),
            made: None,
            _lock: lock,
        })
    }

    /// Makes the socket: under another name first, so that it appears with its mode already set and
    /// replaces a left-over one in one step.
    pub(super) fn open(&mut self) -> Result<UnixListener, GatewayError> {
        let draft = with_suffix(&self.path, ".new");
        match std::fs::remove_file(&draft) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(GatewayError::file("remove", &draft)(error)),
        }
        let listener = UnixListener::bind(&draft)
            .map_err(GatewayError::file("make the control socket at", &draft))?;
        std::fs::set_permissions(&draft, Permissions::from_mode(0o600))
            .map_err(GatewayError::file("set the mode of", &draft))?;
        let made =
            std::fs::symlink_metadata(&draft).map_err(GatewayError::file("look at", &draft))?;
        std::fs::rename(&draft, &self.path).map_err(GatewayError::file("rename", &draft))?;
        self.made = Some((made.dev(), made.ino()));
        Ok(listener)
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let found = std::fs::symlink_metadata(&self.path).ok();
        if self.made.is_none() || found.map(|found| (found.dev(), found.ino())) != self.made {
            return;
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the control socket stays behind");
        }
    }
}

/// Two gateways with different route files could still want the same socket.
fn lock(socket: &Path) -> Result<File, GatewayError> {
    let path = with_suffix(socket, ".lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options
        .open(&path)
        .map_err(GatewayError::file("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(GatewayError::SocketInUse {
            path: socket.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(GatewayError::file("lock", &path)(error)),
    }
}

/// Our lock is free, but a program that knows nothing of it may be there.
fn refuse_if_answered(path: &Path) -> Result<(), GatewayError> {
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(GatewayError::SocketInUse {
            path: path.to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(GatewayError::file("check the control socket", path)(error)),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
