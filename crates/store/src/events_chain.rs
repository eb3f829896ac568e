//! The chain of the events where it is kept: as the audit's ([`crate::audit_chain`]), but that the oldest ones are cleared away. The link
//! of the last that went stands where they are counted, and what is left begins behind it.

use proximity_domain::audit::{Break, Chain, Chained as _, EventEntry, Head, Link, Walk};
use rusqlite::{Connection, params};

use crate::audit_chain::{head, head_of, is_damage, text, text_opt};
use crate::error::StoreError;
use crate::row::{Columns, damaged};
use crate::sql::{Query, Row, Sql, Tx, query, query_scalar};
use crate::store::Reader;

macro_rules! columns {
    () => {
        "at, kind, body, app_id, operation_id"
    };
}

// Its number and its link come with it.
const ADD: &str = concat!(
    "INSERT INTO events (",
    columns!(),
    ", seq, link) VALUES ($1, $2, $3, $4, $5, $6, $7)"
);
// The sequencer gives it both.
const ADD_UNNUMBERED: &str = concat!(
    "INSERT INTO events (",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5)"
);
/// What has no number yet is not looked at.
pub(crate) const NEWEST: &str =
    "SELECT seq, link FROM events WHERE seq > 0 ORDER BY seq DESC LIMIT 1";
const AFTER: &str = concat!(
    "SELECT seq, ",
    columns!(),
    ", link FROM events WHERE seq > $1 ORDER BY seq LIMIT $2"
);
/// What the sequencer has to number and to link, in the order it does it.
pub(crate) const UNNUMBERED: &str = concat!(
    "SELECT id, seq, ",
    columns!(),
    " FROM events WHERE seq IS NULL ORDER BY id LIMIT 1000"
);
/// What was numbered before there was a chain, behind the event that was linked last.
pub(crate) const UNLINKED: &str = concat!(
    "SELECT id, seq, ",
    columns!(),
    " FROM events WHERE seq > $1 AND link IS NULL ORDER BY seq LIMIT 1000"
);
const OLD: &str = concat!(
    "SELECT ",
    columns!(),
    ", seq FROM events WHERE seq > ?1 ORDER BY seq LIMIT 1000"
);
const CUT: &str = "SELECT cleared AS seq, link FROM clearings WHERE journal = 'events'";
/// What was cleared away and is there.
const PUT_BACK: &str = "SELECT seq FROM events WHERE seq > 0 AND seq <= $1 ORDER BY seq LIMIT 1";

/// Adds an event. Its number is the next one: what `event` has in its place does not count.
pub(crate) async fn add(tx: &mut Tx, event: EventEntry<'_>) -> Result<(), StoreError> {
    if !tx.numbers_at_once() {
        bound(ADD_UNNUMBERED, &event).execute(tx).await?;
        return Ok(());
    }
    let head = head(tx, Chain::Events, NEWEST).await?;
    let seq = head.seq.saturating_add(1);
    let event = EventEntry { seq, ..event };
    let link = event.link_behind(head.link);
    let add = bound(ADD, &event).bind(seq).bind(link.to_string());
    add.execute(&mut *tx).await?;
    tx.note_head(Chain::Events, Head { seq, link });
    Ok(())
}

fn bound<'q>(sql: impl Into<Sql>, event: &EventEntry<'q>) -> Query<'q> {
    query(sql)
        .bind(event.at)
        .bind(event.kind)
        .bind(event.body)
        .bind(event.app)
        .bind(event.operation)
}

/// The values of an event as they stand in its row; only the number is said.
pub(crate) fn entry_of(row: &Row, seq: i64) -> Result<EventEntry<'_>, StoreError> {
    Ok(EventEntry {
        seq,
        at: row.int("at")?,
        kind: text(row, "kind")?,
        body: text(row, "body")?,
        app: text_opt(row, "app_id")?,
        operation: text_opt(row, "operation_id")?,
    })
}

/// Passes the event of a row of [`AFTER`].
fn pass(walk: &mut Walk, row: &Row) -> Result<(), Break> {
    let seq = walk.next_seq();
    let unreadable = |_: StoreError| Break::Unreadable { seq };
    let number = row.int("seq").map_err(unreadable)?;
    let event = entry_of(row, number).map_err(unreadable)?;
    let link = text_opt(row, "link").map_err(unreadable)?;
    walk.pass(&event, link)
}

impl Reader {
    /// How far the chain of the events goes.
    ///
    /// # Errors
    /// The database's; [`StoreError::Damaged`] if the newest event has no link.
    pub async fn events_head(&self) -> Result<Head, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.events_head()));
        }
        let newest = query(NEWEST)
            .fetch_optional(self.named("events_head"))
            .await?;
        let Some(row) = newest else {
            return Ok(Head::NONE);
        };
        let link = text_opt(&row, "link")?.and_then(Link::parse);
        Ok(Head {
            seq: row.int("seq")?,
            link: link.ok_or_else(|| damaged("link", "it is none"))?,
        })
    }

    /// Reads all events that are kept and holds them against their links, against the link of the last one that was cleared away,
    /// and against the anchors, whatever their order: their head, or the first break. Anchors of what went before that one say nothing.
    ///
    /// **Guarantees.** As [`Reader::verify_audit`]; what is cleared away meanwhile is no break, and what was cleared away and is
    /// there again is one.
    ///
    /// # Errors
    /// The database's.
    pub async fn verify_events(
        &self,
        anchors: Vec<Head>,
    ) -> Result<Result<Head, Break>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.walk_events(anchors)));
        }
        let mut from = self.events_cut().await?;
        loop {
            if let Some(seq) = self.put_back(from).await? {
                return Ok(Err(Break::PutBack { seq }));
            }
            let walk = match Walk::behind_cut(from, anchors.clone()) {
                Ok(walk) => walk,
                Err(broken) => return Ok(Err(broken)),
            };
            let walked = self.walk_on(walk, AFTER, pass).await?;
            let Err(broken) = walked else {
                return Ok(walked);
            };
            // Nothing is said of what was cleared away meanwhile: the walk begins anew behind it, and there is an end to what can be
            // cleared.
            let cut = self.events_cut().await?;
            if cut.seq < broken.seq() || cut == from {
                return Ok(walked);
            }
            from = cut;
        }
    }

    /// The first event that is there, though `cut` went and all before it. What is cleared away is gone in the commit that says so.
    async fn put_back(&self, cut: Head) -> Result<Option<i64>, StoreError> {
        query_scalar(PUT_BACK)
            .bind(cut.seq)
            .fetch_optional(self.named("put_back"))
            .await
    }

    /// The last event that was cleared away; none where none was. It is without a link where there was no chain yet, and where
    /// what stands in the place of its link is no text.
    async fn events_cut(&self) -> Result<Head, StoreError> {
        let row = query(CUT).fetch_one(self.named("events_cut")).await;
        match row.and_then(|row| head_of(&row)) {
            Err(error) if is_damage(&error) => Ok(Head {
                seq: self.cleared_events().await?,
                link: Link::GENESIS,
            }),
            cut => cut,
        }
    }
}

/// Links the events of a file that was written before there was a chain, in the order of their numbers.
pub(crate) fn link_events(connection: &Connection) -> rusqlite::Result<()> {
    let mut old = connection.prepare(OLD)?;
    let mut write = connection.prepare("UPDATE events SET link = ?1 WHERE seq = ?2")?;
    let mut head = Head::NONE;
    loop {
        let page = old.query_map([head.seq], OldEvent::read)?;
        let page = page.collect::<rusqlite::Result<Vec<_>>>()?;
        if page.is_empty() {
            return Ok(());
        }
        for unlinked in &page {
            let (seq, link) = (unlinked.seq, unlinked.entry().link_behind(head.link));
            head = Head { seq, link };
            write.execute(params![link.to_string(), seq])?;
        }
    }
}

/// An event as it is read while there is no store yet.
struct OldEvent {
    at: i64,
    kind: String,
    body: String,
    app: Option<String>,
    operation: Option<String>,
    seq: i64,
}

impl OldEvent {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            at: row.get(0)?,
            kind: row.get(1)?,
            body: row.get(2)?,
            app: row.get(3)?,
            operation: row.get(4)?,
            seq: row.get(5)?,
        })
    }

    fn entry(&self) -> EventEntry<'_> {
        EventEntry {
            seq: self.seq,
            at: self.at,
            kind: &self.kind,
            body: &self.body,
            app: self.app.as_deref(),
            operation: self.operation.as_deref(),
        }
    }
}
