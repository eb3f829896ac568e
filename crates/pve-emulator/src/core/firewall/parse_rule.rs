//! Reads the line of a rule.

use super::row::Row;

const LEVELS: [&str; 9] = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "nolog",
];

/// The comment at the end of a line is taken away.
pub(super) fn split_comment(line: &str) -> (&str, Option<&str>) {
    match line.split_once('#') {
        Some((line, comment)) => (line, Some(comment.trim())),
        None => (line, None),
    }
}

/// The parts of a rule, not verified; nothing for what is none.
pub(super) fn parse_rule(line: &str) -> Option<Row> {
    let mut row = Row::default();
    let (line, comment) = split_comment(line);
    let mut put = |key: &str, value: &str| row.keys.insert(key.to_owned(), value.to_owned());
    if let Some(comment) = comment {
        put("comment", comment);
    }
    let off = line.strip_prefix('|');
    put("enable", if off.is_some() { "0" } else { "1" });
    let (kind, rest) = word(off.unwrap_or(line))?;
    let (action, mut rest) = word(rest)?;
    let kind = kind.to_lowercase();
    put("type", &kind);
    match macro_of(action).filter(|_| matches!(kind.as_str(), "in" | "out" | "forward")) {
        Some((name, action)) => {
            put("macro", name);
            put("action", action);
        }
        None => {
            put("action", action);
        }
    }
    while !rest.is_empty() {
        let (key, value, after) = option(rest, kind == "group")?;
        put(key, value);
        rest = after;
    }
    Some(row)
}

/// The next word, and what follows the space behind it.
fn word(text: &str) -> Option<(&str, &str)> {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (!word.is_empty()).then(|| (word, rest.trim_start()))
}

/// `NAME(ACTION)`.
fn macro_of(text: &str) -> Option<(&str, &str)> {
    let at = text.rfind('(').filter(|at| *at > 0)?;
    let action = text[at + 1..].strip_suffix(')')?;
    matches!(action, "ACCEPT" | "DROP" | "REJECT").then(|| (&text[..at], action))
}

/// An option at the beginning of a text: what it is, its value, and what follows.
fn option(text: &str, of_group: bool) -> Option<(&'static str, &str, &str)> {
    let known = [
        ("-i ", "iface"),
        ("-p ", "proto"),
        ("-proto ", "proto"),
        ("-dport ", "dport"),
        ("-sport ", "sport"),
        ("-source ", "source"),
        ("-dest ", "dest"),
        ("-icmp-type ", "icmp-type"),
    ];
    for (name, key) in known {
        if of_group && key != "iface" {
            continue;
        }
        let long = text.strip_prefix('-').filter(|_| name.len() > 3);
        let rest = text
            .strip_prefix(name)
            .or(long.and_then(|it| it.strip_prefix(name)));
        if let Some(found) = rest.and_then(word) {
            return Some((key, found.0, found.1));
        }
    }
    let rest = text.strip_prefix("-log ").or(text.strip_prefix("--log "))?;
    let level = LEVELS.into_iter().find(|level| rest.starts_with(level))?;
    let after = rest[level.len()..].trim_start();
    (!of_group).then_some(("log", level, after))
}
