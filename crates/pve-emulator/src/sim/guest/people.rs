//! Accounts: what `/etc/passwd` and `/etc/group` say.

use super::files::Files;

/// The number of a name in `/etc/passwd` or `/etc/group`; digits stand for themselves.
pub(crate) fn id_of(files: &Files, file: &str, name: &str) -> Option<u32> {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
        return name.parse().ok();
    }
    let text = files.text(file).unwrap_or_default();
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

/// The name of a number; none when the file has none for it.
pub(crate) fn name_of(files: &Files, file: &str, id: u32) -> Option<String> {
    let text = files.text(file).unwrap_or_default();
    let id = id.to_string();
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(&id)).then(|| name.to_owned())
    })
}

/// The primary group of an account.
pub(crate) fn group_of(files: &Files, name: &str) -> Option<u32> {
    let text = files.text("/etc/passwd").unwrap_or_default();
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(2)?.parse().ok())?
    })
}
