//! What the copy of what is on record of guests is read from: all of it, or what was written since.

use proximity_domain::app::StatusLabel;
use proximity_domain::ids::AppId;
use proximity_domain::names::Hostname;

use crate::error::StoreError;
use crate::kept::{Gathered, Kept};
use crate::observation::{WatchedGuest, watched};
use crate::pages::{PAGE, next};
use crate::row::{Columns, each};
use crate::sql::sqlite::TouchedRow;
use crate::sql::{Row, Tx, query, query_scalar};

/// What a row that was written says by now.
#[derive(Debug)]
pub(crate) enum Changed {
    /// Of a live app that holds one guest: what that is known by.
    App(AppId, Hostname, StatusLabel),
    /// An app that is live, or not any more, and one of its guests if there are any.
    Whole {
        app: AppId,
        is_live: bool,
        guest: Option<ReadGuest>,
    },
}

/// A guest as it was read.
#[derive(Debug)]
pub(crate) struct ReadGuest {
    pub(crate) guest: WatchedGuest,
    /// It is not gone, and its app is live.
    pub(crate) is_watched: bool,
}

/// Apps with their guests and their live operation; an app without a guest as well where it is a left join, and one that was removed where
/// its id is another table's.
macro_rules! guests {
    ($join:literal, $which:literal) => {
        guests!("a.id", "apps a", $join, $which)
    };
    ($id:literal, $from:literal, $join:literal, $which:literal) => {
        concat!(
            "SELECT ",
            $id,
            " AS app_id, \
             CASE WHEN a.id IS NULL OR a.archived_at IS NOT NULL THEN 0 ELSE 1 END AS live, \
             CASE WHEN a.archived_at IS NULL AND g.gone_at IS NULL THEN 1 ELSE 0 END AS watched, \
             g.id, g.host_id, g.node, g.vmid, \
             CASE WHEN g.rootfs_volid IS NULL THEN 0 ELSE 1 END AS confirmed, \
             CASE WHEN g.class = 'adopted' THEN 1 ELSE 0 END AS adopted, a.hostname, a.status, \
             o.id AS operation_id, o.state FROM ",
            $from,
            " ",
            $join,
            " guests g ON g.app_id = a.id LEFT JOIN operations o ON o.app_id = a.id \
             AND o.state IN ('queued', 'running', 'unwinding', 'stuck') WHERE ",
            $which
        )
    };
}

/// `$1` the app that the page is behind, `$2` how many.
const LIVE: &str = "SELECT id FROM apps WHERE archived_at IS NULL AND id > $1 ORDER BY id LIMIT $2";
/// `$1` and `$2` the host entry and the VMID that the page is behind, `$3` how many.
const ALL: &str = guests!(
    "JOIN",
    "a.archived_at IS NULL AND g.gone_at IS NULL AND (g.host_id, g.vmid) > ($1, $2) \
     ORDER BY g.host_id, g.vmid LIMIT $3"
);
// Rows have numbers on SQLite alone, which alone tells of them.
const APP: &str = "SELECT id, hostname, status, CASE WHEN archived_at IS NULL THEN 1 ELSE 0 END AS live \
     FROM apps WHERE rowid = $1";
const OF_APP: &str = guests!("LEFT JOIN", "a.rowid = $1");
const OF_GUEST: &str = guests!("JOIN", "g.rowid = $1");
// No operation goes over to another app, and none is removed.
const OF_OPERATION: &str = guests!(
    "LEFT JOIN",
    "a.id = (SELECT app_id FROM operations WHERE rowid = $1)"
);

// PostgreSQL keeps which apps were written. Whatever a snapshot does not show of what is committed by now was written by a transaction that
// is not older than the oldest one at work when it was taken.
const SINCE: &str = guests!(
    "t.app_id",
    "touched_apps t LEFT JOIN apps a ON a.id = t.app_id",
    "LEFT JOIN",
    "t.written_by >= pg_snapshot_xmin($1::text::pg_snapshot) \
     AND NOT pg_visible_in_snapshot(t.written_by, $1::text::pg_snapshot)"
);
const SNAPSHOT: &str = "SELECT pg_current_snapshot()::text";

pub(crate) async fn read_all(tx: &mut Tx) -> Result<Kept, StoreError> {
    let mut gathered = Gathered::default();
    let mut behind = String::new();
    loop {
        let rows = query(LIVE).bind(behind.as_str()).bind(PAGE);
        let rows = rows.fetch_all(&mut *tx).await?;
        for row in &rows {
            gathered.add_live(row.parsed("id")?);
        }
        match next(&rows) {
            Some(last) => behind = last.text("id")?,
            None => break,
        }
    }
    let mut behind = (String::new(), 0_i64);
    loop {
        let rows = query(ALL).bind(behind.0.as_str()).bind(behind.1).bind(PAGE);
        let rows = rows.fetch_all(&mut *tx).await?;
        for row in &rows {
            gathered.add_guest(watched(row)?);
        }
        match next(&rows) {
            Some(last) => behind = (last.text("host_id")?, last.int("vmid")?),
            None => return Ok(gathered.whole()),
        }
    }
}

/// Which snapshot this transaction reads: what it shows, as PostgreSQL says it.
pub(crate) async fn read_snapshot(tx: &mut Tx) -> Result<String, StoreError> {
    query_scalar(SNAPSHOT).fetch_one(tx).await
}

/// What this transaction's snapshot shows of what that one does not; of an app that was written twice in between the last.
pub(crate) async fn read_since(tx: &mut Tx, snapshot: &str) -> Result<Vec<Changed>, StoreError> {
    let rows = query(SINCE).bind(snapshot).fetch_all(tx).await?;
    each(&rows, whole)
}

pub(crate) async fn read_changed(
    tx: &mut Tx,
    rows: &[TouchedRow],
    kept: &Kept,
) -> Result<Vec<Changed>, StoreError> {
    let mut changed = Vec::with_capacity(rows.len());
    for row in rows {
        let (sql, number) = match *row {
            TouchedRow::App(number) => {
                if let Some(app) = read_app(tx, number, kept).await? {
                    changed.push(app);
                    continue;
                }
                (OF_APP, number)
            }
            TouchedRow::Guest(number) => (OF_GUEST, number),
            TouchedRow::Operation(number) => (OF_OPERATION, number),
        };
        // None of a row that was taken back.
        let found = query(sql).bind(number).fetch_all(&mut *tx).await?;
        for row in &found {
            changed.push(whole(row)?);
        }
    }
    Ok(changed)
}

/// What the one guest of a live app is known by; of any other app its guests have to be read with it.
async fn read_app(tx: &mut Tx, number: i64, kept: &Kept) -> Result<Option<Changed>, StoreError> {
    let Some(row) = query(APP).bind(number).fetch_optional(tx).await? else {
        return Ok(None);
    };
    let app: AppId = row.parsed("id")?;
    if row.int("live")? == 0 || kept.place(app).is_none() {
        return Ok(None);
    }
    let status = row.label("status", StatusLabel::parse)?;
    Ok(Some(Changed::App(app, row.parsed("hostname")?, status)))
}

fn whole(row: &Row) -> Result<Changed, StoreError> {
    let guest = match row.text_opt("id")? {
        Some(_) => Some(ReadGuest {
            guest: watched(row)?,
            is_watched: row.int("watched")? != 0,
        }),
        None => None,
    };
    Ok(Changed::Whole {
        app: row.parsed("app_id")?,
        is_live: row.int("live")? != 0,
        guest,
    })
}
