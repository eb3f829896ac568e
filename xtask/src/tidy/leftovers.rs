//! What is left over from work that is not finished, and tests that do not test.

use super::Finding;
use super::rust_text::{RustText, block_after, line_of, words};
use super::tree::{Tree, TreeFile};

/// Code that must not stay, and what to do instead.
const IN_CODE: &[(&str, &str)] = &[
    ("todo!", "finish it or leave it out"),
    ("unimplemented!", "finish it or leave it out"),
    ("dbg!", "remove it; what is worth knowing is a log field"),
    (
        "#[ignore",
        "a test that does not run shows nothing; mend it or remove it",
    ),
    (
        "clippy::too_many_lines",
        "do not lift the limit; take a part out and name it",
    ),
];

/// Words in comments that mark unfinished work.
const IN_COMMENTS: &[&str] = &["FIXME", "XXX", "HACK"];

/// Ways to sleep in a test.
const SLEEPS: &[&str] = &["thread::sleep", "time::sleep", "sleep_until"];
/// The one that waits for real time even where the runtime's clock is paused.
const REAL_SLEEP: &str = "thread::sleep";

/// Looks through every Rust source.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in tree.rust() {
        findings.extend(in_code(file, rust));
        findings.extend(in_comments(file, rust));
        findings.extend(sleeps(file, rust));
    }
    findings
}

fn in_code(file: &TreeFile, rust: &RustText) -> Vec<Finding> {
    IN_CODE
        .iter()
        .flat_map(|(word, mend)| {
            rust.code.match_indices(word).map(move |(at, _)| {
                let line = line_of(&rust.code, at);
                Finding::fault(&file.path, line, format!("`{word}`: {mend}"))
            })
        })
        .collect()
}

fn in_comments(file: &TreeFile, rust: &RustText) -> Vec<Finding> {
    let marks = IN_COMMENTS.iter().flat_map(|word| {
        words(&rust.comments, word).map(move |at| (at, format!("{word}: finish it now")))
    });
    let unowned = words(&rust.comments, "TODO")
        .filter(|at| !names_an_issue(rust.comments.get(at + 4..).unwrap_or_default()))
        .map(|at| {
            (
                at,
                "TODO without an owner; write `TODO(#12): reason`".to_owned(),
            )
        });
    marks
        .chain(unowned)
        .map(|(at, text)| Finding::fault(&file.path, line_of(&rust.comments, at), text))
        .collect()
}

/// `(#12): reason` follows.
fn names_an_issue(after: &str) -> bool {
    let Some((number, reason)) = after
        .strip_prefix("(#")
        .and_then(|rest| rest.split_once("): "))
    else {
        return false;
    };
    let reason = reason.lines().next().unwrap_or_default();
    number.parse::<u32>().is_ok() && !reason.trim().is_empty()
}

fn sleeps(file: &TreeFile, rust: &RustText) -> Vec<Finding> {
    let modules = test_modules(&rust.code);
    let is_test = |at: usize| {
        file.is_test()
            || modules
                .iter()
                .any(|(start, end)| (*start..*end).contains(&at))
    };
    let paused = is_paused(&rust.code);
    SLEEPS
        .iter()
        .filter(|word| !paused || **word == REAL_SLEEP)
        .flat_map(|word| words(&rust.code, word))
        .filter(|at| is_test(*at))
        .map(|at| {
            Finding::fault(
                &file.path,
                line_of(&rust.code, at),
                "a test sleeps; wait for the event itself, or set the clock",
            )
        })
        .collect()
}

/// True if every asynchronous test of the file runs on a paused clock: a sleep there takes no time,
/// it is how the clock is set.
fn is_paused(code: &str) -> bool {
    let mut tests = code.match_indices("#[tokio::test").peekable();
    tests.peek().is_some()
        && tests.all(|(at, _)| {
            let attribute = code.get(at..).and_then(|rest| rest.split(']').next());
            attribute.is_some_and(|attribute| attribute.contains("start_paused = true"))
        })
}

/// The blocks behind `#[cfg(test)]`.
fn test_modules(code: &str) -> Vec<(usize, usize)> {
    code.match_indices("#[cfg(test)]")
        .filter_map(|(at, mark)| block_after(code, at + mark.len()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn unfinished_code_is_a_fault() {
        for text in [
            "fn f() { todo!() }",
            "fn f() { unimplemented!() }",
            "fn f() { dbg!(1); }",
            "#[ignore]\nfn f() {}",
            "#[ignore = \"slow\"]\nfn f() {}",
            "#[allow(clippy::too_many_lines)]\nfn f() {}",
        ] {
            assert_eq!(count("crates/x/src/a.rs", text), 1, "{text}");
        }
        assert_eq!(
            count("crates/x/src/a.rs", "const A: &str = \"todo!() dbg!\";"),
            0
        );
    }

    #[test]
    fn marks_in_comments_are_faults() {
        for text in [
            "// FIXME: later",
            "/// XXX odd",
            "// TODO: later",
            "// TODO(#1)",
            "// TODO(#x): y",
        ] {
            assert_eq!(count("crates/x/src/a.rs", text), 1, "{text}");
        }
        assert_eq!(
            count(
                "crates/x/src/a.rs",
                "// TODO(#12): needs the second host\nfn f() {}"
            ),
            0
        );
        assert_eq!(
            count("crates/x/src/a.rs", "const A: &str = \"/tmp/XXX TODO\";"),
            0
        );
    }

    #[test]
    fn sleeping_is_a_fault_in_tests_only() {
        let sleep = "fn f() { std::thread::sleep(d); }\n";
        let inside = format!("#[cfg(test)]\nmod tests {{\n{sleep}}}\n");
        assert_eq!(count("crates/x/src/a.rs", sleep), 0);
        assert_eq!(count("crates/x/src/a.rs", &inside), 1);
        assert_eq!(count("crates/x/tests/a.rs", sleep), 1);
        assert_eq!(count("crates/x/src/a_tests.rs", sleep), 1);
        assert_eq!(count("crates/x/src/a_tests/b.rs", sleep), 1);
        assert_eq!(
            count(
                "crates/x/src/a/tests.rs",
                "async fn f() { tokio::time::sleep(d).await }"
            ),
            1
        );
        let paused = "#[tokio::test(start_paused = true)]\nasync fn f() { time::sleep(d).await }\n";
        assert_eq!(count("crates/x/tests/a.rs", paused), 0);
        assert_eq!(count("crates/x/tests/a.rs", &format!("{paused}{sleep}")), 1);
        let real = format!("{paused}#[tokio::test]\nasync fn g() {{}}\n");
        assert_eq!(count("crates/x/tests/a.rs", &real), 1);
        let before = format!("{sleep}#[cfg(test)]\nmod tests {{ fn g() {{}} }}\n");
        assert_eq!(count("crates/x/src/a.rs", &before), 0);
    }
}
