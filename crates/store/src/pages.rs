//! Reads of everything there is, page by page within one snapshot: a row takes several times as much as what is kept of it.

use proximity_domain::ids::HostId;

use crate::error::StoreError;
use crate::row::Columns;
use crate::sql::{Row, Tx, query};

/// Rows that are there at once.
pub(crate) const PAGE: i64 = 500;

/// The row that the next page is behind; `None`: there is none.
pub(crate) fn next(rows: &[Row]) -> Option<&Row> {
    let is_full = i64::try_from(rows.len()).is_ok_and(|len| len >= PAGE);
    rows.last().filter(|_| is_full)
}

/// Everything that a statement gives of a host entry in the order of VMIDs, each of which comes once: `$1` is the host entry, `$2` the
/// VMID that a page is behind, `$3` how many rows it has.
pub(crate) async fn by_vmid<T>(
    tx: &mut Tx,
    sql: &'static str,
    host: HostId,
    read: fn(&Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let host = host.to_string();
    let (mut all, mut behind) = (Vec::new(), 0_i64);
    loop {
        let rows = query(sql).bind(host.as_str()).bind(behind).bind(PAGE);
        let rows = rows.fetch_all(&mut *tx).await?;
        for row in &rows {
            all.push(read(row)?);
        }
        match next(&rows) {
            Some(last) => behind = last.int("vmid")?,
            None => return Ok(all),
        }
    }
}
