//! What is cut off the end, with and without something written on.

use anyhow::{Result, ensure};
use proximity_domain::audit::Chain;
use proximity_domain::time::Timestamp;
use proximity_store::records::Actor;
use rusqlite::types::Value;

use super::stand::{Change, Stand};
use super::{Sum, fill};

/// What is written on.
const FURTHER: &str = "as if nothing was";

/// Cuts one entry off, then two, and so on; after each the product writes on, which makes links that fit.
pub(super) async fn cut_off(stand: &Stand, cuts: i64, sum: &mut Sum) -> Result<()> {
    for gone in 1..=cuts {
        let left = stand.entries - gone;
        let change = cut(stand, left);
        ensure!(stand.make(&change)?, "{} cannot be made", change.what);
        let unseen = stand.verify_behind(left - 1, Vec::new()).await?;
        ensure!(unseen.is_ok(), "without an anchor it was seen: {unseen:?}");
        sum.judge(&change.what, change.first, stand.verify_all().await?);
        for _ in 0..=gone {
            write_on(stand).await?;
        }
        let unseen = stand.verify_behind(left - 1, Vec::new()).await?;
        ensure!(unseen.is_ok(), "without an anchor it was seen: {unseen:?}");
        // The anchor before the last one is the last that vouches, or what is kept of the last entry that was cleared away.
        let vouched = stand.anchors.iter().filter(|anchor| anchor.seq <= left);
        let vouched = vouched.map(|anchor| anchor.seq).max().unwrap_or(0);
        let first = vouched.max(stand.cleared()) + 1;
        let what = format!("{}, and written on", change.what);
        sum.judge(&what, first, stand.verify_all().await?);
        stand.put_right(&change.touched)?;
    }
    Ok(())
}

fn cut(stand: &Stand, left: i64) -> Change {
    let sql = format!("DELETE FROM {} WHERE seq > ?1", stand.journal.table);
    Change {
        what: format!("all behind {left} cut off"),
        first: left + 1,
        touched: (left + 1..=stand.entries).collect(),
        steps: vec![(sql, vec![Value::Integer(left)])],
    }
}

async fn write_on(stand: &Stand) -> Result<()> {
    if stand.journal.chain == Chain::Events {
        return fill::announce(&stand.store, FURTHER).await;
    }
    let actor = Actor {
        account: "admin".to_owned(),
        token: None,
        request: None,
    };
    let noted = stand
        .store
        .note_host_act("lab", "host.init", FURTHER, &actor, Timestamp(0));
    Ok(noted.await?)
}
