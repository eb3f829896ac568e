//! A chain of many entries, written by the product's own calls, many at a time.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use proximity_domain::audit::{Chain, Head};
use proximity_domain::event::EventKind;
use proximity_domain::ids::AppId;
use proximity_domain::ports::PortRange;
use proximity_domain::time::Timestamp;
use proximity_store::Store;
use proximity_store::effects::{Effects, MutationAudit, NewEvent};
use proximity_store::records::{Actor, Fence};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::journal::Journal;
use super::stand::raw;
use crate::draw::Draw;
use crate::things::{LEASE_MS, Things, options};

/// Tasks that write beside each other.
const WRITERS: i64 = 128;
/// After each part the head is anchored.
const PARTS: i64 = 10;
/// One of so many events is cleared away.
const CLEARED: i64 = 5;
/// What texts are made of: letters, what means something to JSON and SQL, several bytes.
const SIGNS: [char; 12] = [
    'a', 'b', 'z', '0', ' ', '"', '\\', '\'', '\n', '{', 'ä', '€',
];

const NOW: Timestamp = Timestamp(1_700_000_000_000);

pub(super) async fn open(dir: &Path) -> Result<Store> {
    let options = options(dir, PortRange::PUBLIC, PortRange::INTERNAL);
    Ok(Store::open(options, NOW).await?)
}

/// Who writes, and about what.
#[derive(Clone)]
struct Scribe {
    store: Store,
    chain: Chain,
    actor: Actor,
    app: AppId,
    fence: Fence,
}

/// Writes until there are `entries`; gives heads that it had meanwhile, the last one included.
pub(super) async fn fill(
    store: &Store,
    journal: &Journal,
    entries: i64,
    draw: &mut Draw,
) -> Result<Vec<Head>> {
    let mut things = Things::from(1);
    let host = things.host("lab")?;
    let id = host.id;
    store.add_host(host, &things.actor, NOW).await?;
    let (app, operation) = things.app("web", id)?;
    let app_id = app.id;
    store
        .create_app(app, operation, &things.actor, None, NOW)
        .await?;
    let claimed = store.claim(things.holder, LEASE_MS, false, NOW).await?;
    let (_, fence) = claimed.context("nothing to claim")?;
    store
        .begin_step(&fence, 0, "step", json!({}), Effects::default(), NOW)
        .await?;
    let scribe = Scribe {
        store: store.clone(),
        chain: journal.chain,
        actor: things.actor.clone(),
        app: app_id,
        fence,
    };
    let mut anchors = Vec::new();
    for part in 1..=PARTS {
        let there = journal.head(store).await?.seq;
        let more = entries * part / PARTS - there;
        write(&scribe, more, journal.longest, draw).await?;
        anchors.push(journal.head(store).await?);
    }
    Ok(anchors)
}

async fn write(scribe: &Scribe, more: i64, longest: usize, draw: &mut Draw) -> Result<()> {
    let mut writing = JoinSet::new();
    for writer in 0..WRITERS {
        let share = more / WRITERS + i64::from(writer < more % WRITERS);
        let texts: Vec<String> = (0..share).map(|_| text(longest, draw)).collect();
        let scribe = scribe.clone();
        writing.spawn(async move {
            for text in texts {
                match scribe.chain {
                    Chain::Audit => scribe.entry(writer, &text).await?,
                    Chain::Events => scribe.event(writer, &text).await?,
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(written) = writing.join_next().await {
        written??;
    }
    Ok(())
}

impl Scribe {
    /// One entry: a request of somebody, or a call of a worker.
    async fn entry(&self, writer: i64, text: &str) -> Result<()> {
        if writer % 2 == 0 {
            let label = format!("lab-{writer}");
            let (store, actor) = (&self.store, &self.actor);
            store
                .note_host_act(&label, "host.init", text, actor, NOW)
                .await?;
            return Ok(());
        }
        let details = json!({"description": text, "memory": writer});
        self.call(writer, details, Effects::default()).await
    }

    /// One event: of nothing of ours, of an app, or of an operation.
    async fn event(&self, writer: i64, text: &str) -> Result<()> {
        match writer % 3 {
            0 => {
                let freed = event(EventKind::PortsFreed, json!({"ports": text}));
                self.store.announce(&freed, NOW).await?;
                Ok(())
            }
            1 => {
                let guarded = event(EventKind::AppGuarded, json!({"hostname": text}));
                self.store.tell(&guarded, self.app, NOW).await?;
                Ok(())
            }
            _ => {
                let body = json!({"kind": "deploy", "percent": 1, "step": "step", "message": text});
                let effects = Effects {
                    events: vec![event(EventKind::OperationProgressed, body)],
                    ..Effects::default()
                };
                self.call(writer, json!({"memory": writer}), effects).await
            }
        }
    }

    async fn call(&self, writer: i64, details: Value, effects: Effects) -> Result<()> {
        let audit = MutationAudit {
            call: "PUT /nodes/pve1/lxc/101/config".to_owned(),
            target: format!("lab/pve1/{writer}"),
            details,
        };
        self.store
            .record_mutation(&self.fence, 0, audit, effects, NOW)
            .await?;
        Ok(())
    }
}

/// One more event, and nothing else.
pub(super) async fn announce(store: &Store, text: &str) -> Result<()> {
    let freed = event(EventKind::PortsFreed, json!({"ports": text}));
    Ok(store.announce(&freed, NOW).await?)
}

fn event(kind: EventKind, body: Value) -> NewEvent {
    NewEvent { kind, body }
}

fn text(longest: usize, draw: &mut Draw) -> String {
    let signs = draw.below(longest);
    (0..signs)
        .filter_map(|_| SIGNS.get(draw.below(SIGNS.len())))
        .collect()
}

/// Lets the product clear the oldest events away, as retention does; gives how many. All of them are kept beside as they were
/// written, for whoever puts them back.
pub(super) async fn clear(store: &Store, dir: &Path, entries: i64) -> Result<i64> {
    raw(dir)?.execute_batch(
        "CREATE TABLE written AS SELECT * FROM events; CREATE UNIQUE INDEX written_by_seq ON written (seq)",
    )?;
    let to = entries / CLEARED;
    let gone = i64::try_from(store.clear_events(to).await?)?;
    ensure!(gone == to, "{gone} events were cleared away, not {to}");
    Ok(gone)
}
