//! A disk as a power cut sees it: what is promised, and what is on its way.
//!
//! Promised is only what POSIX promises: the content of a file up to its last sync, and the names up to the last
//! sync of the directory. Everything later may be there or not, in any order and in part.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::journal::Record;

/// Names one file for the whole journal; inodes are used again.
pub(crate) type Key = usize;

/// A change of a file that is not promised yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

/// A change of names that is not promised yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NameChange {
    Add(String, Key),
    Move(String, String),
    Copy(String, String),
    Remove(String),
}

/// One file.
#[derive(Debug, Clone, Default)]
pub(crate) struct File {
    /// What is promised.
    pub(crate) kept: Vec<u8>,
    /// What is on its way, with the moment it was written.
    pub(crate) coming: Vec<(u64, Change)>,
}

/// The directory and its files.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// Names that are promised.
    pub(crate) names: BTreeMap<String, Key>,
    /// Changes of names that are on their way.
    pub(crate) coming: Vec<(u64, NameChange)>,
    pub(crate) files: Vec<File>,
    inodes: BTreeMap<u64, Key>,
    /// How many records were taken in.
    moment: u64,
}

impl Disk {
    /// Nothing is on its way.
    pub(crate) fn is_calm(&self) -> bool {
        self.coming.is_empty() && self.files.iter().all(|file| file.coming.is_empty())
    }

    /// Takes in what happened next.
    ///
    /// # Errors
    /// It speaks of a file that nothing has told of.
    pub(crate) fn take(&mut self, record: &Record) -> Result<()> {
        self.moment += 1;
        let at_moment = self.moment;
        match record {
            Record::Create { name, inode } => {
                let key = self.add_file(*inode);
                let change = NameChange::Add(name.clone(), key);
                self.coming.push((at_moment, change));
            }
            Record::Write { inode, at, bytes } => {
                let (at, bytes) = (*at, bytes.clone());
                let change = Change::Write { at, bytes };
                self.file(*inode)?.coming.push((at_moment, change));
            }
            Record::Truncate { inode, length } => {
                let change = Change::Truncate(*length);
                self.file(*inode)?.coming.push((at_moment, change));
            }
            Record::Sync { inode } => self.file(*inode)?.keep(),
            Record::SyncNames => {
                for (_, change) in std::mem::take(&mut self.coming) {
                    apply_name(&mut self.names, &change);
                }
            }
            Record::Rename { from, to } => {
                let change = NameChange::Move(from.clone(), to.clone());
                self.coming.push((at_moment, change));
            }
            Record::Link { from, to } => {
                let change = NameChange::Copy(from.clone(), to.clone());
                self.coming.push((at_moment, change));
            }
            Record::Unlink { name } => {
                let change = NameChange::Remove(name.clone());
                self.coming.push((at_moment, change));
            }
            Record::Lie | Record::Ack { .. } => {}
        }
        Ok(())
    }

    fn add_file(&mut self, inode: u64) -> Key {
        let key = self.files.len();
        self.files.push(File::default());
        self.inodes.insert(inode, key);
        key
    }

    fn file(&mut self, inode: u64) -> Result<&mut File> {
        let key = self.inodes.get(&inode);
        let key = *key.with_context(|| format!("the journal has no file with inode {inode}"))?;
        self.files.get_mut(key).context("a key without a file")
    }
}

impl File {
    fn keep(&mut self) {
        for (_, change) in std::mem::take(&mut self.coming) {
            apply(&mut self.kept, &change);
        }
    }
}

/// Applies a change of a file; a hole that it leaves is of zeros.
pub(crate) fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { at, bytes } => {
            let end = at + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*at..end].copy_from_slice(bytes);
        }
        Change::Truncate(length) => content.resize(*length, 0),
    }
}

/// Applies a change of names; one whose source is not there has no effect.
pub(crate) fn apply_name(names: &mut BTreeMap<String, Key>, change: &NameChange) {
    match change {
        NameChange::Add(name, key) => {
            names.insert(name.clone(), *key);
        }
        NameChange::Move(from, to) => {
            if let Some(key) = names.remove(from) {
                names.insert(to.clone(), key);
            }
        }
        NameChange::Copy(from, to) => {
            if let Some(key) = names.get(from).copied() {
                names.insert(to.clone(), key);
            }
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(records: &[Record]) -> Disk {
        let mut disk = Disk::default();
        for record in records {
            disk.take(record).unwrap();
        }
        disk
    }

    fn create(name: &str, inode: u64) -> Record {
        let name = name.to_owned();
        Record::Create { name, inode }
    }

    fn write(inode: u64, at: usize, bytes: &[u8]) -> Record {
        let bytes = bytes.to_vec();
        Record::Write { inode, at, bytes }
    }

    #[test]
    fn content_and_name_are_promised_apart() {
        let disk = taken(&[
            create("a", 1),
            write(1, 0, b"xy"),
            Record::Sync { inode: 1 },
        ]);
        assert_eq!(disk.files[0].kept, b"xy");
        assert!(disk.names.is_empty());
        let disk = taken(&[create("a", 1), write(1, 0, b"xy"), Record::SyncNames]);
        assert!(disk.files[0].kept.is_empty());
        assert_eq!(disk.names.get("a"), Some(&0));
    }

    #[test]
    fn a_lie_promises_nothing() {
        let disk = taken(&[create("a", 1), write(1, 0, b"xy"), Record::Lie]);
        assert!(disk.files[0].kept.is_empty());
    }

    #[test]
    fn an_inode_that_comes_again_is_another_file() {
        let disk = taken(&[
            create("a", 1),
            write(1, 0, b"old"),
            Record::Sync { inode: 1 },
            create("b", 1),
            write(1, 0, b"n"),
            Record::Sync { inode: 1 },
        ]);
        assert_eq!(
            (&*disk.files[0].kept, &*disk.files[1].kept),
            (&b"old"[..], &b"n"[..])
        );
    }

    #[test]
    fn a_file_nobody_told_of_is_an_error() {
        assert!(Disk::default().take(&write(9, 0, b"x")).is_err());
    }
}
