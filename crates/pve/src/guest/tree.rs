//! Folders with all that is in them, as archives that the guest's own `tar` packs and unpacks.

use bytes::Bytes;
use proximity_node_helper::request::check_path;
use tokio::time::Instant;

use super::{Exec, ExecOutput, GuestAccess, GuestError, GuestTarget};

/// What a folder's content is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushTree {
    /// Absolute path of a folder that is there.
    pub path: String,
    /// A tar archive. Owners (by name where the guest knows it) and modes are the archive's.
    pub archive: Bytes,
    /// How long it may take.
    pub timeout_ms: u64,
    /// It is not sent from this moment on, see [`crate::Warrant`].
    pub send_before: Option<Instant>,
}

/// A folder to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullTree {
    /// Absolute path of the folder. The names in the archive begin with `./`.
    pub path: String,
    /// A larger archive is refused.
    pub max_bytes: u64,
    /// How long it may take.
    pub timeout_ms: u64,
}

/// Argument: a folder that is there.
const UNPACK: &str = r#"cd -- "$1" && exec tar -x -p -f -"#;
/// Argument: a folder.
const PACK: &str = r#"cd -- "$1" && exec tar -c -f - ."#;
/// What is kept of tar's complaints.
const COMPLAINT_BYTES: usize = 16 * 1024;

fn by(script: &str, path: &str) -> Result<Vec<String>, GuestError> {
    check_path(path).map_err(GuestError::Impossible)?;
    let argv = ["/bin/sh", "-c", script, "proximity", path];
    Ok(argv.map(str::to_owned).to_vec())
}

/// Unpacks by a command in the guest.
pub(super) async fn push(
    access: &(impl GuestAccess + ?Sized),
    target: &GuestTarget,
    push: PushTree,
) -> Result<(), GuestError> {
    let exec = Exec {
        argv: by(UNPACK, &push.path)?,
        stdin: Some(push.archive),
        timeout_ms: push.timeout_ms,
        max_output_bytes: COMPLAINT_BYTES,
        send_before: push.send_before,
    };
    let output = access.exec(target, exec).await?;
    match output.exit_code {
        0 => Ok(()),
        _ => Err(failed(target, &output)),
    }
}

/// Packs by a command in the guest.
pub(super) async fn pull(
    access: &(impl GuestAccess + ?Sized),
    target: &GuestTarget,
    pull: PullTree,
) -> Result<Bytes, GuestError> {
    let largest = usize::try_from(pull.max_bytes)
        .map_err(|_| GuestError::Impossible("the size limit is too large".to_owned()))?;
    let exec = Exec {
        argv: by(PACK, &pull.path)?,
        stdin: None,
        timeout_ms: pull.timeout_ms,
        max_output_bytes: largest.max(COMPLAINT_BYTES),
        send_before: None,
    };
    let output = access.exec(target, exec).await?;
    let size_bytes = output.stdout.len() as u64;
    let too_large = output.truncated || size_bytes > pull.max_bytes;
    match output.exit_code {
        0 if !too_large => Ok(output.stdout),
        0 => Err(GuestError::TooLarge {
            size_bytes: size_bytes.max(pull.max_bytes.saturating_add(1)),
            max_bytes: pull.max_bytes,
        }),
        _ => Err(failed(target, &output)),
    }
}

fn failed(target: &GuestTarget, output: &ExecOutput) -> GuestError {
    let complaint = String::from_utf8_lossy(&output.stderr);
    GuestError::Failed {
        node: target.node.to_string(),
        message: format!(
            "the container's tar ended with exit code {}: {}",
            output.exit_code,
            complaint.trim()
        ),
    }
}
