//! The files that documents of desired state are in.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use proximity_manifest::{Given, MOST_BYTES, MOST_SOURCE_BYTES, MOST_SOURCES, Source};

use crate::cli::Setting;
use crate::failed::Failed;

/// How files of documents end.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];
/// Folders inside of each other.
const MOST_DEPTH: usize = 32;

/// Reads what was named on the command line.
///
/// # Errors
/// A path is not there or cannot be read, nothing below the paths is a document's file, or a folder has one that is none, or a link
/// that leads out of it.
pub(crate) fn given(
    paths: &[PathBuf],
    values: &[PathBuf],
    set: &[Setting],
) -> Result<Given, Failed> {
    let mut files = Vec::new();
    for path in paths {
        find(path, &mut files)?;
    }
    if files.is_empty() {
        return Err(Failed::config(
            "not_found",
            "there is no file of documents in the folders that were named",
            "such files are named *.yaml, *.yml or *.json; names that begin with a dot are passed over",
        ));
    }
    let mut bytes = 0;
    let documents = read(&files, &mut bytes)?;
    let values = read(values, &mut bytes)?;
    let set = set.iter().map(|one| (one.key.clone(), one.value.clone()));
    Ok(Given {
        documents,
        values,
        set: set.collect(),
    })
}

/// The files of a path: itself, or those in the folder that it is.
fn find(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failed> {
    let about = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if about.is_dir() {
        let named = path.canonicalize();
        let named = named.map_err(|error| unreadable(path, &error))?;
        find_below(path, &named, 0, files)
    } else {
        files.push(path.to_owned());
        Ok(())
    }
}

/// Adds a folder's files, by name; what is in a folder comes in its place. Links to folders are not followed, for they may lead
/// back. `named` is the folder that was named, without links.
fn find_below(
    folder: &Path,
    named: &Path,
    depth: usize,
    files: &mut Vec<PathBuf>,
) -> Result<(), Failed> {
    if depth > MOST_DEPTH || files.len() > MOST_SOURCES {
        return Err(Failed::config(
            "not_found",
            format!(
                "{} has more than {MOST_SOURCES} files, or folders more than {MOST_DEPTH} deep",
                folder.display()
            ),
            "name a folder of documents alone",
        ));
    }
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = entries.map_err(|error| unreadable(folder, &error))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let kind = entry.file_type();
        if kind.map_err(|error| unreadable(&path, &error))?.is_dir() {
            find_below(&path, named, depth + 1, files)?;
        } else if is_of_documents(&path) && !path.is_dir() {
            may_be_read(&path, named)?;
            files.push(path);
        }
    }
    Ok(())
}

/// Refuses what is called like a document's file and is none. Anybody may have put it there: a link out of the folder would show
/// what is in another file, and what is no file may never end.
fn may_be_read(path: &Path, named: &Path) -> Result<(), Failed> {
    let failed = |error: io::Error| unreadable(path, &error);
    let meant = path.canonicalize().map_err(failed)?;
    let why = if !meant.starts_with(named) {
        "it is a link that leads out of the folder that was named"
    } else if !fs::metadata(&meant).map_err(failed)?.is_file() {
        "it is no file"
    } else {
        return Ok(());
    };
    Err(Failed::config(
        "cannot_read",
        format!("cannot read {}: {why}", path.display()),
        "take it out of the folder, or name what it stands for by itself",
    ))
}

fn is_of_documents(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.iter().any(|one| ending.eq_ignore_ascii_case(one)))
}

/// What is in the files, up to the limits; whoever reads them as documents tells where one was passed.
fn read(files: &[PathBuf], bytes: &mut usize) -> Result<Vec<Source>, Failed> {
    let mut sources = Vec::new();
    for path in files {
        if *bytes > MOST_BYTES {
            break;
        }
        let read = read_file(path).map_err(|error| unreadable(path, &error))?;
        *bytes += read.len();
        sources.push(Source {
            name: path.display().to_string(),
            bytes: read,
        });
    }
    Ok(sources)
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = MOST_SOURCE_BYTES as u64 + 1;
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unreadable(path: &Path, error: &io::Error) -> Failed {
    let code = match error.kind() {
        io::ErrorKind::NotFound => "not_found",
        _ => "cannot_read",
    };
    Failed::config(
        code,
        format!("cannot read {}: {error}", path.display()),
        "correct the path, or see that it can be read",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(given: &Given, folder: &Path) -> Vec<String> {
        let names = given.documents.iter().map(|source| source.name.as_str());
        let start = format!("{}/", folder.display());
        names
            .map(|name| name.strip_prefix(&start).unwrap_or(name).to_owned())
            .collect()
    }

    #[test]
    fn a_folder_is_read_in_the_order_of_names_wherever_it_lies() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        for name in [
            "b.yaml",
            "a/z.yml",
            "a/.hidden.yaml",
            "c.JSON",
            ".git/x.yaml",
            "notes.md",
            "a10.yaml",
        ] {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        // A link back would never end.
        std::os::unix::fs::symlink(folder, folder.join("loop.yaml")).unwrap();
        std::os::unix::fs::symlink(folder.join("b.yaml"), folder.join("d.yaml")).unwrap();
        let given = given(&[folder.to_owned()], &[], &[]).unwrap();
        assert_eq!(
            names(&given, folder),
            ["a/z.yml", "a10.yaml", "b.yaml", "c.JSON", "d.yaml"]
        );
        assert_eq!(given.documents[2].bytes, b"b.yaml");
    }

    #[test]
    fn a_file_is_read_whatever_its_name_and_one_that_is_not_there_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("documents");
        fs::write(&file, "a: 1").unwrap();
        let read = given(
            std::slice::from_ref(&file),
            std::slice::from_ref(&file),
            &[],
        )
        .unwrap();
        assert_eq!((read.documents.len(), read.values.len()), (1, 1));
        let missing = given(&[dir.path().join("none")], &[], &[]).unwrap_err();
        assert_eq!(missing.body.code, "not_found");
        fs::remove_file(dir.path().join("documents")).unwrap();
        let empty = given(&[dir.path().to_owned()], &[], &[]).unwrap_err();
        assert!(empty.body.hint.contains("*.yaml"));
    }

    /// What is told of a folder.
    fn refused(folder: &Path) -> String {
        let failed = given(&[folder.to_owned()], &[], &[]).unwrap_err();
        assert_eq!(failed.body.code, "cannot_read");
        failed.body.message
    }

    #[test]
    fn no_link_leads_out_of_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("secret");
        fs::write(&outside, "password: x").unwrap();
        let folder = dir.path().join("folder");
        fs::create_dir_all(folder.join("below")).unwrap();
        fs::write(folder.join("a.yaml"), "a: 1").unwrap();
        let link = folder.join("below/b.yaml");
        std::os::unix::fs::symlink("../../secret", &link).unwrap();
        let told = refused(&folder);
        assert!(told.contains("below/b.yaml"), "{told}");
        assert!(told.contains("leads out of the folder"), "{told}");
        // Whoever names the link itself means what it leads to.
        let read = given(std::slice::from_ref(&link), &[], &[]).unwrap();
        assert_eq!(read.documents[0].bytes, b"password: x");
        fs::remove_file(&link).unwrap();
        // One that stays inside is read, also where the folder is named by a link.
        std::os::unix::fs::symlink("../a.yaml", &link).unwrap();
        let other = dir.path().join("other");
        std::os::unix::fs::symlink(&folder, &other).unwrap();
        let read = given(&[other], &[], &[]).unwrap();
        assert_eq!(read.documents.len(), 2);
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("a.yaml");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
        let told = refused(dir.path());
        assert!(told.ends_with("it is no file"), "{told}");
        // Nor by a link.
        fs::rename(&pipe, dir.path().join("pipe")).unwrap();
        std::os::unix::fs::symlink("pipe", &pipe).unwrap();
        let told = refused(dir.path());
        assert!(told.ends_with("it is no file"), "{told}");
    }

    #[test]
    fn no_more_of_a_file_is_read_than_tells_that_it_is_too_large() {
        let dir = tempfile::tempdir().unwrap();
        let large = dir.path().join("large.yaml");
        File::create(&large).unwrap().set_len(50 << 20).unwrap();
        let read = given(&[large], &[], &[]).unwrap();
        assert_eq!(read.documents[0].bytes.len(), MOST_SOURCE_BYTES + 1);
    }
}
