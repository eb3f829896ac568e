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
/// A path is not there or cannot be read, or nothing below the paths is a document's file.
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
        find_below(path, 0, files)
    } else {
        files.push(path.to_owned());
        Ok(())
    }
}

/// Adds a folder's files, by name; what is in a folder comes in its place. Links to folders are not followed, for they may lead
/// back.
fn find_below(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Failed> {
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
            find_below(&path, depth + 1, files)?;
        } else if is_of_documents(&path) && !path.is_dir() {
            files.push(path);
        }
    }
    Ok(())
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

    #[test]
    fn no_more_of_a_file_is_read_than_tells_that_it_is_too_large() {
        let dir = tempfile::tempdir().unwrap();
        let large = dir.path().join("large.yaml");
        File::create(&large).unwrap().set_len(50 << 20).unwrap();
        let read = given(&[large], &[], &[]).unwrap();
        assert_eq!(read.documents[0].bytes.len(), MOST_SOURCE_BYTES + 1);
    }
}
