//! Documents: links lead somewhere, no section is there twice, decisions stay short and whole.

use std::collections::BTreeSet;

use super::Finding;
use super::tree::{Tree, TreeFile};

const ADR_FOLDER: &str = "docs/adr/";
const ADR_LINES: usize = 80;
/// The headings every decision has, in this order.
const ADR_SECTIONS: &[&str] = &[
    "## Context",
    "## Decision",
    "## Alternatives",
    "## Consequences",
    "## How we would notice it was wrong",
];

/// Checks every Markdown file.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.markdown() {
        findings.extend(links(tree, file));
        findings.extend(repeated_sections(file));
        if file.path.starts_with(ADR_FOLDER) && !file.path.ends_with("README.md") {
            findings.extend(decision(file));
        }
    }
    findings
}

fn decision(file: &TreeFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = file.text.lines().count();
    if lines > ADR_LINES {
        let text = format!("{lines} lines, {ADR_LINES} allowed for a decision");
        findings.push(Finding::fault(&file.path, 0, text));
    }
    let headings: Vec<&str> = file
        .text
        .lines()
        .filter(|line| line.starts_with("## "))
        .collect();
    if headings != ADR_SECTIONS {
        let text = format!("its headings have to be {}", ADR_SECTIONS.join(", "));
        findings.push(Finding::fault(&file.path, 0, text));
    }
    findings
}

/// Two sections of one name in one place: a reader of the first does not look for a second.
fn repeated_sections(file: &TreeFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    // The headings around the one that is looked at, outermost first, and all whole ways to a heading so far.
    let (mut around, mut seen) = (Vec::<(usize, &str)>::new(), BTreeSet::new());
    for (at, line) in prose(file).filter(|(_, line)| line.starts_with('#')) {
        let depth = line.chars().take_while(|c| *c == '#').count();
        around.retain(|(outer, _)| *outer < depth);
        around.push((depth, line.trim_end()));
        if !seen.insert(around.clone()) {
            let text = format!("{line} is there twice; make one section of them");
            findings.push(Finding::fault(&file.path, at + 1, text));
        }
    }
    findings
}

/// The lines outside of fences, with their places.
fn prose(file: &TreeFile) -> impl Iterator<Item = (usize, &str)> {
    let mut in_fence = false;
    file.text.lines().enumerate().filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_fence ^= is_fence;
        !in_fence && !is_fence
    })
}

fn links(tree: &Tree, file: &TreeFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in prose(file) {
        for target in targets(line) {
            if let Some(why) = broken(tree, file, target) {
                findings.push(Finding::fault(
                    &file.path,
                    at + 1,
                    format!("({target}) {why}"),
                ));
            }
        }
    }
    findings
}

/// The targets of `[text](target)` on a line.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(|(at, mark)| {
        let rest = line.get(at + mark.len()..)?;
        rest.split_once(')').map(|(target, _)| target)
    })
}

/// Why a link leads nowhere, if it does. Links to other sites are not followed.
fn broken(tree: &Tree, file: &TreeFile, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() {
        file.path.clone()
    } else {
        resolve(&file.path, path)
    };
    let folder = format!("{}/", path.trim_end_matches('/'));
    if tree.paths.iter().any(|known| known.starts_with(&folder)) {
        return None;
    }
    if !tree.paths.contains(&path) {
        return Some("leads to no file of the repository".to_owned());
    }
    if anchor.is_empty() {
        return None;
    }
    let document = tree.files.iter().find(|other| other.path == path)?;
    let known = document
        .text
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(slug);
    if known.into_iter().any(|slug| slug == anchor) {
        return None;
    }
    Some(format!("leads to no heading of {path}"))
}

/// A relative link as a path from the top.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// A heading as the anchor that leads to it.
fn slug(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> usize {
        let other = ("docs/b.md", "# B\n## Two words, here\n");
        check(&Tree::of(&[("docs/a.md", text), other, ("src/c.rs", "")])).len()
    }

    #[test]
    fn links_that_lead_nowhere_are_faults() {
        for good in [
            "[b](b.md)",
            "[b](b.md#two-words-here)",
            "[c](../src/c.rs) and [s](../src/)",
            "[x](https://example.org/none)",
            "# Top\n[t](#top)",
            "```\n[b](none.md)\n```",
        ] {
            assert_eq!(count(good), 0, "{good}");
        }
        for bad in [
            "[b](none.md)",
            "[b](b.md#none)",
            "[b](../../b.md) [c](c.md)",
            "[t](#none)",
        ] {
            assert!(count(bad) > 0, "{bad}");
        }
    }

    #[test]
    fn no_section_is_there_twice_in_one_place() {
        let versions = "# All\n## 2\n### Fixed\n### Added\n## 1\n### Fixed\n";
        assert_eq!(count(versions), 0);
        assert_eq!(count("```\n# a\n# a\n```\n# a\n"), 0);
        assert_eq!(count(&format!("{versions}### Added\n### Fixed\n")), 1);
        assert_eq!(count("# A\n## Same\ntext\n## Same \n"), 1);
    }

    #[test]
    fn decisions_are_short_and_whole() {
        let whole = format!("# 1\n\n{}\n", ADR_SECTIONS.join("\n\ntext\n\n"));
        let count = |text: &str| check(&Tree::of(&[("docs/adr/0001-a.md", text)])).len();
        assert_eq!(count(&whole), 0);
        assert_eq!(count(&whole.replace("## Alternatives", "## Others")), 1);
        assert_eq!(count(&format!("{whole}{}", "more\n".repeat(80))), 1);
    }
}
