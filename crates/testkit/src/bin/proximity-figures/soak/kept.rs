//! How much the server is told to keep, and whether it keeps no more.

use std::path::Path;

use anyhow::Result;
use proximity_store::clearing::{Journal, JournalCount};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value, json};

/// Events that are kept: those of a few rounds.
const EVENTS: u64 = 200;
/// Operations that keep their steps and lines.
const OPERATIONS: u64 = 20;

/// The server's `retention`: so little that a short run comes to its bound; everything, where `all`.
pub(super) fn config(all: bool) -> Map<String, Value> {
    let retention = if all {
        json!({ "event_days": 0, "events": 0, "operation_days": 0, "operations": 0 })
    } else {
        json!({ "events": EVENTS, "operations": OPERATIONS, "every_seconds": 1 })
    };
    Map::from_iter([("retention".to_owned(), retention)])
}

/// What is there beyond the bound, a sentence each, when no app is live and all was cleared that may go.
pub(super) fn too_much(counts: &[JournalCount]) -> Vec<String> {
    let most = |journal| match journal {
        Journal::Events => Some(EVENTS),
        Journal::Operations => Some(OPERATIONS),
        // They go with their operations.
        Journal::LogLines => None,
    };
    let over = counts
        .iter()
        .filter_map(|count| Some((count, most(count.journal)?)))
        .filter(|(count, most)| count.kept > *most);
    over.map(|(count, most)| {
        let (kept, what) = (count.kept, count.journal.label());
        format!("{kept} {what}, of which {most} are to be kept")
    })
    .collect()
}

/// Bytes of the database, those included that wait in its log to be carried over.
pub(super) fn database_bytes(data: &Path) -> Result<u64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(data.join("proximity.db"), flags)?;
    let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let bytes: i64 = database.query_row(sql, [], |row| row.get(0))?;
    Ok(u64::try_from(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_bound_is_named() {
        let counts = |events, operations| {
            let count = |journal, kept| JournalCount {
                journal,
                kept,
                cleared: 0,
            };
            [
                count(Journal::Events, events),
                count(Journal::LogLines, 100_000),
                count(Journal::Operations, operations),
            ]
        };
        assert!(too_much(&counts(EVENTS, OPERATIONS)).is_empty());
        let over = too_much(&counts(EVENTS + 1, OPERATIONS + 1));
        assert_eq!(
            over,
            [
                "201 events, of which 200 are to be kept",
                "21 operations, of which 20 are to be kept"
            ]
        );
    }
}
