//! Secrets from files and stdin. Never from arguments: everybody on the machine can see those.

use std::io::Read;
use std::path::Path;

use secrecy::SecretString;

use crate::failed::Failed;

/// Longest secret, bytes.
const LONGEST_BYTES: u64 = 64 * 1024;

/// The first line of stdin.
pub(crate) fn first_line_of_stdin(what: &str) -> Result<SecretString, Failed> {
    let text = read(std::io::stdin().lock(), what, "stdin")?;
    first_line(&text, what, "stdin")
}

/// The first line of a file.
pub(crate) fn first_line_of_file(path: &Path, what: &str) -> Result<SecretString, Failed> {
    let text = whole_text(path, what)?;
    first_line(&text, what, &path.display().to_string())
}

/// A whole file, e.g. a private key.
pub(crate) fn whole_file(path: &Path, what: &str) -> Result<SecretString, Failed> {
    whole_text(path, what).map(SecretString::from)
}

/// A whole file that is no secret, no larger than one.
pub(crate) fn whole_text(path: &Path, what: &str) -> Result<String, Failed> {
    let from = path.display().to_string();
    let file = std::fs::File::open(path).map_err(|e| unreadable(what, &from, &e))?;
    read(file, what, &from)
}

fn read(source: impl Read, what: &str, from: &str) -> Result<String, Failed> {
    let mut text = String::new();
    source
        .take(LONGEST_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|e| unreadable(what, from, &e))?;
    if text.len() as u64 > LONGEST_BYTES {
        let message = format!("{what} from {from} is larger than 64 KiB");
        return Err(Failed::usage(message, "check that it is the right file"));
    }
    Ok(text)
}

fn first_line(text: &str, what: &str, from: &str) -> Result<SecretString, Failed> {
    match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => Ok(SecretString::from(line)),
        Some(_) | None => Err(Failed::usage(
            format!("{what} is empty: {from} has nothing on its first line"),
            "put it there, on one line",
        )),
    }
}

fn unreadable(what: &str, from: &str, error: &std::io::Error) -> Failed {
    let message = format!("cannot read {what} from {from}: {error}");
    Failed::config(
        "secret_unreadable",
        message,
        "check the path and its permissions",
    )
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_secret_is_the_first_line_without_blanks_around_it() {
        let secret = first_line(" abc \nrest", "the secret", "stdin").unwrap();
        assert_eq!(secret.expose_secret(), "abc");
        for empty in ["", "\n", "  \nabc"] {
            assert!(
                first_line(empty, "the secret", "stdin").is_err(),
                "{empty:?}"
            );
        }
    }

    #[test]
    fn what_is_too_large_is_refused_whole() {
        let large = "x".repeat(70_000);
        let error = read(large.as_bytes(), "the key", "k.pem").unwrap_err();
        assert!(error.to_string().contains("larger than 64 KiB"), "{error}");
    }
}
