//! What git says of the files of a commit, read.

use std::collections::BTreeSet;

use proximity_manifest::{MOST_BYTES, MOST_SOURCE_BYTES, MOST_SOURCES};

use crate::catalog::{FILE_NAME, MAX_ENTRIES, MAX_FILE_BYTES};

/// How files of documents end.
const ENDINGS: [&str; 3] = [".yaml", ".yml", ".json"];
/// Bytes of the list of a commit's files, at most.
pub(super) const MOST_LIST_BYTES: u64 = 32 << 20;

/// Bytes of a path, at most.
const MOST_PATH_BYTES: usize = 1_000;

/// A file with documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// From the root of the repository.
    pub(super) path: String,
    /// The object that holds it.
    pub(super) object: String,
    pub(super) bytes: u64,
}

/// Why the files are not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unlisted {
    /// There is no file of documents.
    Nothing,
    /// They are too many or too large.
    TooLarge(String),
    /// Git said what is not understood.
    Unreadable,
}

/// The files of documents in what `git ls-tree -r -z -l` wrote. Links, submodules, and names that begin with a dot are passed over, and
/// so is every other file, unless it is the one that was asked for.
pub(super) fn files(list: &[u8], asked: Option<&str>) -> Result<Vec<Listed>, Unlisted> {
    let mut files = Vec::new();
    let mut bytes = 0_u64;
    for entry in list.split(|byte| *byte == 0).filter(|e| !e.is_empty()) {
        // A name that is not UTF-8 is none of ours.
        let Ok(entry) = std::str::from_utf8(entry) else {
            continue;
        };
        let (about, path) = entry.split_once('\t').ok_or(Unlisted::Unreadable)?;
        let mut about = about.split_ascii_whitespace();
        let mut next = || about.next().ok_or(Unlisted::Unreadable);
        let (mode, kind, object, size) = (next()?, next()?, next()?, next()?);
        let is_file = kind == "blob" && matches!(mode, "100644" | "100755");
        if !is_file || !(is_documents(path) || asked == Some(path)) {
            continue;
        }
        // It is told with every problem of the file.
        if path.len() > MOST_PATH_BYTES {
            return Err(Unlisted::TooLarge(format!(
                "the path of a file has {} bytes, and it may have {MOST_PATH_BYTES}",
                path.len()
            )));
        }
        let size: u64 = size.parse().map_err(|_| Unlisted::Unreadable)?;
        bytes = bytes.saturating_add(size);
        if size > MOST_SOURCE_BYTES as u64 {
            return Err(Unlisted::TooLarge(format!(
                "{path:?} has {size} bytes, and one file may have {MOST_SOURCE_BYTES}"
            )));
        }
        files.push(Listed {
            path: path.to_owned(),
            object: object.to_owned(),
            bytes: size,
        });
    }
    match files.len() {
        0 => Err(Unlisted::Nothing),
        many if many > MOST_SOURCES => Err(Unlisted::TooLarge(format!(
            "there are {many} files of documents, and {MOST_SOURCES} may be"
        ))),
        _ if bytes > MOST_BYTES as u64 => Err(Unlisted::TooLarge(format!(
            "the files of documents have {bytes} bytes, and {MOST_BYTES} may be"
        ))),
        _ => Ok(files),
    }
}

/// Files of entries, and those that are not read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ListedEntries {
    pub(super) files: Vec<Listed>,
    /// Path of each, and why.
    pub(super) passed_over: Vec<(String, String)>,
}

/// The files of entries in what `git ls-tree -r -z -l` wrote: `ID/app.yaml` in the folder `under`, or in the root. A file that is too large
/// is passed over with that as the reason, a path that is there more than once as well, and everything else without a word.
pub(super) fn entries(list: &[u8], under: Option<&str>) -> Result<ListedEntries, Unlisted> {
    let mut listed = ListedEntries::default();
    let (mut seen, mut again) = (BTreeSet::new(), BTreeSet::new());
    let mut bytes = 0_u64;
    for entry in list.split(|byte| *byte == 0).filter(|e| !e.is_empty()) {
        let Ok(entry) = std::str::from_utf8(entry) else {
            continue;
        };
        let (about, path) = entry.split_once('\t').ok_or(Unlisted::Unreadable)?;
        let mut about = about.split_ascii_whitespace();
        let mut next = || about.next().ok_or(Unlisted::Unreadable);
        let (mode, kind, object, size) = (next()?, next()?, next()?, next()?);
        let is_file = kind == "blob" && matches!(mode, "100644" | "100755");
        if !is_file || path.len() > MOST_PATH_BYTES || !is_entry(path, under) {
            continue;
        }
        let size: u64 = size.parse().map_err(|_| Unlisted::Unreadable)?;
        if !seen.insert(path) {
            again.insert(path);
            continue;
        }
        if size > MAX_FILE_BYTES {
            let why = format!("it is larger than {MAX_FILE_BYTES} bytes");
            listed.passed_over.push((path.to_owned(), why));
            continue;
        }
        bytes = bytes.saturating_add(size);
        listed.files.push(Listed {
            path: path.to_owned(),
            object: object.to_owned(),
            bytes: size,
        });
    }
    // Git makes no such commit, but a program may: which of the files would be shown, and which taken, is left to nobody.
    listed.files.retain(|one| !again.contains(&*one.path));
    listed
        .passed_over
        .retain(|(path, _)| !again.contains(&**path));
    let again = again.into_iter().map(|path| {
        let why = "the commit has more than one file of this path";
        (path.to_owned(), why.to_owned())
    });
    listed.passed_over.extend(again);
    match listed.files.len() + listed.passed_over.len() {
        0 => Err(Unlisted::Nothing),
        many if many > MAX_ENTRIES => Err(Unlisted::TooLarge(format!(
            "there are {many} entries, and {MAX_ENTRIES} may be"
        ))),
        _ if bytes > MOST_BYTES as u64 => Err(Unlisted::TooLarge(format!(
            "the entries have {bytes} bytes, and {MOST_BYTES} may be"
        ))),
        _ => Ok(listed),
    }
}

fn is_entry(path: &str, under: Option<&str>) -> bool {
    let below = match under {
        Some(under) => path
            .strip_prefix(under)
            .and_then(|rest| rest.strip_prefix('/')),
        None => Some(path),
    };
    let parts = below.and_then(|below| below.split_once('/'));
    parts.is_some_and(|(folder, file)| {
        let is_shown = !folder.starts_with('.') && !folder.contains(char::is_control);
        is_shown && file == FILE_NAME
    })
}

fn is_documents(path: &str) -> bool {
    ENDINGS.iter().any(|ending| path.ends_with(ending))
        && path.split('/').all(|part| !part.starts_with('.'))
}

/// What `git cat-file --batch` wrote of these files, in their order. `None`: that is not what was asked for.
pub(super) fn contents(files: &[Listed], mut written: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut all = Vec::with_capacity(files.len());
    for file in files {
        let end = written.iter().position(|byte| *byte == b'\n')?;
        let head = std::str::from_utf8(written.get(..end)?).ok()?;
        if head != format!("{} blob {}", file.object, file.bytes) {
            return None;
        }
        let length = usize::try_from(file.bytes).ok()?;
        let from = end.checked_add(1)?;
        let to = from.checked_add(length)?;
        all.push(written.get(from..to)?.to_vec());
        // A line feed follows each.
        written = written.get(to..)?.strip_prefix(b"\n")?;
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(mode: &str, kind: &str, size: u64, path: &str) -> String {
        format!("{mode} {kind} {:040x} {size:>7}\t{path}\0", size)
    }

    #[test]
    fn only_files_of_documents_are_read() {
        let list = [
            entry("100644", "blob", 5, "apps/web.yaml"),
            entry("100755", "blob", 6, "apps/a b.json"),
            entry("120000", "blob", 11, "apps/link.yaml"),
            "160000 commit 00 -\tapps/module.yaml\0".to_owned(),
            entry("100644", "blob", 7, "apps/.hidden.yaml"),
            entry("100644", "blob", 7, ".github/flow.yml"),
            entry("100644", "blob", 7, ".gitattributes"),
            entry("100644", "blob", 7, "README"),
        ]
        .concat();
        let found = files(list.as_bytes(), None).unwrap();
        let paths: Vec<&str> = found.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["apps/web.yaml", "apps/a b.json"]);
        let asked = files(list.as_bytes(), Some("README")).unwrap();
        assert_eq!(asked.len(), 3);
        let none = files(entry("120000", "blob", 1, "a.yaml").as_bytes(), None);
        assert_eq!(none, Err(Unlisted::Nothing));
        assert_eq!(files(b"what\0", None), Err(Unlisted::Unreadable));
    }

    #[test]
    fn an_entry_is_a_file_in_a_folder_of_its_own() {
        let list = [
            entry("100644", "blob", 5, "apps/web/app.yaml"),
            entry("100644", "blob", 6, "apps/large/app.yaml").replace("      6", " 300000"),
            entry("120000", "blob", 7, "apps/link/app.yaml"),
            entry("100644", "blob", 8, "apps/.hidden/app.yaml"),
            entry("100644", "blob", 9, "apps/deep/er/app.yaml"),
            entry("100644", "blob", 9, "apps/web/icon.svg"),
            entry("100644", "blob", 9, "apps/app.yaml"),
            entry("100644", "blob", 9, "apps-other/web/app.yaml"),
        ]
        .concat();
        let listed = entries(list.as_bytes(), Some("apps")).unwrap();
        let paths: Vec<&str> = listed.files.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["apps/web/app.yaml"]);
        let over: Vec<&str> = listed
            .passed_over
            .iter()
            .map(|(path, _)| path.as_str())
            .collect();
        assert_eq!(over, ["apps/large/app.yaml"]);
        let root = entries(list.as_bytes(), None).unwrap();
        assert_eq!(root.files.len(), 1, "apps itself is a folder of one");
        assert_eq!(root.files[0].path, "apps/app.yaml");
        let nothing = entries(list.as_bytes(), Some("nowhere"));
        assert_eq!(nothing, Err(Unlisted::Nothing));
        let many: String = (0..1_001)
            .map(|n| entry("100644", "blob", 9, &format!("app-{n}/app.yaml")))
            .collect();
        let refused = entries(many.as_bytes(), None).unwrap_err();
        assert!(matches!(refused, Unlisted::TooLarge(why) if why.contains("1001 entries")));
    }

    #[test]
    fn of_two_files_of_one_path_neither_is_read() {
        let list = [
            entry("100644", "blob", 5, "lamp/app.yaml"),
            entry("100644", "blob", 5, "web/app.yaml"),
            entry("100644", "blob", 6, "web/app.yaml"),
            entry("100644", "blob", 7, "web/app.yaml"),
        ]
        .concat();
        let listed = entries(list.as_bytes(), None).unwrap();
        let paths: Vec<&str> = listed.files.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["lamp/app.yaml"]);
        let [(path, why)] = listed.passed_over.as_slice() else {
            panic!("{listed:?}")
        };
        assert_eq!(path, "web/app.yaml");
        assert!(why.contains("more than one"), "{why}");
    }

    #[test]
    fn what_is_too_large_or_too_many_is_told_before_it_is_read() {
        let large = entry("100644", "blob", 3 << 20, "a.yaml");
        let refused = files(large.as_bytes(), None).unwrap_err();
        assert!(matches!(refused, Unlisted::TooLarge(why) if why.contains("a.yaml")));
        let named = |name: &str| files(entry("100644", "blob", 3 << 20, name).as_bytes(), None);
        let refused = named("a\u{1b}[1m\n.yaml").unwrap_err();
        assert!(matches!(refused, Unlisted::TooLarge(why) if !why.contains(char::is_control)));
        let deep = format!("{}a.yaml", "a/".repeat(500));
        assert!(matches!(named(&deep), Err(Unlisted::TooLarge(why)) if why.len() < 100));
        let together: String = (0..9)
            .map(|n| entry("100644", "blob", 2 << 20, &format!("{n}.yaml")))
            .collect();
        let refused = files(together.as_bytes(), None).unwrap_err();
        assert!(matches!(refused, Unlisted::TooLarge(why) if why.contains("bytes")));
        let ten_thousand: String = (0..10_000)
            .map(|n| entry("100644", "blob", 9, &format!("{n}.yaml")))
            .collect();
        assert_eq!(files(ten_thousand.as_bytes(), None).unwrap().len(), 10_000);
        let more = ten_thousand + &entry("100644", "blob", 9, "one-more.yaml");
        let refused = files(more.as_bytes(), None).unwrap_err();
        assert!(matches!(refused, Unlisted::TooLarge(why) if why.contains("10001 files")));
    }

    #[test]
    fn contents_are_cut_where_they_end_and_nowhere_else() {
        let file = |n: u64| Listed {
            path: format!("{n}.yaml"),
            object: format!("{n:040x}"),
            bytes: n,
        };
        let files = [file(3), file(0)];
        let text = format!("{:040x} blob 3\na\nb\n{:040x} blob 0\n\n", 3, 0);
        let read = contents(&files, text.as_bytes()).unwrap();
        assert_eq!(read, [b"a\nb".to_vec(), Vec::new()]);
        let missing = format!("{:040x} missing\n", 3);
        assert_eq!(contents(&files, missing.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn nothing_that_is_written_makes_a_panic(list in proptest::collection::vec(any::<u8>(), 0..200)) {
            let listed = Listed { path: String::new(), object: "00".to_owned(), bytes: u64::MAX };
            let _ = files(&list, None);
            let _ = entries(&list, None);
            prop_assert_eq!(contents(&[listed], &list), None);
        }
    }
}
