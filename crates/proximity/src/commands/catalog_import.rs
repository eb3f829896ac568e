//! `proximity catalog import`.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use proximity_api::error::ExitCode;
use proximity_engine::catalog::{ImportFate, Imported, import};
use serde::Serialize;

use super::validate::counted;
use crate::context::Context;
use crate::failed::Failed;
use crate::text::acts_on_terminals;

/// Files that are read.
const MOST_FILES: usize = 1000;
/// Folders inside of each other that are looked into.
const MOST_DEPTH: usize = 4;
/// More of a file is not read; as much is refused as too large.
const MOST_BYTES: u64 = 256 * 1024 + 1;

/// What became of all files.
#[derive(Debug, Serialize)]
struct Report {
    /// Entries that have all that the file said.
    imported: usize,
    /// Entries that have a part of it.
    in_part: usize,
    /// Files whose software a shipped entry installs.
    there: usize,
    /// Files of which nothing came.
    refused: usize,
    /// Each file.
    files: Vec<Outcome>,
    /// What could not be read or written.
    failed: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    imported: Imported,
    /// The file that was written.
    written: Option<PathBuf>,
}

pub(super) fn run(context: &Context, path: &Path, to: Option<&Path>) -> Result<(), Failed> {
    let mut failed = Vec::new();
    let texts = texts(path, &mut failed);
    if texts.is_empty() && failed.is_empty() {
        failed.push(format!("{}: there is no JSON file in it", path.display()));
    }
    let files = import(&texts).into_iter().map(|imported| {
        let written = to.and_then(|to| match write(to, &imported) {
            Ok(written) => written,
            Err(why) => {
                failed.push(why);
                None
            }
        });
        Outcome { imported, written }
    });
    let files: Vec<Outcome> = files.collect();
    let of = |fate: ImportFate| files.iter().filter(|one| one.imported.fate == fate).count();
    let report = Report {
        imported: of(ImportFate::Whole),
        in_part: of(ImportFate::Part),
        there: of(ImportFate::There),
        refused: of(ImportFate::Refused),
        files,
        failed,
    };
    context.output.result(&report, told)?;
    if report.failed.is_empty() {
        Ok(())
    } else {
        Err(Failed::said(ExitCode::ConfigOrNotFound))
    }
}

/// What each file is called, and its text. What cannot be read is told.
fn texts(path: &Path, failed: &mut Vec<String>) -> Vec<(String, String)> {
    let mut files = Vec::new();
    if path.is_dir() {
        gather(path, MOST_DEPTH, &mut files, failed);
    } else {
        files.push(path.to_owned());
    }
    files.sort();
    if files.len() > MOST_FILES {
        failed.push(format!("of {} files {MOST_FILES} are read", files.len()));
        files.truncate(MOST_FILES);
    }
    let mut texts = Vec::new();
    for file in files {
        match text(&file) {
            Ok(text) => texts.push((file.display().to_string(), text)),
            Err(error) => failed.push(format!("{}: {error}", file.display())),
        }
    }
    texts
}

/// The JSON files of a folder and of those inside it. Links are not followed.
fn gather(folder: &Path, depth: usize, files: &mut Vec<PathBuf>, failed: &mut Vec<String>) {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return failed.push(format!("{}: {error}", folder.display())),
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() && depth > 1 && files.len() <= MOST_FILES {
            gather(&path, depth - 1, files, failed);
        } else if kind.is_file() && path.extension().is_some_and(|ext| ext == "json") {
            files.push(path);
        }
    }
}

fn text(file: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    // What is no text is no JSON either, and is told as that.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes an entry, if there is one, where there is none yet.
fn write(to: &Path, imported: &Imported) -> Result<Option<PathBuf>, String> {
    let (Some(id), Some(entry)) = (&imported.id, &imported.entry) else {
        return Ok(None);
    };
    let folder = to.join(id);
    let file = folder.join("app.yaml");
    let why = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => {
            format!("{}: it is there, and is left as it is", file.display())
        }
        _ => format!("{}: {error}", file.display()),
    };
    DirBuilder::new()
        .recursive(true)
        .create(&folder)
        .map_err(why)?;
    let opened = OpenOptions::new().write(true).create_new(true).open(&file);
    let written = opened.and_then(|mut to| to.write_all(entry.as_bytes()));
    written.map_err(why)?;
    Ok(Some(file))
}

fn told(report: &Report) -> String {
    let mut text = String::new();
    for one in &report.files {
        let imported = &one.imported;
        let what = match imported.fate {
            ImportFate::Whole => "imported",
            ImportFate::Part => "imported in part",
            ImportFate::There => "there already",
            ImportFate::Refused => "refused",
        };
        text.push_str(&format!("{}: {what}", imported.file));
        if let Some(id) = imported.id.as_ref().filter(|_| imported.entry.is_some()) {
            text.push_str(&format!(" as {id}"));
        }
        if let Some(written) = &one.written {
            text.push_str(&format!(", written to {}", written.display()));
        }
        for note in &imported.notes {
            let at = if note.at.is_empty() { "" } else { ": " };
            text.push_str(&format!(
                "\n  {}{at}{} [{}]\n    next: {}",
                note.at, note.message, note.code, note.next
            ));
        }
        text.push_str("\n\n");
    }
    for why in &report.failed {
        text.push_str(&format!("failed: {why}\n"));
    }
    text.push_str(&format!(
        "{}: {} imported, {} in part, {} there already, {} refused",
        counted(report.files.len(), "file"),
        report.imported,
        report.in_part,
        report.there,
        report.refused
    ));
    // What is in it comes from files of others.
    text.replace(acts_on_terminals, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADMINER: &str = r#"{"id": "adminer", "name": "Adminer", "ports": [8080],
        "docker_compose": {"services": {"adminer": {"image": "adminer:5"}}}}"#;

    #[test]
    fn entries_are_written_once_and_none_that_is_there_is_replaced() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let inside = from.path().join("database");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(inside.join("adminer.json"), ADMINER).unwrap();
        std::fs::write(from.path().join("notes.txt"), "no entry").unwrap();
        let mut failed = Vec::new();
        let texts = texts(from.path(), &mut failed);
        assert_eq!((texts.len(), failed.len()), (1, 0), "{failed:?}");
        let all = import(&texts);
        let written = write(to.path(), &all[0]).unwrap();
        let file = to.path().join("adminer/app.yaml");
        assert_eq!(written.as_deref(), Some(file.as_path()));
        std::fs::write(&file, "mine").unwrap();
        let why = write(to.path(), &all[0]).unwrap_err();
        assert!(why.contains("is left as it is"), "{why}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    }

    #[test]
    fn people_read_what_became_of_each_file_and_how_many_there_are() {
        let refused =
            r#"{"id": "odd", "docker_compose": {"services": {"a\u001b[2J": {"image": "x/y"}}}}"#;
        let texts = [("a.json", ADMINER), ("b.json", refused)];
        let texts = texts.map(|(file, text)| (file.to_owned(), text.to_owned()));
        let files = import(&texts).into_iter().map(|imported| Outcome {
            imported,
            written: None,
        });
        let text = told(&Report {
            imported: 1,
            in_part: 0,
            there: 0,
            refused: 1,
            files: files.collect(),
            failed: Vec::new(),
        });
        assert!(text.starts_with("a.json: imported as adminer\n"), "{text}");
        assert!(text.contains("b.json: refused\n"), "{text}");
        assert!(text.contains("[no_recipe]\n    next: write how"), "{text}");
        let last = "2 files: 1 imported, 0 in part, 0 there already, 1 refused";
        assert!(text.ends_with(last), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
