//! An audit of many entries, written by the product's own calls, many at a time.

use std::path::Path;

use anyhow::{Context, Result};
use proximity_domain::audit::Head;
use proximity_domain::ports::PortRange;
use proximity_domain::time::Timestamp;
use proximity_store::Store;
use proximity_store::effects::{Effects, MutationAudit};
use proximity_store::records::{Actor, Fence};
use serde_json::json;
use tokio::task::JoinSet;

use crate::draw::Draw;
use crate::things::{LEASE_MS, Things, options};

/// Tasks that write beside each other.
const WRITERS: i64 = 128;
/// After each part the head is anchored.
const PARTS: i64 = 10;
/// What texts are made of: letters, what means something to JSON and SQL, several bytes.
const SIGNS: [char; 12] = [
    'a', 'b', 'z', '0', ' ', '"', '\\', '\'', '\n', '{', 'ä', '€',
];
/// Signs of a text at most.
const LONGEST: usize = 200;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

pub(super) async fn open(dir: &Path) -> Result<Store> {
    let options = options(dir, PortRange::PUBLIC, PortRange::INTERNAL);
    Ok(Store::open(options, NOW).await?)
}

/// Writes until there are `entries`; gives heads that it had meanwhile, the last one included.
pub(super) async fn fill(store: &Store, entries: i64, draw: &mut Draw) -> Result<Vec<Head>> {
    let mut things = Things::from(1);
    let host = things.host("lab")?;
    let id = host.id;
    store.add_host(host, &things.actor, NOW).await?;
    let (app, operation) = things.app("web", id)?;
    store
        .create_app(app, operation, &things.actor, None, NOW)
        .await?;
    let claimed = store.claim(things.holder, LEASE_MS, false, NOW).await?;
    let (_, fence) = claimed.context("nothing to claim")?;
    store
        .begin_step(&fence, 0, "step", json!({}), Effects::default(), NOW)
        .await?;
    let mut anchors = Vec::new();
    for part in 1..=PARTS {
        let there = store.audit_head().await?.seq;
        let more = entries * part / PARTS - there;
        write(store, &things.actor, &fence, more, draw).await?;
        anchors.push(store.audit_head().await?);
    }
    Ok(anchors)
}

async fn write(
    store: &Store,
    actor: &Actor,
    fence: &Fence,
    more: i64,
    draw: &mut Draw,
) -> Result<()> {
    let mut writing = JoinSet::new();
    for writer in 0..WRITERS {
        let share = more / WRITERS + i64::from(writer < more % WRITERS);
        let texts: Vec<String> = (0..share).map(|_| text(draw)).collect();
        let (store, actor, fence) = (store.clone(), actor.clone(), *fence);
        writing.spawn(async move {
            for text in texts {
                add(&store, &actor, &fence, writer, &text).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(written) = writing.join_next().await {
        written??;
    }
    Ok(())
}

/// One entry: a request of somebody, or a call of a worker.
async fn add(store: &Store, actor: &Actor, fence: &Fence, writer: i64, text: &str) -> Result<()> {
    if writer % 2 == 0 {
        let label = format!("lab-{writer}");
        store
            .note_host_act(&label, "host.init", text, actor, NOW)
            .await?;
        return Ok(());
    }
    let audit = MutationAudit {
        call: "PUT /nodes/pve1/lxc/101/config".to_owned(),
        target: format!("lab/pve1/{writer}"),
        details: json!({"description": text, "memory": writer}),
    };
    store
        .record_mutation(fence, 0, audit, Effects::default(), NOW)
        .await?;
    Ok(())
}

fn text(draw: &mut Draw) -> String {
    let signs = draw.below(LONGEST);
    (0..signs)
        .filter_map(|_| SIGNS.get(draw.below(SIGNS.len())))
        .collect()
}
