//! Every bit of every value of some entries.

use anyhow::Result;
use rusqlite::types::Value;

use super::Sum;
use super::stand::{Change, Stand};

/// Of the last entries.
pub(super) async fn every_bit(stand: &Stand, entries: i64, sum: &mut Sum) -> Result<()> {
    let from = (stand.entries - entries).max(stand.cleared()) + 1;
    for seq in from..=stand.entries {
        for column in stand.journal.columns {
            for change in flips(stand, column, seq)? {
                // The number of another entry cannot be had twice.
                let Some(said) = stand.attempt(&change).await? else {
                    continue;
                };
                sum.judge(&change.what, change.first, said);
            }
        }
    }
    Ok(())
}

/// One change for each bit. Of what is nothing, and of a text without signs, one that makes something of it.
fn flips(stand: &Stand, column: &str, seq: i64) -> Result<Vec<Change>> {
    let named = |bit: usize, value: Value| {
        let change = stand.set(column, seq, value);
        let what = format!("bit {bit} of {}", change.what);
        Change { what, ..change }
    };
    Ok(match stand.kept(column, seq)? {
        Value::Integer(number) => (0..64)
            .map(|bit| named(bit, Value::Integer(number ^ (1 << bit))))
            .collect(),
        Value::Blob(bytes) if !bytes.is_empty() => (0..bytes.len() * 8)
            .map(|bit| named(bit, Value::Blob(flipped(&bytes, bit))))
            .collect(),
        Value::Null | Value::Blob(_) | Value::Real(_) | Value::Text(_) => {
            vec![named(0, Value::Blob(b"0".to_vec()))]
        }
    })
}

pub(super) fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(byte) = bytes.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
    bytes
}
