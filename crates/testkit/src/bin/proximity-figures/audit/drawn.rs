//! Changes that are drawn.

use anyhow::{Context, Result, ensure};
use proximity_domain::audit::{Entry, Link};
use proximity_store::views::AuditRow;
use rusqlite::types::Value;

use super::Sum;
use super::bits::{COLUMNS, flipped};
use super::stand::{Change, Stand, set};
use crate::draw::Draw;

/// Entries that are removed together, at most.
const RUN: usize = 5;
/// Columns that may hold nothing.
const MAY_BE_NOTHING: [&str; 5] = ["token_id", "operation_id", "step_index", "epoch", "link"];
/// The control makes so many links anew at most.
const ANEW: usize = 200;

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
    let seq = any(stand.entries, draw);
    Ok(match draw.below(8) {
        0 | 1 => flip(stand, seq, draw)?,
        2 => nothing(stand, seq, draw)?,
        3 => swap(seq, any(stand.entries, draw)),
        4 => remove(stand, seq, draw),
        5 => move_a_sign(seq),
        6 => other_link(seq, any(stand.entries, draw)),
        _ => forge(stand, seq),
    })
}

fn any(entries: i64, draw: &mut Draw) -> i64 {
    let below = usize::try_from(entries).unwrap_or(1);
    i64::try_from(draw.below(below)).unwrap_or(0) + 1
}

fn any_of<'a>(columns: &[&'a str], draw: &mut Draw) -> &'a str {
    let drawn = columns.get(draw.below(columns.len()));
    drawn.copied().unwrap_or("at")
}

/// A bit of a value; something where there is nothing.
fn flip(stand: &Stand, seq: i64, draw: &mut Draw) -> Result<Change> {
    let column = any_of(&COLUMNS, draw);
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
    Ok(set(column, seq, value))
}

/// A value taken away, or an empty text in its place.
fn nothing(stand: &Stand, seq: i64, draw: &mut Draw) -> Result<Change> {
    let column = any_of(&MAY_BE_NOTHING, draw);
    let value = match stand.kept(column, seq)? {
        Value::Null => Value::Blob(Vec::new()),
        Value::Integer(_) | Value::Blob(_) | Value::Real(_) | Value::Text(_) => Value::Null,
    };
    Ok(set(column, seq, value))
}

/// Two entries in each other's place. One in its own is none: then it is moved away.
fn swap(one: i64, other: i64) -> Change {
    let renumber = |from: i64, to: i64| {
        let sql = "UPDATE audit SET seq = ?2 WHERE seq = ?1".to_owned();
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
    let sql = "DELETE FROM audit WHERE seq BETWEEN ?1 AND ?2".to_owned();
    Change {
        what: format!("{seq} to {last} removed"),
        first: seq,
        touched: (seq..=last).collect(),
        steps: vec![(sql, vec![Value::Integer(seq), Value::Integer(last)])],
    }
}

/// The last sign of a field becomes the first one of the next.
fn move_a_sign(seq: i64) -> Change {
    let sql = "UPDATE audit SET target = substr(action, -1) || target, \
         action = substr(action, 1, length(action) - 1) WHERE seq = ?1";
    Change {
        what: format!("a sign of {seq} moved on"),
        first: seq,
        touched: vec![seq],
        steps: vec![(sql.to_owned(), vec![Value::Integer(seq)])],
    }
}

/// The link of another entry; none instead of its own.
fn other_link(seq: i64, other: i64) -> Change {
    let sql = "UPDATE audit SET link = (SELECT link FROM kept WHERE seq = ?2 AND seq <> ?1) WHERE seq = ?1";
    Change {
        what: format!("the link of {other} at {seq}"),
        first: seq,
        touched: vec![seq],
        steps: vec![(
            sql.to_owned(),
            vec![Value::Integer(seq), Value::Integer(other)],
        )],
    }
}

/// Another entry behind the last one, with a link that was good somewhere.
fn forge(stand: &Stand, like: i64) -> Change {
    let sql = "INSERT INTO audit (seq, at, account, token_id, kind, action, target, details, operation_id, step_index, \
         epoch, link) SELECT ?1, at, account, token_id, kind, action, target, details, operation_id, step_index, epoch, \
         link FROM kept WHERE seq = ?2";
    let first = stand.entries + 1;
    Change {
        what: format!("{like} once more at the end"),
        first,
        touched: Vec::new(),
        steps: vec![(
            sql.to_owned(),
            vec![Value::Integer(first), Value::Integer(like)],
        )],
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
    for _ in 0..tampers {
        let back = i64::try_from(draw.below(ANEW)).unwrap_or(0);
        let seq = (stand.entries - back).max(1);
        let sql = "UPDATE audit SET target = target || ' ' WHERE seq = ?1".to_owned();
        let change = Change {
            what: format!("target of {seq}, links made anew"),
            first: seq,
            touched: (seq..=stand.entries).collect(),
            steps: vec![(sql, vec![Value::Integer(seq)])],
        };
        ensure!(stand.make(&change)?, "{} cannot be made", change.what);
        link_from(stand, seq).await?;
        let said = stand.verify_behind(seq - 1, Vec::new()).await?;
        sum.judge(&change.what, seq, said);
        stand.put_right(&change.touched)?;
    }
    Ok(())
}

async fn link_from(stand: &Stand, seq: i64) -> Result<()> {
    let mut link = match stand.kept("link", seq - 1) {
        Ok(Value::Blob(text)) => {
            Link::parse(&String::from_utf8(text)?).context("a link of the copy")?
        }
        _ => Link::GENESIS,
    };
    // No more than this are linked anew, so one page has them all.
    for row in stand.store.audit(1_000, seq - 1).await? {
        link = link_of(&row, link);
        let sql = "UPDATE audit SET link = ?1 WHERE seq = ?2";
        let mut write = stand.file.prepare_cached(sql)?;
        write.execute(rusqlite::params![link.to_string(), row.seq])?;
    }
    Ok(())
}

fn link_of(row: &AuditRow, previous: Link) -> Link {
    let (token, operation) = (
        row.token.map(|token| token.to_string()),
        row.operation.map(|operation| operation.to_string()),
    );
    let details = row.details.to_string();
    let entry = Entry {
        seq: row.seq,
        at: row.at.0,
        account: &row.account,
        token: token.as_deref(),
        kind: row.kind.label(),
        action: &row.action,
        target: &row.target,
        details: &details,
        operation: operation.as_deref(),
        step: row.step.map(i64::from),
        epoch: row.epoch.map(|epoch| epoch.0),
    };
    entry.link(previous)
}
