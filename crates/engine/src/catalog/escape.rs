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

    /// Writes a text value.
    pub(super) fn write_text(self, out: &mut dyn Write, value: &str) -> std::fmt::Result {
        match self {
            Self::Plain => out.write_str(value),
            Self::Html => replace(out, value, html_entity),
            Self::ShellEnv => quoted(out, value, shell_escape),
            Self::Nginx => quoted(out, value, nginx_escape),
        }
    }
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

fn quoted(
    out: &mut dyn Write,
    value: &str,
    escape: fn(char) -> Option<&'static str>,
) -> std::fmt::Result {
    out.write_char('"')?;
    replace(out, value, escape)?;
    out.write_char('"')
}

fn replace(
    out: &mut dyn Write,
    value: &str,
    escape: fn(char) -> Option<&'static str>,
) -> std::fmt::Result {
    for character in value.chars() {
        match escape(character) {
            Some(text) => out.write_str(text)?,
            None => out.write_char(character)?,
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "escape_tests.rs"]
mod tests;
