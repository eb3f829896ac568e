//! Files and functions stay small enough to be read at once.

use super::Finding;
use super::rust_text::{block_after, line_of, words};
use super::tree::Tree;

const FILE_WARN_LINES: usize = 600;
const FILE_FAIL_LINES: usize = 800;
/// Lines of code, blank and comment lines not counted: what clippy's `too_many_lines` counts.
const FUNCTION_FAIL_LINES: usize = 70;

/// Measures every Rust source.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in tree.rust() {
        let lines = file.text.lines().count();
        if lines > FILE_FAIL_LINES {
            findings.push(Finding::fault(
                &file.path,
                0,
                format!("{lines} lines, {FILE_FAIL_LINES} allowed; split it, one noun per file"),
            ));
        } else if lines > FILE_WARN_LINES {
            findings.push(Finding::warning(
                &file.path,
                0,
                format!("{lines} lines, more than {FILE_WARN_LINES}; split it soon"),
            ));
        }
        for (offset, length) in functions(&rust.code) {
            if length > FUNCTION_FAIL_LINES {
                findings.push(Finding::fault(
                    &file.path,
                    line_of(&rust.code, offset),
                    format!(
                        "a function of {length} lines, {FUNCTION_FAIL_LINES} allowed; take a part \
                         out and name it"
                    ),
                ));
            }
        }
    }
    findings
}

/// Where each function with a body starts, and its lines of code.
fn functions(code: &str) -> impl Iterator<Item = (usize, usize)> + '_ {
    words(code, "fn").filter_map(|offset| {
        // `fn(` and `fn (` are types, not functions.
        let after = code.get(offset + 2..)?.trim_start();
        if !after.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return None;
        }
        let (start, end) = block_after(code, offset)?;
        let inside = code.get(start + 1..end - 1)?;
        let lines = inside
            .lines()
            .filter(|line| !line.trim().is_empty())
            .count();
        Some((offset, lines))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    step();\n".repeat(lines))
    }

    #[test]
    fn long_functions_are_faults_with_their_line() {
        let text = format!("type F = fn(u8);\n{}", function(71));
        let found = check(&Tree::of(&[("a.rs", &text)]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 2);
        assert!(check(&Tree::of(&[("a.rs", &function(70))])).is_empty());
    }

    #[test]
    fn comments_do_not_make_a_function_long() {
        let text = format!("fn f() {{\n{}}}\n", "    // why\n\n".repeat(80));
        assert!(check(&Tree::of(&[("a.rs", &text)])).is_empty());
    }

    #[test]
    fn long_files_warn_first_and_fail_then() {
        let weights = |lines| {
            let text = "const A: u8 = 1;\n".repeat(lines);
            check(&Tree::of(&[("a.rs", &text)]))
                .into_iter()
                .map(|finding| finding.weight)
                .collect::<Vec<_>>()
        };
        assert_eq!(weights(600), []);
        assert_eq!(weights(601), [super::super::Weight::Warning]);
        assert_eq!(weights(801), [super::super::Weight::Fault]);
    }
}
