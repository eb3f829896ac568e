//! Owner and mode of a transferred file, as the command line gives them.

use std::ffi::OsStr;

use super::Died;
use super::getopt::Parsed;
use crate::sim::guest::Wish;

/// What a file gets; names are looked up where the file is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ownership {
    pub(super) user: Option<String>,
    pub(super) group: Option<String>,
    pub(super) mode: Option<String>,
}

/// Ids and mode, looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) user: Option<u32>,
    pub(super) group: Option<u32>,
    pub(super) mode: Option<u32>,
}

impl Ownership {
    pub(super) fn of(parsed: &Parsed) -> Self {
        let text = |name| {
            parsed
                .value(name)
                .map(|value: &OsStr| value.to_string_lossy().into())
        };
        Self {
            user: text("user"),
            group: text("group"),
            mode: text("perms"),
        }
    }

    /// With its mode as a number; names are looked up by who has the guest's files.
    ///
    /// # Errors
    /// The mode is no number.
    pub(super) fn unresolved(&self) -> Result<Wish, Died> {
        Ok(Wish {
            user: self.user.clone(),
            group: self.group.clone(),
            mode: self.mode.as_deref().map(mode_of).transpose()?,
        })
    }

    /// Looks names up in the `/etc` that is visible now.
    ///
    /// # Errors
    /// An unknown name or a mode that is no number.
    pub(super) fn resolve(&self) -> Result<Resolved, Died> {
        let find = |name: &Option<String>, file: &str, what: &str| match name {
            None => Ok(None),
            Some(name) => id_of(name, file)
                .map(Some)
                .ok_or_else(|| Died::new(format!("failed to get {what} for: {name}"))),
        };
        Ok(Resolved {
            user: find(&self.user, "/etc/passwd", "uid")?,
            group: find(&self.group, "/etc/group", "gid")?,
            mode: self.mode.as_deref().map(mode_of).transpose()?,
        })
    }
}

fn id_of(name: &str, file: &str) -> Option<u32> {
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return name.parse().ok();
    }
    let text = std::fs::read_to_string(file).unwrap_or_default();
    id_in(&text, name)
}

fn id_in(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

/// Octal, with or without a leading zero; hexadecimal with `0x`.
fn mode_of(text: &str) -> Result<u32, Died> {
    let full = if text.starts_with('0') {
        text.to_owned()
    } else {
        format!("0{text}")
    };
    let number = match full.strip_prefix("0x").or_else(|| full.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => u32::from_str_radix(&full, 8),
    };
    number.map_err(|_| Died::new(format!("invalid mode: '{full}'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal_unless_marked() {
        assert_eq!(mode_of("0640"), Ok(0o640));
        assert_eq!(mode_of("640"), Ok(0o640));
        assert_eq!(mode_of("4755"), Ok(0o4755));
        assert_eq!(mode_of("0x1ff"), Ok(0o777));
        assert_eq!(mode_of("rw").unwrap_err().text, "invalid mode: '0rw'");
        assert!(mode_of("0889").is_err());
    }

    #[test]
    fn names_are_looked_up_and_numbers_taken() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\n";
        assert_eq!(id_in(passwd, "www-data"), Some(33));
        assert_eq!(id_in(passwd, "www"), None);
        assert_eq!(id_of("1000", "/nonexistent"), Some(1000));
    }
}
