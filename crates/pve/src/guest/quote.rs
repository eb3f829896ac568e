//! The one place that makes text safe for a node's POSIX shell.

/// A word of a shell command that the shell reads back as exactly this text.
///
/// The text must not hold NUL: no argument of a process can. Callers refuse it before.
#[must_use]
pub fn sh(word: &str) -> String {
    let mut quoted = String::with_capacity(word.len() + 2);
    quoted.push('\'');
    for c in word.chars() {
        if c == '\'' {
            quoted.push_str(r"'\''");
        } else {
            quoted.push(c);
        }
    }
    quoted.push('\'');
    quoted
}

/// Words as one command line.
pub(crate) fn line<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = words.into_iter().map(sh).collect();
    quoted.join(" ")
}
