//! Generated parts of the tree: written by `gen`, compared by `check-gen`.
//!
//! A generated part stands between two marker lines of a document, so that the words around it
//! can be written by hand.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::figures;
use crate::invocation::Invocation;
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

/// The table the emulator checks requests by, derived from Proxmox VE's own API schema.
pub(crate) const SCHEMA_TABLE: &str = "crates/pve-emulator/assets/schema-9.2.11.json";

/// How many parts there are.
pub(crate) fn count() -> usize {
    PARTS.len()
}

/// The files whose generated parts are not what their sources say now.
pub(crate) fn stale(place: &Place) -> Result<Vec<String>> {
    let mut stale = Vec::new();
    for part in PARTS {
        let (is, should_be) = part.compare(place)?;
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
        let (_, should_be) = part.compare(place)?;
        std::fs::write(place.root().join(part.file), should_be)
            .with_context(|| format!("writing {}", part.file))?;
    }
    Ok(stale)
}

/// Derives the schema table anew and compares it. The schema itself belongs to Proxmox VE and is
/// not in the repository: a node has it as `apidoc.js`, and the caller says where it lies.
pub(crate) fn schema_table_is_current(place: &Place, schema: &Path) -> Result<bool> {
    let schema = std::path::absolute(schema)?;
    let derived = place.target().join("schema-table.json");
    Invocation::new("cargo")
        .args([
            "run",
            "--quiet",
            "--locked",
            "--package",
            "proximity-pve-emulator",
        ])
        .args(["--example", "schema_table", "--"])
        .arg(&schema)
        .arg(&derived)
        .capture(place.root())?
        .expect_success("deriving the schema table")?;
    let is = std::fs::read(place.root().join(SCHEMA_TABLE))
        .with_context(|| format!("reading {SCHEMA_TABLE}"))?;
    Ok(is == std::fs::read(&derived)?)
}

impl Part {
    /// The file as it is, and as it should be.
    fn compare(&self, place: &Place) -> Result<(String, String)> {
        let is = std::fs::read_to_string(place.root().join(self.file))
            .with_context(|| format!("reading {}", self.file))?;
        let should_be = replace(&is, self.marker, &(self.text)(place))
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
