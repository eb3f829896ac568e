//! Accounts: what `/etc/passwd` and `/etc/group` say.

use super::errno::Errno;
use super::files::Files;
use super::machine::Guest;
use crate::core::guest::GuestLogin;

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

/// The home directory of an account.
fn home_of(files: &Files, name: &str) -> Option<String> {
    let text = files.text("/etc/passwd").unwrap_or_default();
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| Some(fields.nth(4)?.to_owned()))?
    })
}

impl Guest {
    /// Lets root log in with keys or a password.
    pub(crate) fn let_log_in(&mut self, login: &GuestLogin) -> Result<(), Errno> {
        if let Some(keys) = &login.ssh_keys {
            let folder = format!("{}/.ssh", home_of(&self.files, "root").unwrap_or_default());
            self.files.make_dirs(&folder, 0)?;
            let file = format!("{folder}/authorized_keys");
            self.files.write(&file, keys.clone().into_bytes(), 0)?;
            self.files.get_mut(&file)?.mode = 0o600;
        }
        let old = self.files.text("/etc/shadow").unwrap_or_default();
        if let Some(shadow) = login.shadow(&old) {
            self.files.write("/etc/shadow", shadow.into_bytes(), 0)?;
            self.files.get_mut("/etc/shadow")?.mode = 0o640;
        }
        Ok(())
    }
}
