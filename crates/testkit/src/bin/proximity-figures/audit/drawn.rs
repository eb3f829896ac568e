//! Changes that are drawn.

use anyhow::{Result, ensure};
use rusqlite::types::Value;

use super::bits::flipped;
use super::stand::{Change, Stand};
use super::{Sum, begin};
use crate::draw::Draw;

/// Entries that are removed together, at most.
const RUN: usize = 5;
/// The control makes so many links anew at most.
const ANEW: usize = 200;
/// Kinds of changes: those that a chain that begins behind a cut has more come last.
const KINDS: usize = 8;
const KINDS_OF_CUT: usize = 2;

/// Draws and makes so many changes that the database can hold, each by itself.
pub(super) async fn drawn(
    stand: &Stand,
    tampers: usize,
    draw: &mut Draw,
    sum: &mut Sum,
) -> Result<()> {
    let mut made = 0;
    while made < tampers {
        let change = one(stand, draw)?;
        if let Some(said) = stand.attempt(&change).await? {
            made += 1;
            sum.judge(&change.what, change.first, said);
        }
    }
    Ok(())
}

fn one(stand: &Stand, draw: &mut Draw) -> Result<Change> {
    let seq = any(stand, draw);
    let more = stand.cut.as_ref().map_or(0, |_| KINDS_OF_CUT);
    Ok(match (draw.below(KINDS + more), &stand.cut) {
        (KINDS.., Some(cut)) => begin::drawn(stand, cut, draw)?,
        (0 | 1, _) => flip(stand, seq, draw)?,
        (2, _) => nothing(stand, seq, draw)?,
        (3, _) => swap(stand, seq, any(stand, draw)),
        (4, _) => remove(stand, seq, draw),
        (5, _) => move_a_sign(stand, seq),
        (6, _) => other_link(stand, seq, any(stand, draw)),
        _ => forge(stand, stand.entries + 1, seq),
    })
}

/// The number of an entry that is there.
pub(super) fn any(stand: &Stand, draw: &mut Draw) -> i64 {
    let there = usize::try_from(stand.entries - stand.cleared()).unwrap_or(1);
    stand.cleared() + 1 + i64::try_from(draw.below(there)).unwrap_or(0)
}

fn any_of(columns: &[&'static str], draw: &mut Draw) -> &'static str {
    let drawn = columns.get(draw.below(columns.len()));
    drawn.copied().unwrap_or("at")
}

/// A bit of a value; something where there is nothing.
fn flip(stand: &Stand, seq: i64, draw: &mut Draw) -> Result<Change> {
    let column = any_of(stand.journal.columns, draw);
    let value = match stand.kept(column, seq)? {
        Value::Integer(number) => Value::Integer(number ^ (1 << draw.below(64))),
        Value::Blob(bytes) if !bytes.is_empty() => {
            let bit = draw.below(bytes.len() * 8);
            Value::Blob(flipped(&bytes, bit))
        }
        Value::Null | Value::Blob(_) | Value::Real(_) | Value::Text(_) => {
            Value::Blob(b"0".to_vec())
        }
    };
    Ok(stand.set(column, seq, value))
}

/// A value taken away, or an empty text in its place.
fn nothing(stand: &Stand, seq: i64, draw: &mut Draw) -> Result<Change> {
    let column = any_of(stand.journal.may_be_nothing, draw);
    let value = match stand.kept(column, seq)? {
        Value::Null => Value::Blob(Vec::new()),
        Value::Integer(_) | Value::Blob(_) | Value::Real(_) | Value::Text(_) => Value::Null,
    };
    Ok(stand.set(column, seq, value))
}

/// Two entries in each other's place. One in its own is none: then it is moved away.
fn swap(stand: &Stand, one: i64, other: i64) -> Change {
    let renumber = |from: i64, to: i64| {
        let table = stand.journal.table;
        let sql = format!("UPDATE {table} SET seq = ?2 WHERE seq = ?1");
        (sql, vec![Value::Integer(from), Value::Integer(to)])
    };
    let mut steps = vec![renumber(one, -one)];
    if one != other {
        steps.extend([renumber(other, one), renumber(-one, other)]);
    }
    Change {
        what: format!("{one} and {other} in each other's place"),
        first: one.min(other),
        touched: vec![one, other],
        steps,
    }
}

fn remove(stand: &Stand, seq: i64, draw: &mut Draw) -> Change {
    let more = i64::try_from(draw.below(RUN)).unwrap_or(0);
    let last = (seq + more).min(stand.entries);
    let table = stand.journal.table;
    let sql = format!("DELETE FROM {table} WHERE seq BETWEEN ?1 AND ?2");
    Change {
        what: format!("{seq} to {last} removed"),
        first: seq,
        touched: (seq..=last).collect(),
        steps: vec![(sql, vec![Value::Integer(seq), Value::Integer(last)])],
    }
}

/// The last sign of a field becomes the first one of the next.
fn move_a_sign(stand: &Stand, seq: i64) -> Change {
    let (table, (one, next)) = (stand.journal.table, stand.journal.neighbours);
    let sql = format!(
        "UPDATE {table} SET {next} = substr({one}, -1) || {next}, \
         {one} = substr({one}, 1, length({one}) - 1) WHERE seq = ?1"
    );
    Change {
        what: format!("a sign of {seq} moved on"),
        first: seq,
        touched: vec![seq],
        steps: vec![(sql, vec![Value::Integer(seq)])],
    }
}

/// The link of another entry; none instead of its own.
fn other_link(stand: &Stand, seq: i64, other: i64) -> Change {
    let table = stand.journal.table;
    let sql = format!(
        "UPDATE {table} SET link = (SELECT link FROM kept WHERE seq = ?2 AND seq <> ?1) WHERE seq = ?1"
    );
    Change {
        what: format!("the link of {other} at {seq}"),
        first: seq,
        touched: vec![seq],
        steps: vec![(sql, vec![Value::Integer(seq), Value::Integer(other)])],
    }
}

/// Another entry where there is none, behind the last one or where some were cleared away, with a link that was good somewhere.
pub(super) fn forge(stand: &Stand, at: i64, like: i64) -> Change {
    let table = stand.journal.table;
    let values = stand
        .journal
        .columns
        .get(1..)
        .unwrap_or_default()
        .join(", ");
    let sql =
        format!("INSERT INTO {table} (seq, {values}) SELECT ?1, {values} FROM kept WHERE seq = ?2");
    Change {
        what: format!("{like} once more as {at}"),
        first: at,
        touched: Vec::new(),
        steps: vec![(sql, vec![Value::Integer(at), Value::Integer(like)])],
    }
}

/// The control: an entry is altered, and all links behind it are made anew, as whoever reads this program can do; no anchor is at
/// hand. Each stays unfound.
pub(super) async fn made_anew(
    stand: &Stand,
    tampers: usize,
    draw: &mut Draw,
    sum: &mut Sum,
) -> Result<()> {
    let (table, (_, text)) = (stand.journal.table, stand.journal.neighbours);
    for _ in 0..tampers {
        let back = i64::try_from(draw.below(ANEW)).unwrap_or(0);
        let seq = (stand.entries - back).max(stand.cleared() + 1);
        let sql = format!("UPDATE {table} SET {text} = {text} || ' ' WHERE seq = ?1");
        let change = Change {
            what: format!("{text} of {seq}, links made anew"),
            first: seq,
            touched: (seq..=stand.entries).collect(),
            steps: vec![(sql, vec![Value::Integer(seq)])],
        };
        ensure!(stand.make(&change)?, "{} cannot be made", change.what);
        link_from(stand, seq)?;
        let said = stand.verify_behind(seq - 1, Vec::new()).await?;
        ensure!(said.is_ok(), "without an anchor it was seen: {said:?}");
        sum.judge(&change.what, seq, said);
        stand.put_right(&change.touched)?;
    }
    Ok(())
}

fn link_from(stand: &Stand, seq: i64) -> Result<()> {
    let table = stand.journal.table;
    let mut link = stand.written_up_to(seq - 1)?.link;
    let mut read = stand.file.prepare_cached(&format!(
        "SELECT * FROM {table} WHERE seq >= ?1 ORDER BY seq"
    ))?;
    let mut rows = read.query([seq])?;
    let mut links = Vec::new();
    while let Some(row) = rows.next()? {
        link = (stand.journal.link)(row, link)?;
        links.push((row.get::<_, i64>("seq")?, link));
    }
    let tx = stand.file.unchecked_transaction()?;
    let mut write = tx.prepare_cached(&format!("UPDATE {table} SET link = ?1 WHERE seq = ?2"))?;
    for (seq, link) in links {
        write.execute(rusqlite::params![link.to_string(), seq])?;
    }
    drop(write);
    Ok(tx.commit()?)
}
