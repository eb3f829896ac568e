//! What `pct push` and `pct pull` do inside a guest.

use super::files::{Content, Kind};
use super::machine::Guest;
use super::people::id_of;

/// Owner and mode a pushed file gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wish {
    /// Name or number.
    pub user: Option<String>,
    /// Name or number.
    pub group: Option<String>,
    /// Permission bits.
    pub mode: Option<u32>,
}

/// Writes a file from outside.
///
/// # Errors
/// The text of the real tool.
pub fn push(
    guest: &mut Guest,
    path: &str,
    content: Vec<u8>,
    wish: &Wish,
    now_s: u64,
) -> Result<(), String> {
    let find = |name: &Option<String>, file, what| match name {
        None => Ok(None),
        Some(name) => id_of(&guest.files, file, name)
            .map(Some)
            .ok_or_else(|| format!("failed to get {what} for: {name}")),
    };
    let user = find(&wish.user, "/etc/passwd", "uid")?;
    let group = find(&wish.group, "/etc/group", "gid")?;
    let failed = |error| format!("failed to create file: {path}: {error}");
    guest.files.write(path, content, now_s).map_err(failed)?;
    let node = guest.files.get_mut(path).map_err(failed)?;
    node.mode = wish.mode.unwrap_or(node.mode);
    if user.is_some() || group.is_some() {
        // A change of the owner takes these away, as the kernel does.
        node.mode &= !0o6000;
    }
    node.uid = user.unwrap_or(node.uid);
    node.gid = group.unwrap_or(node.gid);
    Ok(())
}

/// Reads a file from outside.
///
/// # Errors
/// The text of the real tool.
pub fn pull(guest: &Guest, path: &str) -> Result<Vec<u8>, String> {
    let failed = |error| format!("failed to open {path}: {error}");
    match &guest.files.get(path).map_err(failed)?.kind {
        Kind::File(Content(bytes)) => Ok(bytes.clone()),
        Kind::Program(name) => Ok(name.clone().into_bytes()),
        // They can be opened, and the copy gives nothing.
        Kind::Dir | Kind::Null | Kind::Link(_) => Ok(Vec::new()),
    }
}
