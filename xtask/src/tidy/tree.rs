//! The files of the checkout, read once for all checks.

use anyhow::{Context, Result};

use super::rust_text::RustText;
use crate::invocation::Invocation;
use crate::place::Place;

/// Files larger than this are recordings or pictures, not text somebody wrote.
const LARGEST_BYTES: u64 = 1 << 20;

/// One text file of the checkout.
#[derive(Debug, Clone)]
pub(crate) struct TreeFile {
    /// Relative to the top, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Present for Rust sources.
    pub(crate) rust: Option<RustText>,
}

/// All text files that are, or are about to be, in the repository.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    pub(crate) files: Vec<TreeFile>,
    /// Every path, also of files that are no text.
    pub(crate) paths: Vec<String>,
}

impl TreeFile {
    /// A file with this text.
    pub(crate) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let rust = path.ends_with(".rs").then(|| RustText::new(&text));
        Self { path, text, rust }
    }

    /// Sources of tests: a folder or file named `tests` or `…_tests`. They may unwrap and print,
    /// but not sleep.
    pub(crate) fn is_test(&self) -> bool {
        self.path
            .trim_end_matches(".rs")
            .split('/')
            .any(|part| part == "tests" || part.ends_with("_tests"))
    }
}

impl Tree {
    /// Asks git for the tracked files and for those that are not ignored.
    pub(crate) fn read(place: &Place) -> Result<Self> {
        let listing = Invocation::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .capture(place.root())?
            .expect_success("git ls-files")?;
        let mut tree = Self::default();
        for path in listing.split('\0').filter(|path| !path.is_empty()) {
            let file = place.root().join(path);
            // Deleted but not yet committed, or a link that leads nowhere: nothing to read.
            let Ok(about) = std::fs::metadata(&file) else {
                continue;
            };
            tree.paths.push(path.to_owned());
            if !about.is_file() || about.len() > LARGEST_BYTES {
                continue;
            }
            let bytes = std::fs::read(&file).with_context(|| format!("reading {path}"))?;
            if let Ok(text) = String::from_utf8(bytes) {
                tree.files.push(TreeFile::new(path, text));
            }
        }
        Ok(tree)
    }

    /// The Rust sources with their layers.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&TreeFile, &RustText)> {
        self.files
            .iter()
            .filter_map(|file| file.rust.as_ref().map(|rust| (file, rust)))
    }

    /// The documents.
    pub(crate) fn markdown(&self) -> impl Iterator<Item = &TreeFile> {
        self.files.iter().filter(|file| file.path.ends_with(".md"))
    }

    /// A tree of these files, for the tests of the checks.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self {
            files: files
                .iter()
                .map(|(path, text)| TreeFile::new(*path, *text))
                .collect(),
            paths: files.iter().map(|(path, _)| (*path).to_owned()).collect(),
        }
    }
}
