//! The page of all limits: read from the constants that enforce them, so that page and code cannot differ.

mod doors;
mod table;

use anyhow::{Context, Result, bail};

use super::Generated;
use crate::place::Place;
use doors::OF_DOORS;
use table::{Limit, OF_WORK};

const FILE: &str = "docs/reference/limits.md";

const HEAD: &str = "# Limits

What waits, is held or is under way has an end. Of what has happened `retention` keeps events, and the steps and log lines of
operations that have ended, by age and by number; at most 1,000 log lines and about as many events come per operation. The
audit, archived apps and the operations themselves are kept whole, so the database grows by some 9 KB with each app that
comes and goes. The room of what was cleared away is used again; the file does not become smaller. Each row is read by
an index, page by page, so that old ones cost room, not time. Request keys go after a day. This page is made from the constants that enforce the limits (`cargo xtask gen`); the last
column says what happens beyond.
";

pub(super) fn page(place: &Place) -> Result<Generated> {
    let mut should_be = HEAD.to_owned();
    for (title, limits) in OF_WORK.iter().chain(OF_DOORS) {
        should_be.push_str(&format!(
            "\n## {title}\n\n| what | limit | where | beyond |\n|---|---|---|---|\n"
        ));
        for Limit(what, file, name, beyond) in *limits {
            let source = std::fs::read_to_string(place.root().join(file))
                .with_context(|| format!("reading {file}"))?;
            let value = value_of(&source, name).with_context(|| format!("{name} in {file}"))?;
            should_be.push_str(&format!(
                "| {what} | {value} | [`{name}`](../../{file}) | {beyond} |\n"
            ));
        }
    }
    let is = match std::fs::read_to_string(place.root().join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("reading {FILE}")),
    };
    Ok(Generated {
        file: FILE,
        is,
        should_be,
    })
}

/// What a constant is set to, as it is written, in one line. A name in small letters is a field of the file's defaults.
fn value_of(source: &str, name: &str) -> Result<String> {
    if name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return default_of(source, name);
    }
    let declared = format!("const {name}: ");
    let mut found = source.split(&declared).skip(1);
    let Some(rest) = found.next() else {
        bail!("there is no such constant");
    };
    if found.next().is_some() {
        bail!("there are several constants of this name");
    }
    let value = rest
        .split_once("= ")
        .and_then(|(_, value)| value.split_once(';'))
        .map(|(value, _)| value);
    let Some(value) = value else {
        bail!("it has no value");
    };
    let words: Vec<&str> = value
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default().trim())
        .collect();
    Ok(words.join(" ").trim().to_owned())
}

fn default_of(source: &str, field: &str) -> Result<String> {
    let mut defaults = source.split("fn default() -> Self {").skip(1);
    let (Some(defaults), None) = (defaults.next(), defaults.next()) else {
        bail!("the file has no defaults, or several");
    };
    let value = defaults
        .lines()
        .take_while(|line| *line != "}")
        .find_map(|line| line.trim().strip_prefix(field)?.strip_prefix(": "));
    let value = value.context("no default has this name")?;
    Ok(value.trim_end_matches(',').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_read_as_they_are_written() {
        let source = "impl Default for A {\n    fn default() -> Self {\n        Self {\n            most: 4 * 2,\n        }\n    }\n}\nlet a = B { other: 1 };";
        assert_eq!(value_of(source, "most").unwrap(), "4 * 2");
        assert!(value_of(source, "other").is_err());
        assert!(value_of("", "most").is_err());
    }

    #[test]
    fn values_are_read_as_they_are_written() {
        let source =
            "pub const A: usize = 4 * 1024;\nconst B: Policy = Policy {\n    x: 1, // one\n};\n";
        assert_eq!(value_of(source, "A").unwrap(), "4 * 1024");
        assert_eq!(value_of(source, "B").unwrap(), "Policy { x: 1, }");
        assert!(value_of(source, "C").is_err());
        assert!(value_of(&source.repeat(2), "A").is_err());
    }
}
