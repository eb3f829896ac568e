//! What compiler and linter cannot see: the shape of the repository.

mod codes;
mod contents;
mod documents;
mod leftovers;
mod lengths;
mod lockfile;
mod machine;
mod manifests;
pub(crate) mod picture;
mod rust_text;
mod test_command;
mod traces;
mod tree;
mod words;

use anyhow::Result;

use self::tree::Tree;
use crate::place::Place;
use crate::say;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) path: String,
    /// 1-based; 0 when it concerns the file as a whole.
    pub(crate) line: usize,
    pub(crate) weight: Weight,
    /// What is wrong, and how to mend it.
    pub(crate) text: String,
}

/// Whether a finding stops the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    Fault,
    Warning,
}

/// What all checks found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    findings: Vec<Finding>,
    files: usize,
}

impl Finding {
    /// Something that has to be mended.
    pub(crate) fn fault(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            weight: Weight::Fault,
            text: text.into(),
        }
    }

    /// Something to think about.
    pub(crate) fn warning(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            weight: Weight::Warning,
            ..Self::fault(path, line, text)
        }
    }

    fn shown(&self) -> String {
        let word = match self.weight {
            Weight::Fault => "",
            Weight::Warning => "(warning) ",
        };
        format!("{}:{}: {word}{}", self.path, self.line.max(1), self.text)
    }
}

impl Report {
    /// True if nothing has to be mended.
    pub(crate) fn is_clean(&self) -> bool {
        self.count(Weight::Fault) == 0
    }

    /// One line per finding.
    pub(crate) fn print(&self) {
        for finding in &self.findings {
            say::line(finding.shown());
        }
    }

    /// How it went, in one line.
    pub(crate) fn summary(&self) -> String {
        format!(
            "tidy: {} files, {} faults, {} warnings",
            self.files,
            self.count(Weight::Fault),
            self.count(Weight::Warning)
        )
    }

    fn count(&self, weight: Weight) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.weight == weight)
            .count()
    }
}

/// Runs all checks on the checkout.
pub(crate) fn run(place: &Place) -> Result<Report> {
    let tree = Tree::read(place)?;
    let mut findings = picture::check(&place.metadata);
    findings.extend(lengths::check(&tree));
    findings.extend(leftovers::check(&tree));
    findings.extend(contents::check(&tree));
    findings.extend(words::check(&tree));
    findings.extend(traces::check(&tree));
    findings.extend(machine::check(&tree, &machine::telling_paths(place)));
    findings.extend(lockfile::check(&tree));
    findings.extend(manifests::check(&tree));
    findings.extend(documents::check(&tree));
    findings.extend(test_command::check(&tree));
    findings.extend(codes::check(&tree));
    findings.sort();
    Ok(Report {
        findings,
        files: tree.paths.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_faults_stop_the_run() {
        let mut report = Report::default();
        report.findings.push(Finding::warning("a.rs", 0, "long"));
        assert!(report.is_clean());
        report
            .findings
            .push(Finding::fault("a.rs", 3, "wrong; mend it"));
        assert!(!report.is_clean());
        assert_eq!(report.findings[1].shown(), "a.rs:3: wrong; mend it");
    }
}
