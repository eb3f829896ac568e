//! Writes a configuration.

use std::collections::BTreeMap;

use super::Config;
use super::row::{Row, is_true};

pub(super) fn format(config: &Config) -> String {
    let mut text = String::new();
    if !config.options.is_empty() {
        let lines = config.options.iter();
        let lines: String = lines
            .map(|(key, value)| format!("{key}: {value}\n"))
            .collect();
        text.push_str(&format!("[OPTIONS]\n\n{lines}\n"));
    }
    if !config.aliases.is_empty() {
        let lines: String = config.aliases.values().map(alias).collect();
        text.push_str(&format!("[ALIASES]\n\n{lines}\n"));
    }
    for (name, members) in &config.sets {
        let lines: String = members_of(members);
        let head = head("IPSET", name, config.set_comments.get(name));
        text.push_str(&format!("{head}\n\n{lines}\n"));
    }
    if let Some(rules) = config.rules.as_ref().filter(|rules| !rules.is_empty()) {
        let lines: String = rules.iter().map(|row| rule(row, true)).collect();
        text.push_str(&format!("[RULES]\n\n{lines}\n"));
    }
    for (name, rules) in &config.groups {
        let lines: String = rules.iter().map(|row| rule(row, false)).collect();
        let head = head("group", name, config.group_comments.get(name));
        text.push_str(&format!("{head}\n\n{lines}\n"));
    }
    text
}

fn head(kind: &str, name: &str, comment: Option<&String>) -> String {
    match comment.filter(|comment| is_true(comment)) {
        Some(comment) => format!("[{kind} {name}] # {comment}"),
        None => format!("[{kind} {name}]"),
    }
}

/// The end of a line.
fn comment(row: &Row) -> String {
    match row.set("comment").filter(|text| !text.trim().is_empty()) {
        Some(comment) => format!(" # {comment}\n"),
        None => "\n".into(),
    }
}

fn alias(row: &Row) -> String {
    format!("{} {}{}", row.text("name"), row.text("cidr"), comment(row))
}

/// Each once, in the order of their texts.
fn members_of(members: &[Row]) -> String {
    let mut sorted: BTreeMap<&str, &Row> = BTreeMap::new();
    for row in members {
        sorted.entry(row.text("cidr")).or_insert(row);
    }
    let lines = sorted.into_iter().map(|(cidr, row)| {
        let not = row.set("nomatch").map_or("", |_| "!");
        format!("{not}{cidr}{}", comment(row))
    });
    lines.collect()
}

fn rule(row: &Row, with_iface: bool) -> String {
    let off = row.keys.get("enable").is_some_and(|text| !is_true(text));
    let mut line = String::from(if off { "|" } else { "" });
    line.push_str(&row.text("type").to_uppercase());
    let action = row.text("action");
    match row.set("macro") {
        Some(name) => line.push_str(&format!(" {name}({action})")),
        None => line.push_str(&format!(" {action}")),
    }
    let mut option = |name: &str, key: &str| {
        if let Some(value) = row.set(key) {
            line.push_str(&format!(" -{name} {value}"));
        }
    };
    if with_iface {
        option("i", "iface");
    }
    if row.text("type") != "group" {
        for (name, key) in [
            ("source", "source"),
            ("dest", "dest"),
            ("p", "proto"),
            ("dport", "dport"),
            ("sport", "sport"),
            ("log", "log"),
            ("icmp-type", "icmp-type"),
        ] {
            option(name, key);
        }
    }
    line + &comment(row)
}
