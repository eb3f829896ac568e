//! Prepared templates: made of what is deployed again and again, looked after, and destroyed when their time is over.
//!
//! A loop of its own does it ([`Templates`]), one call at a time, for one process alone is at work on a record. What comes next of each
//! template is decided purely, from its stage and from what was seen just now ([`proximity_domain::prepared::next`]); each call is on
//! record before it is sent, and nothing else is sent as long as it may still arrive. Why it is so is in docs/adr/0022.

mod begin;
mod commands;
mod fill;
mod hands;
mod shelf;
mod tend;

use std::collections::BTreeMap;
use std::time::Duration;

use proximity_domain::ids::PreparedId;
use proximity_domain::prepared::{Archive, Kept, Prepared, Stage, leaving};
use proximity_pve::storage::Content;
use tokio_util::sync::CancellationToken;

pub(crate) use begin::count_deploy;
pub use commands::TemplateView;
pub(crate) use shelf::Shelf;

use crate::engine::Engine;
use crate::error::EngineError;

/// From one look at all to the next where nothing is to be done: what has had its time leaves so late.
const AT_REST: Duration = Duration::from_secs(600);
/// After what could not be read or done.
const AGAIN: Duration = Duration::from_secs(30);

/// Makes templates, looks after them, and destroys them, until it is told to stop.
#[derive(Debug)]
pub struct Templates {
    engine: Engine,
}

impl Templates {
    /// One that has not looked yet.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// Does what is to be done, whenever there is something, until `shutdown`. What is under way then ends as a crash would end it: the
    /// call is on record, and is looked for at the next start.
    pub async fn run(self, shutdown: CancellationToken) {
        loop {
            let pass = async {
                let pause = match self.pass().await {
                    Ok(pause) => pause,
                    Err(e) => {
                        tracing::warn!(error = %e, code = e.code(), "cannot look after the prepared templates");
                        AGAIN
                    }
                };
                let bell = self.engine.inner.shelf.rung();
                tokio::select! {
                    biased;
                    () = bell => {}
                    () = tokio::time::sleep(pause) => {}
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = pass => {}
            }
        }
    }

    /// Does once what is to be done: begins what is wanted, lets go what has had its time, and brings each template on as far as it goes
    /// now. Gives after how long there is more to do.
    ///
    /// # Errors
    /// The store's. What goes wrong at a cluster is told of by the template, and tried again.
    pub async fn pass(&self) -> Result<Duration, EngineError> {
        let engine = &self.engine;
        self.begin_wanted().await;
        let stock = engine.store().prepared().await?;
        if stock.is_empty() {
            return Ok(AT_REST);
        }
        self.retire(&stock).await?;
        let mut pause = AT_REST;
        for kept in engine.store().prepared().await? {
            pause = pause.min(self.tend(kept.prepared.id).await?);
        }
        Ok(pause)
    }

    /// Writes down which have had their time.
    async fn retire(&self, stock: &[Kept]) -> Result<(), EngineError> {
        let engine = &self.engine;
        let policy = &engine.inner.parts.limits.templates;
        let mut archives: BTreeMap<PreparedId, Archive> = BTreeMap::new();
        if policy.on {
            for kept in stock
                .iter()
                .filter(|kept| kept.prepared.stage == Stage::Ready)
            {
                let archive = self.archive_of(&kept.prepared).await;
                archives.insert(kept.prepared.id, archive);
            }
        }
        let archive = |one: &Prepared| archives.get(&one.id).copied().unwrap_or(Archive::Unknown);
        let now = engine.now();
        for (id, why) in leaving(stock, archive, policy, now) {
            let found = stock.iter().find(|kept| kept.prepared.id == id);
            let Some(stage) = found.map(|kept| kept.prepared.stage) else {
                continue;
            };
            let store = engine.store();
            let advanced = store
                .advance_prepared(id, stage, Stage::Leaving, now)
                .await?;
            if advanced {
                tracing::info!(template = %id, why = ?why, "a prepared template has had its time");
            }
        }
        Ok(())
    }

    /// What became of the archive that a template was made from; unknown where that cannot be read.
    async fn archive_of(&self, one: &Prepared) -> Archive {
        let Ok(cluster) = self.engine.inner.clusters.get(one.spot.host).await else {
            return Archive::Unknown;
        };
        let storage = &cluster.host().template_storage;
        let read = cluster.read();
        let listed = read.storage_content(&one.spot.node, storage, Content::Template);
        let Ok(rows) = listed.await else {
            return Archive::Unknown;
        };
        let row = rows.iter().find(|row| row.volid == one.base.os_template);
        match row.map(|row| row.size_bytes) {
            Some(Some(bytes)) if bytes == one.base.os_template_bytes => Archive::Same,
            Some(None) => Archive::Unknown,
            Some(Some(_)) | None => Archive::Other,
        }
    }
}
