//! Port pairs: taken with the app's row, given back with its archive.

use std::collections::BTreeSet;

use proximity_domain::event::EventKind;
use proximity_domain::ids::AppId;
use proximity_domain::ports::{PortPair, PortRange};
use proximity_domain::time::Timestamp;
use serde_json::json;

use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::{Act, add_audit, add_event};
use crate::records::Actor;
use crate::row::{Columns, each};
use crate::sql::{Row, Tx, query, query_scalar};
use crate::store::{Reader, Shared, Store, aside};
use crate::views::{FreedPort, PortSide, PortsView};

/// A port that was ever given out.
struct PortRow {
    port: u16,
    side: PortSide,
    freed_at: Option<Timestamp>,
    rests_until: Option<Timestamp>,
}

/// The side of the one range that a port is in; in both or none, the side it has served last.
macro_rules! own_side {
    () => {
        "side = COALESCE((SELECT MIN(r.side) FROM port_ranges r \
         WHERE ports.port BETWEEN r.first_port AND r.last_port HAVING COUNT(*) = 1), side)"
    };
}

/// A port that may be taken, by what decides between several.
type Candidate = (Timestamp, u16);

/// Makes the spans of unused ports fit the configured ranges. Reads all ports, but only when the ranges are others
/// than the last time.
pub(crate) async fn prepare(tx: &mut Tx, shared: &Shared) -> Result<(), StoreError> {
    let ranges = [
        (PortSide::Public, shared.public),
        (PortSide::Internal, shared.internal),
    ];
    let mut same = true;
    for (side, range) in ranges {
        let known: i64 = query_scalar(
            "SELECT COUNT(*) FROM port_ranges WHERE side = $1 AND first_port = $2 AND last_port = $3",
        )
        .bind(side.label())
        .bind(i64::from(range.first))
        .bind(i64::from(range.last))
        .fetch_one(&mut *tx)
        .await?;
        same &= known == 1;
    }
    if same {
        return Ok(());
    }
    for (side, range) in ranges {
        query(
            "INSERT INTO port_ranges (side, first_port, last_port) VALUES ($1, $2, $3) \
             ON CONFLICT (side) DO UPDATE SET first_port = excluded.first_port, \
             last_port = excluded.last_port",
        )
        .bind(side.label())
        .bind(i64::from(range.first))
        .bind(i64::from(range.last))
        .execute(&mut *tx)
        .await?;
    }
    // Free ports are looked for by their side, and may have served the other one under other ranges.
    query(concat!(
        "UPDATE ports SET ",
        own_side!(),
        " WHERE app_id IS NULL"
    ))
    .execute(&mut *tx)
    .await?;
    let given = query_scalar::<i64>("SELECT port FROM ports ORDER BY port");
    let given: BTreeSet<i64> = given.fetch_all(&mut *tx).await?.into_iter().collect();
    query("DELETE FROM unused_ports").execute(&mut *tx).await?;
    let ranges = ranges.map(|(_, range)| range);
    let unused = (1..=u16::MAX).filter(|port| ranges.iter().any(|r| r.contains(*port)));
    let unused = unused
        .map(i64::from)
        .filter(|port| !given.contains(port))
        .collect::<Vec<_>>();
    for span in unused.chunk_by(|a, b| a + 1 == *b) {
        if let (Some(first), Some(last)) = (span.first(), span.last()) {
            add_span(tx, *first, *last).await?;
        }
    }
    Ok(())
}

async fn add_span(tx: &mut Tx, first: i64, last: i64) -> Result<(), StoreError> {
    query("INSERT INTO unused_ports (first_port, last_port) VALUES ($1, $2)")
        .bind(first)
        .bind(last)
        .execute(tx)
        .await?;
    Ok(())
}

/// Takes a pair for `app`: of each range a port that was never used, the lowest first, else the one that has been
/// free the longest and does not rest.
///
/// # Errors
/// [`StoreError::PortsExhausted`] if a range has no port that is neither held nor resting.
pub(crate) async fn take(
    tx: &mut Tx,
    shared: &Shared,
    app: AppId,
    now: Timestamp,
) -> Result<PortPair, StoreError> {
    let (public, internal) = (shared.public, shared.internal);
    let overlap = PortRange {
        first: public.first.max(internal.first),
        last: public.last.min(internal.last),
    };
    // Ranges may overlap: what is taken for one side is gone for the other.
    let public = take_one(tx, PortSide::Public, public, overlap, app, now).await?;
    let internal = take_one(tx, PortSide::Internal, internal, overlap, app, now).await?;
    Ok(PortPair { public, internal })
}

async fn take_one(
    tx: &mut Tx,
    side: PortSide,
    range: PortRange,
    overlap: PortRange,
    app: AppId,
    now: Timestamp,
) -> Result<u16, StoreError> {
    let port = match take_unused(tx, range).await? {
        Some(port) => port,
        None => match freed(tx, side, range, overlap, now).await? {
            Some(port) => port,
            None => return Err(exhausted(tx, range, now).await?),
        },
    };
    query(
        "INSERT INTO ports (port, side, app_id) VALUES ($1, $2, $3) ON CONFLICT (port) DO UPDATE \
         SET side = excluded.side, app_id = excluded.app_id, freed_at = NULL, rests_until = NULL",
    )
    .bind(i64::from(port))
    .bind(side.label())
    .bind(app.to_string())
    .execute(tx)
    .await?;
    Ok(port)
}

/// The lowest port of the range that was never given out; it is out of its span afterwards.
async fn take_unused(tx: &mut Tx, range: PortRange) -> Result<Option<u16>, StoreError> {
    let span = query(
        "SELECT first_port, last_port FROM unused_ports WHERE last_port >= $1 AND first_port <= $2 \
         ORDER BY first_port LIMIT 1",
    )
    .bind(i64::from(range.first))
    .bind(i64::from(range.last))
    .fetch_optional(&mut *tx)
    .await?;
    let Some(span) = span else { return Ok(None) };
    let (first, last) = (
        span.number::<u16>("first_port")?,
        span.number::<u16>("last_port")?,
    );
    let port = first.max(range.first);
    query("DELETE FROM unused_ports WHERE first_port = $1")
        .bind(i64::from(first))
        .execute(&mut *tx)
        .await?;
    if first < port {
        add_span(tx, i64::from(first), i64::from(port) - 1).await?;
    }
    if port < last {
        add_span(tx, i64::from(port) + 1, i64::from(last)).await?;
    }
    Ok(Some(port))
}

/// The port of the range that has been free the longest. Ports are found by the side they served last; those of the
/// other side count where the ranges overlap.
async fn freed(
    tx: &mut Tx,
    side: PortSide,
    range: PortRange,
    overlap: PortRange,
    now: Timestamp,
) -> Result<Option<u16>, StoreError> {
    let mut best = longest_free(tx, side, range, now).await?;
    if !overlap.is_empty() {
        let other = match side {
            PortSide::Public => PortSide::Internal,
            PortSide::Internal => PortSide::Public,
        };
        best = older(best, longest_free(tx, other, overlap, now).await?);
    }
    Ok(best.map(|(_, port)| port))
}

fn older(a: Option<Candidate>, b: Option<Candidate>) -> Option<Candidate> {
    a.into_iter().chain(b).min()
}

/// Of the ports that served `side` last: the longest-free one that never rested, or has rested enough.
///
/// The `+` keeps the planner from an index that would not give them in this order: they would all be sorted.
async fn longest_free(
    tx: &mut Tx,
    side: PortSide,
    range: PortRange,
    now: Timestamp,
) -> Result<Option<Candidate>, StoreError> {
    let plain = query(
        "SELECT port, freed_at FROM ports WHERE app_id IS NULL AND rests_until IS NULL AND side = $1 \
         AND +port BETWEEN $2 AND $3 ORDER BY freed_at, port LIMIT 1",
    )
    .bind(side.label())
    .bind(i64::from(range.first))
    .bind(i64::from(range.last))
    .fetch_optional(&mut *tx)
    .await?;
    let plain = plain.as_ref().map(candidate).transpose()?;
    // Asked first, because looking through those that still rest would grow with their number.
    let rested: i64 = query_scalar(
        "SELECT COUNT(*) FROM (SELECT port FROM ports WHERE rests_until IS NOT NULL AND side = $1 \
         AND rests_until <= $2 LIMIT 1) AS rested",
    )
    .bind(side.label())
    .bind(now.0)
    .fetch_one(&mut *tx)
    .await?;
    if rested == 0 {
        return Ok(plain);
    }
    let rested = query(
        "SELECT port, freed_at FROM ports WHERE rests_until IS NOT NULL AND side = $1 \
         AND +port BETWEEN $2 AND $3 AND +rests_until <= $4 ORDER BY freed_at, port LIMIT 1",
    )
    .bind(side.label())
    .bind(i64::from(range.first))
    .bind(i64::from(range.last))
    .bind(now.0)
    .fetch_optional(tx)
    .await?;
    Ok(older(plain, rested.as_ref().map(candidate).transpose()?))
}

fn candidate(row: &Row) -> Result<Candidate, StoreError> {
    Ok((row.moment("freed_at")?, row.number("port")?))
}

/// The refusal, with exact counts: they are counted only then.
async fn exhausted(
    tx: &mut Tx,
    range: PortRange,
    now: Timestamp,
) -> Result<StoreError, StoreError> {
    let counts = query("SELECT COUNT(app_id) AS held FROM ports WHERE port BETWEEN $1 AND $2")
        .bind(i64::from(range.first))
        .bind(i64::from(range.last))
        .fetch_one(&mut *tx)
        .await?;
    let resting = query(
        "SELECT port FROM ports WHERE rests_until > $3 AND port BETWEEN $1 AND $2 ORDER BY port",
    )
    .bind(i64::from(range.first))
    .bind(i64::from(range.last))
    .bind(now.0)
    .fetch_all(tx)
    .await?;
    Ok(StoreError::PortsExhausted {
        range: format!("{}-{}", range.first, range.last),
        held: counts.number("held")?,
        resting: each(&resting, |row| row.number("port"))?,
    })
}

/// Gives the pair of `app` back; with `rest_ms`, it is not given out again before that time is over.
pub(crate) async fn free(
    tx: &mut Tx,
    app: AppId,
    rest_ms: Option<i64>,
    now: Timestamp,
) -> Result<(), StoreError> {
    query(concat!(
        "UPDATE ports SET app_id = NULL, freed_at = $2, rests_until = $3, ",
        own_side!(),
        " WHERE app_id = $1"
    ))
    .bind(app.to_string())
    .bind(now.0)
    .bind(rest_ms.map(|rest| now.0.saturating_add(rest)))
    .execute(tx)
    .await?;
    Ok(())
}

impl Store {
    /// Ends the rest of all ports of orphans, or of one; gives those whose rest has ended.
    ///
    /// # Errors
    /// The database's.
    pub async fn end_port_rest(
        &self,
        port: Option<u16>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Vec<u16>, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| Ok(state.end_port_rest(port, actor, now)));
        }
        self.write(async |tx| {
            let resting = query("SELECT port FROM ports WHERE rests_until > $1 ORDER BY port")
                .bind(now.0)
                .fetch_all(&mut *tx)
                .await?;
            let mut freed: Vec<u16> = each(&resting, |row| row.number("port"))?;
            freed.retain(|p| port.is_none_or(|wanted| wanted == *p));
            if freed.is_empty() {
                return Ok(freed);
            }
            for port in &freed {
                query("UPDATE ports SET rests_until = NULL WHERE port = $1 AND app_id IS NULL")
                    .bind(i64::from(*port))
                    .execute(&mut *tx)
                    .await?;
            }
            let body = json!({ "ports": freed });
            let event = NewEvent {
                kind: EventKind::PortsFreed,
                body: body.clone(),
            };
            add_event(tx, &event, None, None, now).await?;
            add_audit(tx, actor, Act::request("ports.free", "ports", body), now).await?;
            Ok(freed)
        })
        .await
    }
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
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.ports_view()));
        }
        let reader = self.clone();
        let (held, freed) = aside(async move { reader.read_as("ports", all).await }).await?;
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
        freed_at: row.moment_opt("freed_at")?,
        rests_until: row.moment_opt("rests_until")?,
    })
}
