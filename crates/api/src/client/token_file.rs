//! The file a token is read from.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

/// Longest token file, bytes.
const LONGEST_BYTES: u64 = 4096;

/// Why a token file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It cannot be read.
    #[error("cannot read the token file {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others can read it, so its token is no secret.
    #[error("the token file {} is open to others (mode {mode:04o})", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds no token.
    #[error("the token file {} {why}", path.display())]
    NoToken {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
}

impl TokenFileError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => {
                    "the server writes it at its first start: run `proximity serve` first, or name another \
                     with --token-file"
                        .to_owned()
                }
                std::io::ErrorKind::PermissionDenied => {
                    "run the command as the account that runs the server (or as root), or name a file of \
                     your own with --token-file"
                        .to_owned()
                }
                _ => "check the path, or name another file with --token-file".to_owned(),
            },
            Self::Open { path, .. } => format!(
                "close it with `chmod 600 {}`; if others may have read it, replace the token",
                path.display()
            ),
            Self::NoToken { .. } => {
                "put the token into it, on one line, or name another file with --token-file".to_owned()
            }
        }
    }
}

/// Reads a token from a file that nobody but its owner can read.
///
/// # Errors
/// [`TokenFileError`], whose hint says what to do.
pub fn read_token_file(path: &Path) -> Result<SecretString, TokenFileError> {
    let unreadable = |source| TokenFileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let no_token = |why| TokenFileError::NoToken {
        path: path.to_owned(),
        why,
    };
    let file = File::open(path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?;
    if !found.is_file() {
        return Err(no_token("is not a file"));
    }
    if found.mode() & 0o077 != 0 {
        return Err(TokenFileError::Open {
            path: path.to_owned(),
            mode: found.mode() & 0o7777,
        });
    }
    let mut text = String::new();
    file.take(LONGEST_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    let token = text.trim();
    let printable = token.bytes().all(|b| b.is_ascii_graphic());
    if token.is_empty() {
        Err(no_token("is empty"))
    } else if text.len() as u64 > LONGEST_BYTES || !printable {
        Err(no_token("does not hold a token on one line"))
    } else {
        Ok(SecretString::from(token))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_private_file_gives_its_token_without_the_line_end() {
        let (_dir, path) = file("abc123\n", 0o600);
        assert_eq!(read_token_file(&path).unwrap().expose_secret(), "abc123");
        let (_dir, path) = file("abc123", 0o400);
        assert_eq!(read_token_file(&path).unwrap().expose_secret(), "abc123");
    }

    #[test]
    fn a_file_open_to_others_is_refused_with_the_command_that_closes_it() {
        let (_dir, path) = file("abc123\n", 0o640);
        let error = read_token_file(&path).unwrap_err();
        assert!(
            error.to_string().ends_with("is open to others (mode 0640)"),
            "{error}"
        );
        assert!(
            error
                .hint()
                .contains(&format!("chmod 600 {}", path.display()))
        );
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for text in ["", "\n", "two words", "two\nlines", &"x".repeat(5000)] {
            let (_dir, path) = file(text, 0o600);
            let refused = matches!(read_token_file(&path), Err(TokenFileError::NoToken { .. }));
            assert!(refused, "{text:?}");
        }
    }

    #[test]
    fn a_missing_file_names_the_next_command() {
        let dir = tempfile::tempdir().unwrap();
        let error = read_token_file(&dir.path().join("none")).unwrap_err();
        assert!(error.hint().contains("proximity serve"), "{}", error.hint());
    }
}
