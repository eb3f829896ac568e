//! The shim's journal, read back.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// Kind, inode, offset, length.
const HEAD_BYTES: usize = 21;

/// One thing that happened on the disk, or one line that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// A name and an empty file.
    Create { name: String, inode: u64 },
    /// Bytes of a file.
    Write {
        inode: u64,
        at: usize,
        bytes: Vec<u8>,
    },
    /// A file's new length.
    Truncate { inode: u64, length: usize },
    /// What was written to the file is promised.
    Sync { inode: u64 },
    /// It was said to be promised, but is not: the control.
    Lie,
    /// What was done to names is promised.
    SyncNames,
    /// A name took another's place.
    Rename { from: String, to: String },
    /// A second name.
    Link { from: String, to: String },
    /// A name went.
    Unlink { name: String },
    /// The program said so.
    Ack { line: String },
}

/// Reads a whole journal.
///
/// # Errors
/// It is cut off, not understood, or says itself that it is worth nothing.
pub(crate) fn read(path: &Path) -> Result<Vec<Record>> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let mut rest = bytes.as_slice();
    let mut records = Vec::new();
    while !rest.is_empty() {
        let Some((head, tail)) = rest.split_at_checked(HEAD_BYTES) else {
            bail!("the journal ends in the middle of a record");
        };
        let inode = u64::from_le_bytes(head[1..9].try_into()?);
        let offset = usize::try_from(u64::from_le_bytes(head[9..17].try_into()?))?;
        let length = usize::try_from(u32::from_le_bytes(head[17..21].try_into()?))?;
        let Some((body, tail)) = tail.split_at_checked(length) else {
            bail!("the journal ends in the middle of a record");
        };
        rest = tail;
        read_one(head[0], inode, offset, body, &mut records)?;
    }
    Ok(records)
}

fn read_one(
    kind: u8,
    inode: u64,
    offset: usize,
    body: &[u8],
    records: &mut Vec<Record>,
) -> Result<()> {
    let text = || String::from_utf8(body.to_vec()).context("a name that is no text");
    let pair = || -> Result<(String, String)> {
        let text = text()?;
        let names = text.split_once('\0').context("one name where two belong")?;
        Ok((names.0.to_owned(), names.1.to_owned()))
    };
    records.push(match kind {
        b'C' => Record::Create {
            name: text()?,
            inode,
        },
        b'W' => Record::Write {
            inode,
            at: offset,
            bytes: body.to_vec(),
        },
        b'T' => Record::Truncate {
            inode,
            length: offset,
        },
        b'S' => Record::Sync { inode },
        b'L' => Record::Lie,
        b'D' => Record::SyncNames,
        b'R' => {
            let (from, to) = pair()?;
            Record::Rename { from, to }
        }
        b'H' => {
            let (from, to) = pair()?;
            Record::Link { from, to }
        }
        b'U' => Record::Unlink { name: text()? },
        b'A' => {
            for line in text()?.lines() {
                let line = line.to_owned();
                records.push(Record::Ack { line });
            }
            return Ok(());
        }
        b'X' => bail!(
            "the program did something the shim does not follow: {}",
            text()?
        ),
        other => bail!("a record of unknown kind {other}"),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, inode: u64, offset: u64, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind];
        bytes.extend(inode.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        bytes.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        bytes.extend(body);
        bytes
    }

    fn read_bytes(bytes: &[u8]) -> Result<Vec<Record>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        read(file.path())
    }

    #[test]
    fn records_come_back() {
        let mut bytes = record(b'C', 7, 0, b"a.db");
        bytes.extend(record(b'W', 7, 512, b"xyz"));
        bytes.extend(record(b'R', 0, 0, b"a\0b"));
        bytes.extend(record(b'A', 0, 0, b"one\ntwo\n"));
        let records = read_bytes(&bytes).unwrap();
        assert_eq!(records.len(), 5);
        assert_eq!(
            records[1],
            Record::Write {
                inode: 7,
                at: 512,
                bytes: b"xyz".to_vec()
            }
        );
        assert_eq!(
            records[4],
            Record::Ack {
                line: "two".to_owned()
            }
        );
    }

    #[test]
    fn a_journal_that_is_cut_or_worthless_is_refused() {
        let whole = record(b'W', 7, 0, b"xyz");
        assert!(read_bytes(&whole[..whole.len() - 1]).is_err());
        assert!(read_bytes(&record(b'X', 0, 0, b"writev")).is_err());
        assert!(read_bytes(&record(b'?', 0, 0, b"")).is_err());
    }
}
