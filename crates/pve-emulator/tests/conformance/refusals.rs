//! How calls are refused: as recorded, or as the source of Proxmox VE says.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proximity_pve_emulator::schema::table;
use regex::Regex;
use serde_json::Value;

use crate::scenario::Scenario;

/// Refusals of Proxmox VE 9.2 that no recording shows and its source does; and what the lab says it does not do.
const FAILURES: &str = include_str!("failures.txt");

/// A message without what it is about: what is quoted, numbers, the name that was looked up.
pub(crate) fn normal(message: &str) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let rules = [
            (r"(^|[\s(])'[^']*'", "$1'…'"),
            (
                r"address info for: .*: Temporary",
                "address info for: …: Temporary",
            ),
            (r"\(\S* != \S*\)", "(… != …)"),
            (
                r"(match-field statement:|unknown severity|via endpoint\(s\):|unknown nodes -|non-existent node\(s\)) .*$",
                "$1 …",
            ),
            (r"unknown variant `.*`, expected .*$", "unknown variant …"),
            (
                r"(no such entry:|to access|unable to use volume) \S+",
                "$1 …",
            ),
            (r"\b[0-9]+\b", "…"),
        ];
        let rule = |(expression, with)| (Regex::new(expression).unwrap(), with);
        rules.map(rule).to_vec()
    });
    let mut text = message.to_owned();
    for (rule, with) in RULES.iter() {
        text = rule.replace_all(&text, *with).into_owned();
    }
    text
}

/// A path as it was before [`escape`].
pub(crate) fn unescape(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        let escaped = (byte == b'%').then(|| [rest.next(), rest.next()]);
        let code = escaped.and_then(|digits| {
            let digits: Vec<u8> = digits.into_iter().flatten().collect();
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()
        });
        bytes.push(code.unwrap_or(byte));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The method that a call leads to; what leads to none has no name.
pub(crate) fn method_of(verb: &str, path: &str) -> String {
    let path = unescape(path.split('?').next().unwrap_or_default());
    let found = table().lookup(verb, &path);
    found.map_or_else(String::new, |found| format!("{verb} {}", found.method.path))
}

/// How a call was refused, one line each: `STATUS text`, or `400 parameter: text`.
pub(crate) fn refusals(status: u64, reason: &str, body: &Value) -> Vec<String> {
    match body["errors"].as_object().filter(|_| status == 400) {
        Some(errors) => {
            let line = |(name, text): (&String, &Value)| {
                let text = text.as_str().unwrap_or_default();
                format!("400 {name}: {}", normal(text.trim_end()))
            };
            errors.iter().map(line).collect()
        }
        None => vec![format!("{status} {}", normal(reason))],
    }
}

/// The refusals that real nodes were recorded with, by method.
pub(crate) fn recorded(scenarios: &[Scenario]) -> BTreeSet<(String, String)> {
    let steps = scenarios.iter().flat_map(|scenario| scenario.steps());
    let refused = steps.filter_map(|step| {
        let answer = &step["response"];
        let status = answer["status"].as_u64().filter(|status| *status != 200)?;
        let path = step["path"].as_str()?.strip_prefix("/api2/json")?;
        let method = method_of(step["method"].as_str()?, path);
        let reason = answer["reason"].as_str().unwrap_or_default();
        let lines = refusals(status, reason, &answer["body"]);
        Some(lines.into_iter().map(move |line| (method.clone(), line)))
    });
    refused.flatten().collect()
}

/// Those of `failures.txt`: a method, then its refusals, each with where the source has it. A `*` in place of the method: what
/// is said before a call reaches its method.
pub(crate) fn in_the_source() -> BTreeSet<(String, String)> {
    let mut method = String::new();
    let mut found = BTreeSet::new();
    for line in FAILURES.lines() {
        match line.strip_prefix("  ") {
            None => method = line.to_owned(),
            Some(refusal) => {
                let (text, place) = refusal.rsplit_once(" <- ").expect(refusal);
                assert!(!place.is_empty());
                found.insert((method.clone(), text.to_owned()));
            }
        }
    }
    found
}
