//! The catalog of a server that runs: read again without a start, and with it what each app was made from.
//!
//! An app goes on with the text of the entry that it was made from, whatever becomes of the entry in the catalog: that text is kept with
//! it, and a start, a check of its health or another setting is done by it. [`Engine::catalog`] is what new apps are made from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use proximity_domain::names::CatalogId;
use proximity_store::entry_sources::EntrySourceRecord;
use proximity_store::error::StoreError;
use proximity_store::records::AppRecord;
use tokio_util::sync::CancellationToken;

use crate::catalog::{Catalog, CatalogEntry, CatalogPlaces, Offered, TakenEntries, kept, look_of};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::sources::Fetched;

/// Entries that were kept and are held ready, at most.
const MOST_READY: usize = 200;
/// From one look at the folders to the next.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The catalog as it is now, and entries of before.
#[derive(Debug)]
pub(crate) struct Entries {
    now: RwLock<Arc<Catalog>>,
    /// Entries that were kept, by what stands for their text.
    ready: Mutex<BTreeMap<String, Arc<CatalogEntry>>>,
    /// Held while the catalog is read, so that what was read later is what stays.
    reading: tokio::sync::Mutex<()>,
}

impl Entries {
    pub(crate) fn new(catalog: Catalog) -> Self {
        Self {
            now: RwLock::new(Arc::new(catalog)),
            ready: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
        }
    }

    fn now(&self) -> Arc<Catalog> {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&now)
    }

    fn replace(&self, catalog: Arc<Catalog>) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = catalog;
    }

    fn ready(&self, hash: &str) -> Option<Arc<CatalogEntry>> {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.get(hash).cloned()
    }

    fn keep_ready(&self, hash: &str, entry: &Arc<CatalogEntry>) {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.len() >= MOST_READY {
            ready.clear();
        }
        ready.insert(hash.to_owned(), Arc::clone(entry));
    }
}

impl Engine {
    /// What can be deployed now.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        self.inner.entries.now()
    }

    /// Reads the catalog again: its folders, and what was taken of repositories. What is wrong is left out and told by it.
    ///
    /// # Errors
    /// The database's, or a read that came to nothing; then the catalog is as it was.
    pub async fn reload_catalog(&self) -> Result<Arc<Catalog>, EngineError> {
        let _one_at_a_time = self.inner.entries.reading.lock().await;
        let taken = self.taken_entries().await?;
        let places = self.catalog().places().clone();
        let read = read_apart(move || Catalog::read(&places, &taken)).await?;
        let read = Arc::new(read);
        self.inner.entries.replace(Arc::clone(&read));
        for problem in read.problems() {
            // What is in it may come from a repository.
            let why = problem.message.lines().next().unwrap_or_default();
            tracing::warn!(place = ?problem.place, ?why, "left out of the catalog");
        }
        tracing::info!(
            entries = read.entries().count(),
            problems = read.problems().len(),
            "read the catalog"
        );
        Ok(read)
    }

    /// What people took of repositories, by name.
    async fn taken_entries(&self) -> Result<Vec<TakenEntries>, StoreError> {
        let mut taken = Vec::new();
        for source in self.store().entry_sources().await? {
            let Some(of) = source.taken else { continue };
            taken.push(TakenEntries {
                files: self.store().entry_source_files(source.id).await?,
                source: source.name,
                commit: of.commit,
            });
        }
        taken.sort_by(|a, b| a.source.cmp(&b.source));
        Ok(taken)
    }

    /// The catalog as it would be with what a repository has now in place of what was taken of it before. Nothing is kept.
    pub(crate) async fn catalog_with(
        &self,
        source: &EntrySourceRecord,
        fetched: &Fetched,
    ) -> Result<Catalog, EngineError> {
        let mut taken = self.taken_entries().await?;
        taken.retain(|one| one.source != source.name);
        taken.push(TakenEntries {
            source: source.name.clone(),
            commit: fetched.commit.clone(),
            files: fetched.files.clone(),
        });
        taken.sort_by(|a, b| a.source.cmp(&b.source));
        let places = self.catalog().places().clone();
        read_apart(move || Catalog::read(&places, &taken)).await
    }

    /// The entry that an app was made from, or the catalog's where that was not kept; `None`: neither is there.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn entry_of(
        &self,
        app: &AppRecord,
    ) -> Result<Option<Arc<CatalogEntry>>, StoreError> {
        self.entry_by(&app.catalog_id, app.entry_hash.as_deref())
            .await
    }

    /// The entry of this id whose text this stands for, or the catalog's where that was not kept.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn entry_by(
        &self,
        id: &CatalogId,
        hash: Option<&str>,
    ) -> Result<Option<Arc<CatalogEntry>>, StoreError> {
        let offered = self.catalog().offered(id).cloned();
        let now = offered.as_ref().map(|one| Arc::clone(&one.entry));
        let Some(hash) = hash else {
            return Ok(now);
        };
        if offered.is_some_and(|one| one.revision.hash == hash) {
            return Ok(now);
        }
        if let Some(ready) = self.inner.entries.ready(hash) {
            return Ok(Some(ready));
        }
        let Some(revision) = self.store().entry_revision(hash).await? else {
            return Ok(now);
        };
        match kept(&revision) {
            Ok(entry) => {
                let entry = Arc::new(entry);
                self.inner.entries.keep_ready(hash, &entry);
                Ok(Some(entry))
            }
            Err(e) => {
                tracing::warn!(%id, error = %e, "an entry that was kept is not read any more; the catalog's is used");
                Ok(now)
            }
        }
    }

    /// What the catalog has in place of the entry that an app was made from; `None`: just that, or nothing.
    #[must_use]
    pub fn newer_entry(&self, app: &AppRecord) -> Option<Arc<Offered>> {
        let hash = app.entry_hash.as_ref()?;
        let catalog = self.catalog();
        let offered = catalog.offered(&app.catalog_id)?;
        (offered.revision.hash != *hash).then(|| Arc::clone(offered))
    }
}

/// Reads files on a thread that may block.
async fn read_apart<T: Send + 'static>(
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, EngineError> {
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|e| EngineError::Upstream {
        code: "internal",
        message: format!("the catalog could not be read: {e}"),
        hint: "look at the server's log".to_owned(),
    })
}

/// What is seen of each file.
type Seen = Vec<(PathBuf, Option<(u64, SystemTime)>)>;

/// Looks at the folders of the catalog, and has it read again when a file of them is another one.
#[derive(Debug)]
pub struct CatalogWatch {
    engine: Engine,
    seen: Option<Seen>,
}

impl CatalogWatch {
    /// One that has not looked yet.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine, seen: None }
    }

    /// Looks once a minute until `shutdown`; not at all where that is not wanted.
    pub async fn run(mut self, shutdown: CancellationToken) {
        if !self.engine.inner.parts.limits.catalog_watch {
            return;
        }
        loop {
            if let Err(e) = self.pass().await {
                tracing::warn!(error = %e, "cannot look at the folders of the catalog");
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Looks once; the first look is what the next ones are held against. Gives whether the catalog was read again.
    ///
    /// # Errors
    /// As [`Engine::reload_catalog`]; what was seen then is looked at again.
    pub async fn pass(&mut self) -> Result<bool, EngineError> {
        let CatalogPlaces { folders, .. } = self.engine.catalog().places().clone();
        if folders.is_empty() {
            return Ok(false);
        }
        let seen = read_apart(move || look_of(&folders)).await?;
        let is_other = self.seen.as_ref().is_some_and(|before| *before != seen);
        if is_other {
            self.engine.reload_catalog().await?;
        }
        self.seen = Some(seen);
        Ok(is_other)
    }
}
