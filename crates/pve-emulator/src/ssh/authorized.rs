//! Who may log in: an `authorized_keys` file, read anew for each attempt.

use std::path::Path;

use russh::keys::PublicKey;

/// What a key is allowed to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// The one command this key runs, whatever it asks for (`command="…"`).
    pub(crate) forced: Option<String>,
}

/// Looks the key up; `None` when the file does not list it or is not there.
pub(crate) fn look_up(file: &Path, key: &PublicKey) -> Option<Allowed> {
    let text = std::fs::read_to_string(file).ok()?;
    allowed_in(&text, key)
}

/// Whether a line of an `authorized_keys` file is a key, with options before it or not.
pub(crate) fn is_authorized_key(line: &str) -> bool {
    entry(line).is_some()
}

fn allowed_in(text: &str, key: &PublicKey) -> Option<Allowed> {
    let lines = text.lines().map(str::trim);
    let entries = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    entries
        .filter_map(entry)
        .find(|(listed, _)| listed.key_data() == key.key_data())
        .map(|(_, options)| Allowed {
            forced: forced_command(options),
        })
}

/// Key and options of a line; lines nobody can log in with are passed over.
fn entry(line: &str) -> Option<(PublicKey, &str)> {
    if let Ok(key) = PublicKey::from_openssh(line) {
        return Some((key, ""));
    }
    let (options, key) = split_outside_quotes(line, ' ');
    Some((PublicKey::from_openssh(key.trim()).ok()?, options))
}

/// The value of `command="…"`; a backslash before a quote stands for the quote.
fn forced_command(options: &str) -> Option<String> {
    let mut rest = options;
    while !rest.is_empty() {
        let (option, after) = split_outside_quotes(rest, ',');
        if let Some(value) = option.strip_prefix("command=") {
            let inner = value.strip_prefix('"')?.strip_suffix('"')?;
            return Some(inner.replace("\\\"", "\""));
        }
        rest = after;
    }
    None
}

/// Splits at the first `at` outside quotes.
fn split_outside_quotes(text: &str, at: char) -> (&str, &str) {
    let mut quoted = false;
    let mut escaped = false;
    for (position, sign) in text.char_indices() {
        if sign == at && !quoted {
            return (&text[..position], &text[position + sign.len_utf8()..]);
        }
        quoted ^= sign == '"' && !escaped;
        escaped = sign == '\\' && !escaped;
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::HostKey;

    fn key() -> (PublicKey, String) {
        let dir = tempfile::tempdir().unwrap();
        let line = HostKey::load_or_make(&dir.path().join("k"))
            .unwrap()
            .public_line()
            .unwrap();
        (PublicKey::from_openssh(&line).unwrap(), line)
    }

    #[test]
    fn listed_keys_are_found_and_others_not() {
        let (listed, line) = key();
        let (other, _) = key();
        let text = format!("# people\n\nnot a key\n{line} me@here\n");
        assert_eq!(allowed_in(&text, &listed), Some(Allowed { forced: None }));
        assert_eq!(allowed_in(&text, &other), None);
        assert_eq!(look_up(Path::new("/nonexistent/keys"), &listed), None);
    }

    #[test]
    fn a_forced_command_is_read_with_its_quotes() {
        let (listed, line) = key();
        let text = format!("restrict,command=\"/bin/x, \\\"a b\\\"\" {line}\n");
        let forced = Some("/bin/x, \"a b\"".to_owned());
        assert_eq!(allowed_in(&text, &listed), Some(Allowed { forced }));
    }
}
