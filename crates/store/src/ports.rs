//! Port pairs: taken with the app's row, given back with its archive.

use proximity_domain::ids::AppId;
use proximity_domain::ports::{FreedAt, PortPair, PortRange, choose};
use proximity_domain::time::Timestamp;

use crate::error::StoreError;
use crate::row::{Columns, each};
use crate::sql::{Row, Tx, query};
use crate::store::{Reader, Shared, aside};
use crate::views::{FreedPort, PortSide, PortsView};

/// A port that was ever given out.
struct PortRow {
    port: u16,
    side: PortSide,
    app: Option<AppId>,
    freed_at: Option<Timestamp>,
    rests_until: Option<Timestamp>,
}

impl PortRow {
    fn rests(&self, now: Timestamp) -> bool {
        self.rests_until.is_some_and(|until| until > now)
    }
}

/// Takes a pair for `app`.
///
/// # Errors
/// [`StoreError::PortsExhausted`] if a range has no port that is neither held nor resting.
pub(crate) async fn take(
    tx: &mut Tx,
    shared: &Shared,
    app: AppId,
    now: Timestamp,
) -> Result<PortPair, StoreError> {
    let known = query("SELECT * FROM ports").fetch_all(&mut *tx).await?;
    let known = each(&known, port_row)?;
    let public = pick(shared.public, &known, None, now)?;
    // Ranges may overlap: what was just picked is out for the other side.
    let internal = pick(shared.internal, &known, Some(public), now)?;
    for (port, side) in [(public, PortSide::Public), (internal, PortSide::Internal)] {
        query(
            "INSERT INTO ports (port, side, app_id) VALUES ($1, $2, $3) ON CONFLICT (port) DO UPDATE \
             SET side = excluded.side, app_id = excluded.app_id, freed_at = NULL, rests_until = NULL",
        )
        .bind(i64::from(port))
        .bind(side.label())
        .bind(app.to_string())
        .execute(&mut *tx)
        .await?;
    }
    Ok(PortPair { public, internal })
}

fn pick(
    range: PortRange,
    known: &[PortRow],
    picked: Option<u16>,
    now: Timestamp,
) -> Result<u16, StoreError> {
    let taken = |row: &&PortRow| row.app.is_some() || row.rests(now);
    let mut out: Vec<u16> = known.iter().filter(taken).map(|row| row.port).collect();
    out.extend(picked);
    let freed: FreedAt = known
        .iter()
        .filter_map(|row| Some((row.port, row.freed_at?)))
        .collect();
    choose(range, &out, &freed).ok_or_else(|| {
        let inside = || known.iter().filter(|row| range.contains(row.port));
        StoreError::PortsExhausted {
            range: format!("{}-{}", range.first, range.last),
            held: inside().filter(|row| row.app.is_some()).count(),
            resting: inside().filter(|row| row.rests(now)).count(),
        }
    })
}

/// Gives the pair of `app` back; with `rest_ms`, it is not given out again before that time is over.
pub(crate) async fn free(
    tx: &mut Tx,
    app: AppId,
    rest_ms: Option<i64>,
    now: Timestamp,
) -> Result<(), StoreError> {
    query("UPDATE ports SET app_id = NULL, freed_at = $2, rests_until = $3 WHERE app_id = $1")
        .bind(app.to_string())
        .bind(now.0)
        .bind(rest_ms.map(|rest| now.0.saturating_add(rest)))
        .execute(tx)
        .await?;
    Ok(())
}

/// Held pairs and free ports.
async fn all(tx: &mut Tx) -> Result<(Vec<(AppId, PortPair)>, Vec<PortRow>), StoreError> {
    let held = query(
        "SELECT p.app_id, p.port AS public_port, i.port AS internal_port FROM ports p \
         JOIN ports i ON i.app_id = p.app_id AND i.side = 'internal' \
         WHERE p.side = 'public' ORDER BY p.port",
    );
    let held = each(&held.fetch_all(&mut *tx).await?, held_pair)?;
    let freed = query("SELECT * FROM ports WHERE app_id IS NULL ORDER BY freed_at, port");
    Ok((held, each(&freed.fetch_all(tx).await?, port_row)?))
}

impl Reader {
    /// Who holds which ports, and which were given back.
    ///
    /// # Errors
    /// The database's.
    pub async fn ports(&self) -> Result<PortsView, StoreError> {
        let reader = self.clone();
        let (held, freed) = aside(async move { reader.read(all).await }).await?;
        let freed = freed.into_iter().filter_map(|row| {
            Some(FreedPort {
                port: row.port,
                side: row.side,
                freed_at: row.freed_at?,
                rests_until: row.rests_until,
            })
        });
        Ok(PortsView {
            public: self.shared.public,
            internal: self.shared.internal,
            held,
            freed: freed.collect(),
        })
    }
}

fn held_pair(row: &Row) -> Result<(AppId, PortPair), StoreError> {
    let pair = PortPair {
        public: row.number("public_port")?,
        internal: row.number("internal_port")?,
    };
    Ok((row.parsed("app_id")?, pair))
}

fn port_row(row: &Row) -> Result<PortRow, StoreError> {
    Ok(PortRow {
        port: row.number("port")?,
        side: row.label("side", PortSide::parse)?,
        app: row.parsed_opt("app_id")?,
        freed_at: row.moment_opt("freed_at")?,
        rests_until: row.moment_opt("rests_until")?,
    })
}
