//! Words a recipe is made of, each with its rule. They are checked while the file is read, so that a
//! wrong one is reported where it stands.

use std::fmt;

use serde::Deserialize;

macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text)) } else { Err(format!("{text:?} is not {}", $rule)) }
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

word!(
    /// A Debian package, e.g. `nginx-light`.
    PackageName,
    "a Debian package name: lower-case letters, digits, '+', '-', '.', 2 to 64 of them",
    |text| (2..=64).contains(&text.len())
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && all(text, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte))
);
word!(
    /// A systemd unit, e.g. `nginx` or `nginx.service`.
    UnitName,
    "a unit name: letters, digits, ':', '_', '.', '@', '-', no '-' in front, at most 128",
    |text| (1..=128).contains(&text.len())
        && !text.starts_with('-')
        && all(text, |byte| byte.is_ascii_alphanumeric() || b":_.@-".contains(&byte))
);
word!(
    /// A user or group inside the guest.
    Account,
    "an account name: lower-case letters, digits, '_', '-', no digit or '-' in front, at most 32",
    |text| (1..=32).contains(&text.len())
        && (text.as_bytes()[0].is_ascii_lowercase() || text.starts_with('_'))
        && all(text, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
);
word!(
    /// An absolute path inside the guest, in its shortest form.
    GuestPath,
    "an absolute path without '.', '..', '//', control characters or a '/' at its end",
    |text| {
        let parts = text.strip_prefix('/');
        text.len() <= 1024
            && !text.chars().any(char::is_control)
            && parts.is_some_and(|parts| {
                parts.split('/').all(|part| !matches!(part, "" | "." | ".."))
            })
    }
);

word!(
    /// A Python package and its version, e.g. `flask==3.0.3`.
    PinnedPython,
    "a Python package and its version, such as flask==3.0.3",
    |text| text.len() <= 128
        && text.split_once("==").is_some_and(|(name, version)| is_package(name) && is_version(version))
);
word!(
    /// A package of npm and its version, e.g. `@scope/name@1.2.3`.
    PinnedNpm,
    "a package of npm and its version, such as express@4.19.2",
    |text| text.len() <= 256
        && text.rsplit_once('@').is_some_and(|(name, version)| {
            let (scope, name) = match name.strip_prefix('@') {
                Some(scoped) => scoped.split_once('/').unwrap_or(("", "")),
                None => ("none", name),
            };
            is_package(scope)
                && is_package(name)
                && version.starts_with(|sign: char| sign.is_ascii_digit())
                && version.matches('.').count() >= 2
                && is_version(version)
        })
);

/// Letters and digits, with `.`, `_` and `-` between them.
fn is_package(name: &str) -> bool {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    ends(name.bytes().next())
        && ends(name.bytes().last())
        && all(name, |byte| {
            byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
        })
}

fn is_version(version: &str) -> bool {
    version.starts_with(|sign: char| sign.is_ascii_alphanumeric())
        && all(version, |byte| {
            byte.is_ascii_alphanumeric() || b"._+!-".contains(&byte)
        })
}

impl Account {
    pub(super) fn root() -> Self {
        Self("root".to_owned())
    }
}

fn all(text: &str, allowed: fn(u8) -> bool) -> bool {
    text.bytes().all(allowed)
}

/// Permission bits of a file, without set-id and sticky bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct FileMode(u32);

impl FileMode {
    /// `rw-r--r--`
    pub(super) const READABLE: Self = Self(0o644);
    /// `rwxr-xr-x`
    pub(super) const ENTERABLE: Self = Self(0o755);

    /// The bits.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether others than owner and group may read the file.
    #[must_use]
    pub fn is_world_readable(self) -> bool {
        self.0 & 0o004 != 0
    }
}

impl TryFrom<String> for FileMode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let octal = text.len() == 4 && text.starts_with('0');
        match u32::from_str_radix(&text, 8) {
            Ok(bits) if octal && bits <= 0o777 => Ok(Self(bits)),
            Ok(_) | Err(_) => Err(format!("{text:?} is not a file mode such as \"0644\"")),
        }
    }
}

/// Four octal digits.
impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_follow_their_rules() {
        let path = |text: &str| GuestPath::try_from(text.to_owned()).is_ok();
        assert!(path("/etc/nginx/nginx.conf"));
        for bad in [
            "", "/", "etc", "/etc/", "/a//b", "/a/../b", "/a/./b", "/a\nb",
        ] {
            assert!(!path(bad), "{bad:?}");
        }
        let package = |text: &str| PackageName::try_from(text.to_owned()).is_ok();
        assert!(package("libstdc++6"));
        for bad in ["", "a", "-y", "Nginx", "nginx=1.2", "a b", "../x.deb"] {
            assert!(!package(bad), "{bad:?}");
        }
        let unit = |text: &str| UnitName::try_from(text.to_owned()).is_ok();
        assert!(unit("getty@tty1.service"));
        assert!(!unit("--now") && !unit("a/b") && !unit(""));
        let account = |text: &str| Account::try_from(text.to_owned()).is_ok();
        assert!(account("www-data") && account("_apt"));
        assert!(!account("0") && !account("a:b") && !account(""));
    }

    #[test]
    fn packages_of_languages_are_pinned() {
        let python = |text: &str| PinnedPython::try_from(text.to_owned()).is_ok();
        assert!(python("flask==3.0.3") && python("zope.interface==6.0rc1") && python("a==1!2.0"));
        for bad in [
            "flask",
            "flask>=3",
            "flask==",
            "==1",
            "flask==3 --pre",
            "-r==1",
            "a/b==1",
            "flask==3;x",
            "git+https://x==1",
        ] {
            assert!(!python(bad), "{bad:?}");
        }
        let npm = |text: &str| PinnedNpm::try_from(text.to_owned()).is_ok();
        assert!(npm("express@4.19.2") && npm("@scope/name@1.0.0-rc.1"));
        for bad in [
            "express",
            "express@latest",
            "express@4",
            "express@^4.19.2",
            "@scope@1.0.0",
            "../x@1.0.0",
            "-g@1.0.0",
            "x@1.0.0 y",
        ] {
            assert!(!npm(bad), "{bad:?}");
        }
    }

    #[test]
    fn modes_have_four_octal_digits_and_no_set_id_bits() {
        let mode = |text: &str| FileMode::try_from(text.to_owned());
        assert_eq!(mode("0640").map(FileMode::bits), Ok(0o640));
        assert_eq!(
            mode("0640").map(|mode| mode.to_string()),
            Ok("0640".to_owned())
        );
        for bad in ["644", "420", "4755", "0888", "", "+644", "00644"] {
            assert!(mode(bad).is_err(), "{bad:?}");
        }
    }
}
