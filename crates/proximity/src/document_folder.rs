//! A folder that files are written into, each whole or not at all, and none over what somebody else wrote.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::failed::Failed;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There was none of its name.
    New,
    /// It held something else.
    Replaced,
    /// It held that already, and was not written.
    Same,
}

impl Outcome {
    /// Stable text.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Replaced => "replaced",
            Self::Same => "same",
        }
    }
}

/// Writes these files, by name and text, and makes the folder where it is not there. All of them are looked at before the first one is
/// written: unless `force` says so, nothing is done where one is there that holds something else.
///
/// # Errors
/// A file that is there and holds something else; a name that is a folder's or a link's; what the system said.
pub(crate) fn write(
    folder: &Path,
    files: &[(String, &str)],
    force: bool,
) -> Result<Vec<Outcome>, Failed> {
    fs::create_dir_all(folder).map_err(|error| unwritten(folder, &error))?;
    let mut planned = Vec::new();
    let mut held = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        let outcome = look(&path, text)?;
        if outcome == Outcome::Replaced {
            held.push(path.display().to_string());
        }
        planned.push((path, *text, outcome));
    }
    if !held.is_empty() && !force {
        return Err(Failed::config(
            "exists",
            format!(
                "there and holding something else: {}; nothing was written",
                held.join(", ")
            ),
            "name another folder, or let them be replaced with --force",
        ));
    }
    let mut outcomes = Vec::new();
    for (path, text, outcome) in planned {
        let written = match outcome {
            Outcome::New | Outcome::Replaced => put(&path, text, outcome),
            Outcome::Same => Ok(()),
        };
        written.map_err(|error| unwritten(&path, &error))?;
        outcomes.push(outcome);
    }
    let kept = File::open(folder).and_then(|folder| folder.sync_all());
    kept.map_err(|error| unwritten(folder, &error))?;
    Ok(outcomes)
}

/// What writing the text there would be.
fn look(path: &Path, text: &str) -> Result<Outcome, Failed> {
    let about = match fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Outcome::New),
        Err(error) => return Err(unwritten(path, &error)),
    };
    if !about.is_file() {
        return Err(Failed::config(
            "cannot_write",
            format!("cannot write {}: it is no file", path.display()),
            "take it out of the folder, or name another folder",
        ));
    }
    if about.len() != text.len() as u64 {
        return Ok(Outcome::Replaced);
    }
    let read = fs::read(path).map_err(|error| unwritten(path, &error))?;
    Ok(match read == text.as_bytes() {
        true => Outcome::Same,
        false => Outcome::Replaced,
    })
}

/// By way of a draft beside it, which a folder of documents passes over, and of which nothing is left. What came there after the look is not
/// replaced by a new file.
fn put(path: &Path, text: &str, outcome: Outcome) -> io::Result<()> {
    let draft = draft(path);
    remove(&draft)?;
    let written = fill(&draft, text).and_then(|()| match outcome {
        Outcome::Replaced => fs::rename(&draft, path),
        Outcome::New | Outcome::Same => fs::hard_link(&draft, path),
    });
    let removed = remove(&draft);
    written.and(removed)
}

fn fill(draft: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// There may be none.
fn remove(draft: &Path) -> io::Result<()> {
    match fs::remove_file(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn draft(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

fn unwritten(path: &Path, error: &io::Error) -> Failed {
    Failed::config(
        "cannot_write",
        format!("cannot write {}: {error}", path.display()),
        "correct the path, or see that it can be written; what is there already is as it was, or whole",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files<'a>(texts: &[(&str, &'a str)]) -> Vec<(String, &'a str)> {
        let texts = texts.iter();
        texts
            .map(|(name, text)| ((*name).to_owned(), *text))
            .collect()
    }

    fn listed(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_written_where_one_file_holds_something_else() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("apps").join("home");
        let first = files(&[("web.yaml", "a: 1\n"), ("dbs.yaml", "b: 1\n")]);
        let outcomes = write(&folder, &first, false).unwrap();
        assert_eq!(outcomes, [Outcome::New, Outcome::New]);
        assert_eq!(listed(&folder), ["dbs.yaml", "web.yaml"]);
        let more = files(&[
            ("new.yaml", "c: 1\n"),
            ("web.yaml", "a: 1\n"),
            ("dbs.yaml", "b: 2\n"),
        ]);
        let refused = write(&folder, &more, false).unwrap_err();
        assert_eq!(refused.body.code, "exists");
        let named = (
            refused.body.message.contains("dbs.yaml"),
            refused.body.message.contains("web.yaml"),
        );
        assert_eq!(named, (true, false), "{}", refused.body.message);
        assert_eq!(listed(&folder), ["dbs.yaml", "web.yaml"]);
        let kept = fs::read_to_string(folder.join("dbs.yaml")).unwrap();
        assert_eq!(kept, "b: 1\n");
        let forced = write(&folder, &more, true).unwrap();
        assert_eq!(forced, [Outcome::New, Outcome::Same, Outcome::Replaced]);
        let kept = fs::read_to_string(folder.join("dbs.yaml")).unwrap();
        assert_eq!(kept, "b: 2\n");
        assert_eq!(listed(&folder), ["dbs.yaml", "new.yaml", "web.yaml"]);
    }

    #[test]
    fn what_came_there_meanwhile_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.yaml");
        fs::write(&path, "mine").unwrap();
        let refused = put(&path, "ours", Outcome::New).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        assert_eq!(listed(dir.path()), ["web.yaml"]);
    }

    #[test]
    fn a_link_is_never_written_through_and_a_left_draft_is_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::write(&outside, "mine").unwrap();
        let folder = dir.path().join("apps");
        fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(&outside, folder.join("web.yaml")).unwrap();
        let written = files(&[("web.yaml", "ours")]);
        for force in [false, true] {
            let refused = write(&folder, &written, force).unwrap_err();
            assert_eq!(refused.body.code, "cannot_write");
        }
        assert_eq!(fs::read_to_string(&outside).unwrap(), "mine");
        fs::remove_file(folder.join("web.yaml")).unwrap();
        std::os::unix::fs::symlink(&outside, folder.join(".web.yaml.new")).unwrap();
        write(&folder, &written, false).unwrap();
        assert_eq!(fs::read_to_string(&outside).unwrap(), "mine");
        assert_eq!(listed(&folder), ["web.yaml"]);
    }
}
