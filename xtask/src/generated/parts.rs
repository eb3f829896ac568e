//! Generated parts of documents: a table between two marker lines, with words around it that are
//! written by hand.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::Generated;
use crate::figures;
use crate::place::Place;
use crate::stages;
use crate::tidy::picture;

/// One generated part.
struct Part {
    file: &'static str,
    /// The word in its marker lines.
    marker: &'static str,
    text: fn(&Place) -> String,
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
    Part {
        file: "ARCHITECTURE.md",
        marker: "picture",
        text: picture_table,
    },
];

/// All generated parts.
pub(super) fn all(place: &Place) -> Result<Vec<Generated>> {
    PARTS.iter().map(|part| part.generate(place)).collect()
}

impl Part {
    /// The file with this part as it should be.
    fn generate(&self, place: &Place) -> Result<Generated> {
        let is = std::fs::read_to_string(place.root().join(self.file))
            .with_context(|| format!("reading {}", self.file))?;
        let should_be = replace(&is, self.marker, &(self.text)(place))
            .with_context(|| format!("in {}", self.file))?;
        Ok(Generated {
            file: self.file,
            is,
            should_be,
        })
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

fn figures_table(_: &Place) -> String {
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

fn stages_table(_: &Place) -> String {
    let mut text = String::from("| stage | minutes | shows |\n|---|---|---|\n");
    for stage in stages::STAGES {
        text.push_str(&format!(
            "| {} | {} | {} |\n",
            stage.name, stage.minutes, stage.shows
        ));
    }
    text
}

fn picture_table(place: &Place) -> String {
    let mut text = String::from("| crate | is | may use |\n|---|---|---|\n");
    for (name, allowed) in picture::MAY_USE {
        let Some(package) = place
            .metadata
            .packages
            .iter()
            .find(|package| package.name == *name)
        else {
            continue;
        };
        let folder = package
            .manifest_path
            .parent()
            .and_then(|folder| folder.strip_prefix(place.root()).ok())
            .unwrap_or(Path::new(""));
        let is = package.description.as_deref().unwrap_or_default();
        let used = match allowed.join(", ").replace("proximity-", "") {
            none if none.is_empty() => "nothing of ours".to_owned(),
            some => some,
        };
        let shown = name.trim_start_matches("proximity-");
        let folder = folder.display();
        text.push_str(&format!("| [{shown}]({folder}/) | {is} | {used} |\n"));
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
