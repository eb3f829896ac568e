//! Every error code has somebody who gives it, and a test that names it.
//!
//! A code of the table that no code of the product makes is dead: clients are told of an answer they can never get. That a
//! name stands somewhere does not prove that it is reached; a test that asserts it does, so each code needs one, apart
//! from those listed here.

use std::collections::BTreeSet;

use super::Finding;
use super::rust_text::RustText;
use super::tree::{Tree, TreeFile};

/// The table; what is around it lists codes and makes none.
const TABLE: &str = "crates/api/src/error/codes.rs";
const AROUND_TABLE: &str = "crates/api/src/error/";
/// What starts a row of the table.
const ROWS: &[&str] = &["row(\"", "with_exit(\"", "wrong(\"", "locked(\""];
/// Where the tests of a source begin.
const TESTS: &str = "#[cfg(test)]\n";

/// Codes that are given, but that no test names yet. It may only become shorter.
const WITHOUT_TEST: &[&str] = &[
    "events_unavailable",
    "host_unusable",
    "certificate_unknown",
    "host_too_slow",
    "pve_outcome_unknown",
    "pve_task_failed",
    "task_outcome_unknown",
    "upstream_failed",
    "container_locked",
    "config_changed",
    "state_changed",
    "permit_expired",
    "container_missing",
    "container_elsewhere",
    "container_being_created",
    "half_created",
    "create_left_nothing",
    "intent_unreadable",
    "no_guest",
    "guest_outcome_unknown",
    "ha_managed",
    "still_protected",
    "power_unknown",
    "not_running_after_start",
    "still_running",
    "stopped_meanwhile",
    "no_address",
    "ssh_node_unknown",
    "ssh_host_key_changed",
    "guest_request_refused",
    "guest_not_booted",
    "command_failed",
    "packages_missing",
    "file_differs",
    "recipe_unusable",
    "public_port_dead",
    "gateway_unreachable",
    "gateway_refused",
    "route_still_there",
    "port_taken",
    "no_ports",
    "illegal_transition",
    "no_randomness",
];

/// A string of a source.
struct Literal {
    text: String,
    /// It stands in a list: of the codes that an operation can answer with, for instance.
    is_listed: bool,
    is_in_tests: bool,
}

/// Looks who gives and who tests each code of the table.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(table) = tree.files.iter().find(|file| file.path == TABLE) else {
        return Vec::new();
    };
    let (mut given, mut tested) = (BTreeSet::new(), BTreeSet::new());
    for file in tree.files.iter().filter(|file| is_of_product(file)) {
        if file.path.ends_with(".snap") {
            tested.extend(words(&file.text).map(str::to_owned));
        }
        for literal in file.rust.iter().flat_map(|rust| literals(file, rust)) {
            match literal {
                Literal {
                    is_in_tests: true,
                    text,
                    ..
                } => drop(tested.insert(text)),
                Literal {
                    is_listed: false,
                    text,
                    ..
                } => drop(given.insert(text)),
                Literal { .. } => {}
            }
        }
    }
    let judged = codes(&table.text).filter_map(|(line, code)| {
        let is_excused = WITHOUT_TEST.contains(&code);
        let is_tested = tested.contains(code);
        if !given.contains(code) {
            let text = format!("nothing gives the code {code}; take it out of the table");
            return Some(Finding::fault(TABLE, line, text));
        }
        if !is_tested && !is_excused {
            let text = format!("no test names the code {code}; write one that provokes it");
            return Some(Finding::fault(TABLE, line, text));
        }
        (is_tested && is_excused).then(|| {
            let text =
                format!("a test names the code {code}; take it off the list in tidy/codes.rs");
            Finding::warning(TABLE, line, text)
        })
    });
    judged.collect()
}

fn is_of_product(file: &TreeFile) -> bool {
    file.path.starts_with("crates/") && !file.path.starts_with(AROUND_TABLE)
}

/// The codes of the table with their lines.
fn codes(table: &str) -> impl Iterator<Item = (usize, &str)> {
    table.lines().enumerate().filter_map(|(at, line)| {
        let line = line.trim_start();
        let rest = ROWS.iter().find_map(|start| line.strip_prefix(start))?;
        Some((at + 1, rest.split('"').next()?))
    })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !is_of_code(c))
}

fn is_of_code(c: char) -> bool {
    c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit()
}

/// The strings of a source that could be codes.
fn literals(file: &TreeFile, rust: &RustText) -> Vec<Literal> {
    let is_test = file.is_test() || file.path.starts_with("crates/testkit/");
    let tests_at = file.text.find(TESTS).map_or(usize::MAX, |at| {
        file.text.get(..at).unwrap_or_default().chars().count()
    });
    let mut found = Vec::new();
    // Of each bracket that is open, whether it is one of a list.
    let mut open = Vec::new();
    let mut literal: Option<String> = None;
    for (at, (code, string)) in rust.code.chars().zip(rust.strings.chars()).enumerate() {
        match (code, string, &mut literal) {
            (_, '"', None) => literal = Some(String::new()),
            (_, '"', Some(_)) => found.push(Literal {
                text: literal.take().unwrap_or_default(),
                is_listed: open.last() == Some(&true),
                is_in_tests: is_test || at > tests_at,
            }),
            (' ' | '\n', _, Some(text)) => text.push(string),
            (' ' | '\n', _, None) => {}
            // Code: whatever quotes an escape or a raw string held, no string goes on here.
            (bracket, _, _) => {
                literal = None;
                match bracket {
                    '[' => open.push(true),
                    '(' | '{' => open.push(false),
                    ']' | ')' | '}' => drop(open.pop()),
                    _ => {}
                }
            }
        }
    }
    found.retain(|literal| !literal.text.is_empty() && literal.text.chars().all(is_of_code));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: (&str, &str) = (TABLE, "    row(\"too_odd\", K::Invalid, \"It is odd.\"),\n");

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = [ROW].into_iter().chain(files.iter().copied()).collect();
        let findings = check(&Tree::of(&files));
        findings.into_iter().map(|finding| finding.text).collect()
    }

    const GIVES: (&str, &str) = ("crates/a/src/a.rs", "fn f() { no('\"', \"too_odd\") }");
    const TESTS_IT: (&str, &str) = ("crates/a/tests/a.rs", "assert_eq!(code, \"too_odd\")");

    #[test]
    fn a_code_that_is_given_and_tested_is_fine() {
        assert!(found(&[GIVES, TESTS_IT]).is_empty());
        let snapshot = ("crates/a/src/a.snap", "code: too_odd\n");
        assert!(found(&[GIVES, snapshot]).is_empty());
        let inside = "fn f() { no(\"too_odd\") }\n#[cfg(test)]\nmod tests { is(\"too_odd\") }";
        assert!(found(&[("crates/a/src/a.rs", inside)]).is_empty());
    }

    #[test]
    fn a_code_that_is_only_listed_or_only_tested_is_dead() {
        let listed = ("crates/a/src/a.rs", "json!([\"a\", \"too_odd\"])");
        for files in [&[TESTS_IT][..], &[listed, TESTS_IT]] {
            assert!(found(files)[0].starts_with("nothing gives the code too_odd"));
        }
    }

    #[test]
    fn a_code_needs_a_test() {
        let elsewhere = (
            "crates/a/tests/a.rs",
            "assert_eq!(code, \"too_odd_by_far\")",
        );
        assert!(found(&[GIVES, elsewhere])[0].starts_with("no test names the code too_odd"));
    }
}
