//! Generated parts of the tree: written by `gen`, compared by `check-gen`.
//!
//! A generated part stands between two marker lines of a document, so that the words around it
//! can be written by hand.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::figures;
use crate::place::Place;
use crate::stages;

/// One generated part.
struct Part {
    file: &'static str,
    /// The word in its marker lines.
    marker: &'static str,
    text: fn() -> String,
}

const PARTS: &[Part] = &[
    Part {
        file: "docs/reference/figures.md",
        marker: "figures",
        text: figures_table,
    },
    Part {
        file: "CONTRIBUTING.md",
        marker: "stages",
        text: stages_table,
    },
];

/// How many parts there are.
pub(crate) fn count() -> usize {
    PARTS.len()
}

/// The files whose generated parts are not what their sources say now.
pub(crate) fn stale(place: &Place) -> Result<Vec<String>> {
    let mut stale = Vec::new();
    for part in PARTS {
        let (is, should_be) = part.compare(place.root())?;
        if is != should_be {
            stale.push(part.file.to_owned());
        }
    }
    Ok(stale)
}

/// Writes every generated part anew; names the files that changed.
pub(crate) fn write(place: &Place) -> Result<Vec<String>> {
    let stale = stale(place)?;
    for part in PARTS {
        let (_, should_be) = part.compare(place.root())?;
        std::fs::write(place.root().join(part.file), should_be)
            .with_context(|| format!("writing {}", part.file))?;
    }
    Ok(stale)
}

impl Part {
    /// The file as it is, and as it should be.
    fn compare(&self, root: &Path) -> Result<(String, String)> {
        let is = std::fs::read_to_string(root.join(self.file))
            .with_context(|| format!("reading {}", self.file))?;
        let should_be = replace(&is, self.marker, &(self.text)())
            .with_context(|| format!("in {}", self.file))?;
        Ok((is, should_be))
    }
}

/// Puts `text` between the marker lines.
fn replace(document: &str, marker: &str, text: &str) -> Result<String> {
    let begin = format!("<!-- generated: {marker} -->\n");
    let end = "<!-- end of generated -->";
    let Some((before, rest)) = document.split_once(&begin) else {
        bail!("the line {:?} is missing", begin.trim_end());
    };
    let Some((_, after)) = rest.split_once(end) else {
        bail!("nothing ends the part {marker:?}; its last line is {end:?}");
    };
    Ok(format!("{before}{begin}{}\n{end}{after}", text.trim_end()))
}

fn figures_table() -> String {
    if figures::FIGURES.is_empty() {
        return "No figure is registered yet.".to_owned();
    }
    let mut text = String::from("| figure | shows | goal | in `test` |\n|---|---|---|---|\n");
    for figure in figures::FIGURES {
        let set = if figure.in_tests { "quick" } else { "no" };
        text.push_str(&format!(
            "| {} | {} | {} | {set} |\n",
            figure.id, figure.shows, figure.goal
        ));
    }
    text
}

fn stages_table() -> String {
    let mut text = String::from("| stage | minutes | shows |\n|---|---|---|\n");
    for stage in stages::STAGES {
        text.push_str(&format!(
            "| {} | {} | {} |\n",
            stage.name, stage.minutes, stage.shows
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "above\n<!-- generated: t -->\nold\n<!-- end of generated -->\nbelow\n";

    #[test]
    fn only_the_marked_part_is_replaced() {
        let new = replace(DOCUMENT, "t", "new\n").unwrap();
        assert_eq!(new, DOCUMENT.replace("old", "new"));
        assert_eq!(replace(&new, "t", "new").unwrap(), new);
    }

    #[test]
    fn a_missing_marker_is_an_error() {
        assert!(replace("no marker", "t", "new").is_err());
        assert!(replace("<!-- generated: t -->\nold", "t", "new").is_err());
    }
}
