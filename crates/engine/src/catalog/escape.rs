//! How a value is written into a file so that it stays a value.

use std::fmt::Write;

use serde::Deserialize;

/// What kind of file a template makes, and so how every value in it is escaped.
///
/// Values never hold control characters (see [`super::Setting`]), so no rule needs to care for line
/// ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Escape {
    /// As it is. For files in which no value can do harm.
    Plain,
    /// Text and quoted attributes of HTML.
    Html,
    /// The right side of `NAME=…`, quotes included, in a file that `sh` or systemd's
    /// `EnvironmentFile=` reads; both read it alike.
    ShellEnv,
    /// A parameter of an nginx directive, quotes included. nginx cannot take a `$` literally, so a
    /// value with one is refused.
    Nginx,
}

impl Escape {
    /// Why this value cannot be written into such a file at all.
    pub(super) fn objection(self, value: &str) -> Option<&'static str> {
        match self {
            Self::Nginx if value.contains('$') => {
                Some("must not contain '$', which nginx would read as a variable")
            }
            Self::Plain | Self::Html | Self::ShellEnv | Self::Nginx => None,
        }
    }

    /// A text value as it stands in such a file, without the quotes around it.
    pub(crate) fn inner(self, value: &str) -> String {
        let escape: fn(char) -> Option<&'static str> = match self {
            Self::Plain => return value.to_owned(),
            Self::Html => html_entity,
            Self::ShellEnv => shell_escape,
            Self::Nginx => nginx_escape,
        };
        let mut inner = String::new();
        for character in value.chars() {
            match escape(character) {
                Some(text) => inner.push_str(text),
                None => inner.push(character),
            }
        }
        inner
    }

    /// Writes a text value.
    pub(super) fn write_text(self, out: &mut dyn Write, value: &str) -> std::fmt::Result {
        let inner = self.inner(value);
        match self {
            Self::Plain | Self::Html => out.write_str(&inner),
            Self::ShellEnv | Self::Nginx => write!(out, "\"{inner}\""),
        }
    }
}

/// An argument of a command line in a unit file, quotes included: no specifier, no variable, no other argument comes of it. It must
/// hold no control characters.
pub(super) fn systemd_argument(text: &str) -> String {
    let mut quoted = String::from("\"");
    for sign in text.chars() {
        match sign {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '%' => quoted.push_str("%%"),
            '$' => quoted.push_str("$$"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

fn html_entity(character: char) -> Option<&'static str> {
    match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => None,
    }
}

/// Inside double quotes: there `sh` and systemd agree on exactly these four. Inside single quotes they
/// do not agree on how to write a single quote.
fn shell_escape(character: char) -> Option<&'static str> {
    match character {
        '"' => Some("\\\""),
        '\\' => Some("\\\\"),
        '$' => Some("\\$"),
        '`' => Some("\\`"),
        _ => None,
    }
}

fn nginx_escape(character: char) -> Option<&'static str> {
    match character {
        '"' => Some("\\\""),
        '\\' => Some("\\\\"),
        _ => None,
    }
}

#[cfg(test)]
#[path = "escape_tests.rs"]
mod tests;
