//! Every error code has somebody who gives it, and a test that names it.
//!
//! A code of the table that no code of the product makes is dead: clients are told of an answer they can never get. That a
//! name stands somewhere does not prove that it is reached; a test that asserts it does, so each code needs one, apart
//! from those listed here. Such a test is in a crate that decides on codes, and a
//! snapshot shows the code as one.

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

/// What the messages call the list of codes without a test.
const LIST: &str = "the list in tidy/codes.rs";

/// Codes that are given, but that no test names yet. It may only become shorter.
const WITHOUT_TEST: &[&str] = &[
    "events_unavailable",
    "host_unusable",
    "certificate_unknown",
    "host_too_slow",
    "pve_outcome_unknown",
    "task_outcome_unknown",
    "upstream_failed",
    "config_changed",
    "permit_expired",
    "container_being_created",
    "half_created",
    "create_left_nothing",
    "intent_unreadable",
    "no_guest",
    "guest_outcome_unknown",
    "still_protected",
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
    "route_still_there",
    "port_taken",
    "illegal_transition",
    "no_randomness",
];

/// The crates that decide which code is the answer; a word in a test of another one is something else of that name.
const DECIDING: &[&str] = &[
    "crates/domain/",
    "crates/engine/",
    "crates/proximity/",
    "crates/server/",
];
/// What a code stands in, in a snapshot.
const IN_SNAPSHOTS: &[&str] = &["error[", "\"code\": \"", "\"code\":\""];

/// A string of a source.
struct Literal {
    text: String,
    stands: Stands,
    is_in_tests: bool,
}

/// Where a string stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// By itself.
    Alone,
    /// In a list: of the codes that an operation can answer with, for instance.
    Listed,
    /// It names a field: an index, or what stands before a colon.
    Key,
}

/// Looks who gives and who tests each code of the table.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(table) = tree.files.iter().find(|file| file.path == TABLE) else {
        return Vec::new();
    };
    judge(table, tree, WITHOUT_TEST)
}

fn judge(table: &TreeFile, tree: &Tree, excused: &[&str]) -> Vec<Finding> {
    let (mut given, mut tested) = (BTreeSet::new(), BTreeSet::new());
    for file in tree.files.iter().filter(|file| is_of_product(file)) {
        let decides = DECIDING.iter().any(|start| file.path.starts_with(start));
        if decides && file.path.ends_with(".snap") {
            tested.extend(in_snapshot(&file.text).map(str::to_owned));
        }
        for literal in file.rust.iter().flat_map(|rust| literals(file, rust)) {
            let names = match (literal.is_in_tests, literal.stands) {
                (true, Stands::Alone | Stands::Listed) if decides => &mut tested,
                (false, Stands::Alone) => &mut given,
                _ => continue,
            };
            names.insert(literal.text);
        }
    }
    let rows: Vec<(usize, &str)> = codes(&table.text).collect();
    let strangers = excused
        .iter()
        .filter(|code| rows.iter().all(|(_, row)| row != *code))
        .map(|code| (0, format!("{code} is no code; take it off {LIST}")));
    let judged = rows.iter().filter_map(|&(line, code)| {
        let fault = match (tested.contains(code), excused.contains(&code)) {
            _ if !given.contains(code) => {
                format!("nothing gives the code {code}; take it out of the table")
            }
            (false, false) => format!("no test names the code {code}; write one that provokes it"),
            (true, true) => format!("a test names the code {code}; take it off {LIST}"),
            _ => return None,
        };
        Some((line, fault))
    });
    strangers
        .chain(judged)
        .map(|(line, text)| Finding::fault(TABLE, line, text))
        .collect()
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

/// The codes a snapshot shows: `error[CODE]`, or the field of an error in JSON.
fn in_snapshot(text: &str) -> impl Iterator<Item = &str> {
    IN_SNAPSHOTS.iter().flat_map(|start| {
        let after = text.split(start).skip(1);
        after.filter_map(|rest| rest.split(|c| !is_of_code(c)).next())
    })
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
    let mut found: Vec<Literal> = Vec::new();
    // Of each bracket that is open, how what is in it stands.
    let mut open = Vec::new();
    let mut literal: Option<String> = None;
    let (mut before, mut just_ended) = (' ', false);
    for (at, (code, string)) in rust.code.chars().zip(rust.strings.chars()).enumerate() {
        match (code, string, &mut literal) {
            (_, '"', None) => literal = Some(String::new()),
            (_, '"', Some(_)) => {
                just_ended = true;
                found.push(Literal {
                    text: literal.take().unwrap_or_default(),
                    stands: open.last().copied().unwrap_or(Stands::Alone),
                    is_in_tests: is_test || at > tests_at,
                });
            }
            (' ' | '\n', _, Some(text)) => text.push(string),
            (' ' | '\n', _, None) => {}
            // Code: whatever quotes an escape or a raw string held, no string goes on here.
            (sign, _, _) => {
                literal = None;
                match (sign, found.last_mut()) {
                    (':', Some(last)) if just_ended => last.stands = Stands::Key,
                    ('[', _) if is_value(before) => open.push(Stands::Key),
                    ('[', _) => open.push(Stands::Listed),
                    ('(' | '{', _) => open.push(Stands::Alone),
                    (']' | ')' | '}', _) => drop(open.pop()),
                    _ => {}
                }
                just_ended = false;
            }
        }
        before = code;
    }
    found.retain(|literal| !literal.text.is_empty() && literal.text.chars().all(is_of_code));
    found
}

/// Whether a value ends with this sign: a bracket right behind it is an index.
fn is_value(sign: char) -> bool {
    sign == '_' || sign == ')' || sign == ']' || sign.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::Weight;

    const ROW: (&str, &str) = (TABLE, "    row(\"too_odd\", K::Invalid, \"It is odd.\"),\n");

    fn found_but_for(excused: &[&str], files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = [ROW].into_iter().chain(files.iter().copied()).collect();
        let tree = Tree::of(&files);
        let findings = judge(&tree.files[0], &tree, excused);
        let is_fault = |finding: &Finding| finding.weight == Weight::Fault;
        assert!(findings.iter().all(is_fault));
        findings.into_iter().map(|finding| finding.text).collect()
    }

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        found_but_for(&[], files)
    }

    const GIVES: (&str, &str) = ("crates/server/src/a.rs", "fn f() { no('\"', \"too_odd\") }");
    const TESTS_IT: (&str, &str) = ("crates/server/tests/a.rs", "assert_eq!(code, \"too_odd\")");

    #[test]
    fn a_code_that_is_given_and_tested_is_fine() {
        assert!(found(&[GIVES, TESTS_IT]).is_empty());
        let in_lists = [
            "for code in [\"odd\", \"too_odd\"] {}",
            "assert_eq!(codes(x), [\"too_odd\"])",
            "is(&[(1, \"too_odd\")])",
        ];
        for text in in_lists {
            let files = [GIVES, ("crates/engine/tests/a.rs", text)];
            assert!(found(&files).is_empty(), "{text}");
        }
        let inside = "fn f() { no(\"too_odd\") }\n#[cfg(test)]\nmod tests { is(\"too_odd\") }";
        assert!(found(&[("crates/domain/src/a.rs", inside)]).is_empty());
    }

    #[test]
    fn a_snapshot_tests_what_it_shows_as_a_code() {
        for text in [
            "error[too_odd]: it is odd",
            "\"code\": \"too_odd\"",
            "{\"code\":\"too_odd\"}",
        ] {
            let shown = [GIVES, ("crates/server/src/a.snap", text)];
            assert!(found(&shown).is_empty(), "{text}");
            let elsewhere = [GIVES, ("crates/store/src/a.snap", text)];
            assert_eq!(found(&elsewhere).len(), 1, "{text}");
        }
        for text in ["too_odd: 1", "--too_odd", "error[too_odd_by_far]"] {
            let shown = [GIVES, ("crates/server/src/a.snap", text)];
            assert_eq!(found(&shown).len(), 1, "{text}");
        }
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
        let by_chance = [
            (TESTS_IT.0, "assert_eq!(code, \"too_odd_by_far\")"),
            (TESTS_IT.0, "assert_eq!(x[\"too_odd\"], 1)"),
            (TESTS_IT.0, "assert_eq!(f()[\"a\"][\"too_odd\"], 1)"),
            (TESTS_IT.0, "json!({ \"too_odd\": 1 })"),
            ("crates/gateway/tests/a.rs", TESTS_IT.1),
            ("crates/testkit/src/a.rs", TESTS_IT.1),
        ];
        for file in by_chance {
            let found = found(&[GIVES, file]);
            assert!(
                found[0].starts_with("no test names the code too_odd"),
                "{file:?}"
            );
        }
    }

    #[test]
    fn what_is_excused_is_a_code_without_a_test() {
        assert!(found_but_for(&["too_odd"], &[GIVES]).is_empty());
        for (excused, fault) in [
            (&["too_odd"], "a test names the code too_odd; take it off"),
            (&["gone"], "gone is no code; take it off"),
        ] {
            let found = found_but_for(excused, &[GIVES, TESTS_IT]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(fault), "{found:?}");
        }
    }
}
