//! Everything that is wrong with an entry's file, told with its place: for whoever writes one.
//!
//! The loader ends at the first field that is not of the right form. Here the form is held against a table first
//! ([`super::table`]) and told whole; when it is right the checks of the loader are made, and those are told whole as well. What
//! the loader refuses is refused here, and nothing else is.

mod code;
mod form;
mod tree;

use std::fmt;

use garde::Validate;
use garde::error::Path;
use serde::Serialize;

use super::check::{self, Origin};
use super::format::{EntryFile, FORMAT};
use super::parse;
use form::{Found, quoted};
use tree::{Node, Place};

pub use code::Code;

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EntryProblem {
    /// The file or folder.
    pub file: String,
    /// Line, from 1; none where it is about the whole file.
    pub line: Option<u64>,
    /// Column, from 1, in characters.
    pub column: Option<u64>,
    /// What kind of mistake it is.
    pub code: Code,
    /// What is wrong. Whatever would move a cursor is a blank.
    pub message: String,
    /// What to do about it, in the same way.
    pub hint: String,
}

impl EntryProblem {
    /// Of a file as a whole.
    pub(super) fn of_file(file: &str, code: Code, message: &str) -> Self {
        Self {
            file: shown(file),
            line: None,
            column: None,
            code,
            message: shown(message),
            hint: code.hint().to_owned(),
        }
    }
}

impl fmt::Display for EntryProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        write!(
            f,
            ": {} [{}]\n  hint: {}",
            self.message, self.code, self.hint
        )
    }
}

/// All that is wrong with the text of an entry's file, in the order of the places; `file` is what it is called.
pub(super) fn lint(file: &str, text: &str, origin: Origin) -> Vec<EntryProblem> {
    let mut found = all(text, origin);
    found.sort_by_key(|one| one.place);
    let told = found.into_iter().map(|one| EntryProblem {
        file: shown(file),
        line: Some(one.place.line),
        column: Some(one.place.column),
        code: one.code,
        message: shown(&one.message),
        hint: shown(&one.hint),
    });
    told.collect()
}

/// A problem at the field that a path such as `id` names.
pub(super) fn at(file: &str, text: &str, path: &str, code: Code, message: &str) -> EntryProblem {
    let root = tree::read(text).ok().and_then(|tree| tree.root);
    let place = root.map(|root| root.place_of(path));
    EntryProblem {
        line: place.map(|place| place.line),
        column: place.map(|place| place.column),
        ..EntryProblem::of_file(file, code, message)
    }
}

fn found(place: Place, code: Code, message: String) -> Found {
    Found {
        place,
        code,
        message,
        hint: code.hint().to_owned(),
    }
}

fn all(text: &str, origin: Origin) -> Vec<Found> {
    let tree = match tree::read(text) {
        Ok(tree) => tree,
        Err(fault) => return vec![found(fault.place, Code::NotYaml, fault.message)],
    };
    let Some(root) = tree.root else {
        let message = "there is nothing in the file".to_owned();
        return vec![found(Place::FIRST, Code::MissingField, message)];
    };
    if let Some(wrong) = wrong_format(&root) {
        return vec![wrong];
    }
    let mut told = form::hold(&root);
    told.extend(tree.repeated.into_iter().map(|(name, place)| {
        let message = format!("{} is there twice in one map", quoted(&name));
        found(place, Code::RepeatedField, message)
    }));
    if told.is_empty() {
        told = meaning(text, &root, origin);
    }
    told
}

/// A format that is not read here; nothing else of such a file is looked at.
fn wrong_format(root: &Node) -> Option<Found> {
    let field = root.field("format")?;
    let format = field.scalar()?.parse::<u64>().ok()?;
    let message = match format {
        FORMAT => return None,
        newer if newer > FORMAT => {
            format!("`format` is {newer}, and this version knows up to {FORMAT}")
        }
        older => format!("`format` is {older}: there never was such a one"),
    };
    Some(found(field.place, Code::Format, message))
}

/// What is wrong with a file whose form is right.
fn meaning(text: &str, root: &Node, origin: Origin) -> Vec<Found> {
    let file: EntryFile = match parse::unchecked(text) {
        Ok(file) => file,
        Err((place, message)) => {
            let place = place.map_or(Place::FIRST, |(line, column)| Place { line, column });
            return vec![found(place, Code::BadValue, message)];
        }
    };
    let mut told = Vec::new();
    if let Err(report) = file.validate() {
        told.extend(report.into_inner().into_iter().map(|(path, error)| {
            let path = path.to_string();
            let message = format!("`{path}`: {error}");
            found(root.place_of(&path), Code::BadValue, message)
        }));
    }
    let beyond = check::findings(&file, origin, &Path::empty());
    told.extend(beyond.into_iter().map(|finding| {
        let path = finding.at.to_string();
        let message = match path.as_str() {
            "" => finding.reason,
            path => format!("`{path}`: {}", finding.reason),
        };
        found(root.place_of(&path), finding.code, message)
    }));
    told
}

/// What moves a cursor or turns the order of letters is a blank.
fn shown(text: &str) -> String {
    let plain = |sign: char| match sign {
        '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => ' ',
        _ if sign.is_control() => ' ',
        _ => sign,
    };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests;
