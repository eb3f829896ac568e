//! Changes of where the events begin: the number and the link of the last one that was cleared away, and what stands before it.

use anyhow::Result;
use rusqlite::types::Value;

use super::Sum;
use super::bits::flipped;
use super::drawn::{any, forge};
use super::stand::{Change, Cut, Stand};
use crate::draw::Draw;

/// One that is drawn.
pub(super) fn drawn(stand: &Stand, cut: &Cut, draw: &mut Draw) -> Result<Change> {
    Ok(match draw.below(6) {
        0 => moved(cut, any(stand, draw), draw.coin()),
        1 => moved(cut, before(cut, draw) - 1, draw.coin()),
        2 => relinked(cut, other_link(stand, cut, draw)?),
        3 => put_back(before(cut, draw)),
        4 => forge(stand, before(cut, draw), any(stand, draw)),
        _ => rewritten(cut),
    })
}

/// The number of one that was cleared away.
fn before(cut: &Cut, draw: &mut Draw) -> i64 {
    let gone = usize::try_from(cut.seq).unwrap_or(1);
    i64::try_from(draw.below(gone)).unwrap_or(0) + 1
}

/// The cut somewhere else, with its own link or with the one that belongs there. Then there is something before it, or nothing
/// right behind it.
fn moved(cut: &Cut, to: i64, with_its_link: bool) -> Change {
    let link = match with_its_link {
        true => "link",
        false => "(SELECT link FROM written WHERE seq = ?1)",
    };
    let sql = format!("UPDATE clearings SET cleared = ?1, link = {link} WHERE journal = 'events'");
    Change {
        what: format!("the cut at {to}, not at {}", cut.seq),
        first: cut.seq.min(to) + 1,
        touched: Vec::new(),
        steps: vec![(sql, vec![Value::Integer(to)])],
    }
}

/// Bytes become text of these very bytes.
fn relinked(cut: &Cut, link: Value) -> Change {
    let sql = "UPDATE clearings SET link = CAST(?1 AS TEXT) WHERE journal = 'events'";
    Change {
        what: format!("{link:?} as the link of the cut at {}", cut.seq),
        first: cut.seq + 1,
        touched: Vec::new(),
        steps: vec![(sql.to_owned(), vec![link])],
    }
}

/// None, that of an event, or its own with another bit.
fn other_link(stand: &Stand, cut: &Cut, draw: &mut Draw) -> Result<Value> {
    let own = cut.link.as_bytes();
    Ok(match draw.below(3) {
        0 => Value::Null,
        1 => stand.kept("link", any(stand, draw))?,
        _ => Value::Blob(flipped(own, draw.below(own.len() * 8))),
    })
}

/// One that was cleared away, as it was, where the product no longer looks for it.
fn put_back(seq: i64) -> Change {
    let sql = "INSERT INTO events SELECT * FROM written WHERE seq = ?1";
    Change {
        what: format!("{seq} put back"),
        first: seq,
        touched: Vec::new(),
        steps: vec![(sql.to_owned(), vec![Value::Integer(seq)])],
    }
}

/// The last one that was cleared away is there again and otherwise than it was, and the cut is before it.
fn rewritten(cut: &Cut) -> Change {
    let alter = "UPDATE events SET body = body || ' ' WHERE seq = ?1";
    let mut steps = moved(cut, cut.seq - 1, false).steps;
    steps.extend(put_back(cut.seq).steps);
    steps.push((alter.to_owned(), vec![Value::Integer(cut.seq)]));
    Change {
        what: format!("{} put back as another one, before the cut", cut.seq),
        first: cut.seq,
        touched: Vec::new(),
        steps,
    }
}

/// Every bit of the cut's number and of its link.
pub(super) async fn every_bit(stand: &Stand, cut: &Cut, sum: &mut Sum) -> Result<()> {
    let link = cut.link.as_bytes();
    let numbers = (0..64).map(|bit| moved(cut, cut.seq ^ (1 << bit), true));
    let links = (0..link.len() * 8).map(|bit| relinked(cut, Value::Blob(flipped(link, bit))));
    for change in numbers.chain(links) {
        if let Some(said) = stand.attempt(&change).await? {
            sum.judge(&change.what, change.first, said);
        }
    }
    Ok(())
}
